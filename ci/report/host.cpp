#include "ci/report/host.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "ci/report/checked.h"

namespace conformance::report {
namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// "NVIDIA H200, GPU-1b2c, 00000000:06:00.0, compute capability 9.0, 132 multiprocessors, 143155
/// MiB"; a model's name may hold commas.
std::optional<ReportedGpu> parse_gpu(std::string_view text) {
  std::vector<std::string> parts = split(text, ", ");
  if (parts.size() < 6) return std::nullopt;
  const auto last = parts.end() - 5;
  const auto number_before = [](std::string_view part, std::string_view ending) {
    if (!part.ends_with(ending)) return std::optional<std::uint64_t>();
    return parse_number(part.substr(0, part.size() - ending.size()));
  };
  constexpr std::string_view kCapability = "compute capability ";
  const auto multiprocessors = number_before(last[3], " multiprocessors");
  const auto memory = number_before(last[4], " MiB");
  if (!last[2].starts_with(kCapability) || !multiprocessors || !memory) return std::nullopt;
  ReportedGpu gpu;
  for (auto part = parts.begin(); part != last; ++part) {
    gpu.model += (gpu.model.empty() ? "" : ", ") + *part;
  }
  gpu.uuid = last[0];
  gpu.bus_id = last[1];
  gpu.capability = last[2].substr(kCapability.size());
  gpu.multiprocessors = *multiprocessors;
  gpu.memory_mib = *memory;
  return gpu;
}

/// A matrix by CUDA's ordinals as one by bus addresses; nothing if it is of other GPUs.
template <typename Row>
std::optional<std::vector<Row>> by_address(const std::vector<Row>& matrix,
                                           const std::vector<ReportedGpu>& gpus) {
  const std::size_t count = gpus.size();
  if (matrix.size() != count) return std::nullopt;
  std::vector<Row> sorted(count);
  for (std::size_t from = 0; from < count; ++from) {
    const Row& row = matrix[gpus[from].ordinal];
    if (row.size() != count) return std::nullopt;
    for (std::size_t to = 0; to < count; ++to) sorted[from].push_back(row[gpus[to].ordinal]);
  }
  return sorted;
}

}  // namespace

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + separator.size());
  }
}

const Json& fact(const Json& results, std::string_view name) {
  static const Json none;
  for (const Json& item : results.at("facts")) {
    if (item.at("name") == name) return item.at("value");
  }
  return none;
}

ReportedHost host_of(const Json& results, const std::string& file) {
  constexpr std::string_view kGpu = "devices.gpu-";
  ReportedHost host;
  for (const Checked& item : Checked(results, file)["facts"].items()) {
    const std::string name = item["name"].text();
    if (!name.starts_with(kGpu)) continue;
    const auto ordinal = parse_number(std::string_view(name).substr(kGpu.size()));
    std::optional<ReportedGpu> gpu = parse_gpu(item["value"].text());
    if (!ordinal || !gpu) item.fail("is no GPU as this suite describes them");
    gpu->ordinal = *ordinal;
    const Json& links = fact(results, "devices.nvlinks." + gpu->bus_id);
    if (links.is_number_unsigned()) gpu->nvlinks = links.get<std::uint64_t>();
    host.gpus.push_back(*std::move(gpu));
  }
  std::ranges::sort(host.gpus, {}, &ReportedGpu::ordinal);
  for (std::size_t i = 0; i < host.gpus.size(); ++i) {
    if (host.gpus[i].ordinal != i) {
      throw CannotRun(fmt::format("{}: the facts {}N do not count the GPUs from 0", file, kGpu));
    }
  }
  std::ranges::stable_sort(host.gpus, {}, &ReportedGpu::bus_id);
  if (const Json& matrix = fact(results, "peer.access-matrix"); matrix.is_string()) {
    host.access = by_address(split(matrix.get<std::string>(), " "), host.gpus);
  }
  if (const Json& matrix = fact(results, "peer.paths"); matrix.is_string()) {
    std::vector<std::vector<std::string>> rows;
    for (const std::string& row : split(matrix.get<std::string>(), " | ")) {
      rows.push_back(split(row, " "));
    }
    host.paths = by_address(rows, host.gpus);
  }
  return host;
}

int rank_of_path(std::string_view mark) {
  constexpr std::string_view kFarFirst[] = {"SYS", "NODE", "PHB", "PXB", "PIX", "NV"};
  const auto* const found = std::ranges::find(kFarFirst, mark);
  if (found != std::end(kFarFirst)) return static_cast<int>(found - kFarFirst) + 1;
  if (!mark.starts_with("NV")) return 0;
  const auto links = parse_number(mark.substr(2));
  return links && *links < 1000 ? static_cast<int>(std::size(kFarFirst) + *links) : 0;
}

std::optional<std::strong_ordering> compare_versions(std::string_view one, std::string_view other) {
  const std::vector<std::string> left = split(one, ".");
  const std::vector<std::string> right = split(other, ".");
  std::strong_ordering order = std::strong_ordering::equal;
  for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
    const auto part = [i](const std::vector<std::string>& parts) {
      return i < parts.size() ? parse_number(parts[i]) : std::optional<std::uint64_t>(0);
    };
    const auto a = part(left);
    const auto b = part(right);
    if (!a || !b) return std::nullopt;
    if (std::is_eq(order)) order = *a <=> *b;
  }
  return order;
}

}  // namespace conformance::report

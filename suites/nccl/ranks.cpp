#include "suites/nccl/ranks.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <system_error>

#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/library.h"
#include "kernels/collective_check.h"
#include "kernels/compare.h"
#include "suites/nccl/findings.h"

namespace conformance::nccl {
namespace {

/// Elements after the last one that must stay as they are, and what their bytes are.
constexpr std::size_t kGuard = 64;
constexpr unsigned char kPoison = 0xA5;

/// What Docker gives a container unless told otherwise; NCCL's documentation calls it too little.
constexpr std::uintmax_t kSmallSharedMemory = std::uintmax_t{64} << 20;

std::uint64_t seed() { return Session::current().settings().seed; }

bool says(const Status& status, std::string_view words) {
  return status.message().find(words) != std::string::npos;
}

/// Network plugins where the loader would find them; empty if there are none.
std::string plugins() {
  std::vector<std::string> found;
  for (const std::string& directory : library_search_path()) {
    const std::filesystem::path file = std::filesystem::path(directory) / "libnccl-net.so";
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) found.push_back(file.string());
  }
  return fmt::format("{}", fmt::join(found, " "));
}

bool same_gpu_twice(const NcclClique& clique) {
  std::set<std::string> uuids;
  for (int rank = 0; rank < clique.size(); ++rank) uuids.insert(clique.device(rank).uuid);
  return static_cast<int>(uuids.size()) < clique.size();
}

}  // namespace

Finding nccl_finding(const Status& status, const NcclClique& clique, const Subject& subject,
                     std::string_view what) {
  std::vector<std::string> blamed;
  for (const int rank : clique.blamed()) {
    blamed.push_back(
        fmt::format("rank {} on {}", clique.rank(rank), clique.device(rank).subject().name));
  }
  const std::string ranks = fmt::format("{}", fmt::join(blamed, "; "));
  const std::string shared_memory = Session::current().settings().host_root + "/dev/shm";
  std::error_code failed;
  const std::filesystem::space_info space = std::filesystem::space(shared_memory, failed);
  const std::string network = plugins();

  const FindingKind* kind = &call_failed;
  if (is_deadline_exceeded(status)) {
    kind = &deadline_exceeded;
  } else if (status.api() != "nccl") {
    return status_finding(status, subject);
  } else if (says(status, "Duplicate GPU") || same_gpu_twice(clique)) {
    kind = &duplicate_gpu;
  } else if (says(status, "No space left") || (status.code() == ncclSystemError && !failed &&
                                               space.available < kSmallSharedMemory)) {
    kind = &shared_memory_full;
  } else if (says(status, "not supported")) {
    kind = &not_supported;
  } else if (!network.empty() &&
             (status.code() == ncclSystemError || status.code() == ncclInternalError)) {
    kind = &foreign_plugin;
  }
  Evidence evidence{{"doing", std::string(what)},
                    {"status", status.name()},
                    {"message", status.message()},
                    {"ranks", ranks},
                    {"environment", nccl_environment()},
                    {"plugins", network.empty() ? std::string("none") : network}};
  if (!failed) {
    evidence.add("shared_memory_bytes", std::uint64_t{space.capacity})
        .add("shared_memory_free_bytes", std::uint64_t{space.available});
  }
  return {*kind, subject,
          fmt::format("{}: {}{}{}", what, status.describe(), ranks.empty() ? "" : "; ", ranks),
          evidence};
}

Ranks::Ranks(const CudaInventory& devices, std::size_t most) {
  demand(clique_.open(devices, kSetUpDeadline), fmt::format("setting up {} ranks", devices.size()));
  for (int rank = 0; rank < size(); ++rank) {
    use(rank);
    const Stream& stream = clique_.stream(rank);
    buffers_.push_back({DeviceBuffer<float>(most + kGuard), DeviceBuffer<float>(most + kGuard),
                        std::make_unique<DeviceResult<kernels::Mismatch>>(stream),
                        std::make_unique<DeviceResult<kernels::Mismatch>>(stream),
                        std::make_unique<DeviceResult<kernels::Mismatch>>(stream)});
  }
}

Subject Ranks::subject() const {
  return {"communicator", fmt::format("communicator of {} GPUs", size())};
}

void Ranks::prepare(std::size_t count, bool in_place) {
  for (int rank = 0; rank < size(); ++rank) {
    use(rank);
    const Buffers& own = buffers_[static_cast<std::size_t>(rank)];
    const cudaStream_t stream = clique_.stream(rank).get();
    for (const DeviceBuffer<float>* buffer : {&own.input, &own.output}) {
      ensure(CONFORMANCE_CALL(
          cudaMemsetAsync(buffer->data(), kPoison, (count + kGuard) * sizeof(float), stream)));
    }
    ensure(CONFORMANCE_CALL(kernels::fill_contribution(
        source(rank, in_place), count, static_cast<unsigned>(rank), seed(), stream)));
  }
}

void Ranks::all_reduce(std::size_t count, bool in_place) {
  const Status status = clique_.issue(
      [&](int rank) {
        return ncclAllReduce(
            source(rank, in_place), buffers_[static_cast<std::size_t>(rank)].output.data(), count,
            ncclFloat, ncclSum, clique_.communicator(rank), clique_.stream(rank).get());
      },
      kDeadline);
  demand(status, fmt::format("launching an all-reduce of {} floats", count));
}

void Ranks::wait(std::size_t count) {
  demand(clique_.wait(kDeadline), fmt::format("all-reduce of {} floats", count));
}

void Ranks::verify(std::size_t count, bool in_place) {
  const auto ranks = static_cast<unsigned>(size());
  for (int rank = 0; rank < size(); ++rank) {
    use(rank);
    const Buffers& own = buffers_[static_cast<std::size_t>(rank)];
    const cudaStream_t stream = clique_.stream(rank).get();
    ensure(CONFORMANCE_CALL(kernels::check_contributions(own.output.data(), count, 0, ranks, seed(),
                                                         own.sums->data(), stream)));
    ensure(CONFORMANCE_CALL(kernels::check_bytes(own.output.data() + count, kGuard * sizeof(float),
                                                 kPoison, own.guards->data(), stream)));
    if (in_place) continue;
    ensure(CONFORMANCE_CALL(kernels::check_contributions(own.input.data(), count,
                                                         static_cast<unsigned>(rank), 1, seed(),
                                                         own.inputs->data(), stream)));
  }
  const std::string what = fmt::format("all-reduce of {} floats over {} ranks, {}", count, ranks,
                                       in_place ? "in place" : "out of place");
  bool good = true;
  for (int rank = 0; rank < size(); ++rank) {
    use(rank);
    const Buffers& own = buffers_[static_cast<std::size_t>(rank)];
    const Subject subject = rank_subject(rank);
    const kernels::Mismatch sums = own.sums->take(subject);
    const kernels::Mismatch inputs = own.inputs->take(subject);
    const kernels::Mismatch guards = own.guards->take(subject);
    if (sums.count > 0) {
      const PinnedBuffer<float> found(1);
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(found.data(), own.output.data() + sums.first_index,
                                              sizeof(float), cudaMemcpyDeviceToHost,
                                              clique_.stream(rank).get())));
      synchronize(clique_.stream(rank), subject);
      const unsigned expected = kernels::sum_of_contributions(0, ranks, sums.first_index, seed());
      fail(Finding(wrong_element, subject,
                   fmt::format("{}: {} elements of rank {} are wrong; element {} should be {}, is "
                               "{}",
                               what, sums.count, rank, sums.first_index, expected, found[0]),
                   {{"rank", std::int64_t{rank}},
                    {"wrong_elements", std::uint64_t{sums.count}},
                    {"offset", std::uint64_t{sums.first_index}},
                    {"expected", double{static_cast<double>(expected)}},
                    {"found", double{found[0]}},
                    {"count", std::uint64_t{count}},
                    {"in_place", in_place},
                    {"seed", seed()}}));
      good = false;
    }
    good = expect(inputs.count == 0,
                  Finding(input_changed, subject,
                          fmt::format("{}: {} input elements of rank {} changed, the first is {}",
                                      what, inputs.count, rank, inputs.first_index),
                          {{"rank", std::int64_t{rank}},
                           {"changed_elements", std::uint64_t{inputs.count}},
                           {"offset", std::uint64_t{inputs.first_index}}})) &&
           good;
    good = expect(guards.count == 0,
                  Finding(wrote_outside, subject,
                          fmt::format("{}: {} bytes behind the result of rank {} changed, the "
                                      "first is byte {} past its end",
                                      what, guards.count, rank, guards.first_index),
                          {{"rank", std::int64_t{rank}},
                           {"changed_bytes", std::uint64_t{guards.count}},
                           {"first_byte", std::uint64_t{guards.first_index}}})) &&
           good;
  }
  if (!good) throw TestEnded();
  verified(std::uint64_t{count} * ranks, "elements");
}

void Ranks::use(int rank) const {
  ensure(CONFORMANCE_CALL(cudaSetDevice(clique_.device(rank).ordinal)));
}

Subject Ranks::rank_subject(int rank) const { return clique_.device(rank).subject(); }

float* Ranks::source(int rank, bool in_place) const {
  const Buffers& own = buffers_[static_cast<std::size_t>(rank)];
  return (in_place ? own.output : own.input).data();
}

void Ranks::demand(const Status& status, std::string_view what) {
  if (status.ok()) return;
  const Finding finding = nccl_finding(status, clique_, subject(), what);
  clique_.abort();
  // With a rank that hangs neither its GPU nor the process's other work can be trusted.
  if (is_deadline_exceeded(status)) Session::current().abandon(finding);
  fail_and_end(finding, status.where());
}

std::string nccl_environment() {
  std::vector<std::string> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::string_view(*entry).starts_with("NCCL_")) found.emplace_back(*entry);
  }
  std::sort(found.begin(), found.end());
  return found.empty() ? "none" : fmt::format("{}", fmt::join(found, " "));
}

std::size_t scaled_count(std::size_t wanted, const CudaInventory& devices) {
  const auto smallest = std::min_element(devices.begin(), devices.end(), [](auto& a, auto& b) {
    return a.total_memory < b.total_memory;
  });
  return scaled_bytes(wanted, smallest->total_memory) / sizeof(float);
}

}  // namespace conformance::nccl

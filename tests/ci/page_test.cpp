// index.html in a real browser: what it looks like is laid out, measured and photographed.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ci/report/folder.h"
#include "ci/report/html.h"
#include "fixtures/child.h"
#include "tests/support/scratch.h"

namespace conformance::report {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kGpus = 8;
/// Breaks a page that does not escape it.
constexpr std::string_view kHostile =
    "</table></details><script>document.title='x'</script>\"'&<img src=x onerror=x>";

Json figure(std::string_view name, std::string_view kind, const std::string& subject,
            double value) {
  return {
      {"name", name},
      {"value", value},
      {"unit", "GB/s"},
      {"subject", {{"kind", kind}, {"name", subject}}},
      {"samples", {value * 0.99, value, value * 1.01, value, value, value, value}},
      {"formula", "2 · bytes / time of a copy by a kernel that reads and writes each word once"},
      {"limit", {{"value", 480.0}, {"source", "18 links of 26.6 GB/s each, as NVML reports them"}}},
      {"floor", {{"value", 360.0}, {"reason", "0.75 of the limit: what the manual promises"}}}};
}

std::string gpu(int i) {
  return fmt::format("GPU {0} (GPU-65cf1eba-9180-9f16-8af9-6858f3d4bf{0:02}, 00000000:0{0}:00.0)",
                     i);
}

Json figures_of_test(int number) {
  Json figures = Json::array();
  if (number % 4 == 0) {
    for (int i = 0; i < kGpus; ++i) {
      figures.push_back(figure(fmt::format("bandwidth-{}", number), "device", gpu(i), 400 + i));
    }
  } else if (number % 20 == 1) {
    const std::string name =
        number == 1 ? "peer-copy-write-bandwidth" : fmt::format("peer-{}", number);
    for (int from = 0; from < kGpus; ++from) {
      for (int to = 0; to < kGpus; ++to) {
        if (from == to) continue;
        const bool slow = from == 2 && to == 5;
        figures.push_back(
            figure(name, "pair",
                   fmt::format("GPU {0} -> GPU {1} (0000:0{0}:00.0 -> 0000:0{1}:00.0)", from, to),
                   slow ? 240 : 400 + to));
      }
    }
  } else if (number == 2) {
    for (int power = 0; power < 10; ++power) {
      figures.push_back(figure(fmt::format("all-reduce-bus-bandwidth-{}KiB", 1 << power),
                               "communicator", "all 8 GPUs", 400.0 * power / (power + 5)));
    }
  }
  return figures;
}

/// A run of eight GPUs, as large as a real one, with everything that a page can show.
Json results_of_eight() {
  Json tests = Json::array();
  Json entries = Json::array();
  Json layers = Json::array();
  Json facts = Json::array();
  for (const char* layer :
       {"environment", "driver", "runtime", "devices", "memory", "peer", "cublas", "nccl"}) {
    const int place = static_cast<int>(layers.size());
    const std::string entry = fmt::format("{}.Suite", layer);
    const char* outcome = place == 5 ? "slow" : place == 7 ? "blocked" : "passed";
    layers.push_back({{"name", layer}, {"requires", Json::array()}, {"outcome", outcome}});
    entries.push_back({{"name", entry},
                       {"layer", layer},
                       {"level", "standard"},
                       {"gate", false},
                       {"selected", true},
                       {"outcome", outcome},
                       {"started", 1000.0 + 3 * place},
                       {"seconds", 5.0},
                       {"process", nullptr}});
    for (int i = 0; i < 30; ++i) {
      const int number = 30 * place + i;
      tests.push_back(
          {{"name",
            fmt::format("{}.EveryWordOfTheFreeMemoryKeepsAPatternAndItsComplement{}", entry, i)},
           {"entry", entry},
           {"layer", layer},
           {"outcome", outcome},
           {"claim", number == 7
                         ? std::string(kHostile)
                         : "Device memory that was written by a kernel is read unchanged by a "
                           "later kernel, and each address is a place of its own"},
           {"source", "CUDA C++ Programming Guide: Device Memory"},
           {"blocked_by", place == 7 ? Json("peer.Suite.Gate") : Json(nullptr)},
           {"skip_reason", nullptr},
           {"seconds", 0.25},
           {"verified",
            {{{"count", 34397254656}, {"what", "words, each as a pattern and its complement"}}}},
           {"figures", figures_of_test(number)},
           {"messages", Json::array()},
           {"findings", Json::array()}});
    }
  }
  for (int i = 0; i < 200; ++i) {
    facts.push_back(
        {{"name", fmt::format("process.libnvidia-{}", i)},
         {"value",
          fmt::format("/usr/local/nvidia/lib64/libnvidia-{}.so.580.159.04, build id {:040}", i, i)},
         {"entry", "driver.Suite"}});
  }
  facts.push_back({{"name", kHostile}, {"value", kHostile}, {"entry", kHostile}});
  Json finding{{"code", "peer.slow"},
               {"severity", "hardware"},
               {"layer", "peer"},
               {"entry", "peer.Suite"},
               {"test", "peer.Suite.CopiesAreAsFastAsTheirPath"},
               {"outcome", "slow"},
               {"subject", {{"kind", "pair"}, {"name", "GPU 2 -> GPU 5"}}},
               {"detail", "240 GB/s of 480 GB/s"},
               {"cause", "The way between the two GPUs is slower than its links allow."},
               {"remedy", "Look at `nvidia-smi nvlink --status`; reseat the GPU or its bridge."},
               {"evidence", {{"output", "first line\nsecond line"}, {"links", 18}}},
               {"time", 1.0}};
  Json remark = finding;
  remark["outcome"] = "passed";
  remark["code"] = kHostile;
  remark["subject"]["name"] = kHostile;
  remark["evidence"][std::string(kHostile)] = kHostile;
  return {{"schema", "cuda-conformance/results"},
          {"schema_version", 1},
          {"title", "simulated: CUDA conformance"},
          {"verdict", "not-conformant"},
          {"simulated", true},
          {"run",
           {{"id", "1"},
            {"started", 1000.0},
            {"ended", 1030.0},
            {"level", "standard"},
            {"cuda_origin", "nix"},
            {"selection", "ctest"}}},
          {"counts", {{"passed", 180}, {"slow", 30}, {"blocked", 30}}},
          {"first_finding", finding},
          {"findings", Json::array({finding, finding, remark})},
          {"facts", facts},
          {"layers", layers},
          {"entries", entries},
          {"tests", tests},
          {"warnings", {kHostile}}};
}

std::string chromium() {
  for (const char* candidate : {"chromium", "chromium-browser", "google-chrome"}) {
    ChildOptions options;
    options.argv = {candidate, "--version"};
    if (run_child(options).succeeded()) return candidate;
  }
  return "";
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

/// Width and height of a PNG file, from its header; zeros for any other file.
std::pair<std::uint32_t, std::uint32_t> size_of_png(const std::string& file) {
  if (file.size() < 24 || !file.starts_with("\x89PNG\r\n\x1a\n")) return {};
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
      value = value << 8 | static_cast<unsigned char>(file[at + i]);
    return value;
  };
  return {number(16), number(20)};
}

TEST(Page, ABrowserShowsItLightDarkAndNarrow) {
  const support::ScratchFolder scratch{fs::path(testing::TempDir()) / "page"};
  const std::string page = html(results_of_eight());
  EXPECT_LT(page.size(), 1'500'000u);
  const std::string browser = chromium();
  if (browser.empty()) GTEST_SKIP() << "there is no Chromium";
  write_file(scratch.path() / "index.html", page);
  const std::string checks = read_file(fs::path(SOURCE_DIR) / "tests" / "ci" / "page_check.html");
  fs::create_directories(SCREENSHOTS);

  struct View {
    std::string name;
    int width, height;
    bool dark;
  };
  for (const View& view : {View{"light", 1280, 2000, false}, View{"dark", 1280, 2000, true},
                           View{"narrow", 500, 2000, false}}) {
    SCOPED_TRACE(view.name);
    write_file(
        scratch.path() / "check.html",
        replaced(replaced(checks, "WANTED_DARK", view.dark ? "true" : "false"), "WANTED_SECTIONS",
                 "['findings','remarks','layers','pairs','curves','figures','timeline','host','"
                 "warnings']"));
    const fs::path picture = fs::path(SCREENSHOTS) / (view.name + ".png");
    fs::remove(picture);
    ChildOptions options;
    options.argv = {browser,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--no-first-run",
                    "--hide-scrollbars",
                    "--enable-logging=stderr",
                    "--allow-file-access-from-files",
                    fmt::format("--user-data-dir={}", (scratch.path() / "profile").native()),
                    fmt::format("--blink-settings=preferredColorScheme={}", view.dark ? 0 : 1),
                    fmt::format("--window-size={},{}", view.width, view.height),
                    fmt::format("--screenshot={}", picture.native()),
                    "--dump-dom",
                    "file://" + (scratch.path() / "check.html").native()};
    options.environment["HOME"] = scratch.path().native();
    options.deadline = 60s;
    const ChildResult run = run_child(options);
    ASSERT_TRUE(run.succeeded()) << run.describe() << run.error;
    const std::size_t said = run.output.find("<pre id=\"said\">");
    ASSERT_NE(said, std::string::npos) << run.output;
    EXPECT_TRUE(run.output.substr(said).starts_with("<pre id=\"said\">checked</pre>"))
        << run.output.substr(said, run.output.find("</pre>", said) - said);
    EXPECT_EQ(run.error.find("CONSOLE"), std::string::npos) << run.error;
    EXPECT_EQ(size_of_png(read_file(picture)), std::pair(static_cast<std::uint32_t>(view.width),
                                                         static_cast<std::uint32_t>(view.height)));
  }
}

}  // namespace
}  // namespace conformance::report

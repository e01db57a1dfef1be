// Injects faults into the suites on this host's GPUs, one after the other, and compares what they
// say with what they must.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "ci/report/folder.h"
#include "fixtures/child.h"
#include "fixtures/command_line.h"
#include "fixtures/driver_table.h"
#include "fixtures/library.h"
#include "fixtures/program.h"
#include "tests/hardware/fault.h"
#include "tests/support/scratch.h"
#include "tests/support/suite_run.h"

namespace conformance::hardware {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using report::read_file;
using support::Environment;

/// Why a case cannot run on this host.
class Unable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Where things are, and what this host has.
struct Place {
  fs::path build;
  fs::path work;
  fs::path toolkit;  ///< what CUDA_PATH names
  int gpus = 0;
};

struct Case {
  std::string name;
  int gpus;  ///< how many it takes
  /// Which CTest entries run. Their gates run only if they are named too, or if `gates` says so:
  /// each takes the time in which CUDA starts, on every GPU, once more.
  std::string entries;
  bool gates;
  std::string fault;  ///< for the interposer; empty if `prepare` makes the fault
  /// Makes the fault in a folder of the case's own and in the environment.
  std::function<void(const Place&, const fs::path& folder, Environment&)> prepare;
  std::string finding;  ///< the first finding's code
  std::string subject;  ///< what that finding's subject begins with
  /// Outcome -> the tests that must have it, all of them; "driver.Versions.*" stands for a suite.
  std::map<std::string, std::vector<std::string>> outcomes;
};

std::string inherited(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

void search_first(const fs::path& folder, Environment& environment) {
  const std::string rest = inherited("LD_LIBRARY_PATH");
  environment["LD_LIBRARY_PATH"] = folder.native() + (rest.empty() ? "" : ":" + rest);
}

// The faults that are no wrong data: each is an arrangement that users meet.

void put_stub_first(const Place& place, const fs::path& folder, Environment& environment) {
  for (const char* library :
       {"lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"}) {
    const fs::path stub = place.toolkit / library / "stubs/libcuda.so";
    std::error_code error;
    if (!fs::is_regular_file(stub, error)) continue;
    // A copy: nothing in its path tells what it is.
    fs::create_directories(folder / "first");
    fs::copy_file(stub, folder / "first/libcuda.so.1");
    search_first(folder / "first", environment);
    return;
  }
  throw Unable(fmt::format("{} has no stub of libcuda", place.toolkit.native()));
}

void put_other_nvml_first(const Place& place, const fs::path& folder, Environment& environment) {
  const Library real = Library::open("libnvidia-ml.so.1");
  if (!real.is_open()) throw Unable(real.error());
  fs::create_directories(folder / "first");
  fs::create_symlink(place.build / "tests/hardware/libconformance_nvml_shim.so",
                     folder / "first/libnvidia-ml.so.1");
  environment["CONFORMANCE_INJECT_NVML"] = real.real_path();
  search_first(folder / "first", environment);
}

/// The first `bytes` of a library of this host, as a broken installation leaves it, found first.
void put_broken_first(const std::string& name, std::uintmax_t bytes, const fs::path& folder,
                      Environment& environment) {
  const Library real = Library::open(name);
  if (!real.is_open()) throw Unable(real.error());
  fs::create_directories(folder / "first");
  fs::copy_file(real.real_path(), folder / "first" / name);
  fs::resize_file(folder / "first" / name, bytes);
  search_first(folder / "first", environment);
}

void put_truncated_driver_first(const Place& /*place*/, const fs::path& folder,
                                Environment& environment) {
  put_broken_first("libcuda.so.1", 4096, folder, environment);
}

/// An empty file: the driver, too, looks for it, and would not survive half of one.
void put_empty_compiler_first(const Place& /*place*/, const fs::path& folder,
                              Environment& environment) {
  put_broken_first("libnvidia-ptxjitcompiler.so.1", 0, folder, environment);
}

fs::path libraries_of(const fs::path& toolkit) {
  std::error_code error;
  return toolkit / (fs::is_directory(toolkit / "lib", error) ? "lib" : "lib64");
}

/// The same runtime once more, outside of CUDA_PATH, as another toolkit brings it.
void put_second_runtime_first(const Place& place, const fs::path& folder,
                              Environment& environment) {
  const std::string name = fmt::format("libcudart.so.{}", CUDA_MAJOR);
  fs::create_directories(folder / "first");
  fs::copy_file(fs::canonical(libraries_of(place.toolkit) / name), folder / "first" / name);
  search_first(folder / "first", environment);
}

/// A tree like the toolkit's, but for its link to the driver, which is yet to be made.
fs::path toolkit_without_driver(const Place& place, const fs::path& folder,
                                Environment& environment) {
  const fs::path tree = folder / "toolkit";
  fs::create_directories(tree / "lib");
  for (const fs::directory_entry& entry : fs::directory_iterator(place.toolkit)) {
    if (entry.path().filename() != "lib") {
      fs::create_symlink(entry.path(), tree / entry.path().filename());
    }
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(libraries_of(place.toolkit))) {
    const std::string file = entry.path().filename().native();
    if (!file.starts_with("libcuda.so")) fs::create_symlink(entry.path(), tree / "lib" / file);
  }
  environment["CUDA_PATH"] = tree.native();
  return tree;
}

void let_driver_link_dangle(const Place& place, const fs::path& folder, Environment& environment) {
  const fs::path tree = toolkit_without_driver(place, folder, environment);
  fs::create_symlink(folder / "driver/libcuda.so.1", tree / "lib/libcuda.so.1");
}

void link_32_bit_driver(const Place& place, const fs::path& folder, Environment& environment) {
  const fs::path tree = toolkit_without_driver(place, folder, environment);
  // The identification of an ELF file of class 1, for 32 bits, and zeros.
  std::string file =
      "\x7f"
      "ELF\x01\x01\x01";
  file.resize(64, '\0');
  support::write_scratch(folder / "driver/libcuda.so.1", file);
  fs::create_symlink(folder / "driver/libcuda.so.1", tree / "lib/libcuda.so.1");
}

void list_a_missing_gpu(const Place& /*place*/, const fs::path& /*folder*/,
                        Environment& environment) {
  environment["CUDA_VISIBLE_DEVICES"] = "0,99";
}

void begin_list_with_missing_gpu(const Place& /*place*/, const fs::path& /*folder*/,
                                 Environment& environment) {
  environment["CUDA_VISIBLE_DEVICES"] = "99,0";
}

void hide_gpus(const Place& /*place*/, const fs::path& /*folder*/, Environment& environment) {
  environment["CUDA_VISIBLE_DEVICES"] = "";
}

/// What stands on the driver's gate in its own layer.
const std::vector<std::string> kDriverTests{
    "driver.Versions.*",      "driver.Identity.*", "driver.EntryPoints.*", "driver.ErrorTexts.*",
    "driver.Architectures.*", "driver.Contexts.*", "driver.Modules.*"};

std::vector<Case> all_cases() {
  return {
      {"dangling-driver-link",
       0,
       "environment\\.DriverLink",
       true,
       "",
       let_driver_link_dangle,
       "environment.driver-link-dangling",
       "",
       {{"failed", {"environment.DriverLink.LeadsToADriverLibrary"}}}},
      {"stub-first",
       0,
       "driver\\..*",
       true,
       "",
       put_stub_first,
       "driver.stub-loaded",
       "",
       {{"failed", {"driver.Gate.TheDriverLibraryIsADriver", "driver.Gate.TheDriverInitialises"}},
        {"blocked", kDriverTests}}},
      {"truncated-driver",
       0,
       "driver\\..*",
       true,
       "",
       put_truncated_driver_first,
       "driver.library-unloadable",
       "libcuda.so.1",
       {{"failed",
         {"driver.Gate.TheDriverLibraryIsFound", "driver.Gate.TheDriverLibraryIsADriver",
          "driver.Gate.TheDriverInitialises"}},
        {"blocked", kDriverTests}}},
      {"empty-ptx-compiler",
       1,
       "driver\\.(Identity|Modules)",
       true,
       "",
       put_empty_compiler_first,
       "driver.jit-library-missing",
       "libnvidia-ptxjitcompiler",
       {{"failed",
         {"driver.Identity.TheCompilerForPtxIsThere",
          "driver.Modules.PtxIsCompiledForTheGpuAndRuns",
          "driver.Modules.BrokenPtxIsRefusedWithALog",
          "driver.Modules.AFatBinaryWithoutCodeForTheGpuIsRefused"}}}},
      {"second-runtime",
       0,
       "environment\\.Loading",
       true,
       "",
       put_second_runtime_first,
       "environment.loaded-from-elsewhere",
       "libcudart",
       {{"failed", {"environment.Loading.TheSuitesLoadOneOfEachCudaLibrary"}}}},
      {"32-bit-driver-link",
       0,
       "environment\\.DriverLink",
       true,
       "",
       link_32_bit_driver,
       "environment.driver-link-wrong-file",
       "",
       {{"failed", {"environment.DriverLink.LeadsToADriverLibrary"}}}},
      {"nvml-of-another-version",
       1,
       "driver\\.Versions",
       true,
       "",
       put_other_nvml_first,
       "driver.version-mismatch",
       "NVML",
       {{"failed", {"driver.Versions.LibrariesAndKernelModuleAreOfOneVersion"}}}},
      {"no-visible-device",
       1,
       "devices\\.Gate",
       true,
       "",
       hide_gpus,
       "driver.hidden-by-variable",
       "CUDA_VISIBLE_DEVICES",
       {{"failed", {"driver.Gate.TheDriverInitialises"}},
        {"blocked", {"runtime.Gate.*", "devices.Gate.*"}}}},
      {"list-begins-with-missing-gpu",
       1,
       "driver\\.Gate",
       false,
       "",
       begin_list_with_missing_gpu,
       "driver.hidden-by-variable",
       "CUDA_VISIBLE_DEVICES",
       {{"failed", {"driver.Gate.TheDriverInitialises"}}}},
      {"list-names-missing-gpu",
       1,
       "devices\\.Visibility",
       false,
       "",
       list_a_missing_gpu,
       "devices.list-cut",
       "CUDA_VISIBLE_DEVICES",
       {{"failed", {"devices.Visibility.TheListOfThisProcessIsFollowed"}}}},
      {"wrong-byte-to-gpu",
       1,
       "memory\\.Transfers",
       false,
       "copy-flips-bit from=host to=0 occurrence=2 least=50000 at=40000 bit=0",
       nullptr,
       "memory.host-copy-wrong",
       "GPU 0 ",
       {{"failed", {"memory.Transfers.PinnedBytesComeBackUnchangedAtAnySizeAndOffset"}}}},
      {"lost-store-to-peer",
       2,
       "peer\\.Data",
       false,
       "store-lost from=0 to=1 occurrence=1 least=1000 at=12345678 words=1",
       nullptr,
       "peer.store-lost",
       "GPU 0 -> GPU 1 ",
       {{"failed", {"peer.Data.StoresToAPeerAreSeenByItsOwner"}}}},
      {"wrong-bit-to-peer",
       2,
       "peer\\.Data",
       false,
       "copy-flips-bit from=0 to=1 occurrence=1 least=1000 at=98765432 bit=7",
       nullptr,
       "peer.copy-wrong",
       "GPU 0 -> GPU 1 ",
       {{"failed", {"peer.Data.CopiesWithoutPeerAccessArriveWordForWord"}}}},
      // The second of the two calls by which a pair with access is copied.
      {"wrong-bit-to-peer-by-address",
       2,
       "peer\\.Data",
       false,
       "copy-flips-bit from=1 to=0 occurrence=4 least=1000 at=98765432 bit=0",
       nullptr,
       "peer.copy-wrong",
       "GPU 1 -> GPU 0 ",
       {{"failed", {"peer.Data.CopiesWithPeerAccessArriveWordForWord"}}}},
      // The first one that counts: the one before it warms up.
      {"wrong-bit-to-peer-while-timed",
       2,
       "peer\\.Speed",
       false,
       "copy-flips-bit from=0 to=1 occurrence=2 least=1000 at=23456789 bit=3",
       nullptr,
       "peer.copy-wrong",
       "GPU 0 -> GPU 1 ",
       {{"failed", {"peer.Speed.CopiesWithoutPeerAccessAreTimedAndRight"}}}},
      {"wrong-element",
       1,
       "cublas\\.Exact",
       false,
       "gemm-flips-bit device=0 call=cublasDgemm occurrence=1 least=4096 at=54321 bit=0",
       nullptr,
       "cublas.wrong-element",
       "GPU 0 ",
       {{"failed", {"cublas.Exact.DoubleProductsEqualIntegerArithmetic"}}}},
      // In the middle of the products that are timed.
      {"wrong-bit-in-one-timed-product",
       1,
       "cublas\\.Performance",
       false,
       "gemm-flips-bit device=0 call=cublasDgemm occurrence=9 least=10000 at=12345 bit=0",
       nullptr,
       "cublas.wrong-element",
       "GPU 0 ",
       {{"failed", {"cublas.Performance.DoubleProductsAreWithinTheirBoundAndAsFastAsOnPeers"}}}},
      // No GPU differs from another, and no product from the one before.
      {"wrong-bit-in-all-products",
       1,
       "cublas\\.Performance",
       false,
       "gemms-flip-bit call=cublasSgemm least=10000 at=12345 bit=30",
       nullptr,
       "cublas.wrong-element",
       "GPU ",
       {{"failed", {"cublas.Performance.FloatProductsAreWithinTheirBoundAndAsFastAsOnPeers"}}}},
      {"slow-products",
       2,
       "cublas\\.Performance",
       false,
       "gemm-slow device=1 call=cublasDgemm percent=30",
       nullptr,
       "cublas.slow",
       "GPU 1 ",
       {{"slow", {"cublas.Performance.DoubleProductsAreWithinTheirBoundAndAsFastAsOnPeers"}}}},
      {"wrong-bit-in-sum",
       2,
       "nccl\\.Speed",
       false,
       "all-reduce-flips-bit device=1 occurrence=2 least=10000 at=100000000 bit=0",
       nullptr,
       "nccl.wrong-element",
       "GPU 1 ",
       {{"failed", {"nccl.Speed.LargeCollectivesAreRightAndAsFastAsTheirLinks"}}}},
      {"dropped-contribution",
       2,
       "nccl\\.Speed",
       false,
       "all-reduce-drops device=1 occurrence=2 least=10000 at=100000000 elements=1024",
       nullptr,
       "nccl.wrong-element",
       "GPU 0 ",
       {{"failed", {"nccl.Speed.LargeCollectivesAreRightAndAsFastAsTheirLinks"}}}},
      {"rank-left-out",
       2,
       "nccl\\.Speed",
       false,
       "all-reduce-left-out device=1 occurrence=2 least=10000",
       nullptr,
       "nccl.deadline-exceeded",
       "communicator",
       {{"failed", {"nccl.Speed.LargeCollectivesAreRightAndAsFastAsTheirLinks"}},
        {"blocked",
         {"nccl.Speed.SmallCollectivesAreRightAndTimed",
          "nccl.Speed.AllReduceOfEverySizeIsRightAndTimed"}}}},
      // The first two are of the ranks that threads and one call start, or the process's first
      // sums.
      {"rank-stalls-in-its-process",
       2,
       "nccl\\.Starts",
       false,
       "all-reduce-stalls rank=1 occurrence=3 least=1000",
       nullptr,
       "nccl.deadline-exceeded",
       "GPU 1 ",
       {{"failed",
         {"nccl.Starts.AProcessForEachGpuStartsItsRank",
          "nccl.Starts.EveryAlgorithmAndProtocolIsExact",
          "nccl.Starts.RanksGiveUpOneThatStallsAndStartAgain",
          "nccl.Starts.RanksGoOnWithoutOneThatStalls", "nccl.Starts.RanksGiveUpOneThatNeverJoins",
          "nccl.Starts.RanksGiveUpOneThatIsKilledAndStartAgain"}}}},
  };
}

struct Result {
  std::vector<std::string> problems;
  std::string finding, subject, detail;
  std::string skipped;  ///< why it was not run; empty if it was
  double seconds = 0;
};

bool covers(const std::string& pattern, const std::string& test) {
  return pattern.ends_with('*') ? test.starts_with(pattern.substr(0, pattern.size() - 1))
                                : test == pattern;
}

/// Each test must have the outcome that the case gives it; the others must have passed or been
/// skipped.
void judge_outcomes(const Case& it, const Json& results, Result& result) {
  std::set<std::string> unseen;
  for (const auto& [outcome, patterns] : it.outcomes)
    unseen.insert(patterns.begin(), patterns.end());
  for (const Json& test : results.at("tests")) {
    const std::string name = test.at("name").get<std::string>();
    const std::string seen = test.at("outcome").get<std::string>();
    std::string expected = "passed";
    for (const auto& [outcome, patterns] : it.outcomes) {
      for (const std::string& pattern : patterns) {
        if (!covers(pattern, name)) continue;
        expected = outcome;
        unseen.erase(pattern);
      }
    }
    if (seen == expected || (expected == "passed" && seen == "skipped")) continue;
    result.problems.push_back(fmt::format("{} {}, expected {}", name, seen, expected));
  }
  for (const std::string& pattern : unseen) {
    result.problems.push_back(fmt::format("{} is not among the results", pattern));
  }
}

/// The places at which the fault struck, from "<fault>: <place>".
std::set<std::string> places_of(const std::string& fired) {
  std::set<std::string> places;
  std::istringstream lines(fired);
  for (std::string line; std::getline(lines, line);)
    places.insert(line.substr(line.find(": ") + 2));
  return places;
}

/// Whether `text` names `place`, and not one that only begins like it.
bool names(const std::string& text, const std::string& place) {
  for (std::size_t at = text.find(place); at != std::string::npos; at = text.find(place, at + 1)) {
    const std::size_t end = at + place.size();
    if (end == text.size() || text[end] < '0' || text[end] > '9') return true;
  }
  return false;
}

void judge(const Case& it, const Json& results, const fs::path& fired_file, Result& result) {
  judge_outcomes(it, results, result);
  const Json& findings = results.at("findings");
  if (!findings.empty()) {
    const Json& first = findings.at(0);
    result.finding = first.at("code").get<std::string>();
    result.subject = first.at("subject").at("name").get<std::string>();
    result.detail = first.at("detail").get<std::string>();
  }
  if (result.finding != it.finding) {
    result.problems.push_back(fmt::format("the first finding is {}, expected {}",
                                          result.finding.empty() ? "none" : result.finding,
                                          it.finding));
  } else if (!result.subject.starts_with(it.subject)) {
    result.problems.push_back(
        fmt::format("the subject is \"{}\", expected \"{}…\"", result.subject, it.subject));
  }
  if (results.at("verdict") != "not-conformant") {
    result.problems.emplace_back("the verdict is not \"not-conformant\"");
  }
  // What arrangements of files do is seen in the finding's subject; what is injected says so.
  const bool tells = !it.fault.empty() || it.name == "nvml-of-another-version";
  if (!tells) return;
  if (!fs::exists(fired_file)) {
    result.problems.emplace_back("the fault never fired");
    return;
  }
  for (const std::string& place : places_of(read_file(fired_file))) {
    if (!place.empty() && !names(result.detail, place)) {
      result.problems.push_back(
          fmt::format("the fault struck at {}, which the finding does not name", place));
    }
  }
}

void run(const Case& it, const Place& place, Result& result) {
  const fs::path folder = place.work / it.name;
  fs::remove_all(folder);
  fs::create_directories(folder);
  support::write_test_files(folder / "ctest", support::suite_test_files(place.build));
  ChildOptions child;
  child.argv = {CTEST_PROGRAM,
                "--test-dir",
                (folder / "ctest").native(),
                "-R",
                fmt::format("^{}$", it.entries),
                "--no-tests=error"};
  if (!it.gates) child.argv.insert(child.argv.end(), {"-FS", "\\.gate$"});
  child.deadline = std::chrono::seconds(180);
  child.merge_streams = true;
  child.environment = {{"CONFORMANCE_REPORT_DIR", (folder / "report").native()},
                       {"CONFORMANCE_TABLE", "off"},
                       {"CONFORMANCE_LEVEL", "standard"},
                       {"CONFORMANCE_CUDA_ORIGIN", "any"},
                       {"CONFORMANCE_RUN", std::nullopt},
                       {"CONFORMANCE_INJECT_FIRED", (folder / "fired").native()},
                       {"CUDA_PATH", place.toolkit.native()}};
  if (it.prepare) it.prepare(place, folder, child.environment);
  if (!it.fault.empty()) {
    child.environment["CONFORMANCE_INJECT"] = it.fault;
    const std::string others = inherited("LD_PRELOAD");
    child.environment["LD_PRELOAD"] =
        (place.build / "tests/hardware/libconformance_interposer.so").native() +
        (others.empty() ? "" : ":" + others);
  }
  const ChildResult ran = run_child(child);
  support::write_scratch(folder / "ctest.log", ran.output);
  if (ran.end != ChildResult::End::exited || !fs::exists(folder / "report/results.json")) {
    result.problems.push_back(fmt::format("ctest {}, and left no results", ran.describe()));
  } else {
    judge(it, Json::parse(read_file(folder / "report/results.json")), folder / "fired", result);
  }
  if (result.problems.empty()) {
    fs::remove_all(folder);
  } else {
    result.problems.push_back(fmt::format("see {}", folder.native()));
  }
}

Result attempt(const Case& it, const Place& place) {
  Result result;
  const auto start = std::chrono::steady_clock::now();
  if (place.gpus < it.gpus) {
    result.skipped = fmt::format("takes {} GPUs, there are {}", it.gpus, place.gpus);
    return result;
  }
  try {
    run(it, place, result);
  } catch (const Unable& reason) {
    result.skipped = reason.what();
  } catch (const std::exception& error) {
    result.problems.emplace_back(error.what());
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

void print(const Case& it, const Result& result) {
  const char* const verdict = !result.skipped.empty()   ? "skip"
                              : result.problems.empty() ? "ok"
                                                        : "FAIL";
  fmt::print("{:4}  {:29} {:6.1f} s  {:33}  {}\n", verdict, it.name, result.seconds, result.finding,
             result.skipped.empty() ? result.subject : result.skipped);
  if (!result.detail.empty()) fmt::print("      {}\n", result.detail);
  for (const std::string& problem : result.problems) fmt::print("      ! {}\n", problem);
  std::fflush(stdout);
}

/// How many GPUs CUDA shows; none if it does not start.
int count_gpus() {
  const DriverTable driver = DriverTable::open();
  int count = 0;
  if (driver.cuInit(0) != CUDA_SUCCESS || driver.cuDeviceGetCount(&count) != CUDA_SUCCESS) return 0;
  return count;
}

int run_all(int argc, char** argv) {
  const std::vector<Case> cases = all_cases();
  std::vector<std::string> known;
  for (const Case& it : cases) {
    known.push_back(it.name);
    if (!it.fault.empty()) parse_fault(it.fault);
  }
  std::string build;
  std::vector<std::string> chosen;
  CommandLine app{
      "Shows on this host's GPUs that the suites find the faults that they are to find."};
  app.option("build", build, "Build folder").required().existing_folder();
  app.option("cases", chosen,
             fmt::format("Which cases, all by default: {}", fmt::join(known, ", ")))
      .one_of(known);
  if (const auto end = app.read(argc, argv)) return *end;
  Place place;
  place.build = fs::canonical(build);
  place.work = place.build / "tests/hardware/work";
  const std::string named = inherited("CUDA_PATH");
  place.toolkit = fs::canonical(named.empty() ? TOOLKIT : named);
  place.gpus = count_gpus();
  if (place.build.native().find_first_of(" :") != std::string::npos) {
    throw std::runtime_error("LD_PRELOAD cannot name a build folder with spaces or colons");
  }
  fmt::print("{} GPUs, toolkit {}\n", place.gpus, place.toolkit.native());
  int ran = 0;
  int failed = 0;
  double seconds = 0;
  for (const Case& it : cases) {
    if (!chosen.empty() && std::ranges::find(chosen, it.name) == chosen.end()) continue;
    const Result result = attempt(it, place);
    print(it, result);
    seconds += result.seconds;
    if (result.skipped.empty()) ++ran;
    if (!result.problems.empty()) ++failed;
  }
  fmt::print("{} faults injected: {} found as they must be, {} not; {:.0f} s\n", ran, ran - failed,
             failed, seconds);
  if (ran == 0) return 2;
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace conformance::hardware

int main(int argc, char** argv) {
  return conformance::run_program("conformance-hardware", conformance::hardware::run_all, argc,
                                  argv);
}

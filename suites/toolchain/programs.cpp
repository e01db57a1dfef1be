// One small program, built in each of the ways in which programs for GPUs are built.

#include <algorithm>
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "fixtures/error_findings.h"
#include "fixtures/jobs.h"
#include "fixtures/scratch_folder.h"
#include "suites/toolchain/findings.h"
#include "suites/toolchain/toolchain_test.h"

namespace conformance::toolchain {
namespace {

namespace fs = std::filesystem;

using Strings = std::vector<std::string>;
using Targets = std::set<ComputeCapability>;

enum class Way { optimised, debug, line_numbers, link_time, ptx_alone, several, static_runtime };

/// What nvcc is asked for, and what then must be so.
struct Plan {
  Way way;
  Order order;
  Targets machine_code;  ///< what the program must hold
  Targets ptx;
  Targets runs_on;  ///< GPUs of this host
};

struct Execution {
  ComputeCapability gpu;
  ChildResult result;
};
struct Outcome {
  Plan plan;
  Program program;
  std::vector<Execution> runs;
};

Strings joined(Strings first, const Strings& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::string gencode(ComputeCapability target, bool machine_code) {
  const std::string number = fmt::format("{}{}", target.major, target.minor);
  return fmt::format("arch=compute_{},code={}_{}", number, machine_code ? "sm" : "compute", number);
}

/// Code for all GPUs of this host, and for the oldest and the newest that nvcc knows.
Plan plan_of_several(const Targets& gpus, const Targets& known) {
  Plan plan{Way::several, {"several", {"words.cu"}, {}}, gpus, {*known.begin()}, gpus};
  plan.machine_code.insert(*known.begin());
  plan.machine_code.insert(*known.rbegin());
  for (const ComputeCapability target : plan.machine_code) {
    plan.order.options.insert(plan.order.options.end(), {"-gencode", gencode(target, true)});
  }
  plan.order.options.insert(plan.order.options.end(), {"-gencode", gencode(*known.begin(), false)});
  return plan;
}

std::vector<Plan> make_plans(const Toolkit& toolkit, const Targets& gpus, const Targets& known) {
  const Strings shared = shared_runtime(toolkit);
  std::vector<Plan> plans;
  for (const ComputeCapability gpu : gpus) {
    const auto add = [&](Way way, const char* name, const Strings& options, const Targets& ptx) {
      plans.push_back({way,
                       {fmt::format("{}-{}", name, target_name(gpu)),
                        {"words.cu"},
                        joined({arch_option(gpu)}, options)},
                       {gpu},
                       ptx,
                       {gpu}});
    };
    add(Way::optimised, "optimised", joined({"-O3"}, shared), {gpu});
    add(Way::debug, "debug", joined({"-g", "-G"}, shared), {gpu});
    add(Way::line_numbers, "lines", joined({"-O3", "-lineinfo"}, shared), {gpu});
    add(Way::static_runtime, "static", {"-O3"}, {gpu});
    add(Way::link_time, "linked", joined({"-O3", "-rdc=true", "-dlto", "-DSEPARATE"}, shared), {});
    plans.back().order.sources.emplace_back("mix.cu");
    add(Way::ptx_alone, "ptx", {}, {gpu});
    plans.back().order.options = joined({"-gencode", gencode(gpu, false)}, shared);
    plans.back().machine_code = {};
  }
  plans.push_back(plan_of_several(gpus, known));
  plans.back().order.options = joined(plans.back().order.options, shared);
  return plans;
}

bool is_in(const Strings& folders, std::string_view file) {
  return std::ranges::any_of(folders, [&](const std::string& folder) {
    std::error_code error;
    return fs::exists(fs::path(folder) / file, error);
  });
}

/// What the toolkit lacks for a way of building, of what a merged or small one may do without;
/// empty if nothing.
std::string missing_for(Way way, const Toolkit& toolkit) {
  const std::string nvvm = toolkit.root() + "/nvvm";
  if (way == Way::link_time && !is_in({nvvm + "/lib64", nvvm + "/lib"}, "libnvvm.so")) {
    return "libnvvm.so, by which nvlink compiles";
  }
  if (way == Way::static_runtime && !is_in(toolkit.library_directories(), "libcudart_static.a")) {
    return "libcudart_static.a";
  }
  return {};
}

class Programs : public ToolchainTest {
 protected:
  /// Everything is built, and run, at the same time, by the first test that asks.
  const std::vector<Outcome>& outcomes() {
    static const std::vector<Outcome> all = make_all(require_shared_gpus());
    return all;
  }

  /// Each program that was built this way holds the code that was asked for, and is right on each
  /// GPU's architecture.
  void expect_right(Way way) {
    const std::string missing = missing_for(way, toolkit());
    if (!missing.empty()) skip(fmt::format("CUDA_PATH has no {}", missing));
    for (const Outcome& outcome : outcomes()) {
      if (outcome.plan.way != way || !expect_built(outcome.program)) continue;
      expect_code(outcome);
      for (const Execution& ran : outcome.runs) expect_words(outcome, ran);
    }
  }

  static void expect_words(const Outcome& outcome, const Execution& ran) {
    constexpr unsigned kWords = 4096;
    const bool right =
        ran.result.succeeded() && ran.result.output == fmt::format("right: {} words\n", kWords);
    // A code of the runtime that says by itself what is wrong with the host has its own remedy.
    const FindingKind& meant = kind_of_runtime_error(error_code(ran.result.output));
    const FindingKind& kind = &meant == &finding::api_error ? program_failed : meant;
    if (expect(right, Finding(kind, file_subject(outcome.plan.order.name),
                              fmt::format("built by \"{}\", on a GPU of compute capability {}, it "
                                          "{} and printed {}",
                                          command_text(outcome.program.command), ran.gpu.text(),
                                          ran.result.describe(), readable(ran.result.output)),
                              {{"output", ran.result.output}}))) {
      verified(kWords, "words");
    }
  }

  static void expect_code(const Outcome& outcome) {
    const DeviceCodeReading reading = read_device_code(outcome.program.path);
    Targets machine_code, ptx;
    for (const DeviceModule& module : reading.modules) {
      for (const DeviceCode& code : module) {
        if (code.kind == DeviceCode::Kind::binary) machine_code.insert(code.target);
        if (code.kind == DeviceCode::Kind::ptx) ptx.insert(code.target);
      }
    }
    const Plan& plan = outcome.plan;
    const std::string seen =
        fmt::format("machine code for {} and PTX for {}", said(machine_code), said(ptx));
    expect(
        machine_code == plan.machine_code && std::ranges::includes(ptx, plan.ptx),
        Finding(wrong_code, file_subject(plan.order.name),
                fmt::format("\"{}\" made {}; it was asked for machine code for {} and PTX for {}",
                            command_text(outcome.program.command),
                            reading.error.empty() ? seen : reading.error, said(plan.machine_code),
                            said(plan.ptx))));
    verified(machine_code.size() + ptx.size(), "pieces of device code");
  }

  static std::string said(const Targets& targets) {
    return targets.empty() ? "nothing" : names(targets);
  }

  static const ScratchFolder& scratch() {
    static const ScratchFolder folder(scratch_beginning());
    return folder;
  }

 private:
  /// The number in "error 209 of cudaMalloc: …"; 0 if a program printed something else.
  static int error_code(std::string_view output) {
    constexpr std::string_view kBeginning = "error ";
    int code = 0;
    if (output.starts_with(kBeginning)) {
      std::from_chars(output.data() + kBeginning.size(), output.data() + output.size(), code);
    }
    return code;
  }

  static std::vector<Outcome> make_all(const CudaInventory& devices) {
    const Toolkit found = toolkit();
    const Targets gpus = architectures(devices);
    std::vector<Outcome> all;
    for (Plan& plan : make_plans(found, gpus, nvcc_targets(found))) {
      if (!missing_for(plan.way, found).empty()) continue;
      // The runtime that is inside a program does without the simulator's.
      const bool only_built =
          plan.way == Way::static_runtime && Session::current().settings().simulated;
      if (only_built) plan.runs_on.clear();
      all.push_back({std::move(plan), {}, {}});
    }
    std::vector<Job> jobs;
    jobs.reserve(all.size());
    for (Outcome& outcome : all) {
      jobs.push_back(
          {file_subject(outcome.plan.order.name), [&found, &outcome] { make(found, outcome); }});
    }
    run_all(jobs, status_finding);
    return all;
  }

  static void make(const Toolkit& toolkit, Outcome& outcome) {
    constexpr std::chrono::seconds kLength{60};
    outcome.program = build(toolkit, scratch().path(), outcome.plan.order);
    if (!outcome.program.built.succeeded()) return;
    for (const ComputeCapability gpu : outcome.plan.runs_on) {
      outcome.runs.push_back(
          {gpu, run({outcome.program.path, std::to_string(gpu.major), std::to_string(gpu.minor)},
                    kLength)});
    }
  }
};

TEST_F(Programs, OptimisedCodeRuns) {
  claim("A program that nvcc builds with -O3 for a GPU's architecture runs there and is right",
        "CUDA Compiler Driver NVCC: GPU Compilation, --gpu-architecture, --optimize");
  expect_right(Way::optimised);
}

TEST_F(Programs, DebugCodeRuns) {
  claim("So does one with debug information for the device, which is not optimised",
        "CUDA Compiler Driver NVCC: --device-debug (-G)");
  expect_right(Way::debug);
}

TEST_F(Programs, CodeWithLineNumbersRuns) {
  claim("So does an optimised one with line numbers",
        "CUDA Compiler Driver NVCC: --generate-line-info");
  expect_right(Way::line_numbers);
}

TEST_F(Programs, CodeLinkedAndOptimisedAcrossFilesRuns) {
  claim(
      "So does one whose kernel calls a function of another file, both compiled apart and "
      "optimised "
      "when they are linked",
      "CUDA Compiler Driver NVCC: Using Separate Compilation in CUDA, Link-Time Optimization "
      "(-dlto)");
  expect_right(Way::link_time);
}

TEST_F(Programs, PtxAloneIsCompiledByTheDriver) {
  claim("So does one that holds PTX only, which the driver compiles when the program starts",
        "CUDA Compiler Driver NVCC: Just-in-Time Compilation");
  expect_right(Way::ptx_alone);
}

TEST_F(Programs, OneProgramServesSeveralArchitectures) {
  claim(
      "One program holds code for the oldest and newest architectures that nvcc knows and for each "
      "GPU here, and runs on each by the right one",
      "CUDA Compiler Driver NVCC: Fatbinaries, --generate-code");
  expect_right(Way::several);
}

TEST_F(Programs, TheStaticRuntimeRuns) {
  claim("So does a program with the static CUDA runtime, which nvcc links unless told otherwise",
        "CUDA Compiler Driver NVCC: --cudart");
  expect_right(Way::static_runtime);
}

TEST_F(Programs, CuobjdumpListsWhatWasAskedFor) {
  claim(
      "cuobjdump lists each architecture that nvcc was asked for, machine code and PTX, and no "
      "other",
      "CUDA Binary Utilities: cuobjdump, --list-elf, --list-ptx");
  const std::string tool = require_tool(toolkit(), "cuobjdump");
  for (const Outcome& outcome : outcomes()) {
    if (outcome.plan.way != Way::several || !expect_built(outcome.program)) continue;
    const Strings command{tool, "--list-elf", "--list-ptx", outcome.program.path};
    const ChildResult listed = run(command, std::chrono::seconds(60));
    Targets machine_code, ptx;
    for (std::size_t at = listed.output.find("sm_"); at != std::string::npos;
         at = listed.output.find("sm_", at + 1)) {
      const std::size_t end = listed.output.find_first_of(". \n", at);
      const auto target = parse_compute_capability(
          std::string_view(listed.output).substr(at, std::min(end, listed.output.size()) - at));
      if (!target) continue;
      (listed.output.compare(end, 4, ".ptx") == 0 ? ptx : machine_code).insert(*target);
    }
    expect(
        listed.succeeded() && machine_code == outcome.plan.machine_code && ptx == outcome.plan.ptx,
        Finding(listing_differs, file_subject(tool),
                fmt::format("it {} and listed machine code for {} and PTX for {}; \"{}\" asked "
                            "for machine code for {} and PTX for {}",
                            listed.describe(), said(machine_code), said(ptx),
                            command_text(outcome.program.command), said(outcome.plan.machine_code),
                            said(outcome.plan.ptx)),
                {{"output", listed.output}}));
    verified(machine_code.size() + ptx.size(), "pieces of device code");
  }
}

}  // namespace
}  // namespace conformance::toolchain

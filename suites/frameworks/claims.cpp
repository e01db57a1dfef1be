#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/compatibility.h"
#include "fixtures/deadline.h"
#include "fixtures/device_code.h"
#include "fixtures/host_facts.h"
#include "fixtures/process_libraries.h"
#include "fixtures/python.h"
#include "suites/frameworks/findings.h"
#include "suites/frameworks/framework_test.h"
#include "suites/frameworks/libraries.h"

namespace conformance::frameworks {
namespace {

constexpr std::chrono::seconds kProbeDeadline{150};

/// Rows and columns of the products: small on small GPUs, as elsewhere.
int product_size(const CudaInventory& devices) {
  const bool small = std::any_of(devices.begin(), devices.end(), [](const CudaDevice& device) {
    return device.total_memory < std::size_t{1} << 30;
  });
  return small ? 32 : 512;
}

DriverCudaVersion driver_version() {
  int number = 0;
  ensure(CONFORMANCE_CALL(cudaDriverGetVersion(&number)));
  return DriverCudaVersion::from_number(number).value_or(DriverCudaVersion{});
}

std::string own_setting(const std::string& variable) {
  const char* const value = std::getenv(variable.c_str());
  return value != nullptr ? value : "";
}

/// Which variable makes the framework show fewer GPUs than this process has; empty if none does.
std::string hiding_variable(const Framework& framework, const Record& record) {
  const auto value = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = record.environment.find(name);
    return found != record.environment.end() ? std::optional(found->second) : std::nullopt;
  };
  if (const auto list = value("CUDA_VISIBLE_DEVICES");
      list && (std::getenv("CUDA_VISIBLE_DEVICES") == nullptr ||
               *list != own_setting("CUDA_VISIBLE_DEVICES"))) {
    return fmt::format("CUDA_VISIBLE_DEVICES=\"{}\"", *list);
  }
  if (framework.module != "jax") return {};
  for (const char* const name : {"JAX_PLATFORMS", "JAX_PLATFORM_NAME"}) {
    const auto platforms = value(name);
    if (platforms && !platforms->empty() && platforms->find("cuda") == std::string::npos &&
        platforms->find("gpu") == std::string::npos) {
      return fmt::format("{}=\"{}\"", name, *platforms);
    }
  }
  if (const auto list = value("JAX_CUDA_VISIBLE_DEVICES"); list && *list != "all") {
    return fmt::format("JAX_CUDA_VISIBLE_DEVICES=\"{}\"", *list);
  }
  return {};
}

/// The last lines that a process printed, as evidence.
Evidence printed(const Record& record) {
  return record.process.error.empty() ? Evidence{} : Evidence{{"printed", record.process.error}};
}

std::string quoted(const std::string& message) {
  return message.empty() ? "it gave no reason" : fmt::format("it says \"{}\"", message);
}

/// A library that could not be loaded: which finding that is, with the foreign one if it is at
/// fault.
struct LoaderFailure {
  const FindingKind* kind = &library_not_loadable;
  std::string text;
};
LoaderFailure explain(const std::string& message, const Record& record) {
  for (const std::string& name : library_names(message)) {
    if (const auto foreign = foreign_library_for(name, record)) {
      return {&foreign_library, fmt::format("{}: {}", foreign->text(), message)};
    }
  }
  return {&library_not_loadable, message};
}

/// The foreign libraries that are older than those which they hide. A newer one of the same SONAME
/// serves as well.
std::vector<ForeignLibrary> older_foreign_libraries(const Record& record) {
  std::vector<ForeignLibrary> foreign = foreign_libraries(record);
  if (foreign.empty()) return foreign;
  std::vector<std::string> paths;
  paths.reserve(foreign.size());
  for (const ForeignLibrary& library : foreign) paths.push_back(library.own);
  const std::vector<CudaLibrary> own = library_versions(record.executable, paths);
  const auto version_in = [](const std::vector<CudaLibrary>& libraries, const std::string& stem) {
    const auto found =
        std::find_if(libraries.begin(), libraries.end(),
                     [&](const CudaLibrary& library) { return stem_of(library.path) == stem; });
    return found != libraries.end() ? found->version : std::nullopt;
  };
  std::erase_if(foreign, [&](const ForeignLibrary& library) {
    const std::string stem = stem_of(library.path);
    const auto loaded = version_in(record.libraries, stem), wanted = version_in(own, stem);
    return !loaded || !wanted || *loaded >= *wanted;
  });
  return foreign;
}

}  // namespace

void FrameworkTest::claims(std::string_view what, std::string_view source) {
  claim(fmt::format("{} {}", framework_.name, what),
        source.empty() ? framework_.documentation : source);
}

Subject FrameworkTest::subject() const { return {"library", std::string(framework_.name)}; }

Subject FrameworkTest::subject_of(const CudaDevice& device) const {
  return {"device", fmt::format("{} on {}", framework_.name, device.subject().name)};
}

std::string FrameworkTest::fact_name(std::string_view what) const {
  return fmt::format("frameworks.{}.{}", framework_.module, what);
}

void FrameworkTest::end_here(const FindingKind& kind, const Subject& about,
                             const std::string& detail, Evidence evidence) {
  Session::current().abandon(Finding(kind, about, detail, std::move(evidence)));
}

void FrameworkTest::end_unanswered(const Record& record) {
  end_here(no_answer, subject(),
           fmt::format("the process {}{}", record.process.describe(),
                       record.doing.empty() ? "" : " while it was " + record.doing),
           printed(record));
}

const Record& FrameworkTest::require_fact(std::string_view fact) {
  const CudaInventory& devices = require(Devices{1});
  skip_if_exclusive(devices);  // other entries' processes have it at the same time
  static std::map<std::string_view, Record> records;
  const auto known = records.find(framework_.module);
  const std::string interpreter = known == records.end() ? find_python() : std::string();
  if (known == records.end() && interpreter.empty()) skip("there is no python3 in PATH");
  const Record& record =
      known != records.end()
          ? known->second
          : records
                .emplace(framework_.module, look_at(framework_, interpreter, product_size(devices),
                                                    deadline_of(kProbeDeadline)))
                .first->second;
  if (record.has("installed") && !record.installed) {
    skip(fmt::format("not installed in {}", record.executable));
  }
  if (!record.has(fact)) end_unanswered(record);
  return record;
}

void FrameworkTest::is_importable() {
  claims("can be imported");
  const Record& record = require_fact("installed");
  if (!record.import_error.empty()) {
    std::string message = record.import_error;
    LoaderFailure failure{&import_failed, message};
    if (is_loader_message(message)) failure = explain(message, record);
    for (const OpenedLibrary& object : record.objects) {
      // The loader's own words say more than the framework's about what it could not load.
      if (!object.error.empty() && failure.kind == &import_failed) {
        failure = explain(object.error, record);
      }
    }
    end_here(*failure.kind, subject(), failure.text,
             Evidence{{"file", record.file}, {"message", message}});
  }
  if (!record.has("version")) end_unanswered(record);
  fact(fact_name("version"), record.version);
  fact(fact_name("file"), record.file);
  verified(1, "imports");
}

void FrameworkTest::is_built_for_cuda() {
  claims("was built for CUDA");
  const Record& record = require_fact("cuda_release");
  if (record.cuda_release.empty()) {
    end_here(cpu_only_build, subject(),
             fmt::format("{} {} in {} was built for {}", framework_.name, record.version,
                         record.file, record.build),
             {{"version", record.version}, {"file", record.file}});
  }
  fact(fact_name("built-for"), record.cuda_release);
  verified(1, "builds");
}

void FrameworkTest::driver_is_new_enough() {
  claims("was built for a release of CUDA that the driver supports",
         "CUDA Compatibility: Minor Version Compatibility");
  const Record& record = require_fact("cuda_release");
  InstalledVersions versions;
  versions.headers = parse_toolkit_version(record.cuda_release);
  if (!versions.headers) {
    skip(fmt::format("it says that it was built for CUDA \"{}\"", record.cuda_release));
  }
  guarded(subject(), [&] { versions.libcuda_cuda = driver_version(); });
  const HostFacts host = read_host_facts(Session::current().settings().host_root);
  if (host.module) versions.kernel_module = host.module->version;
  for (const ProcessLibrary& library : process_libraries()) {
    if (library.name != "libcuda") continue;
    versions.libcuda = DriverVersion::from_file_name(library.place.real_path);
    versions.compat_package = in_compat_package(library.place.real_path);
  }
  const auto verdict = judge_pair(versions);
  if (verdict && !verdict->supported()) {
    end_here(driver_too_old, subject(), verdict->text, {{"built_for", record.cuda_release}});
  }
  verified(1, "pairs of framework and driver");
}

void FrameworkTest::finds_its_libraries() {
  claims("finds each library that it needs for CUDA",
         "ld.so(8); CUDA Installation Guide for Linux: Post-installation Actions");
  const Record& record = require_fact("objects");
  for (const OpenedLibrary& object : record.objects) {
    if (object.error.empty()) continue;
    const LoaderFailure failure = explain(object.error, record);
    end_here(*failure.kind, subject(), fmt::format("opening {}: {}", object.name, failure.text));
  }
  require_fact("gpus");
  verified(record.objects.size() + 1, "libraries");
  if (!record.gpus.empty() || !hiding_variable(framework_, record).empty()) return;
  // It shows no GPU, and no variable says so: then what it asks the loader for while it runs
  // counts.
  for (const ForeignLibrary& library : foreign_libraries(record)) {
    end_here(foreign_library, subject(),
             fmt::format("it shows no GPU, and {}; {}", library.text(), quoted(record.gpu_error)),
             printed(record));
  }
  std::vector<std::string> errors;
  for (const OpenedLibrary& library : record.wanted) {
    if (!library.error.empty()) errors.push_back(library.error);
  }
  if (!errors.empty()) {
    end_here(library_not_loadable, subject(),
             fmt::format("it shows no GPU, and the loader says: {}; {}", fmt::join(errors, "; "),
                         quoted(record.gpu_error)),
             printed(record));
  }
}

void FrameworkTest::shows_the_gpus_of_this_process() {
  claims("shows the GPUs that the CUDA runtime shows, in its order");
  const Record& record = require_fact("gpus");
  const CudaInventory& devices = require(Devices{1});
  const std::string hidden = hiding_variable(framework_, record);
  if (record.gpus.empty()) {
    end_here(hidden.empty() ? gpus_missing : gpus_hidden, subject(),
             hidden.empty() ? fmt::format("it shows none of {} GPUs; {}", devices.size(),
                                          quoted(record.gpu_error))
                            : fmt::format("{} while the framework runs: it shows none of {} GPUs",
                                          hidden, devices.size()),
             printed(record));
  }
  std::vector<std::string> expected, seen;
  for (const CudaDevice& device : devices) expected.push_back(device.uuid);
  for (std::size_t i = 0; i < record.gpus.size(); ++i) {
    const SeenGpu& gpu = record.gpus[i];
    expect(gpu.error.empty(),
           Finding(call_failed, {"device", fmt::format("{}'s GPU {}", framework_.name, i)},
                   fmt::format("memory on it: {}", gpu.error)));
    seen.push_back(gpu.uuid);
    verified(gpu.error.empty() ? 1 : 0, "GPUs");
  }
  if (HasFailure() || seen == expected) return;
  const std::string lists = fmt::format("it shows [{}], and the CUDA runtime [{}]",
                                        fmt::join(seen, ", "), fmt::join(expected, ", "));
  if (std::is_permutation(seen.begin(), seen.end(), expected.begin(), expected.end())) {
    fail(Finding(other_order, subject(), lists));
  } else if (!hidden.empty()) {
    fail(Finding(gpus_hidden, subject(), fmt::format("{}: {}", hidden, lists)));
  } else {
    fail(Finding(gpus_missing, subject(), lists, printed(record)));
  }
}

void FrameworkTest::has_code_for_each_gpu() {
  claims("carries code that runs on each GPU, or compiles it for the GPU that is there",
         "CUDA Programming Guide: Compute Capabilities and Binary Compatibility");
  const Record& record = require_fact("architectures");
  std::vector<DeviceCode> listed;
  for (const std::string& name : record.architectures) {
    if (const auto code = DeviceCode::from_name(name)) listed.push_back(*code);
  }
  // The largest library that carries code stands for all: smaller ones serve fewer purposes.
  std::vector<DeviceCode> embedded;
  std::string library;
  for (const OpenedLibrary& object : record.objects) {
    std::vector<DeviceCode> found;
    for (const DeviceModule& module : read_device_code(object.name).modules) {
      if (!may_hold_kernels(module)) continue;
      found.insert(found.end(), module.begin(), module.end());
    }
    if (found.size() > embedded.size()) {
      embedded = std::move(found);
      library = object.name;
    }
  }
  std::set<std::string> names;
  for (const DeviceCode& code : embedded) names.insert(code.name());
  fact(fact_name("architectures"),
       fmt::format("{}",
                   fmt::join(record.architectures.empty() ? std::vector(names.begin(), names.end())
                                                          : record.architectures,
                             " ")));
  for (const CudaDevice& device : require(Devices{1})) {
    const ComputeCapability gpu{device.major, device.minor};
    const auto covered = [&](const std::vector<DeviceCode>& code) {
      verified(1, "GPUs by one list of architectures");
      return code.empty() || coverage(code, gpu) != Coverage::missing;
    };
    if (!covered(listed)) {
      end_here(architecture_missing, subject_of(device),
               fmt::format("compute capability {}, and it lists {}", gpu.text(),
                           fmt::join(record.architectures, " ")));
    }
    if (!covered(embedded)) {
      end_here(architecture_missing, subject_of(device),
               fmt::format("compute capability {}, and {} carries {}", gpu.text(), library,
                           fmt::join(names, " ")));
    }
  }
}

void FrameworkTest::loads_one_set_of_libraries() {
  claims("loads one file of each CUDA library, and all of one release of CUDA",
         "CUDA Compatibility: Minor Version Compatibility; cuBLAS; NCCL Release Notes");
  const Record& record = require_fact("libraries");
  std::optional<DriverCudaVersion> driver;
  guarded(subject(), [&] { driver = driver_version(); });
  std::vector<std::string> list;
  for (const CudaLibrary& library : record.libraries) {
    if (!library.version) continue;
    list.push_back(fmt::format("{} {}", stem_of(library.path), library.version->text()));
  }
  fact(fact_name("libraries"), fmt::format("{}", fmt::join(list, ", ")));
  const std::vector<ForeignLibrary> foreign = foreign_libraries(record);
  for (const SetProblem& problem :
       set_problems(record, parse_toolkit_version(record.cuda_release), driver)) {
    const auto culprit =
        std::find_if(foreign.begin(), foreign.end(), [&](const ForeignLibrary& library) {
          return std::find(problem.paths.begin(), problem.paths.end(), library.path) !=
                 problem.paths.end();
        });
    if (culprit != foreign.end()) {
      fail(Finding(foreign_library, subject(),
                   fmt::format("{}: {}", culprit->text(), problem.text)));
    } else {
      fail(Finding(mixed_libraries, subject(), problem.text));
    }
  }
  for (const ForeignLibrary& library : older_foreign_libraries(record)) {
    fail(Finding(foreign_library, subject(), fmt::format("{}, which is newer", library.text())));
  }
  verified(record.libraries.size(), "libraries");
}

void FrameworkTest::judge_computed(const Record& record, const std::vector<Computed>& all,
                                   std::string_view what, const FindingKind& wrong) {
  const CudaInventory& devices = require(Devices{1});
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Computed& computed = all[i];
    const Subject on = i < devices.size() && all.size() > 1 ? subject_of(devices[i]) : subject();
    expect(computed.error.empty(),
           Finding(call_failed, on, fmt::format("{}: {}", what, computed.error), printed(record)));
    expect(computed.wrong == 0,
           Finding(wrong, on,
                   fmt::format("{}: {} of {} elements are wrong, the first: {}", what,
                               computed.wrong, computed.wrong + computed.right, computed.first),
                   {{"wrong", computed.wrong}}));
    verified(computed.right, "elements");
  }
}

void FrameworkTest::products_are_exact() {
  claims("multiplies matrices of small integers exactly on each GPU");
  const Record& record = require_fact("products");
  judge_computed(record, record.products, "the product", wrong_product);
}

void FrameworkTest::sums_over_all_gpus_are_exact() {
  claims("adds up small integers exactly over all GPUs, through the NCCL that it loads");
  const Record& record = require_fact("sums");
  judge_computed(record, record.sums, "the sum", wrong_sum);
  if (!HasFailure() && !record.process.succeeded()) end_unanswered(record);
}

// ---------------------------------------------------------------------------------------------------

constexpr Framework kPyTorch{"PyTorch", "torch", "probe_torch.py",
                             "PyTorch: Get Started; CUDA semantics"};
constexpr Framework kJax{"JAX", "jax", "probe_jax.py", "JAX: Installation; GPU performance tips"};
constexpr Framework kCupy{"CuPy", "cupy", "probe_cupy.py", "CuPy: Installation"};

class PyTorch : public FrameworkTest {
 protected:
  PyTorch() : FrameworkTest(kPyTorch) {}
};
class Jax : public FrameworkTest {
 protected:
  Jax() : FrameworkTest(kJax) {}
};
class Cupy : public FrameworkTest {
 protected:
  Cupy() : FrameworkTest(kCupy) {}
};

#define CONFORMANCE_FRAMEWORK(Group)                                             \
  TEST_F(Group, IsImportable) { is_importable(); }                               \
  TEST_F(Group, IsBuiltForCuda) { is_built_for_cuda(); }                         \
  TEST_F(Group, DriverIsNewEnough) { driver_is_new_enough(); }                   \
  TEST_F(Group, FindsItsLibraries) { finds_its_libraries(); }                    \
  TEST_F(Group, ShowsTheGpusOfThisProcess) { shows_the_gpus_of_this_process(); } \
  TEST_F(Group, HasCodeForEachGpu) { has_code_for_each_gpu(); }                  \
  TEST_F(Group, LoadsOneSetOfLibraries) { loads_one_set_of_libraries(); }        \
  TEST_F(Group, ProductsAreExact) { products_are_exact(); }                      \
  TEST_F(Group, SumsOverAllGpusAreExact) { sums_over_all_gpus_are_exact(); }

CONFORMANCE_FRAMEWORK(PyTorch)
CONFORMANCE_FRAMEWORK(Jax)
CONFORMANCE_FRAMEWORK(Cupy)

}  // namespace conformance::frameworks

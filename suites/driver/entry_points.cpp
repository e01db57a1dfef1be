#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "suites/driver/driver_test.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

/// A form of a driver function that the toolkit's headers declare.
struct DeclaredForm {
  const char* name;
  int since;        ///< the CUDA version that introduced it, as cuDriverGetVersion writes versions
  bool per_thread;  ///< for per-thread default streams
};
constexpr DeclaredForm kForms[] = {
#include "cuda_names/driver_functions.inc"
};

/// A function by the name that programs link to.
struct LinkedName {
  const char* name;
  int since;  ///< a driver that supports this CUDA version has it
};
constexpr LinkedName kLinkedNames[] = {
#include "cuda_names/driver_exports.inc"
};

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string describe(CUdriverProcAddressQueryResult why) {
  switch (why) {
    case CU_GET_PROC_ADDRESS_SUCCESS:
      return "found";
    case CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND:
      return "symbol not found";
    case CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT:
      return "version not sufficient";
  }
  return fmt::format("CUdriverProcAddressQueryResult {}", static_cast<int>(why));
}

/// What cuGetProcAddress answers.
struct Answer {
  Status status;
  void* address = nullptr;
  CUdriverProcAddressQueryResult why = CU_GET_PROC_ADDRESS_SUCCESS;

  bool found() const { return status.ok() && address != nullptr; }
  std::string text() const {
    return status.ok()
               ? fmt::format("{}, {}", describe(why), address == nullptr ? "null" : "address")
               : status.describe();
  }
};

class EntryPoints : public DriverTest {
 protected:
  /// First line after the claim.
  void open() {
    table.emplace(driver());
    const Status status = CONFORMANCE_CALL(table->cuDriverGetVersion(&supported));
    if (!status.ok()) {
      fail_and_end(Finding(not_a_driver, library_subject(table->library()), status.describe()));
    }
  }
  Answer ask(const char* name, int version, cuuint64_t flags) const {
    Answer answer;
    answer.status = CONFORMANCE_CALL(
        table->cuGetProcAddress_v2(name, &answer.address, version, flags, &answer.why));
    return answer;
  }
  Subject subject() const { return library_subject(table->library()); }

  std::optional<DriverTable> table;
  int supported = 0;
};

TEST_F(EntryPoints, EveryFunctionUpToTheDriversVersionResolves) {
  claim(
      "cuGetProcAddress finds, for legacy and for per-thread default streams, every function that "
      "the toolkit's headers declare up to the driver's own CUDA version",
      "CUDA Driver API: Driver Entry Point Access, cuGetProcAddress");
  open();
  Evidence missing;
  std::string first;
  std::uint64_t absent = 0, resolved = 0, newer = 0;
  for (const DeclaredForm& form : kForms) {
    if (form.since > supported) {
      ++newer;
      continue;
    }
    bool found = true;
    const auto look_up = [&](int version, CUdriverProcAddress_flags flags,
                             std::string_view streams) {
      const Answer answer = ask(form.name, version, flags);
      if (answer.found()) return;
      found = false;
      missing.add(fmt::format("{} of CUDA {}, {}", form.name, version_text(version), streams),
                  answer.text());
      if (first.empty()) first = form.name;
    };
    if (form.per_thread) {
      look_up(form.since, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, "per-thread stream");
    } else {
      look_up(form.since, CU_GET_PROC_ADDRESS_DEFAULT, "legacy stream");
      // What has no form for per-thread streams, or a younger one, is found all the same.
      look_up(supported, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, "per-thread stream");
    }
    ++(found ? resolved : absent);
  }
  fact("driver.entry-points.resolved", resolved);
  fact("driver.entry-points.newer-than-driver", newer);
  if (expect(absent == 0, Finding(entry_point_missing, subject(),
                                  fmt::format("{} of {} functions do not resolve, such as {}",
                                              absent, absent + resolved, first),
                                  missing))) {
    verified(resolved, "functions");
  }
}

TEST_F(EntryPoints, FunctionsForPerThreadStreamsAreOthers) {
  claim(
      "where the headers declare a form for per-thread default streams, cuGetProcAddress yields "
      "another function for it than for the legacy default stream",
      "CUDA Driver API: cuGetProcAddress, CU_GET_PROC_ADDRESS_LEGACY_STREAM and "
      "CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM");
  open();
  std::set<std::string_view> names;
  for (const DeclaredForm& form : kForms) {
    if (form.per_thread && form.since <= supported) names.insert(form.name);
  }
  std::vector<std::string_view> same;
  std::uint64_t different = 0;
  for (const std::string_view name : names) {
    const Answer legacy = ask(name.data(), supported, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
    const Answer per_thread =
        ask(name.data(), supported, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
    if (!legacy.found() || !per_thread.found()) continue;  // the test above says so
    if (legacy.address == per_thread.address) {
      same.push_back(name);
    } else {
      ++different;
    }
  }
  if (expect(same.empty(),
             Finding(entry_point_wrong, subject(),
                     fmt::format("{} of {} functions are the same for both kinds of default stream",
                                 same.size(), same.size() + different),
                     {{"functions", fmt::format("{}", fmt::join(same, ", "))}}))) {
    verified(different, "pairs of functions");
  }
}

TEST_F(EntryPoints, WhatCannotBeFoundIsToldApart) {
  claim(
      "cuGetProcAddress says of a name that no function has SYMBOL_NOT_FOUND, of a CUDA version "
      "before the function's first VERSION_NOT_SUFFICIENT, and returns CUDA_ERROR_INVALID_VALUE "
      "for a version that the driver does not support",
      "CUDA Driver API: cuGetProcAddress, CUdriverProcAddressQueryResult");
  open();
  const auto check = [&](std::string_view what, const Answer& answer, bool right) {
    if (expect(right && answer.address == nullptr,
               Finding(entry_point_wrong, subject(),
                       fmt::format("asked for {}, cuGetProcAddress answered: {}", what,
                                   answer.text())))) {
      verified(1, "answers");
    }
  };
  const Answer unknown =
      ask("cuNoFunctionHasThisName", supported, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
  check("a name that no function has", unknown,
        unknown.status.ok() && unknown.why == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  // Stream-ordered allocation came with CUDA 11.2.
  const Answer early = ask("cuMemAllocAsync", 11010, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
  check("cuMemAllocAsync of CUDA 11.1", early,
        early.status.ok() && early.why == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  const Answer late = ask("cuInit", supported + 1000, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
  check(fmt::format("cuInit of CUDA {}", version_text(supported + 1000)), late,
        late.status.code() == CUDA_ERROR_INVALID_VALUE);
}

TEST_F(EntryPoints, EveryFunctionThatProgramsLinkToIsExported) {
  claim("libcuda.so.1 exports every function of cuda.h under the name that programs link to",
        "CUDA Driver API; CUDA Programming Guide: The CUDA Driver API, binary compatibility");
  open();
  std::vector<std::string_view> missing;
  std::uint64_t exported = 0;
  for (const LinkedName& function : kLinkedNames) {
    if (function.since > supported) continue;
    if (table->library().symbol(function.name) != nullptr) {
      ++exported;
    } else {
      missing.emplace_back(function.name);
    }
  }
  fact("driver.entry-points.exported", exported);
  if (expect(missing.empty(),
             Finding(entry_point_missing, subject(),
                     fmt::format("{} of {} functions are not exported, such as {}", missing.size(),
                                 missing.size() + exported, missing.empty() ? "" : missing.front()),
                     {{"file", table->library().real_path()},
                      {"missing", fmt::format("{}", fmt::join(missing, ", "))}}))) {
    verified(exported, "functions");
  }
}

TEST_F(EntryPoints, TheLibrariesExportWhatTheSuiteCalls) {
  claim("libcuda and NVML export the functions that monitoring and device selection rest on",
        "CUDA Driver API: Device Management; NVML API: Device Queries");
  open();
  const auto check = [](const Library& library, const std::vector<std::string_view>& missing) {
    if (expect(missing.empty(), Finding(entry_point_missing, library_subject(library),
                                        fmt::format("{} lacks {}", library.real_path(),
                                                    fmt::join(missing, ", "))))) {
      verified(1, "libraries");
    }
  };
  check(table->library(), table->missing());
  const NvmlTable management = NvmlTable::open();
  if (!management.library().is_open()) {
    fail_and_end(
        Finding(nvml_missing, library_subject(management.library()), management.library().error()));
  }
  check(management.library(), management.missing());
}

}  // namespace
}  // namespace conformance::driver

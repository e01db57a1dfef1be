#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ci/audit/loader.h"
#include "fixtures/byte_source.h"
#include "fixtures/device_code.h"
#include "fixtures/version.h"

namespace conformance::audit {

/// A GPU that code must run on.
struct Target {
  std::string name;  ///< "GPU 0 (9.0)", "sm_120"
  ComputeCapability capability;
};

/// What files are held against.
struct Host {
  std::vector<Target> targets;
  /// The newest CUDA of the driver here; nothing if the targets were named.
  std::optional<DriverCudaVersion> driver;
};

/// How a program comes by the CUDA runtime.
enum class Runtime { none, shared, linked_in };

/// Something that stands in the way, or may.
struct Problem {
  bool fatal = true;  ///< it will not run as it is
  std::string what, remedy;
};

/// What a file has for one target.
struct Cover {
  std::string target;
  Coverage best = Coverage::missing;
  std::map<Coverage, std::size_t> modules;
};

/// What is known of one file.
struct Examined {
  std::string path;
  std::string error;  ///< why it could not be read; empty if it could
  std::string kind;   ///< "64-bit x86-64 shared library"
  std::uint64_t bytes = 0;
  std::size_t modules = 0;
  std::map<std::string, std::size_t> code;  ///< "sm_90", "compute_120 (PTX 9.0)": how many of each
  Runtime runtime = Runtime::none;
  std::string needed_driver;             ///< "580.65.06 (CUDA 13.0)"; empty if unknown
  std::vector<NeededLibrary> libraries;  ///< CUDA's, and those that are missing
  std::vector<Cover> covers;             ///< one for each target, if it carries code
  std::vector<Problem> problems;

  bool concerns_cuda() const {
    return modules > 0 || runtime != Runtime::none || !libraries.empty();
  }
  bool fatal() const;
};

/// "libcublas.so.13", "libcudnn.so.9", "libnccl.so.2", "libcuda.so.1": of CUDA or its driver.
bool is_cuda_library(std::string_view name);

/// Examines a file; nothing if it is none of those that can carry code for GPUs: programs,
/// libraries, object files, static libraries, .fatbin, .cubin, .ptx.
std::optional<Examined> examine(const std::string& path, const Host& host, Loader& loader);

/// Says of a file, of which `examined` holds the libraries already, what it carries and what stands
/// in its way.
void judge(std::vector<DeviceModule> modules, bool program, const Host& host, Examined& examined);

/// A folder's files, links not followed and each once, and what of it could not be read.
struct FolderListing {
  struct Unread {
    std::string path, error;
  };
  std::vector<std::string> files;
  std::vector<Unread> unread;
};
FolderListing list_files(const std::string& folder);

/// The result of auditing.
struct Audit {
  std::vector<Examined> files;  ///< what concerns CUDA or could not be read, by path
  std::size_t looked_at = 0;    ///< all files
  double seconds = 0;

  /// 0 all runs, 1 something does not, 2 something could not be read or nothing concerns CUDA.
  int exit_code() const;
};
/// Examines files, and all files in folders, several at a time. What is named must be readable as
/// one of those that can carry code; in a folder, others are passed over.
Audit audit(const std::vector<std::string>& paths, const Host& host, Loader& loader);

}  // namespace conformance::audit

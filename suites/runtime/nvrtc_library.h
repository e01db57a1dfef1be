#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/entry_point.h"

namespace conformance::runtime {

// NVRTC's interface as its user guide has it, so that neither its header nor the library is needed
// where it is not installed.

/// nvrtcResult, as far as the suite tells its values apart.
enum class NvrtcResult : int { success = 0, invalid_option = 5, compilation = 6, absent = -1 };
using NvrtcHandle = struct NvrtcProgramTag*;

/// The functions of libnvrtc, opened by name as a program would.
class NvrtcLibrary {
 public:
  template <typename... Arguments>
  using Entry = EntryPoint<NvrtcResult::absent, Arguments...>;

  NvrtcLibrary();
  const Library& library() const { return library_; }
  /// Names of the functions that the library lacks.
  const std::vector<std::string_view>& missing() const { return missing_; }
  /// "NVRTC_ERROR_COMPILATION (6)"
  std::string name_of(NvrtcResult result) const;
  /// The machine code that it can write: 90 for sm_90.
  std::vector<int> architectures() const;

  Entry<int*> nvrtcGetNumSupportedArchs{"nvrtcGetNumSupportedArchs"};
  Entry<int*> nvrtcGetSupportedArchs{"nvrtcGetSupportedArchs"};
  /// source, name, count of headers, their sources, their names
  Entry<NvrtcHandle*, const char*, const char*, int, const char* const*, const char* const*>
      nvrtcCreateProgram{"nvrtcCreateProgram"};
  Entry<NvrtcHandle*> nvrtcDestroyProgram{"nvrtcDestroyProgram"};
  Entry<NvrtcHandle, const char*> nvrtcAddNameExpression{"nvrtcAddNameExpression"};
  Entry<NvrtcHandle, int, const char* const*> nvrtcCompileProgram{"nvrtcCompileProgram"};
  Entry<NvrtcHandle, const char*, const char**> nvrtcGetLoweredName{"nvrtcGetLoweredName"};
  Entry<NvrtcHandle, std::size_t*> nvrtcGetCUBINSize{"nvrtcGetCUBINSize"};
  Entry<NvrtcHandle, char*> nvrtcGetCUBIN{"nvrtcGetCUBIN"};
  Entry<NvrtcHandle, std::size_t*> nvrtcGetProgramLogSize{"nvrtcGetProgramLogSize"};
  Entry<NvrtcHandle, char*> nvrtcGetProgramLog{"nvrtcGetProgramLog"};

 private:
  Library library_;
  std::vector<std::string_view> missing_;
};

/// A source text on its way through NVRTC. Each step yields NVRTC's answer.
class NvrtcProgram {
 public:
  explicit NvrtcProgram(const NvrtcLibrary& nvrtc) : nvrtc_(nvrtc) {}
  NvrtcProgram(const NvrtcProgram&) = delete;
  NvrtcProgram& operator=(const NvrtcProgram&) = delete;
  ~NvrtcProgram() {
    if (handle_ != nullptr) nvrtc_.nvrtcDestroyProgram(&handle_);
  }
  NvrtcResult create(const std::string& source, const char* name) {
    return nvrtc_.nvrtcCreateProgram(&handle_, source.c_str(), name, 0, nullptr, nullptr);
  }
  NvrtcHandle get() const { return handle_; }
  NvrtcResult compile(const std::string& option) const;
  /// What the compiler wrote about the source; empty if it cannot be had.
  std::string log() const;
  NvrtcResult machine_code(std::vector<char>& out) const;

 private:
  const NvrtcLibrary& nvrtc_;
  NvrtcHandle handle_ = nullptr;
};

}  // namespace conformance::runtime

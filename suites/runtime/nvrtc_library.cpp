#include "suites/runtime/nvrtc_library.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

namespace conformance::runtime {

NvrtcLibrary::NvrtcLibrary()
    : library_(Library::open(fmt::format("libnvrtc.so.{}", CUDART_VERSION / 1000))) {
  const auto resolve = [&](auto&... entries) { (entries.resolve(library_, missing_), ...); };
  resolve(nvrtcGetNumSupportedArchs, nvrtcGetSupportedArchs, nvrtcCreateProgram,
          nvrtcDestroyProgram, nvrtcAddNameExpression, nvrtcCompileProgram, nvrtcGetLoweredName,
          nvrtcGetCUBINSize, nvrtcGetCUBIN, nvrtcGetProgramLogSize, nvrtcGetProgramLog);
}

std::string NvrtcLibrary::name_of(NvrtcResult result) const {
  const auto text =
      reinterpret_cast<const char* (*)(NvrtcResult)>(library_.symbol("nvrtcGetErrorString"));
  return fmt::format("{} ({})", text == nullptr ? "nvrtcResult" : text(result),
                     static_cast<int>(result));
}

std::vector<int> NvrtcLibrary::architectures() const {
  int count = 0;
  if (nvrtcGetNumSupportedArchs(&count) != NvrtcResult::success || count <= 0) return {};
  std::vector<int> all(static_cast<std::size_t>(count));
  if (nvrtcGetSupportedArchs(all.data()) != NvrtcResult::success) return {};
  return all;
}

NvrtcResult NvrtcProgram::compile(const std::string& option) const {
  const char* const options[] = {option.c_str()};
  return nvrtc_.nvrtcCompileProgram(handle_, 1, options);
}

std::string NvrtcProgram::log() const {
  std::size_t size = 0;  // with the zero at the end
  if (nvrtc_.nvrtcGetProgramLogSize(handle_, &size) != NvrtcResult::success || size == 0) return {};
  std::vector<char> text(size);
  if (nvrtc_.nvrtcGetProgramLog(handle_, text.data()) != NvrtcResult::success) return {};
  return {text.data(), size - 1};
}

NvrtcResult NvrtcProgram::machine_code(std::vector<char>& out) const {
  std::size_t size = 0;
  const NvrtcResult known = nvrtc_.nvrtcGetCUBINSize(handle_, &size);
  out.resize(size);
  return known == NvrtcResult::success ? nvrtc_.nvrtcGetCUBIN(handle_, out.data()) : known;
}

}  // namespace conformance::runtime

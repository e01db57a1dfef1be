#include <array>

#include "fixtures/session.h"
#include "suites/environment/findings.h"
#include "suites/toolchain/findings.h"

namespace conformance {

Layer this_layer() {
  using namespace toolchain;
  static constexpr std::array findings{
      &environment::cuda_path_unusable,
      &environment::compiler_missing,
      &environment::compiler_failed,
      &environment::host_compiler_unsupported,
      &architecture_unknown,
      &compile_failed,
      &wrong_code,
      &program_failed,
      &listing_differs,
      &another_nvcc_first,
      &another_toolkit_found,
      &consumer_failed,
      &another_library_loaded,
      &tool_failed,
      &sanitizer_wrong,
      &debugger_wrong,
      &extension_failed,
  };
  return {"toolchain", findings};
}

}  // namespace conformance

#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"

namespace conformance::environment {
namespace {

class Origin : public EnvironmentTest {
 protected:
  /// The store's directory with links followed; NIX_STORE names it where it is not the usual one.
  static std::string store() {
    const char* variable = std::getenv("NIX_STORE");
    const std::string named = variable != nullptr && variable[0] == '/' ? variable : "/nix/store";
    std::error_code error;
    const std::string real = std::filesystem::canonical(named, error).string();
    return error ? named : real;
  }
};

TEST_F(Origin, TheToolkitComesFromWhereTheRunDemands) {
  claim(any_origin() ? "CUDA_PATH and the libraries in it lead to files that exist"
                     : "CUDA_PATH and the libraries in it lead into the Nix store",
        "CUDA Installation Guide for Linux: Post-installation Actions");
  const Toolkit found = toolkit();
  const std::string place = any_origin() ? "/" : store();
  const auto check = [&place](const Subject& subject, const std::string& real_path) {
    if (expect(lies_in(real_path, place),
               Finding(outside_store, subject,
                       fmt::format("{} leads to {}, outside of {}", subject.name, real_path, place),
                       {{"real path", real_path}, {"demanded", place}}))) {
      verified(1, "paths");
    }
  };
  check(variable_subject("CUDA_PATH"), found.root());
  static constexpr std::array<std::string_view, 4> kStems{"libcudart", "libcublas", "libcublasLt",
                                                          "libnccl"};
  for (const std::string_view stem : kStems) {
    const ToolkitLibrary file = library(found, stem);
    check(file_subject(file.path), file.real_path);
  }
  fact("toolkit.origin", any_origin() ? "any" : "nix");
}

}  // namespace
}  // namespace conformance::environment

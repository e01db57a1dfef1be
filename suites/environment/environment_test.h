#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fixtures/compatibility.h"
#include "fixtures/test.h"
#include "fixtures/toolkit.h"

namespace conformance::environment {

/// Base of the layer's tests.
class EnvironmentTest : public ConformanceTest {
 protected:
  /// What CUDA_PATH says, whatever that is.
  static CudaPath cuda_path();
  /// The toolkit; ends the test with a finding if CUDA_PATH names none.
  static Toolkit toolkit();
  /// A header of the toolkit and its text; ends the test with a finding if it is not there.
  struct Header {
    std::string path, text;
    /// The value of a #define; ends the test with a finding if the header does not say.
    int number(std::string_view define) const;
  };
  static Header header(const Toolkit& toolkit, std::string_view name);
  /// A library of the toolkit; ends the test with a finding if it is not there.
  static ToolkitLibrary library(const Toolkit& toolkit, std::string_view stem);
  /// The release of the toolkit's headers; ends the test with a finding if they do not say.
  static ToolkitVersion toolkit_version(const Toolkit& toolkit);
  /// Parts of the toolkit must agree as the rules of exact agreement have it.
  static void expect_agreement(const InstalledVersions& versions, const Subject& subject);
  static bool any_origin();
};

Subject variable_subject(std::string_view name);
Subject file_subject(std::string_view path);

}  // namespace conformance::environment

#include "suites/environment/environment_test.h"

#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/host_facts.h"
#include "fixtures/version.h"
#include "suites/environment/findings.h"

namespace conformance::environment {

Subject variable_subject(std::string_view name) { return {"variable", std::string(name)}; }
Subject file_subject(std::string_view path) { return {"file", std::string(path)}; }

bool EnvironmentTest::any_origin() {
  return Session::current().settings().cuda_origin == CudaOrigin::any;
}

CudaPath EnvironmentTest::cuda_path() { return read_cuda_path(std::getenv("CUDA_PATH")); }

Toolkit EnvironmentTest::toolkit() {
  const CudaPath path = cuda_path();
  const Subject subject = variable_subject("CUDA_PATH");
  if (!path.set) fail_and_end(Finding(cuda_path_unset, subject, "CUDA_PATH is not set"));
  if (!path.usable()) {
    fail_and_end(Finding(cuda_path_unusable, subject,
                         fmt::format("CUDA_PATH is {}: {}", readable(path.value), path.problem),
                         {{"value", readable(path.value)}, {"problem", path.problem}}));
  }
  return {path.real_path, any_origin()};
}

EnvironmentTest::Header EnvironmentTest::header(const Toolkit& toolkit, std::string_view name) {
  const auto path = toolkit.header(name);
  const Reading<std::string> text =
      path ? read_text_file(*path, kLargestHeader) : Reading<std::string>();
  if (!text) {
    fail_and_end(
        Finding(header_missing, file_subject(name), fmt::format("{}: {}", name, text.describe()),
                {{"searched", fmt::format("{}", fmt::join(toolkit.include_directories(), ":"))}}));
  }
  return {*path, *text};
}

int EnvironmentTest::Header::number(std::string_view define) const {
  const auto value = parse_define(text, define);
  if (!value) {
    fail_and_end(Finding(version_unreadable, file_subject(path),
                         fmt::format("{} does not define {} as a number", path, define)));
  }
  return *value;
}

ToolkitLibrary EnvironmentTest::library(const Toolkit& toolkit, std::string_view stem) {
  const std::vector<ToolkitLibrary> found = toolkit.libraries(stem);
  const std::string searched = fmt::format("{}", fmt::join(toolkit.library_directories(), ":"));
  if (found.empty()) {
    fail_and_end(Finding(library_missing, {"library", std::string(stem)},
                         fmt::format("no {}.so.<number> in {}", stem, searched),
                         {{"searched", searched}}));
  }
  if (found.size() > 1) {
    fail_and_end(
        Finding(libraries_mixed, {"library", std::string(stem)},
                fmt::format("{} and {} lie side by side", found.front().path, found.back().path),
                {{"first", found.front().path}, {"last", found.back().path}}));
  }
  if (found.front().real_path.empty()) {
    fail_and_end(Finding(library_missing, file_subject(found.front().path),
                         fmt::format("{} is a link that leads nowhere", found.front().path)));
  }
  return found.front();
}

ToolkitVersion EnvironmentTest::toolkit_version(const Toolkit& toolkit) {
  const Header cuda_h = header(toolkit, "cuda.h");
  const auto version = ToolkitVersion::from_number(cuda_h.number("CUDA_VERSION"));
  if (!version) {
    fail_and_end(Finding(version_unreadable, file_subject(cuda_h.path),
                         fmt::format("{} defines a CUDA_VERSION of {}", cuda_h.path,
                                     cuda_h.number("CUDA_VERSION"))));
  }
  return *version;
}

void EnvironmentTest::expect_agreement(const InstalledVersions& versions, const Subject& subject) {
  for (const Judgement& judgement : judge_parts(versions)) {
    if (expect(judgement.holds, Finding(version_mismatch, subject, judgement.sentence,
                                        {{"rule", std::string(judgement.source)}}))) {
      verified(1, "pairs of versions");
    }
  }
}

}  // namespace conformance::environment

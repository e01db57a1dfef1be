# Registers the two CTest entries around every run: report.Begin forgets the last run, report.Write turns
# the journals into the reports, also after failures. Arguments of conformance-report may follow.
function(add_conformance_report)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "WRITE_ARGUMENTS")
  add_conformance_test(
    report.Begin
    COMMAND conformance-report begin
    BUILD_ONLY --source "${PROJECT_SOURCE_DIR}"
    PROPERTIES FIXTURES_SETUP report TIMEOUT 120)
  add_conformance_test(
    report.Write
    COMMAND conformance-report write ${arg_WRITE_ARGUMENTS}
    PROPERTIES FIXTURES_CLEANUP report TIMEOUT 300)
endfunction()

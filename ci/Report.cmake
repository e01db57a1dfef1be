# Registers the two CTest entries around every run: report.Begin forgets the last run, report.Write turns
# the journals into the reports, also after failures. Arguments of conformance-report may follow.
function(add_conformance_report)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "WRITE_ARGUMENTS")
  add_test(NAME report.Begin COMMAND conformance-report begin)
  add_test(NAME report.Write COMMAND conformance-report write ${arg_WRITE_ARGUMENTS})
  set_tests_properties(report.Begin PROPERTIES FIXTURES_SETUP report TIMEOUT 120)
  set_tests_properties(report.Write PROPERTIES FIXTURES_CLEANUP report TIMEOUT 300)
endfunction()

# Run by the build: writes one source per kernel header, which compiles its kernels for the host and lists
# them, and one that joins the lists.
#   cmake -DHEADERS=<a;b> -DLAUNCHERS=<a;b> -DOUTPUT_DIR=<dir> -P generate_kernels.cmake
# Kernels that are templates are instantiated as the launchers (.cu) name them: name<arguments>.
set(all "")
set(declarations "")
set(launcher_text "")
foreach(launcher IN LISTS LAUNCHERS)
  file(READ "${launcher}" text)
  string(APPEND launcher_text "${text}")
endforeach()
string(REPLACE ";" " " launcher_text "${launcher_text}")
foreach(header IN LISTS HEADERS)
  get_filename_component(stem "${header}" NAME_WE)
  file(READ "${header}" text)
  string(REPLACE ";" " " text "${text}")
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REGEX MATCHALL "(template *<[^>]*>[ \n]*)?__global__[^(]*(\\(__?launch_bounds__\\([^)]*\\)\\))?[^({]*\\(" kernels "${text}")
  set(lines "")
  foreach(kernel IN LISTS kernels)
    string(REGEX REPLACE "__launch_bounds__ *\\([^)]*\\)" "" kernel "${kernel}")
    string(REGEX MATCH "([A-Za-z_0-9]+) *\\($" _ "${kernel}")
    set(name "${CMAKE_MATCH_1}")
    if(kernel MATCHES "^template")
      string(REGEX MATCHALL "${name}<[^;{}()<>]*>" uses "${launcher_text}")
      list(REMOVE_DUPLICATES uses)
      foreach(use IN LISTS uses)
        string(APPEND lines "    make_kernel<&conformance::kernels::${use}>(\"${name}\"),\n")
      endforeach()
    else()
      string(APPEND lines "    make_kernel<&conformance::kernels::${name}>(\"${name}\"),\n")
    endif()
  endforeach()
  set(source "#include \"tests/simulator/core/kernel_shim.h\"\n\n#include \"kernels/${stem}.cuh\"\n"
             "#include \"tests/simulator/core/kernel.h\"\n\nnamespace conformance::sim {\n\n"
             "std::vector<Kernel> table_of_${stem}() {\n  using namespace conformance::kernels\;\n  return {\n${lines}  }\;\n}\n\n"
             "}  // namespace conformance::sim\n")
  string(CONCAT source ${source})
  file(CONFIGURE OUTPUT "${OUTPUT_DIR}/table_${stem}.cpp" CONTENT "${source}" @ONLY)
  string(APPEND declarations "std::vector<Kernel> table_of_${stem}();\n")
  string(APPEND all "  add(table_of_${stem}());\n")
endforeach()
file(CONFIGURE OUTPUT "${OUTPUT_DIR}/tables.cpp" @ONLY CONTENT
"#include \"tests/simulator/core/kernel.h\"

namespace conformance::sim {

${declarations}
std::vector<Kernel> all_kernels() {
  std::vector<Kernel> all;
  const auto add = [&](const std::vector<Kernel>& table) {
    all.insert(all.end(), table.begin(), table.end());
  };
${all}  return all;
}

}  // namespace conformance::sim
")

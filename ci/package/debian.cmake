# Read by CPack: what the Debian package depends on. CMake is there for its ctest; what the programs link is asked of
# dpkg-shlibdeps, except CUDA's libraries, which come from the host's CUDA_PATH.
if(NOT CPACK_GENERATOR STREQUAL "DEB")
  return()
endif()
set(folder "${CPACK_TOPLEVEL_DIRECTORY}/shlibdeps")
file(WRITE "${folder}/debian/control" "Source: cuda-conformance\n\nPackage: cuda-conformance\nArchitecture: any\n")
execute_process(
  COMMAND dpkg-shlibdeps -O --ignore-missing-info ${CPACK_CONFORMANCE_PROGRAMS}
  WORKING_DIRECTORY "${folder}"
  RESULT_VARIABLE code
  OUTPUT_VARIABLE found
  ERROR_VARIABLE complaint
  OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "dpkg-shlibdeps, from the package dpkg-dev: ${code}: ${complaint}")
endif()
string(REGEX REPLACE "^shlibs:Depends=" "" found "${found}")
string(REPLACE ", " ";" found "${found}")
list(FILTER found EXCLUDE REGEX "^(cuda-|libcu|libnccl|libnv)")
list(JOIN found ", " CPACK_DEBIAN_PACKAGE_DEPENDS)
string(PREPEND CPACK_DEBIAN_PACKAGE_DEPENDS "cmake (>= 3.25), ")

# Runs a suite's executable on a healthy simulated host; fails unless all of it passes.
#   cmake -DPROGRAM=<executable> -DGPUS=<n> -DLIB=<simulator's libraries> -DSIM_ROOT=<conformance-sim-root>
#         -DWORK=<scratch folder> -DCUDA=<toolkit> -DAUDIT=<libhidden_host_driver.so> [-DMAY_SKIP=ON] [-DPRELOAD=<libraries>] -P run_suite.cmake
set(ENV{CONFORMANCE_SIM_GPUS} ${GPUS})
set(ENV{CONFORMANCE_SIMULATED} 1)
set(ENV{CONFORMANCE_STRESS_SECONDS} 0)
set(ENV{CONFORMANCE_CUDA_ORIGIN} any)
set(ENV{CUDA_PATH} "${CUDA}")
foreach(variable CONFORMANCE_SIM_MACHINE CONFORMANCE_SIM_FIRED CONFORMANCE_JOURNAL CUDA_VISIBLE_DEVICES
                 CUDA_DEVICE_ORDER)
  unset(ENV{${variable}})
endforeach()
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
execute_process(COMMAND "${SIM_ROOT}" "${WORK}/host" COMMAND_ERROR_IS_FATAL ANY)
set(ENV{CONFORMANCE_HOST_ROOT} "${WORK}/host")
# LD_BIND_NOW: a function that the simulator lacks shows at start.
set(ENV{LD_BIND_NOW} 1)
set(ENV{LD_LIBRARY_PATH} "${LIB}")
if(NOT PRELOAD)  # LeakSanitizer does not survive an auditor
  set(ENV{LD_AUDIT} "${AUDIT}")
  # With an auditor the loader keeps little room for a library with large thread-local memory.
  set(ENV{GLIBC_TUNABLES} "glibc.rtld.optional_static_tls=4194304")
endif()
# The sanitizers' own libraries must be there before those that need them.
set(ENV{LD_PRELOAD} "${PRELOAD}")
# LeakSanitizer takes what lies before a thread's variables in a library opened late for their size.
set(ENV{ASAN_OPTIONS} "intercept_tls_get_addr=0")
execute_process(COMMAND "${PROGRAM}" --gtest_color=no RESULT_VARIABLE result)
if(result EQUAL 77 AND MAY_SKIP)
  message(STATUS "every test was skipped, as expected on ${GPUS} GPU")
elseif(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} on ${GPUS} simulated GPUs ended with ${result}")
endif()
file(REMOVE_RECURSE "${WORK}")

# Prints which Python this is and where nanobind's CMake files lie. Exits with 3 where a part is not
# installed.
import os
import sys
import sysconfig

try:
    import nanobind
except ModuleNotFoundError as error:
    print(error)
    sys.exit(3)
headers = sysconfig.get_path("include")
if not os.path.exists(os.path.join(headers, "Python.h")):
    print(f"no Python.h in {headers}")
    sys.exit(3)
print(sys.executable)
print(nanobind.cmake_dir())

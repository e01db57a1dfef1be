// Loaded by LD_AUDIT into each process of a scenario: where the loader looks by itself, in its
// cache and in the system's folders, there is no NVIDIA driver. Otherwise a simulated host without
// a driver would find the one of the machine that simulates it. It uses no library, not even C's:
// an auditor has copies of its own of those that it needs.
#include <cstdint>

#include <link.h>

namespace {

bool starts_with(const char* text, const char* beginning) {
  while (*beginning != '\0' && *text == *beginning) {
    ++text;
    ++beginning;
  }
  return *beginning == '\0';
}

}  // namespace

extern "C" {

unsigned la_version(unsigned /*version*/) { return LAV_CURRENT; }

char* la_objsearch(const char* name, std::uintptr_t* /*cookie*/, unsigned origin) {
  const char* file = name;
  for (const char* at = name; *at != '\0'; ++at) {
    if (*at == '/') file = at + 1;
  }
  const bool of_driver = starts_with(file, "libcuda.so") || starts_with(file, "libnvidia-");
  const bool of_system = origin == LA_SER_CONFIG || origin == LA_SER_DEFAULT;
  return of_driver && of_system ? nullptr : const_cast<char*>(name);
}

}  // extern "C"

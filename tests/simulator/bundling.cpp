// A library of the driver that loads a library of its own by its full path, as programs do that
// bring their C++ library along.

#include <string>

#include <dlfcn.h>

namespace {

[[gnu::constructor]] void load_bundled() {
  Dl_info self{};
  if (::dladdr(reinterpret_cast<void*>(load_bundled), &self) == 0) return;
  const std::string file = self.dli_fname;
  ::dlopen((file.substr(0, file.rfind('/')) + "/bundled/libstdc++.so.6").c_str(), RTLD_LAZY);
}

}  // namespace

#include "suites/driver/diagnosis.h"

#include <algorithm>
#include <cctype>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include <cuda.h>
#include <fmt/format.h>

#include "fixtures/compatibility.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

bool is_gpu_node(std::string_view path) {
  constexpr std::string_view kPrefix = "/dev/nvidia";
  if (!path.starts_with(kPrefix) || path.size() == kPrefix.size()) return false;
  path.remove_prefix(kPrefix.size());
  return std::all_of(path.begin(), path.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

}  // namespace

Evidence host_evidence(const HostFacts& host) {
  std::string nodes;
  for (const DeviceNode& node : host.nodes ? *host.nodes : std::vector<DeviceNode>()) {
    nodes += fmt::format("{}{}", nodes.empty() ? "" : " ", node.path);
  }
  Evidence evidence;
  evidence.add("PCI bus", host.describe_gpus());
  evidence.add("/proc/driver/nvidia/version",
               host.module ? host.module->text : host.module.describe());
  evidence.add("/dev/nvidia*", nodes.empty() ? "none" : nodes);
  evidence.add("nouveau loaded", host.has_module("nouveau"));
  return evidence;
}

const FindingKind& diagnose_load_error(std::string_view loader_message) {
  const auto says = [loader_message](std::string_view text) {
    return loader_message.find(text) != std::string_view::npos;
  };
  if (says("wrong ELF class") || says("ELF file data encoding") ||
      says("cannot open shared object file: Exec format")) {
    return wrong_architecture;
  }
  // The message starts with the library that is missing: another than libcuda itself is one that
  // libcuda needs.
  if (loader_message.starts_with("libcuda.so.1: cannot open shared object file: No such file")) {
    return not_found;
  }
  return unloadable;
}

std::vector<DeniedNode> denied_nodes(const HostFacts& host, const std::string& root) {
  std::vector<DeniedNode> denied;
  for (const DeviceNode& node : host.nodes ? *host.nodes : std::vector<DeviceNode>()) {
    if (node.path != "/dev/nvidiactl" && node.path != "/dev/nvidia-uvm" &&
        !is_gpu_node(node.path)) {
      continue;
    }
    const int descriptor = ::open((root + node.path).c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
      denied.push_back({node.path, errno});
    } else {
      ::close(descriptor);
    }
  }
  return denied;
}

const FindingKind& diagnose_init(int code, const HostFacts& host,
                                 const std::vector<DeniedNode>& denied) {
  switch (code) {
    case CUDA_ERROR_STUB_LIBRARY:
      return stub_loaded;
    case CUDA_ERROR_SYSTEM_NOT_READY:
      return system_not_ready;
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      return library_mismatch;
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
      return compat_unsupported;
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
      return unavailable;
    case CUDA_ERROR_MPS_CONNECTION_FAILED:
    case CUDA_ERROR_MPS_RPC_FAILURE:
    case CUDA_ERROR_MPS_SERVER_NOT_READY:
      return mps_failed;
    default:
      break;
  }
  const bool has_gpus = host.pci_gpus && !host.pci_gpus->empty();
  const bool has_no_gpus = !host.pci_gpus.unreadable() && !has_gpus;
  // Under WSL the kernel module is Windows' and none of this exists.
  if (!host.wsl) {
    // Some sandboxes hide /proc/driver but pass the nodes in: then the module is there.
    const bool no_module = host.module.absent() && !host.has_module("nvidia") &&
                           host.node("/dev/nvidiactl") == nullptr;
    if (no_module && (host.has_module("nouveau") || host.has_module("nova_core"))) {
      return nouveau_loaded;
    }
    if (no_module && has_no_gpus) return no_gpu;
    if (no_module)
      return host.secure_boot && *host.secure_boot ? module_rejected : module_not_loaded;
    const bool gpu_node =
        host.nodes && std::any_of(host.nodes->begin(), host.nodes->end(),
                                  [](const DeviceNode& node) { return is_gpu_node(node.path); });
    if (!host.nodes.unreadable() && (host.node("/dev/nvidiactl") == nullptr || !gpu_node)) {
      return nodes_missing;
    }
    if (!denied.empty()) return node_denied;
    if (!host.nodes.unreadable() && host.node("/dev/nvidia-uvm") == nullptr) return uvm_missing;
  }
  switch (code) {
    case CUDA_ERROR_NO_DEVICE:
      return no_device;
    case CUDA_ERROR_NOT_INITIALIZED:
      return uvm_failed;
    case CUDA_ERROR_INVALID_DEVICE:
      return invalid_device;
    case CUDA_ERROR_OPERATING_SYSTEM:
      return os_call_failed;
    case CUDA_ERROR_UNKNOWN:
      return unknown_error;
    default:
      return init_failed;
  }
}

const FindingKind* diagnose_mismatch(const DriverLibrary& library, const HostFacts& host) {
  const auto version = DriverVersion::from_file_name(library.real_path);
  if (!version || !host.module || *version == host.module->version) return nullptr;
  if (in_compat_package(library.real_path)) {
    return *version < host.module->version ? &compat_hides_driver : nullptr;
  }
  // nixGL names a driver in the store directly; a link in the store that leads to the host's driver
  // is the development shell's.
  const bool from_store = library.real_path.find("/store/") != std::string::npos &&
                          library.path.find("/store/") != std::string::npos &&
                          library.real_path != library.of_nixos;
  // Flatpak's extensions: …/GL/nvidia-580-95-05/….
  const bool from_flatpak = library.real_path.find("/GL/nvidia-") != std::string::npos;
  return from_store || from_flatpak ? &wrapper_mismatch : &version_mismatch;
}

bool is_forward_compatible(const DriverVersion& library, std::string_view real_path,
                           const DriverVersion& module) {
  return library > module && in_compat_package(real_path);
}

}  // namespace conformance::driver

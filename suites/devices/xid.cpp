#include "suites/devices/xid.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "suites/devices/findings.h"

namespace conformance::devices {
namespace {

constexpr std::string_view kDebug =
    "debug the program with Compute Sanitizer; no action on the GPU";
constexpr std::string_view kNothing = "none";
constexpr std::string_view kReset =
    "reset the GPU; if it happens again, have the hardware looked at";
constexpr std::string_view kFirmware =
    "reset the GPU or power-cycle the host; if it happens again, update driver and firmware";
constexpr std::string_view kLinks =
    "reset the GPUs of that link; look at `nvidia-smi nvlink -e` and at the other end's Xids";

// NVIDIA, XID Errors: Analyzing Xid Errors with the Xid Catalog (driver branches R565 and newer);
// 61, 122 and 123 are in its listing for older GPUs.
constexpr std::array kMeanings{
    XidMeaning{13, "exception of the compute engine, most often a program's bad access", kDebug,
               nullptr},
    XidMeaning{31, "page fault, most often a program's bad access", kDebug, nullptr},
    XidMeaning{32, "corrupted command stream, most often bad quality of the PCIe connection",
               "restart the program; if it happens again, check the PCIe connection", nullptr},
    XidMeaning{43, "a program was ended after its own error", kDebug, nullptr},
    XidMeaning{45, "a program's work was removed, by its end or after an earlier error",
               "look at the Xid before it", nullptr},
    XidMeaning{46, "the GPU stopped processing", kReset, &xid_stopped},
    XidMeaning{48, "uncorrectable (double-bit) memory error", kReset, &xid_memory},
    XidMeaning{61, "breakpoint of an internal micro-controller", "power-cycle if GPU work fails",
               nullptr},
    XidMeaning{62, "an internal micro-controller halted", kFirmware, &xid_firmware},
    XidMeaning{63, "a memory row was remapped, or a page retired", kNothing, nullptr},
    XidMeaning{64, "remapping a memory row, or retiring a page, failed",
               "reset the GPU; have it replaced if NVML reports a failed remapping", &xid_memory},
    XidMeaning{74, "NVLink error", kLinks, &xid_nvlink},
    XidMeaning{79, "the GPU has fallen off the bus",
               "power-cycle the host; check power, seating, cables and the PCIe errors in the log",
               &xid_lost},
    XidMeaning{92, "high rate of corrected memory errors", kNothing, nullptr},
    XidMeaning{94, "memory error, contained to one program",
               "restart that program; reset the GPU when convenient", nullptr},
    XidMeaning{95, "memory error that was not contained to one program", kReset, &xid_memory},
    XidMeaning{109, "timeout of a context switch", kReset, &xid_stopped},
    XidMeaning{119, "the GPU's system processor (GSP) did not answer in time", kFirmware,
               &xid_firmware},
    XidMeaning{120, "error of the GPU's system processor (GSP)", kFirmware, &xid_firmware},
    XidMeaning{121, "corrected errors of the connection to the CPU (C2C)",
               "reset the GPU when convenient, so that the link trains anew", nullptr},
    XidMeaning{122, "reading the board's flash memory failed", kNothing, nullptr},
    XidMeaning{123, "writing the board's flash memory failed", kNothing, nullptr},
    XidMeaning{140, "uncorrectable memory error outside the driver's containment", kReset,
               &xid_memory},
    XidMeaning{143, "the GPU failed to initialise", kFirmware, &xid_firmware},
    XidMeaning{144, "NVLink error (SAW)", kLinks, &xid_nvlink},
    XidMeaning{145, "NVLink error (RLW)", kLinks, &xid_nvlink},
    XidMeaning{146, "NVLink error (TLW)", kLinks, &xid_nvlink},
    XidMeaning{147, "NVLink error (TREX)", kLinks, &xid_nvlink},
    XidMeaning{148, "NVLink error (NVLPW control)", kLinks, &xid_nvlink},
    XidMeaning{149, "NVLink error (NETIR)", kLinks, &xid_nvlink},
    XidMeaning{150, "NVLink error (MSE)", kLinks, &xid_nvlink},
    XidMeaning{154, "the recovery action that the driver asks for has changed",
               "do what the line names", &recovery_due},
};
constexpr unsigned kRecoveryActionChanged = 154;

/// "NVRM: Xid (PCI:0000:06:00): 79, pid=…", and without "PCI:" from old drivers.
std::optional<XidEvent> parse_xid(const std::string& line) {
  constexpr std::string_view kStart = "NVRM: Xid (", kBus = "PCI:", kEnd = "): ";
  const std::size_t start = line.find(kStart);
  if (start == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(line).substr(start + kStart.size());
  if (rest.starts_with(kBus)) rest.remove_prefix(kBus.size());
  const std::size_t end = rest.find(kEnd);
  if (end == std::string_view::npos) return std::nullopt;
  const auto bus_id = normal_bus_id(std::string(rest.substr(0, end)) + ".0");
  rest.remove_prefix(end + kEnd.size());
  XidEvent event;
  const auto number = std::from_chars(rest.data(), rest.data() + rest.size(), event.number);
  if (!bus_id || number.ec != std::errc()) return std::nullopt;
  event.bus_id = *bus_id;
  event.line = line;
  return event;
}

bool contains_any(std::string_view line, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return line.find(word) != std::string_view::npos;
  });
}

}  // namespace

const XidMeaning* xid_meaning(unsigned number) {
  const auto found = std::find_if(kMeanings.begin(), kMeanings.end(),
                                  [&](const XidMeaning& entry) { return entry.number == number; });
  return found == kMeanings.end() ? nullptr : &*found;
}

std::vector<XidEvent> xid_events(const KernelLog& log) {
  std::vector<XidEvent> events;
  for (const std::string& line : log.lines) {
    if (line.find("NVRM: loading NVIDIA") != std::string::npos) events.clear();
    const std::optional<XidEvent> event = parse_xid(line);
    if (!event) continue;
    events.push_back(*event);
    // "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"
    if (event->number != kRecoveryActionChanged || !contains_any(line, {"to 0x0 "})) continue;
    for (XidEvent& earlier : events) {
      if (earlier.bus_id == event->bus_id) earlier.recovered = true;
    }
  }
  return events;
}

const FindingKind& why_missing(const std::vector<std::string>& lines,
                               const FindingKind& otherwise) {
  for (const std::string& line : lines) {
    if (contains_any(line, {"not supported by", "Legacy drivers"})) return unsupported_by_driver;
    if (contains_any(line, {"RmInitAdapter failed", "rm_init_adapter failed", "GSP", "gsp_"})) {
      return start_failed;
    }
  }
  return otherwise;
}

}  // namespace conformance::devices

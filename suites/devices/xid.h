#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fixtures/finding.h"
#include "fixtures/kernel_log.h"

namespace conformance::devices {

/// What an Xid number stands for: the Xid catalogue of NVIDIA's "XID Errors".
struct XidMeaning {
  unsigned number;
  std::string_view meaning;
  std::string_view action;  ///< what is to be done about it
  /// Null if nothing is wrong with the GPU: a program's own error, or what repaired itself.
  const FindingKind* kind;
};
/// Null for a number that the suite does not know.
const XidMeaning* xid_meaning(unsigned number);

/// An Xid line of the kernel log: "NVRM: Xid (PCI:0000:06:00): 79, …".
struct XidEvent {
  unsigned number = 0;
  std::string bus_id;  ///< "00000000:06:00.0"
  std::string line;
  /// The driver said later that this GPU needs no recovery any more.
  bool recovered = false;
};
/// The Xids since the driver was loaded last, oldest first.
std::vector<XidEvent> xid_events(const KernelLog& log);

/// Why a GPU is missing that the host has, as far as the lines about it say: the driver does not
/// support it, or it did not start. `otherwise` if they do not say.
const FindingKind& why_missing(const std::vector<std::string>& lines, const FindingKind& otherwise);

}  // namespace conformance::devices

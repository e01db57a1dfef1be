#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace conformance::scenarios {

/// Changes to a prepared tree; paths are relative to its root. "@WORK@" in texts, targets and
/// sources stands for the scenario's scratch folder, "@LIBC@" for the C library of this process.
struct FileEdits {
  std::vector<std::string> remove;
  std::map<std::string, std::string> write;  ///< path -> text
  std::map<std::string, std::string> link;   ///< path -> target
  std::map<std::string, std::string> copy;   ///< path -> the file that it becomes a copy of
};

/// A machine with faults and what the suites must say of it; README.md beside this describes the
/// JSON.
struct Scenario {
  std::string name;  ///< of its file
  std::string about;
  std::vector<int> covers;         ///< faults seen in the field that this is an example of
  bool dummy = false;              ///< it is about the dummy suites, not about a machine
  std::string level = "standard";  ///< "quick" or "standard"
  std::size_t gpus = 2;
  std::string machine_text;  ///< the machine with its faults, for the simulator
  std::size_t faults = 0;    ///< how many faults the machine has, each of which must fire
  bool hangs = false;        ///< one of them is a hang, so that somebody waits for a deadline
  FileEdits host;            ///< of the simulated /proc, /sys, /dev and /etc
  FileEdits driver;          ///< of the folder of the driver's libraries
  FileEdits toolkit;         ///< of CUDA_PATH
  std::map<std::string, std::optional<std::string>> environment;  ///< nullopt removes a variable
  std::vector<std::string> arguments;                             ///< for ctest
  /// Outcome -> the exact set of tests, patterns such as "nccl.*" included. Holds every outcome
  /// that is neither passed nor skipped, and skipped if the scenario speaks of it.
  std::map<std::string, std::vector<std::string>> expected;
  std::string first_finding;  ///< code; empty for none
  std::string
      first_subject;         ///< a part of the first finding's subject; empty if it does not matter
  std::string first_detail;  ///< the same of what it says was seen
  std::map<std::string, std::string> facts;  ///< name -> value, as JSON

  /// Nothing is expected to be wrong.
  bool healthy() const { return first_finding.empty(); }
};

/// Reads and validates a scenario; throws std::runtime_error that names the file and the place.
Scenario read_scenario(const std::string& file);

}  // namespace conformance::scenarios

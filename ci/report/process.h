#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace conformance::report {

/// A process, told apart from a later one of the same number by when it started.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< since boot, as /proc/PID/stat counts them
  bool operator==(const ProcessId&) const = default;
};

/// The process of that number; nothing if there is none, or it has ended and waits to be collected.
std::optional<ProcessId> find_process(pid_t pid);

/// The number of a process's parent; 0 if there is no such process.
pid_t parent_of(pid_t pid);

/// The CTest that started this program as one of its tests; nothing if something else started it.
std::optional<ProcessId> parent_ctest();

/// Makes every descendant whose parent ends a child of this process.
void adopt_orphans();
/// Sends a signal to each child of this process. False if there is none.
bool signal_children(int signal);
/// Kills the children of this process, and those that become its children by that, for a few
/// seconds at most.
void end_children();

/// The file that a process runs; empty if it cannot be told.
std::filesystem::path executable_of(pid_t pid);
/// The folder a process works in; empty if it cannot be told.
std::filesystem::path working_folder_of(pid_t pid);
/// A process's arguments, the program first; empty if they cannot be told.
std::vector<std::string> arguments_of(pid_t pid);

}  // namespace conformance::report

#include "ci/report/process.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

namespace conformance::report {
namespace {

/// Empty if there is no such process, or no longer: one that ends between opening and reading makes
/// the read fail, which the stream buffer throws and this operator takes for the end of the text.
std::string read_proc(pid_t pid, std::string_view file) {
  std::ifstream stream(fmt::format("/proc/{}/{}", pid, file), std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::filesystem::path read_proc_link(pid_t pid, std::string_view link) {
  std::error_code error;
  std::filesystem::path target =
      std::filesystem::read_symlink(fmt::format("/proc/{}/{}", pid, link), error);
  return error ? std::filesystem::path() : target;
}

/// The fields of /proc/PID/stat from the third on, the state (proc(5)); empty if there is no such
/// process. The second, the program's name, is in brackets and may hold anything.
std::vector<std::string> stat_fields(pid_t pid) {
  const std::string stat = read_proc(pid, "stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream stream(stat.substr(name_end + 1));
  return {std::istream_iterator<std::string>(stream), {}};
}

}  // namespace

std::optional<ProcessId> find_process(pid_t pid) {
  const std::vector<std::string> fields = stat_fields(pid);
  if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return std::nullopt;
  ProcessId process{pid, 0};
  std::istringstream(fields[19]) >> process.start_ticks;
  return process;
}

pid_t parent_of(pid_t pid) {
  const std::vector<std::string> fields = stat_fields(pid);
  pid_t parent = 0;
  if (fields.size() > 1) std::istringstream(fields[1]) >> parent;
  return parent;
}

std::optional<ProcessId> parent_ctest() {
  const pid_t parent = ::getppid();
  if (executable_of(parent).filename().native().find("ctest") == std::string::npos) {
    return std::nullopt;
  }
  return find_process(parent);
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

bool signal_children(int signal) {
  bool any = false;
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return false;
  while (const dirent* item = ::readdir(processes)) {
    const int pid = std::atoi(item->d_name);
    if (pid <= 0 || parent_of(pid) != ::getpid()) continue;
    ::kill(pid, signal);
    any = true;
  }
  ::closedir(processes);
  return any;
}

void end_children() {
  // Ending one may make its own children ours, so look until there are none; one that a driver
  // holds in the kernel cannot be ended, hence the limit.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (signal_children(SIGKILL) && std::chrono::steady_clock::now() < give_up) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    ::usleep(1000);
  }
}

std::filesystem::path executable_of(pid_t pid) { return read_proc_link(pid, "exe"); }

std::filesystem::path working_folder_of(pid_t pid) { return read_proc_link(pid, "cwd"); }

std::vector<std::string> arguments_of(pid_t pid) {
  std::vector<std::string> arguments;
  std::istringstream stream(read_proc(pid, "cmdline"));
  for (std::string argument; std::getline(stream, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

}  // namespace conformance::report

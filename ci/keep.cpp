// Runs a command and keeps its processes together: however this program or its parent ends, nothing
// that the command started goes on.

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "ci/report/folder.h"
#include "ci/report/process.h"
#include "fixtures/child.h"
#include "fixtures/command_line.h"
#include "fixtures/program.h"
#include "fixtures/session.h"

namespace conformance {
namespace {

/// How long a command that was asked to end, and what it started, may take to do so.
constexpr std::chrono::seconds kGrace{5};

/// What this program waits for.
sigset_t awaited_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

pid_t spawn(std::vector<std::string> command) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, arguments[0], nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw report::CannotRun(
        fmt::format("cannot start {}: {}", command.front(), std::strerror(error)));
  }
  return child;
}

/// Collects what has ended, the command's own status too. False if no child is left.
bool collect(pid_t child, std::optional<int>& status) {
  for (;;) {
    int ended = 0;
    const pid_t pid = ::waitpid(-1, &ended, WNOHANG);
    if (pid == child) status = ended;
    if (pid == 0) return true;
    if (pid < 0) return false;
  }
}

/// For this process, which needs next to none, and those that it starts: each is killed once it has
/// used so much processor time.
void limit_processor_time(unsigned seconds) {
  const rlimit both{seconds, seconds};
  if (::setrlimit(RLIMIT_CPU, &both) != 0) {
    throw report::CannotRun(fmt::format("setrlimit: {}", std::strerror(errno)));
  }
}

int keep(const std::vector<std::string>& command, pid_t parent, bool tell) {
  using Clock = std::chrono::steady_clock;
  const sigset_t signals = awaited_signals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  if (!end_with_parent(parent, SIGTERM)) return kExitUsage;
  report::adopt_orphans();
  std::vector<std::string> arguments = command;
  if (tell) arguments.push_back(std::to_string(::getpid()));
  const pid_t child = spawn(arguments);

  std::optional<int> status;
  while (collect(child, status) && !status) {
    if (::sigwaitinfo(&signals, nullptr) == SIGCHLD) continue;
    // Asked to end, all of them get time to do so in order.
    const Clock::time_point give_up = Clock::now() + kGrace;
    while (collect(child, status) && Clock::now() < give_up) {
      report::signal_children(SIGTERM);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    break;
  }
  if (collect(child, status)) report::end_children();
  if (!status) return kExitFailed;
  if (WIFEXITED(*status)) return WEXITSTATUS(*status);
  // As the command ended, so does this program, for whoever asks how; but it leaves no core.
  ::prctl(PR_SET_DUMPABLE, 0);
  ::signal(WTERMSIG(*status), SIG_DFL);
  ::sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  ::raise(WTERMSIG(*status));
  return kExitFailed;
}

int run(int argc, char** argv) {
  std::vector<std::string> command;
  pid_t parent = 0;
  bool tell = false;
  unsigned cpu_seconds = 0;
  CommandLine app{
      "Runs a command and ends all its processes when it ends, and when our parent does."};
  app.option("--parent", parent, "The process that this program must be a child of").required();
  app.flag("--tell", tell, "Append the number of this process to the command");
  app.option("--cpu-seconds", cpu_seconds,
             "Processor time after which a process is killed, each by its own");
  app.option("command", command, "After --: the command and its arguments").required();
  app.arguments_last();
  if (const auto end = app.read(argc, argv)) return *end;
  if (cpu_seconds > 0) limit_processor_time(cpu_seconds);
  return keep(command, parent, tell);
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
  return conformance::run_program("conformance-keep", conformance::run, argc, argv);
}

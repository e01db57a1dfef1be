// One rank of a job that MPI started: takes part in a communicator over all GPUs of all hosts of
// the job, verifies its sums, and writes a journal of its own.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <mpi.h>
#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/child.h"
#include "fixtures/command_line.h"
#include "fixtures/deadline.h"
#include "fixtures/gpu_test.h"
#include "fixtures/program.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/steps.h"

namespace conformance::nccl {
namespace {

/// How long a call of MPI may take in which all ranks must take part: as long as the slowest of
/// them is late.
constexpr std::chrono::seconds kMpiDeadline{60};

[[noreturn]] void give_up(const std::string& call) {
  Session::current().abandon(
      Finding(ranks_missing, {"communicator", "all ranks of the job"},
              fmt::format("{} did not return: a rank of the job did not come to it", call),
              {{"call", call}}));
}

/// Waits for what all ranks take part in, with little processor time.
void wait_for(MPI_Request request, const std::string& call) {
  using Clock = std::chrono::steady_clock;
  fact("rank.doing", call);
  const Clock::time_point start = Clock::now();
  for (int done = 0;;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    const auto waited = Clock::now() - start;
    if (waited > deadline_of(kMpiDeadline)) give_up(call);
    pause_in_wait(waited);
  }
}

/// Whether it holds for all ranks.
bool all_hold(bool own, const std::string& what) {
  const int here = own ? 1 : 0;
  int everywhere = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(&here, &everywhere, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request);
  // NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): it does so until the request is done
  wait_for(request, "MPI_Iallreduce " + what);
  return everywhere == 1;
}

/// Ends the process with a finding, unless the call that this is around returns in time.
class Watch {
 public:
  explicit Watch(std::string call) : call_(std::move(call)), thread_([this] { wait(); }) {
    fact("rank.doing", call_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      returned_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  void wait() {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, deadline_of(kMpiDeadline), [this] { return returned_; })) return;
    give_up(call_);
  }

  std::string call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool returned_ = false;
  std::thread thread_;
};

/// What MPI knows of this rank.
struct Place {
  int rank = 0, ranks = 1;
  int local_rank = 0, local_ranks = 1;  ///< on this host
};

Place find_place() {
  const Watch watch("MPI_Comm_split_type");
  Place place;
  MPI_Comm_rank(MPI_COMM_WORLD, &place.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &place.ranks);
  MPI_Comm local = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, place.rank, MPI_INFO_NULL, &local);
  MPI_Comm_rank(local, &place.local_rank);
  MPI_Comm_size(local, &place.local_ranks);
  MPI_Comm_free(&local);
  return place;
}

/// The GPU of this rank: the only one that its process sees, or that of its number on the host.
const CudaDevice& own_device(const CudaInventory& devices, const Place& place) {
  if (devices.empty()) {
    fail_and_end(Finding(finding::no_devices, host_subject(),
                         fmt::format("the process of rank {} sees no GPU", place.rank)));
  }
  if (devices.size() == 1) return devices[0];
  if (place.local_rank >= static_cast<int>(devices.size())) {
    fail_and_end(Finding(
        duplicate_gpu, host_subject(),
        fmt::format("{} ranks were started on this host, which has {} GPUs", place.local_ranks,
                    devices.size()),
        {{"ranks", std::int64_t{place.local_ranks}}, {"devices", std::uint64_t{devices.size()}}}));
  }
  return devices[static_cast<std::size_t>(place.local_rank)];
}

/// What this rank finds; false if that is something. The calls that all ranks make are made in any
/// case.
bool take_part_in_job(const Place& place) {
  Step step;
  step.kind = Step::Kind::all;
  step.ranks = place.ranks;
  ncclResult_t made = ncclSuccess;
  if (place.rank == 0) made = ncclGetUniqueId(&step.id);
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibcast(&step.id, sizeof(step.id), MPI_BYTE, 0, MPI_COMM_WORLD, &request);
  // NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): it does so until the request is done
  wait_for(request, "MPI_Ibcast of the unique ID");
  CudaInventory devices;
  const CudaDevice* device = nullptr;
  bool ready = true;
  try {
    guarded(host_subject(), [&] {
      ensure(CONFORMANCE_CALL(made));
      fact("rank.doing", "starting CUDA");
      ensure(read_cuda_inventory(devices));
      device = &own_device(devices, place);
    });
  } catch (const TestEnded&) {
    ready = false;
  }
  // A rank without a GPU would keep the others waiting inside NCCL.
  if (!all_hold(ready, "before the communicator")) return false;
  std::list<NcclClique> cliques;
  bool good = true;
  try {
    guarded(device->subject(), [&] { take_part(step, *device, place.rank, cliques); });
  } catch (const TestEnded&) {
    good = false;
  }
  end_all(cliques);
  return good;
}

int work(Session& session) {
  session.begin_test("Rank", "0");
  claim(
      "Ranks that MPI starts, on one host or many, make a communicator whose collectives are exact",
      "NCCL: Creating a Communicator; NCCL and MPI");
  {
    const Watch watch("MPI_Init");
    MPI_Init(nullptr, nullptr);
  }
  const Place place = find_place();
  fact("rank.number", std::int64_t{place.rank});
  fact("rank.of", std::int64_t{place.ranks});
  const bool good = take_part_in_job(place);
  session.end_test(false, !good);
  // A job has one verdict: launchers end the other ranks when one exits with an error.
  const int code = all_hold(good, "of the verdict") ? kExitPassed : kExitFailed;
  session.end_journal(code);
  const Watch watch("MPI_Finalize");
  MPI_Finalize();
  return code;
}

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  Settings settings;
  std::string folder;
  CommandLine app{
      "One rank of an NCCL communicator over all GPUs of a job; start one for each GPU, by mpirun "
      "or "
      "srun. Exit code: 0 all ranks are right, 1 not, 2 could not run."};
  app.option("--journals", folder, "Folder for the journals, one of each rank")
      .required()
      .existing_folder();
  app.option("--seed", settings.seed, "Seed of every random pattern; the same for all ranks")
      .from_variable("CONFORMANCE_SEED");
  app.option("--run", settings.run, "Identifier of the run").from_variable("CONFORMANCE_RUN");
  app.option("--host-root", settings.host_root, "Prefix of /proc, /sys, /dev and /etc")
      .from_variable("CONFORMANCE_HOST_ROOT");
  app.flag("--simulated", settings.simulated, "The CUDA libraries are the simulator's")
      .from_variable("CONFORMANCE_SIMULATED");
  if (const auto end = app.read(argc, argv)) return *end;
  end_with_parent(::getppid(), SIGKILL);
  char host[256] = "host";
  ::gethostname(host, sizeof(host) - 1);
  Session& session = Session::start(settings, this_layer());
  session.start_journal(fmt::format("{}/{}-{}.jsonl", folder, host, ::getpid()), "Rank");
  return work(session);
}

}  // namespace
}  // namespace conformance::nccl

int main(int argc, char** argv) {
  return conformance::run_program("conformance-nccl-mpi", conformance::nccl::run, argc, argv);
}

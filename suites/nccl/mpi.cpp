// Ranks that mpirun starts on this host.

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/child.h"
#include "fixtures/deadline.h"
#include "fixtures/gpu_test.h"
#include "fixtures/scratch_folder.h"
#include "suites/nccl/early_start.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/rank_record.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {
namespace {

namespace fs = std::filesystem;

class Mpi : public GpuTest {};

constexpr std::chrono::seconds kJobDeadline{150};

/// For mpirun, of which OpenMPI's is the one that needs to be told: a job on this host alone, also
/// inside another job, by any user, without bonds to processors, all its files in one folder.
std::map<std::string, std::optional<std::string>> variables(const std::string& scratch) {
  std::map<std::string, std::optional<std::string>> set{
      {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
      {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
      {"OMPI_MCA_hwloc_base_binding_policy", "none"},
      {"OMPI_MCA_pml", "ob1"},
      {"OMPI_MCA_btl", "self,vader"},
      {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"},
      {"OMPI_MCA_btl_vader_backing_directory", scratch},
      {"OMPI_MCA_orte_tmpdir_base", scratch},
      {"TMPDIR", scratch},
      // For builds with sanitizers: MPI keeps memory until the process ends.
      {"LSAN_OPTIONS", "detect_leaks=0"}};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    for (const std::string_view other_job : {"SLURM_", "PMI_", "PMIX_", "OMPI_COMM_"}) {
      if (text.starts_with(other_job)) set[std::string(text.substr(0, text.find('=')))] = {};
    }
  }
  return set;
}

/// What each rank has said, in no order.
std::vector<StepRecord> read_journals(const fs::path& folder) {
  std::vector<StepRecord> records;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(stream), {});
    records.push_back(read_rank(text, 1).front());
  }
  return records;
}

fs::path program() { return fs::path(own_executable()).replace_filename("conformance-nccl-mpi"); }

/// Why no job can be started; empty if one can.
std::string obstacle() {
  if (!fs::exists(program()))
    return "the suite was built where CMake found no MPI (Debian: libopenmpi-dev)";
  if (!find_in_path("mpirun")) return "there is no mpirun in PATH (Debian: openmpi-bin)";
  return "";
}

/// The job, which goes on while tests do something else.
class Job {
 public:
  static Job& of(const CudaInventory& devices) {
    static Job once(devices.size());
    return once;
  }
  /// Until it has ended.
  const ChildResult& wait() {
    if (thread_.joinable()) thread_.join();
    return result_;
  }
  fs::path journals() const { return scratch_.path() / "journals"; }

 private:
  explicit Job(std::size_t ranks)
      : scratch_(fs::temp_directory_path() / "conformance-mpi"), thread_([this, ranks] {
          fs::create_directory(journals());
          const Settings& settings = Session::current().settings();
          ChildOptions options;
          options.argv = {"mpirun",
                          "-np",
                          std::to_string(ranks),
                          program().string(),
                          "--journals",
                          journals().string(),
                          "--seed",
                          std::to_string(settings.seed)};
          if (settings.simulated) options.argv.emplace_back("--simulated");
          options.environment = variables(scratch_.path());
          options.deadline = deadline_of(kJobDeadline);
          options.merge_streams = true;
          result_ = run_child(options);
        }) {}

  ScratchFolder scratch_;
  ChildResult result_;
  std::jthread thread_;
};

[[maybe_unused]] const auto* const early_start =
    testing::AddGlobalTestEnvironment(new EarlyStart("Mpi", [](const CudaInventory& devices) {
      if (obstacle().empty()) Job::of(devices);
    }));

TEST_F(Mpi, RanksThatMpirunStartsAreExact) {
  claim(
      "Ranks that MPI starts, which get the unique ID by MPI_Bcast, make a communicator whose "
      "collectives "
      "are exact",
      "NCCL: Creating a Communicator; NCCL and MPI");
  const CudaInventory& devices = require(Devices{1});
  if (const std::string why = obstacle(); !why.empty()) skip(why);
  guarded(host_subject(), [&] {
    Job& all = Job::of(devices);
    const ChildResult& job = all.wait();
    const std::vector<StepRecord> ranks = read_journals(all.journals());

    std::size_t found = 0;
    std::string doing;
    for (const StepRecord& record : ranks) {
      take_over(record);
      // Without the mpirun of its own MPI each process makes a job of one.
      expect(record.ranks < 0 || record.ranks == static_cast<std::int64_t>(devices.size()),
             Finding(ranks_missing, {"communicator", "ranks of mpirun"},
                     fmt::format("a process that mpirun started is rank {} of {}, not of {}",
                                 record.rank, record.ranks, devices.size()),
                     {{"mpirun", find_in_path("mpirun").value_or("")}}));
      found += record.findings.size();
      if (!record.ended) {
        doing += fmt::format("{}{} in \"{}\"", doing.empty() ? "" : ", ",
                             record.rank < 0 ? "one" : fmt::format("rank {}", record.rank),
                             record.doing);
      }
    }
    if (found > 0) throw TestEnded();
    expect(job.succeeded() && ranks.size() == devices.size() && doing.empty(),
           Finding(rank_died, {"communicator", fmt::format("{} ranks of mpirun", devices.size())},
                   fmt::format("mpirun {}; {} of {} ranks began{}{}", job.describe(), ranks.size(),
                               devices.size(),
                               doing.empty() ? "" : "; not all came to their end: ", doing),
                   {{"output", job.output}}));
  });
}

}  // namespace
}  // namespace conformance::nccl

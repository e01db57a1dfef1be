#include "suites/nccl/ranks.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <system_error>

#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/library.h"
#include "suites/nccl/findings.h"

namespace conformance::nccl {
namespace {

/// What Docker gives a container unless told otherwise; NCCL's documentation calls it too little.
constexpr std::uintmax_t kSmallSharedMemory = std::uintmax_t{64} << 20;

bool says(const Status& status, std::string_view words) {
  return status.message().find(words) != std::string::npos;
}

/// Network plugins where the loader would find them; empty if there are none.
std::string plugins() {
  std::vector<std::string> found;
  for (const std::string& directory : library_search_path()) {
    const std::filesystem::path file = std::filesystem::path(directory) / "libnccl-net.so";
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) found.push_back(file.string());
  }
  return fmt::format("{}", fmt::join(found, " "));
}

bool same_gpu_twice(const NcclClique& clique) {
  std::set<std::string> uuids;
  for (int rank = 0; rank < clique.size(); ++rank) uuids.insert(clique.device(rank).uuid);
  return static_cast<int>(uuids.size()) < clique.size();
}

}  // namespace

Finding nccl_finding(const Status& status, const NcclClique& clique, const Subject& subject,
                     std::string_view what) {
  std::vector<std::string> blamed;
  for (const int rank : clique.blamed()) {
    blamed.push_back(
        fmt::format("rank {} on {}", clique.rank(rank), clique.device(rank).subject().name));
  }
  const std::string ranks = fmt::format("{}", fmt::join(blamed, "; "));
  const std::string shared_memory = Session::current().settings().host_root + "/dev/shm";
  std::error_code failed;
  const std::filesystem::space_info space = std::filesystem::space(shared_memory, failed);
  const std::string network = plugins();

  const FindingKind* kind = &call_failed;
  if (is_deadline_exceeded(status)) {
    kind = &deadline_exceeded;
  } else if (status.api() != "nccl") {
    return status_finding(status, subject);
  } else if (says(status, "Duplicate GPU") || same_gpu_twice(clique)) {
    kind = &duplicate_gpu;
  } else if (says(status, "No space left") || (status.code() == ncclSystemError && !failed &&
                                               space.available < kSmallSharedMemory)) {
    kind = &shared_memory_full;
  } else if (says(status, "not supported")) {
    kind = &not_supported;
  } else if (!network.empty() &&
             (status.code() == ncclSystemError || status.code() == ncclInternalError)) {
    kind = &foreign_plugin;
  }
  Evidence evidence{{"doing", std::string(what)},
                    {"status", status.name()},
                    {"message", status.message()},
                    {"ranks", ranks},
                    {"environment", nccl_environment()},
                    {"plugins", network.empty() ? std::string("none") : network}};
  if (!failed) {
    evidence.add("shared_memory_bytes", std::uint64_t{space.capacity})
        .add("shared_memory_free_bytes", std::uint64_t{space.available});
  }
  return {*kind, subject,
          fmt::format("{}: {}{}{}", what, status.describe(), ranks.empty() ? "" : "; ", ranks),
          evidence};
}

Ranks::Ranks(const CudaInventory& devices, std::size_t bytes) {
  demand(clique_.open(devices, kSetUpDeadline), fmt::format("setting up {} ranks", devices.size()));
  add_participants(bytes, Memory::cuda);
}

Ranks::Ranks(NcclClique&& clique, std::size_t bytes, Memory memory) : clique_(std::move(clique)) {
  add_participants(bytes, memory);
}

void Ranks::add_participants(std::size_t bytes, Memory memory) {
  for (int local = 0; local < clique_.size(); ++local) {
    use(local);
    participants_.push_back(std::make_unique<Participant>(clique_.rank(local), count(), bytes,
                                                          clique_.stream(local), memory));
  }
}

Subject Ranks::subject() const {
  return {"communicator", fmt::format("communicator of {} GPUs", count())};
}

Case Ranks::fresh(Case what) {
  what.seed = kernels::mix(Session::current().settings().seed) + ++runs_;
  return what;
}

void Ranks::prepare(const Case& what) {
  for_each([&](Participant& one, int) { one.prepare(what); });
}

void Ranks::launch(std::span<const Case> cases) {
  std::vector<std::string> texts;
  for (const Case& what : cases) texts.push_back(what.text());
  last_ = fmt::format("{}", fmt::join(texts, "; "));
  // At most one case of a group has an operation of its own.
  for_each([&](Participant& one, int local) {
    for (const Case& what : cases) {
      demand(CONFORMANCE_CALL(one.make_operation(what, clique_.communicator(local))),
             "making the operation of " + last_);
    }
  });
  issue(
      [&](Participant& one, ncclComm_t communicator) {
        for (const Case& what : cases) {
          const ncclResult_t result = one.launch(what, communicator);
          if (result != ncclSuccess && result != ncclInProgress) return result;
        }
        return ncclSuccess;
      },
      "launching " + last_);
  // Documented: it may go as soon as the last call that was given it has returned.
  for_each([&](Participant& one, int local) {
    demand(CONFORMANCE_CALL(one.destroy_operation(clique_.communicator(local))),
           "destroying the operation of " + last_);
  });
}

void Ranks::check(const Case& what) {
  for_each([&](Participant& one, int) { one.check(what); });
}

void Ranks::wait(std::string_view what) { demand(clique_.wait(kDeadline), what); }

void Ranks::finish() {
  wait(last_);
  std::set<int> reported;  // a rank's first wrong result; what it holds after that says no more
  std::uint64_t elements = 0;
  for_each([&](Participant& one, int local) {
    for (const Checked& checked : one.take()) {
      elements += checked.elements;
      for (const Finding& finding :
           judge(checked, clique_.rank(local), count(), rank_subject(local))) {
        if (reported.insert(local).second) fail(finding);
      }
    }
  });
  if (!reported.empty()) throw TestEnded();
  verified(elements, "elements");
}

void Ranks::run_together(std::vector<Case> cases) {
  std::size_t place = 0;
  for (Case& what : cases) {
    what = fresh(what);
    what.place = place;
    prepare(what);
    std::size_t most = 0;
    for (int local = 0; local < clique_.size(); ++local) {
      most = std::max(most, Participant::footprint(what, clique_.rank(local), count()));
    }
    place += most;
  }
  launch(cases);
  for (const Case& what : cases) check(what);
  if (participants_.front()->checks() + cases.size() > Participant::kMostChecks) finish();
}

std::vector<NcclClique> Ranks::split(std::span<const int> colors, std::span<const int> keys) {
  wait("before a split");
  std::vector<NcclClique> parts;
  demand(clique_.split(colors, keys, parts, kSetUpDeadline), "ncclCommSplit");
  return parts;
}

NcclClique Ranks::leave_out(int left_out, Without how) {
  wait("before a rank is left out");
  NcclClique rest;
  demand(clique_.leave_out(left_out, how, rest, kSetUpDeadline),
         how == Without::split ? "ncclCommSplit" : "ncclCommShrink");
  return rest;
}

bool Ranks::check_identities() {
  bool good = true;
  for (int local = 0; local < clique_.size(); ++local) {
    int ranks = -1;
    int number = -1;
    int device = -1;
    const ncclComm_t communicator = clique_.communicator(local);
    ensure(CONFORMANCE_CALL(ncclCommCount(communicator, &ranks)));
    ensure(CONFORMANCE_CALL(ncclCommUserRank(communicator, &number)));
    ensure(CONFORMANCE_CALL(ncclCommCuDevice(communicator, &device)));
    const CudaDevice& own = clique_.device(local);
    const int rank = clique_.rank(local);
    good = expect(ranks == count() && number == rank && device == own.ordinal,
                  Finding(wrong_communicator, own.subject(),
                          fmt::format("rank {} of {} on GPU {} says that it is rank {} of {} on "
                                      "GPU {}",
                                      rank, count(), own.ordinal, number, ranks, device),
                          {{"rank", std::int64_t{number}},
                           {"ranks", std::int64_t{ranks}},
                           {"device", std::int64_t{device}}})) &&
           good;
    verified(1, "ranks");
  }
  return good;
}

void Ranks::for_each(const std::function<void(Participant&, int local)>& work) {
  for (int local = 0; local < clique_.size(); ++local) {
    use(local);
    work(*participants_[static_cast<std::size_t>(local)], local);
  }
}

void Ranks::issue(const std::function<ncclResult_t(Participant&, ncclComm_t)>& call,
                  std::string_view what) {
  const auto of_rank = [&](int local) {
    use(local);
    return call(*participants_[static_cast<std::size_t>(local)], clique_.communicator(local));
  };
  demand(clique_.issue(of_rank, kDeadline), what);
}

void Ranks::use(int local) const {
  ensure(CONFORMANCE_CALL(cudaSetDevice(clique_.device(local).ordinal)));
}

void Ranks::demand(const Status& status, std::string_view what) {
  if (status.ok()) return;
  const Finding finding = nccl_finding(status, clique_, subject(), what);
  clique_.abort();
  // With a rank that hangs neither its GPU nor the process's other work can be trusted.
  if (is_deadline_exceeded(status)) Session::current().abandon(finding);
  fail_and_end(finding, status.where());
}

std::vector<Finding> judge(const Checked& checked, int rank, int ranks, const Subject& subject) {
  const Case& what = checked.what;
  const kernels::CollectiveFaults& faults = checked.faults;
  const std::string text = fmt::format("{} over {} ranks", what.text(), ranks);
  Evidence evidence{
      {"collective", what.text()}, {"rank", std::int64_t{rank}}, {"ranks", std::int64_t{ranks}}};
  std::vector<Finding> findings;
  if (faults.result.count > 0) {
    const kernels::Contributions rules = what.contributions(ranks);
    const std::int64_t wanted =
        kernels::expected_element(rules, what.share(rank, ranks).origin, faults.example);
    const std::string expected = element_text(what.type, kernels::element_bits(what.type, wanted));
    const std::string found = element_text(what.type, faults.example_bits);
    Evidence seen = evidence;
    seen.add("wrong_elements", std::uint64_t{faults.result.count})
        .add("compared_elements", checked.elements)
        .add("first_wrong", std::uint64_t{faults.result.first()})
        .add("offset", std::uint64_t{faults.example})
        .add("expected", expected)
        .add("found", found)
        .add("seed", std::uint64_t{what.seed});
    findings.emplace_back(
        wrong_element, subject,
        fmt::format("{}: {} elements of rank {} are wrong, the first is {}; element {} should be "
                    "{}, is {}",
                    text, faults.result.count, rank, faults.result.first(), faults.example,
                    expected, found),
        seen);
  }
  if (faults.input.count > 0) {
    Evidence seen = evidence;
    seen.add("changed_elements", std::uint64_t{faults.input.count})
        .add("offset", std::uint64_t{faults.input.first()});
    findings.emplace_back(input_changed, subject,
                          fmt::format("{}: {} input elements of rank {} changed, the first is {}",
                                      text, faults.input.count, rank, faults.input.first()),
                          seen);
  }
  if (faults.outside.count > 0) {
    Evidence seen = evidence;
    seen.add("changed_bytes", std::uint64_t{faults.outside.count})
        .add("first_byte", std::uint64_t{faults.outside.first()});
    findings.emplace_back(wrote_outside, subject,
                          fmt::format("{}: {} bytes around the result of rank {} changed", text,
                                      faults.outside.count, rank),
                          seen);
  }
  return findings;
}

std::string nccl_environment() {
  std::vector<std::string> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::string_view(*entry).starts_with("NCCL_")) found.emplace_back(*entry);
  }
  std::sort(found.begin(), found.end());
  return found.empty() ? "none" : fmt::format("{}", fmt::join(found, " "));
}

std::size_t scaled_to(std::size_t wanted, const CudaInventory& devices) {
  const auto smallest = std::min_element(devices.begin(), devices.end(), [](auto& a, auto& b) {
    return a.total_memory < b.total_memory;
  });
  return scaled_bytes(wanted, smallest->total_memory);
}

}  // namespace conformance::nccl

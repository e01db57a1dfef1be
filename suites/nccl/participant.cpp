#include "suites/nccl/participant.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "fixtures/nccl_communicator.h"

namespace conformance::nccl {
namespace {

/// Bytes on each side of a result that must stay as they are, and what they all are.
constexpr std::size_t kGuard = 256;
constexpr unsigned char kPoison = 0xA5;

/// Elements that a case's buffer for results spans: also where nothing may be received, as many as
/// another rank may receive.
std::size_t span_of(const Case& what, int rank, int ranks) {
  const Share own = what.share(rank, ranks);
  if (what.in_place) return std::max(own.sends_from + own.sends, own.receives_at + own.receives);
  return own.receives > 0 ? own.receives : what.share(what.root, ranks).receives;
}

}  // namespace

Participant::Bytes Participant::allocate(Memory memory, std::size_t bytes) {
  void* made = nullptr;
  if (memory == Memory::cuda) {
    ensure(CONFORMANCE_CALL(cudaMalloc(&made, bytes)));
    return {static_cast<std::byte*>(made), [](std::byte* one) { cudaFree(one); }};
  }
  ensure(CONFORMANCE_CALL(ncclMemAlloc(&made, bytes)));
  return {static_cast<std::byte*>(made), [](std::byte* one) { ncclMemFree(one); }};
}

Participant::Participant(int rank, int ranks, std::size_t bytes, const Stream& stream,
                         Memory memory)
    : rank_(rank),
      ranks_(ranks),
      bytes_(bytes),
      stream_(&stream),
      input_(allocate(memory, bytes)),
      output_(allocate(memory, bytes)),
      faults_(kMostChecks),
      found_(kMostChecks),
      scalar_(1) {
  ensure(CONFORMANCE_CALL(cudaMemsetAsync(faults_.data(), 0, faults_.bytes(), stream.get())));
}

std::size_t Participant::footprint(const Case& what, int rank, int ranks) {
  const std::size_t elements =
      what.offset + std::max(what.share(rank, ranks).sends, span_of(what, rank, ranks));
  const std::size_t bytes = 2 * kGuard + elements * kernels::bytes_of(what.type);
  return (bytes + kGuard - 1) / kGuard * kGuard;
}

std::size_t Participant::greatest_count(const Case& what, std::size_t bytes, int ranks) {
  const std::size_t elements = (bytes - 3 * kGuard) / kernels::bytes_of(what.type) - what.offset;
  return elements / what.collective->elements(1, ranks);
}

Participant::Places Participant::memory(const Case& what) const {
  if (what.place + footprint(what, rank_, ranks_) > bytes_) {
    throw std::logic_error("a case needs more memory than a rank has");
  }
  const std::size_t element = kernels::bytes_of(what.type);
  const Share own = what.share(rank_, ranks_);
  const std::size_t before = kGuard + what.offset * element;
  const std::size_t start = what.place + before;
  const std::size_t span = span_of(what, rank_, ranks_) * element;
  std::byte* const base = output_.get() + start;
  if (what.in_place) {
    const std::size_t at = own.receives_at * element;
    return {base + own.sends_from * element, base + at, {before, span, kGuard, at, kPoison}};
  }
  const std::size_t received = own.receives * element;
  return {input_.get() + start, base, {before, received, span - received + kGuard, 0, kPoison}};
}

void Participant::prepare(const Case& what) {
  const Places own = memory(what);
  const kernels::Surroundings& around = own.around;
  ensure(CONFORMANCE_CALL(cudaMemsetAsync(own.receive - around.lead - around.before, kPoison,
                                          around.before + around.inside + around.after,
                                          stream_->get())));
  const std::size_t sends = what.share(rank_, ranks_).sends;
  if (sends == 0) return;
  ensure(CONFORMANCE_CALL(kernels::fill_contribution(
      own.send, sends, what.contributions(ranks_), static_cast<unsigned>(rank_), stream_->get())));
}

ncclResult_t Participant::make_operation(const Case& what, ncclComm_t communicator) {
  if (!what.collective->reduces || what.reduction != Reduction::premul_sum) return ncclSuccess;
  unsigned long long scalar =
      kernels::element_bits(what.type, kernels::premultiplier(static_cast<unsigned>(rank_)));
  void* where = &scalar;
  if (what.scalar_on_device) {
    where = scalar_.data();
    // Of pageable memory, which this is, a copy is taken before the call returns.
    ensure(CONFORMANCE_CALL(
        cudaMemcpyAsync(where, &scalar, sizeof(scalar), cudaMemcpyHostToDevice, stream_->get())));
  }
  ncclRedOp_t operation = ncclSum;
  const ncclResult_t made = ncclRedOpCreatePreMulSum(
      &operation, where, nccl_type(what.type),
      what.scalar_on_device ? ncclScalarDevice : ncclScalarHostImmediate, communicator);
  if (made == ncclSuccess) operation_ = operation;
  return made;
}

ncclResult_t Participant::launch(const Case& what, ncclComm_t communicator) {
  const Places own = memory(what);
  const ncclRedOp_t operation = what.reduction == Reduction::premul_sum
                                    ? operation_.value_or(ncclSum)
                                    : built_in_operation(what.reduction);
  return what.collective->launch({own.send, own.receive, what.count, what.type, operation,
                                  what.root, rank_, ranks_, communicator, stream_->get()});
}

ncclResult_t Participant::destroy_operation(ncclComm_t communicator) {
  if (!operation_) return ncclSuccess;
  return ncclRedOpDestroy(*std::exchange(operation_, std::nullopt), communicator);
}

ncclResult_t Participant::register_memory(ncclComm_t communicator) {
  for (const Bytes* const buffer : {&input_, &output_}) {
    void* handle = nullptr;
    const ncclResult_t result = ncclCommRegister(communicator, buffer->get(), bytes_, &handle);
    if (result != ncclSuccess) return result;
    registrations_.push_back(handle);
  }
  return ncclSuccess;
}

ncclResult_t Participant::deregister_memory(ncclComm_t communicator) {
  ncclResult_t first = ncclSuccess;
  for (void* const handle : std::exchange(registrations_, {})) {
    // NCCL hands out none where registration is switched off.
    if (handle == nullptr) continue;
    const ncclResult_t result = ncclCommDeregister(communicator, handle);
    if (first == ncclSuccess) first = result;
  }
  return first;
}

ncclResult_t Participant::register_windows(ncclComm_t communicator) {
  using Register = ncclResult_t(ncclComm_t, void*, std::size_t, void**, int);
  static Register* const call = newer_nccl_function<Register>("ncclCommWindowRegister");
  constexpr int kSymmetric = 1;  // NCCL_WIN_COLL_SYMMETRIC, which headers have since 2.27
  const ncclResult_t first = call(communicator, input_.get(), bytes_, &windows_[0], kSymmetric);
  if (first != ncclSuccess && first != ncclInProgress) return first;
  return call(communicator, output_.get(), bytes_, &windows_[1], kSymmetric);
}

ncclResult_t Participant::deregister_windows(ncclComm_t communicator) {
  using Deregister = ncclResult_t(ncclComm_t, void*);
  static Deregister* const call = newer_nccl_function<Deregister>("ncclCommWindowDeregister");
  ncclResult_t first = ncclSuccess;
  for (void*& window : windows_) {
    if (window == nullptr) continue;
    const ncclResult_t result = call(communicator, std::exchange(window, nullptr));
    if (first == ncclSuccess) first = result;
  }
  return first;
}

void Participant::check(const Case& what) {
  if (queued_.size() == kMostChecks) throw std::logic_error("the checks before are to be taken");
  const Places own = memory(what);
  const Share share = what.share(rank_, ranks_);
  // In place, what is sent and also receives is gone.
  const bool keeps_input = share.sends > 0 && (!what.in_place || share.receives == 0);
  ensure(CONFORMANCE_CALL(kernels::check_collective(
      own.receive, share.receives, share.origin, own.around, keeps_input ? own.send : nullptr,
      share.sends, what.contributions(ranks_), static_cast<unsigned>(rank_),
      faults_.data() + queued_.size(), stream_->get())));
  queued_.push_back(what);
}

std::vector<Checked> Participant::take() {
  std::vector<Checked> results;
  if (queued_.empty()) return results;
  const std::size_t bytes = queued_.size() * sizeof(kernels::CollectiveFaults);
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(found_.data(), faults_.data(), bytes,
                                          cudaMemcpyDeviceToHost, stream_->get())));
  ensure(CONFORMANCE_CALL(cudaMemsetAsync(faults_.data(), 0, bytes, stream_->get())));
  ensure(wait_for(stream_->get()));
  for (std::size_t i = 0; i < queued_.size(); ++i) {
    const std::uint64_t elements = queued_[i].share(rank_, ranks_).receives;
    results.push_back({queued_[i], found_[i], elements});
  }
  queued_.clear();
  return results;
}

}  // namespace conformance::nccl

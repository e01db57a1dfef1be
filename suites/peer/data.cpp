// Does every word that one GPU sends to another arrive, whatever the way it takes?

#include <fmt/format.h>

#include "suites/peer/findings.h"
#include "suites/peer/pairs.h"

namespace conformance::peer {
namespace {

class Data : public PeerTest {};

constexpr std::size_t kBytes = std::size_t{256} << 20;

/// Copies between the pair by both calls that can, into poisoned memory, which its owner compares.
void copy_and_compare(const OrderedPair& pair, bool with_access) {
  const Pattern pattern = pattern_of(pair);
  const std::size_t words = words_for(pair, kBytes);
  OwnedMemory source(pair.from, words), target(pair.to, words);
  const Stream stream;
  source.fill(pattern);

  const auto expect_copied = [&](std::string_view call) {
    synchronize(stream, pair.subject());
    target.expect(pattern, pair, copy_wrong,
                  fmt::format("{} {} peer access", call, with_access ? "with" : "without"));
  };

  target.poison();
  ensure(CONFORMANCE_CALL(cudaMemcpyPeerAsync(target.data(), pair.to.ordinal, source.data(),
                                              pair.from.ordinal, source.bytes(), stream.get())));
  expect_copied("cudaMemcpyPeerAsync");

  target.poison();
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(target.data(), source.data(), source.bytes(),
                                          cudaMemcpyDefault, stream.get())));
  expect_copied("cudaMemcpyAsync");
  verified(2 * words, "words copied");
}

TEST_F(Data, CopiesWithoutPeerAccessArriveWordForWord) {
  claim("Memory can be copied between any two devices, also where peer access is not enabled",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  for_each_round(require_pairs(), [](const OrderedPair& pair) { copy_and_compare(pair, false); });
}

TEST_F(Data, CopiesWithPeerAccessArriveWordForWord) {
  claim("Memory can be copied between two devices with peer access, without a way through the host",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  for_each_round(require_connected_pairs(), [](const OrderedPair& pair) {
    const PeerAccess access(pair.from, pair.to);
    copy_and_compare(pair, true);
  });
}

TEST_F(Data, StoresToAPeerAreSeenByItsOwner) {
  claim("A kernel's stores to a peer's memory are seen by the owner once the kernel is done",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access");
  for_each_round(require_connected_pairs(), [](const OrderedPair& pair) {
    const Pattern pattern = pattern_of(pair);
    const PeerAccess access(pair.from, pair.to);
    OwnedMemory target(pair.to, words_for(pair, kBytes));
    target.poison();
    const Stream stream;
    fill(target.data(), target.size(), pattern, stream);
    synchronize(stream, pair.subject());
    target.expect(pattern, pair, store_lost, "stores by a kernel of the peer");
    verified(target.size(), "words stored");
  });
}

TEST_F(Data, LoadsFromAPeerReturnWhatItsOwnerWrote) {
  claim("A kernel's loads from a peer's memory return what the owner wrote before",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access");
  // The data moves from -> to, as in every pair, so here it is `to` that needs access.
  for_each_round(require_connected_pairs(), [](const OrderedPair& pair) {
    const Pattern pattern = pattern_of(pair);
    const PeerAccess access(pair.to, pair.from);
    OwnedMemory source(pair.from, words_for(pair, kBytes));
    source.fill(pattern);
    const CurrentDevice reader(pair.to);
    const Stream stream;
    PatternCheck check(stream);
    check.expect(source.data(), source.size(), pattern, load_wrong, pair.subject(),
                 "loads by a kernel of the peer");
    verified(source.size(), "words loaded");
  });
}

}  // namespace
}  // namespace conformance::peer

// How fast is the way from each GPU to each other?

#include <string>
#include <vector>

#include <fmt/format.h>

#include "suites/peer/findings.h"
#include "suites/peer/pairs.h"

namespace conformance::peer {
namespace {

class Bandwidth : public PeerTest {};

constexpr std::size_t kMebi = std::size_t{1} << 20;
constexpr int kSamples = 5;

/// GB/s of copies from -> to by the copy engine, the first of which does not count; then the owner
/// compares what the timed ones left. All are queued at once, so that a busy host leaves no gaps
/// between them.
std::vector<double> time_copies(const OrderedPair& pair, std::size_t wanted_bytes,
                                const std::string& what) {
  const Pattern pattern = pattern_of(pair);
  const std::size_t words = words_for(pair, wanted_bytes);
  OwnedMemory source(pair.from, words), target(pair.to, words);
  const Stream stream;
  std::vector<Event> marks(kSamples + 1);
  const auto copy = [&] {
    ensure(CONFORMANCE_CALL(cudaMemcpyPeerAsync(target.data(), pair.to.ordinal, source.data(),
                                                pair.from.ordinal, source.bytes(), stream.get())));
  };
  source.fill(pattern);
  copy();
  synchronize(stream, pair.subject());
  target.poison();
  for (Event& mark : marks) {
    if (&mark != &marks.front()) copy();
    mark.record(stream);
  }
  synchronize(stream, pair.subject());
  std::vector<double> samples;
  for (int sample = 1; sample <= kSamples; ++sample) {
    samples.push_back(static_cast<double>(source.bytes()) /
                      Event::seconds(marks[sample - 1], marks[sample]) / 1e9);
  }
  target.expect(pattern, pair, copy_wrong, what);
  verified(words, "words copied");
  return samples;
}

/// `access` says how the pair stands: "with peer access" or "without peer access".
void record_copies(const OrderedPair& pair, std::string_view figure, std::size_t bytes,
                   std::string_view access) {
  record(Figure{
      .name = std::string(figure),
      .unit = "GB/s",
      .subject = pair.subject(),
      .samples = time_copies(pair, bytes, fmt::format("timed cudaMemcpyPeerAsync {}", access)),
      .formula = fmt::format("bytes / seconds of cudaMemcpyPeerAsync {}, all pairs of a "
                             "round at once",
                             access)});
}

TEST_F(Bandwidth, CopiesWithoutPeerAccessAreTimedAndRight) {
  claim("Memory can be copied between any two devices, also where peer access is not enabled",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  for_each_round(require_pairs(), [](const OrderedPair& pair) {
    record_copies(pair, "peer-copy-bandwidth-without-access", 128 * kMebi, "without peer access");
  });
}

TEST_F(Bandwidth, CopiesWithPeerAccessAreTimedAndRight) {
  claim("Memory can be copied between two devices with peer access, without a way through the host",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  for_each_round(require_connected_pairs(), [](const OrderedPair& pair) {
    const PeerAccess access(pair.from, pair.to);
    record_copies(pair, "peer-copy-bandwidth", 512 * kMebi, "with peer access");
  });
}

}  // namespace
}  // namespace conformance::peer

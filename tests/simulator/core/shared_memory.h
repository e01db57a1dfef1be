#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <type_traits>

namespace conformance::sim {

/// Where another process of the host finds shared memory; plain bytes.
struct SharedName {
  std::int32_t process = 0, descriptor = -1;
  std::uint64_t inode = 0;  ///< of the file: numbers of processes and descriptors are used again
  bool operator==(const SharedName&) const = default;
};

/// Memory that processes of one host share. It is a file without a name: it is gone with the last
/// process that has it, however that process ends. It is zero at first, and a page takes memory
/// only once it is written.
class SharedMemory {
 public:
  /// Null if the system refuses.
  static std::shared_ptr<SharedMemory> create(std::size_t bytes);
  /// What another process made; null if that process is gone or no longer has it.
  static std::shared_ptr<SharedMemory> open(const SharedName& name);
  /// The file `descriptor` of this process, which stays open by itself; null if it is none of
  /// these.
  static std::shared_ptr<SharedMemory> adopt(int descriptor);
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  char* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// For open(); it holds as long as the process that created it keeps the object.
  const SharedName& name() const { return name_; }

 private:
  SharedMemory(char* data, std::size_t bytes, const SharedName& name, int descriptor)
      : data_(data), bytes_(bytes), name_(name), descriptor_(descriptor) {}
  static std::shared_ptr<SharedMemory> map(int file, std::size_t bytes, bool keep);

  char* data_;
  std::size_t bytes_;
  SharedName name_;
  int descriptor_;  ///< -1 in a process that only opened it
};

/// Waits, for some milliseconds at most, until `word` in shared memory is no longer `seen`.
void wait_for_change(const std::atomic<std::uint32_t>& word, std::uint32_t seen);
/// Changes `word` and wakes all who wait for that, in whichever process.
void announce_change(std::atomic<std::uint32_t>& word);

/// What a handle is of.
enum class HandleKind : std::uint32_t {
  memory = 0x4d495343,
  event = 0x45495343,
  clique = 0x4e495343
};

/// Of the `count` bytes at `bytes`; tells a damaged handle from a sound one.
std::uint32_t checksum(const void* bytes, std::size_t count);

/// Writes `content` into a handle's bytes, which may be sent to another process.
template <typename Content, std::size_t kBytes>
void write_handle(HandleKind kind, const Content& content, char (&bytes)[kBytes]) {
  static_assert(std::is_trivially_copyable_v<Content> && sizeof(Content) + 8 <= kBytes);
  const std::uint32_t head[2] = {static_cast<std::uint32_t>(kind),
                                 checksum(&content, sizeof(content))};
  std::memset(bytes, 0, kBytes);
  std::memcpy(bytes, head, sizeof(head));
  std::memcpy(bytes + sizeof(head), &content, sizeof(content));
}

/// The content of a handle's bytes; nothing if they are not a handle of that kind.
template <typename Content, std::size_t kBytes>
std::optional<Content> read_handle(HandleKind kind, const char (&bytes)[kBytes]) {
  static_assert(std::is_trivially_copyable_v<Content> && sizeof(Content) + 8 <= kBytes);
  std::uint32_t head[2];
  Content content;
  std::memcpy(head, bytes, sizeof(head));
  std::memcpy(&content, bytes + sizeof(head), sizeof(content));
  if (head[0] != static_cast<std::uint32_t>(kind) ||
      head[1] != checksum(&content, sizeof(content))) {
    return std::nullopt;
  }
  return content;
}

}  // namespace conformance::sim

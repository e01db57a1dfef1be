// Reads the corpus, and changed copies of it, with each target: always the same ones, whatever
// compiler built this. libfuzzer.cpp is the way to look for new ones.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/command_line.h"
#include "fixtures/program.h"
#include "tests/fuzz/target.h"

// A file that claims a huge size must not make its reader ask for so much memory.
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=512"; }

namespace conformance::fuzz {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

/// What is being read now, for whoever ends the process because of it.
struct Current {
  std::string file;
  Input input;
};
Current& current() {
  static Current one;
  return one;
}

void keep_input() {
  const Current& now = current();
  const int file = ::open(now.file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return;
  const ssize_t written = ::write(file, now.input.data(), now.input.size());
  ::close(file);
  fmt::print(stderr, "the input ({} of its {} bytes) is in {}\n", written, now.input.size(),
             now.file);
}

void give_up_on_time(int /*signal*/) {
  keep_input();
  ::_exit(1);
}

void read(const Target& target, Input input) {
  constexpr unsigned kSeconds = 10;
  current().input = input;
  ::alarm(kSeconds);
  try {
    target.read(input);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", target.name, error.what());
    keep_input();
    std::exit(1);
  }
  ::alarm(0);
}

Bytes read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Input bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<Bytes> read_corpus(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Bytes> inputs;
  inputs.reserve(files.size());
  for (const fs::path& file : files) inputs.push_back(read_file(file));
  return inputs;
}

/// Changes an input in a few places, as damage and malice do.
class Mutator {
 public:
  explicit Mutator(const std::vector<Bytes>& corpus) : corpus_(corpus) {}

  Bytes next() {
    Bytes bytes = corpus_[below(corpus_.size())];
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }

  void change(Bytes& bytes) {
    const std::size_t at = below(bytes.size() + 1);
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(6)) {
      case 0:  // cut off
        if (below(4) == 0) bytes.resize(at);
        break;
      case 1:  // take out
        bytes.erase(place, place + static_cast<std::ptrdiff_t>(
                                       std::min<std::size_t>(bytes.size() - at, 1 + below(8))));
        break;
      case 2:  // put in
        bytes.insert(place, 1 + below(4), static_cast<std::byte>(below(256)));
        break;
      case 3:  // flip a bit
        if (at < bytes.size()) bytes[at] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 4:  // a number at its limits, of 1, 2, 4 or 8 bytes
        write_number(bytes, at);
        break;
      default: {  // a part of another input
        const Bytes& other = corpus_[below(corpus_.size())];
        const std::size_t from = below(other.size() + 1);
        const std::size_t size = std::min(other.size() - from, below(64));
        const auto begin = other.begin() + static_cast<std::ptrdiff_t>(from);
        bytes.insert(place, begin, begin + static_cast<std::ptrdiff_t>(size));
      }
    }
  }

  void write_number(Bytes& bytes, std::size_t at) {
    static constexpr std::uint64_t kLimits[] = {
        0,          1,          0x7f,       0x80,      0xff,       0x7fff,          0xffff,
        0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX, UINT64_MAX - 63, 0x100000000};
    const std::uint64_t value = kLimits[below(std::size(kLimits))];
    const std::size_t size = std::size_t{1} << below(4);
    for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i) {
      bytes[at + i] = static_cast<std::byte>(value >> 8 * i);
    }
  }

  const std::vector<Bytes>& corpus_;
  std::mt19937_64 random_{1};  // the standard fixes its numbers, unlike those of distributions
};

int run(int argc, char** argv) {
  std::string corpus, only, input;
  double times = 1;
  CommandLine app{"Reads hostile input with every reader of foreign files"};
  app.option("--corpus", corpus, "Folder with a folder of inputs for each target")
      .existing_folder();
  app.option("--target", only, "This target alone");
  app.option("--times", times, "How many times the usual number of changed inputs");
  app.option("--input", input, "Only read this file, with --target").existing_file();
  if (const auto end = app.read(argc, argv)) return *end;

  __sanitizer_set_death_callback(keep_input);
  std::signal(SIGALRM, give_up_on_time);
  bool any = false;
  for (const Target& target : targets()) {
    if (!only.empty() && only != target.name) continue;
    any = true;
    current().file = fmt::format("failed-{}", target.name);
    const auto start = std::chrono::steady_clock::now();
    if (!input.empty()) {
      read(target, read_file(input));
      continue;
    }
    const std::vector<Bytes> inputs = read_corpus(fs::path(corpus) / target.name);
    if (inputs.empty()) throw std::runtime_error(fmt::format("{} has no corpus", target.name));
    for (const Bytes& bytes : inputs) read(target, bytes);
    Mutator mutator(inputs);
    const auto mutations = static_cast<std::uint64_t>(target.mutations * times);
    for (std::uint64_t i = 0; i < mutations; ++i) read(target, mutator.next());
    fmt::print("{}: {} inputs and {} changed ones in {:.2f} s\n", target.name, inputs.size(),
               mutations,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  if (!any) throw std::runtime_error(fmt::format("no target {}", only));
  return 0;
}

}  // namespace
}  // namespace conformance::fuzz

int main(int argc, char** argv) {
  return conformance::run_program("conformance-fuzz", conformance::fuzz::run, argc, argv);
}

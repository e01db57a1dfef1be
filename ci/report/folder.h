#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace conformance::report {

/// Something outside the program stands in the way: a folder that cannot be written, a file that
/// cannot be read. The message is for the user; the programs exit with 2.
class CannotRun : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Where a run keeps its journals and reports.
struct Folder {
  std::filesystem::path root;

  std::filesystem::path journals() const { return root / "journal"; }
  std::filesystem::path suite_journal(std::string_view entry) const;
  std::filesystem::path launch_journal(std::string_view entry) const;
  /// Held by the entry whose process runs other entries of the layer too.
  std::filesystem::path process_lock(std::string_view layer) const;
  std::filesystem::path run() const { return root / "run.json"; }
  std::filesystem::path results() const { return root / "results.json"; }
  std::filesystem::path junit() const { return root / "junit.xml"; }
  std::filesystem::path metrics() const { return root / "metrics.prom"; }
  std::filesystem::path html() const { return root / "index.html"; }
};

/// The build, or the installation, that this program is in: the folder above its own.
std::filesystem::path home();

/// CONFORMANCE_REPORT_DIR, which must be absolute because CTest starts each test in another folder;
/// without it `fallback`.
Folder report_folder(const std::filesystem::path& fallback);

/// Whether `name` is one that CTest entries have, "<layer>.<Suite>", so that it can be part of a
/// file's name.
bool is_entry_name(std::string_view name);

/// The entry of a suite's journal, "<entry>.jsonl"; empty for files of other names.
std::string entry_of_suite_journal(std::string_view file_name);
/// The entry of a launcher's journal, "<entry>.launch.jsonl"; empty for files of other names.
std::string entry_of_launch_journal(std::string_view file_name);

/// Makes the folders of a run and removes what an earlier run wrote there. Removes nothing that a
/// run does not write itself. Throws CannotRun.
void prepare(const Folder& folder);

/// The whole file; throws CannotRun.
std::string read_file(const std::filesystem::path& path);

/// Replaces a file so that a reader sees either the old text or the new one, never a part. Throws
/// CannotRun.
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace conformance::report

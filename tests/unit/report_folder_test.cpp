#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include <gtest/gtest.h>

#include "ci/report/folder.h"
#include "ci/report/run.h"
#include "tests/support/scratch.h"

namespace conformance::report {
namespace {

namespace fs = std::filesystem;

class ReportFolder : public testing::Test {
 protected:
  static void touch(const fs::path& path) { std::ofstream(path) << "old"; }

 private:
  const support::ScratchFolder scratch{fs::path(testing::TempDir()) / "folder"};

 protected:
  const fs::path& root = scratch.path();
};

TEST_F(ReportFolder, PreparingRemovesWhatARunWritesAndNothingElse) {
  const Folder folder{root / "with space" / "ü"};
  prepare(folder);
  const fs::path journals = folder.journals();
  for (const char* own : {"memory.Gate.jsonl", "memory.Gate.launch.jsonl"}) touch(journals / own);
  for (const char* own : {"run.json", "results.json", "junit.xml", "index.html", "metrics.prom",
                          "results.json.writing-12"}) {
    touch(folder.root / own);
  }
  for (const char* foreign : {"notes.txt", "jsonl", ".jsonl", "a b.c.jsonl", "x.jsonl.bak"}) {
    touch(journals / foreign);
  }
  touch(folder.root / "thesis.json");
  touch(folder.root / "results.json.writing-x");
  fs::create_directory(journals / "folder");
  touch(root / "outside");
  fs::create_symlink(root / "outside", journals / "peer.Gate.jsonl");

  prepare(folder);

  for (const char* own : {"memory.Gate.jsonl", "memory.Gate.launch.jsonl", "peer.Gate.jsonl"}) {
    EXPECT_FALSE(fs::exists(fs::symlink_status(journals / own))) << own;
  }
  for (const char* own : {"run.json", "results.json", "junit.xml", "index.html", "metrics.prom",
                          "results.json.writing-12"}) {
    EXPECT_FALSE(fs::exists(folder.root / own)) << own;
  }
  for (const char* foreign :
       {"notes.txt", "jsonl", ".jsonl", "a b.c.jsonl", "x.jsonl.bak", "folder"}) {
    EXPECT_TRUE(fs::exists(journals / foreign)) << foreign;
  }
  EXPECT_TRUE(fs::exists(folder.root / "thesis.json"));
  EXPECT_TRUE(fs::exists(folder.root / "results.json.writing-x"));
  EXPECT_TRUE(fs::exists(root / "outside"));
}

TEST_F(ReportFolder, AFolderInTheWayOfAJournalIsSaidAndKept) {
  const Folder folder{root};
  prepare(folder);
  fs::create_directory(folder.suite_journal("memory.Gate"));
  EXPECT_THROW(prepare(folder), CannotRun);
  EXPECT_TRUE(fs::exists(folder.suite_journal("memory.Gate")));
}

TEST_F(ReportFolder, AFileInTheWayOfTheFolderIsSaid) {
  touch(root / "file");
  EXPECT_THROW(prepare(Folder{root / "file"}), CannotRun);
  EXPECT_THROW(prepare(Folder{root / "file" / "below"}), CannotRun);
}

TEST_F(ReportFolder, WritingThroughALinkedFolderReplacesTheFileThere) {
  fs::create_directory(root / "real");
  fs::create_directory_symlink(root / "real", root / "link");
  write_file(root / "link" / "results.json", "first");
  write_file(root / "link" / "results.json", "second");
  EXPECT_EQ(read_file(root / "real" / "results.json"), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(root / "real"), {}), 1);
}

TEST_F(ReportFolder, WhatCannotBeWrittenIsSaid) {
  EXPECT_THROW(write_file(root / "missing" / "results.json", "x"), CannotRun);
  fs::create_directory(root / "results.json");
  EXPECT_THROW(write_file(root / "results.json", "x"), CannotRun);
  EXPECT_EQ(std::distance(fs::directory_iterator(root), {}), 1);
}

TEST_F(ReportFolder, OnlyRegularFilesAreRead) {
  EXPECT_THROW(read_file(root), CannotRun);
  EXPECT_THROW(read_file(root / "missing"), CannotRun);
  EXPECT_THROW(read_file("/dev/zero"), CannotRun);
}

TEST_F(ReportFolder, ARelativeReportFolderIsRefused) {
  ::setenv("CONFORMANCE_REPORT_DIR", "relative/path", 1);
  EXPECT_THROW(report_folder("/fallback"), CannotRun);
  ::setenv("CONFORMANCE_REPORT_DIR", "/absolute", 1);
  EXPECT_EQ(report_folder("/fallback").root, "/absolute");
  ::unsetenv("CONFORMANCE_REPORT_DIR");
  EXPECT_EQ(report_folder("/fallback").root, "/fallback");
}

TEST_F(ReportFolder, EntryNamesAreOneLayerAndOneSuite) {
  EXPECT_TRUE(is_entry_name("memory.Gate"));
  for (const char* name : {"", "memory", "memory.", ".Gate", "a.b.c", "../x.y", "a/b.c", "a b.c"}) {
    EXPECT_FALSE(is_entry_name(name)) << name;
  }
  EXPECT_EQ(entry_of_suite_journal("memory.Gate.jsonl"), "memory.Gate");
  EXPECT_EQ(entry_of_suite_journal("memory.Gate.launch.jsonl"), "");
  EXPECT_EQ(entry_of_launch_journal("memory.Gate.launch.jsonl"), "memory.Gate");
}

TEST_F(ReportFolder, ADamagedRunIsSaid) {
  const Folder folder{root};
  for (const char* text : {"", "{", "[]", "{\"schema\":\"other\"}", "\xff"}) {
    std::ofstream(folder.run()) << text;
    EXPECT_THROW(load_run(folder), CannotRun) << text;
  }
}

}  // namespace
}  // namespace conformance::report

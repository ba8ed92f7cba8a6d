#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "support/support.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;
using test::error_of;

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Output, AnExistingFileIsReplacedOnlyIfItMayBe) {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "mine.csv";
  write_file(path, "mine", Existing::kRefuse);
  for (const auto& refused :
       {std::function<void()>([&] { require_writable(path, Existing::kRefuse); }),
        std::function<void()>([&] { write_file(path, "x", Existing::kRefuse); })}) {
    const std::string error = error_of(refused);
    EXPECT_TRUE(holds(error, "mine.csv: exists already; `force` replaces it")) << error;
  }
  EXPECT_EQ(read_file(path), "mine");
  require_writable(path, Existing::kReplace);
  EXPECT_EQ(read_file(path), "mine");
  write_file(path, "ours", Existing::kReplace);
  EXPECT_EQ(read_file(path), "ours");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(Output, OnlyARegularFileIsEverReplaced) {
  const test::TemporaryFolder folder;
  write_file(folder / "target", "target");
  fs::create_symlink(folder / "target", folder / "link");
  fs::create_symlink(folder / "nowhere", folder / "dangling");
  fs::create_directory(folder / "folder");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  const std::pair<fs::path, const char*> places[] = {{folder / "link", "is a symbolic link"},
                                                     {folder / "dangling", "is a symbolic link"},
                                                     {folder / "folder", "is a folder"},
                                                     {folder / "fifo", "is a FIFO"},
                                                     {"/dev/null", "is a device"},
                                                     {"/dev/full", "is a device"}};
  for (const auto& [path, why] : places) {
    const fs::file_type before = fs::symlink_status(path).type();
    for (const Existing existing : {Existing::kRefuse, Existing::kReplace}) {
      const std::string early = error_of([&, &place = path] { require_writable(place, existing); });
      EXPECT_TRUE(holds(early, why)) << early;
      const std::string late = error_of([&, &place = path] { write_file(place, "x", existing); });
      EXPECT_TRUE(holds(late, why)) << late;
    }
    EXPECT_EQ(fs::symlink_status(path).type(), before) << path;
  }
  EXPECT_EQ(read_file(folder / "target"), "target");
  EXPECT_TRUE(holds(error_of([&] { require_writable(folder / "folder/", Existing::kRefuse); }),
                    "no file name"));
}

TEST(Output, WhatAppearsMeanwhileStays) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "a", Existing::kRefuse);
  AtomicFile replacing(folder / "b", Existing::kReplace);
  write_file(folder / "a", "other");
  fs::create_symlink(folder / "a", folder / "b");
  EXPECT_TRUE(holds(error_of([&] { file.commit(); }), "exists already"));
  EXPECT_TRUE(holds(error_of([&] { replacing.commit(); }), "is a symbolic link"));
  EXPECT_EQ(read_file(folder / "a"), "other");
}

TEST(Output, MissingFoldersAreMadeForWhatIsKept) {
  const test::TemporaryFolder folder;
  require_writable(folder / "new/deep/file", Existing::kRefuse);
  require_new_folder(folder / "new/deep/folder/");
  EXPECT_TRUE(fs::is_empty(folder.path()));
  { AtomicFile dropped(folder / "new/deep/file"); }
  { AtomicFolder dropped(folder / "new/deep/folder"); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  write_file(folder / "new/deep/file", "text");
  EXPECT_EQ(read_file(folder / "new/deep/file"), "text");
  AtomicFolder made(folder / "new/other/folder/");
  write_file(made.temporary() / "file", "text");
  made.commit();
  EXPECT_EQ(read_file(folder / "new/other/folder/file"), "text");
  EXPECT_TRUE(
      holds(error_of([&] { require_writable(folder / "new/deep/file/x", Existing::kRefuse); }),
            "cannot be written"));
}

TEST(Output, AFolderIsMadeWholeWhereNothingLies) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "empty");
  fs::create_symlink(folder / "nowhere", folder / "dangling");
  write_file(folder / "full/file", "mine");
  for (const char* name : {"full", "full/file", "dangling"}) {
    EXPECT_TRUE(holds(error_of([&] { require_new_folder(folder / name); }), "exists already"));
    EXPECT_TRUE(holds(error_of([&] { AtomicFolder{folder / name}; }), "exists already"));
  }
  AtomicFolder made(folder / "empty");
  write_file(made.temporary() / "file", "ours");
  made.commit();
  EXPECT_EQ(read_file(folder / "empty/file"), "ours");
  EXPECT_EQ(read_file(folder / "full/file"), "mine");
}

}  // namespace
}  // namespace taskneuron

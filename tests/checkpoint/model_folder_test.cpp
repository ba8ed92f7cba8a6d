#include "taskneuron/checkpoint/model_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "support/support.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/text/tokenizer.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;
using test::error_of;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";
constexpr const char* kOtherCommit = "fedcba9876543210fedcba9876543210fedcba98";

// A cache as huggingface_hub makes it: blobs, snapshots of links into them, refs.
class HubCache : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name :
         {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = std::getenv(name);
      if (value != nullptr) saved_[name] = value;
      ::unsetenv(name);
    }
    ::setenv("HF_HUB_CACHE", folder_.path().c_str(), 1);
    add_model("org/mini", kCommit);
    write_file(repository("org/mini") / "refs/main", kCommit);
    write_file(repository("org/mini") / "refs/refs/pr/1", std::string(kCommit) + "\n");
    write_file(repository("org/mini") / "refs/lost", kOtherCommit);
  }
  void TearDown() override {
    for (const char* name :
         {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}) {
      ::unsetenv(name);
    }
    for (const auto& [name, value] : saved_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  fs::path repository(std::string name) const {
    if (const auto slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
    return folder_ / ("models--" + name);
  }
  void add_model(const std::string& name, const std::string& commit) const {
    const fs::path blobs = repository(name) / "blobs";
    const fs::path snapshot = repository(name) / "snapshots" / commit;
    fs::create_directories(blobs);
    fs::create_directories(snapshot);
    for (const auto& entry : fs::directory_iterator(test::examples() / "models/mini")) {
      const fs::path file = entry.path().filename();
      fs::copy_file(entry.path(), blobs / file);
      fs::create_symlink(fs::path("../../blobs") / file, snapshot / file);
    }
  }
  std::string missing(const std::string& name) const {
    return error_of([&] { find_model(name); });
  }

  test::TemporaryFolder folder_;

 private:
  std::map<std::string, std::string> saved_;
};

TEST_F(HubCache, FindsBranchTagAndCommit) {
  const fs::path snapshot = repository("org/mini") / "snapshots" / kCommit;
  for (const char* revision :
       {"", "@main", "@refs/pr/1", "@0123456789abcdef0123456789abcdef01234567"}) {
    const ModelFolder found = find_model(std::string("org/mini") + revision);
    EXPECT_EQ(found.path, snapshot) << revision;
    EXPECT_EQ(found.revision, kCommit) << revision;
  }
  EXPECT_EQ(Checkpoint(snapshot).hash(), Checkpoint(test::examples() / "models/mini").hash());
  EXPECT_FALSE(Tokenizer(snapshot).encode("Hello", SpecialTokens::kLeaveOut).empty());
}

TEST_F(HubCache, AConvertedSnapshotHoldsFilesNotLinks) {
  write_file(repository("org/mini") / "snapshots" / kCommit / "tf_model.h5", "other weights");
  save_model(Checkpoint(find_model("org/mini").path), folder_ / "out", {});
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(folder_ / "out/tokenizer.json")));
  EXPECT_FALSE(fs::exists(folder_ / "out/tf_model.h5"));
}

TEST_F(HubCache, ALocalFolderOfThatNameWins) {
  const fs::path before = fs::current_path();
  fs::create_directories(folder_ / "here/org/mini");
  fs::current_path(folder_ / "here");
  const ModelFolder found = find_model("org/mini");
  fs::current_path(before);
  EXPECT_EQ(found.path, "org/mini");
  EXPECT_EQ(found.revision, "");
}

TEST_F(HubCache, LiesWhereTheEnvironmentSays) {
  const std::string base = folder_.path().string();
  fs::create_directories(folder_ / "home/.cache/huggingface");
  fs::create_directories(folder_ / "hf");
  fs::create_directory_symlink(folder_.path(), folder_ / "home/.cache/huggingface/hub");
  fs::create_directory_symlink(folder_.path(), folder_ / "hf/hub");
  ::unsetenv("HF_HUB_CACHE");
  ::setenv("HOME", (base + "/home").c_str(), 1);
  EXPECT_EQ(find_model("org/mini").revision, kCommit);
  ::setenv("XDG_CACHE_HOME", (base + "/none").c_str(), 1);
  EXPECT_NE(missing("org/mini").find("/none/huggingface/hub"), std::string::npos);
  ::setenv("HF_HOME", "~/../hf", 1);
  EXPECT_EQ(find_model("org/mini").revision, kCommit);
  ::setenv("HUGGINGFACE_HUB_CACHE", (base + "/none").c_str(), 1);
  EXPECT_NE(missing("org/mini").find("cache " + base + "/none;"), std::string::npos);
  ::setenv("HF_HUB_CACHE", base.c_str(), 1);
  EXPECT_EQ(find_model("org/mini").revision, kCommit);
}

TEST_F(HubCache, SaysHowToGetWhatIsMissing) {
  const std::string cache = folder_.path().string();
  EXPECT_EQ(missing("org/other"),
            "org/other: no such folder, and no such model in the Hugging Face cache " + cache +
                "; get it with `hf download org/other`, or correct the path");
  EXPECT_NE(missing("org/mini@v2")
                .find("has only lost, main, refs/pr/1, not 'v2'; get it with `hf "
                      "download org/mini --revision v2`"),
            std::string::npos);
  EXPECT_NE(missing("org/mini@lost")
                .find("was not downloaded, or not whole; get it with `hf download "
                      "org/mini --revision lost`"),
            std::string::npos);
  EXPECT_NE(missing(std::string("org/mini@") + kOtherCommit).find("was not downloaded"),
            std::string::npos);
  EXPECT_NE(missing("mini").find("mini: no such model folder; expected a folder with config.json"),
            std::string::npos);
}

TEST_F(HubCache, NoNameLeadsOutOfTheCache) {
  write_file(repository("org/mini") / "refs/outside", "../../..");
  EXPECT_NE(missing("org/mini@outside").find("a commit's hash was expected"), std::string::npos);
  for (const char* name : {"../x", "org/..", "org/mini@../../x", "org/mini@", "org//mini", "/org",
                           "a/b/c", "org/mini@refs/../main", ".hidden/x", ""}) {
    const std::string error = missing(name);
    EXPECT_NE(error.find("no such model folder"), std::string::npos) << name << ": " << error;
  }
  EXPECT_NE(missing((test::examples() / "models/mini/config.json").string()).find("is a file"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

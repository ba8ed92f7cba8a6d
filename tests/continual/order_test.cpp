#include "taskneuron/continual/order.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/support.h"
#include "taskneuron/base/error.h"
#include "taskneuron/continual/method.h"

namespace taskneuron {
namespace {

const std::string kExamples = TASKNEURON_EXAMPLES;

std::string written(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
  return path.string();
}

TEST(Order, NamesTasksByFolderOrByName) {
  const test::TemporaryFolder folder;
  const std::string path = written(folder.path() / "o.json",
                                   R"({"format": "taskneuron.order/1", "tasks": ["babi", "scitail"],
          "settings": {"*": {"epochs": 2}, "ncft": {"top": ["1%", "10%"], "lr": 3e-3, "soft": true}}})");
  const Order order = load_order(path, {kExamples + "/tasks"});
  EXPECT_EQ(order.name, "o");
  ASSERT_EQ(order.tasks.size(), 2u);
  EXPECT_EQ(order.tasks[1].name, "scitail");
  EXPECT_EQ(order.settings.at("ncft").at("top"), "1%+10%");
  EXPECT_EQ(order.settings.at("ncft").at("lr"), "0.003");
  EXPECT_EQ(order.settings.at("ncft").at("soft"), "yes");
  EXPECT_EQ(load_order(kExamples + "/orders/mini.json", {}).tasks.size(), 3u);
}

TEST(Order, RefusesLabelsThatDifferBetweenSplits) {
  const test::TemporaryFolder folder;
  const auto task = folder.path() / "t";
  std::filesystem::create_directories(task);
  written(task / "meta.json", R"({"name": "t", "type": "classification", "instruction": "Say."})");
  const std::string row =
      R"({"instruction": "Say.", "input": "x", "output": "a", "labels": ["a", )";
  written(task / "train.jsonl", row + "\"b\"]}\n");
  written(task / "test.jsonl", row + "\"c\"]}\n");
  const std::string path =
      written(folder.path() / "o.json", R"({"format": "taskneuron.order/1", "tasks": ["t"]})");
  try {
    load_order(path, {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("test.jsonl: its rows have other labels"),
              std::string::npos)
        << error.what();
  }
}

TEST(MethodSpec, HoldsSettingsOfItsOwn) {
  const MethodSpec spec = parse_method_spec("ncft:top=1%+10%,soft,exclusive=0.5");
  EXPECT_EQ(spec.name, "ncft");
  MethodSettings settings;
  apply_settings(spec.settings, method_keys(find_method(spec.name)), "here", settings);
  EXPECT_EQ(settings.top, (std::vector<std::string>{"1%", "10%"}));
  EXPECT_TRUE(settings.soft);
  EXPECT_EQ(settings.exclusive, 0.5);
  EXPECT_THROW(apply_settings({{"share", "0.1"}}, {"lr"}, "here", settings), Error);
  EXPECT_THROW(apply_settings({{"lr", "-1"}}, {"lr"}, "here", settings), Error);
  EXPECT_THROW(parse_method_spec(":lr=1"), UsageError);
  EXPECT_THROW(find_method("nsft"), UsageError);
}

}  // namespace
}  // namespace taskneuron

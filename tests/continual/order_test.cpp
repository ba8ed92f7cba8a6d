#include "taskneuron/continual/order.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

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

// A task folder of rows that each bring the labels in brackets.
void write_task(const std::filesystem::path& folder, const std::string& name,
                const std::string& meta_labels,
                const std::map<std::string, std::vector<std::string>>& splits) {
  std::filesystem::create_directories(folder);
  written(folder / "meta.json", R"({"name": ")" + name + R"(", "type": "classification", )" +
                                    R"("instruction": "Say.", "labels": [)" + meta_labels + "]}");
  for (const auto& [split, rows] : splits) {
    std::string text;
    for (const std::string& labels : rows) {
      text += R"({"input": "x", "output": "a", "labels": [)" + labels + "]}\n";
    }
    written(folder / (split + ".jsonl"), text);
  }
}

std::string order_of(const test::TemporaryFolder& folder, const std::string& tasks) {
  return written(folder / "o.json",
                 R"({"format": "taskneuron.order/1", "tasks": [)" + tasks + "]}");
}

std::string refusal(const std::string& order, const std::vector<std::string>& task_folders = {}) {
  return test::error_of([&] { load_order(order, task_folders); });
}

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks " << part;
}

const std::string kAb = R"("a", "b")", kAc = R"("a", "c")";

TEST(Order, FindsATaskByTheNameInItsMeta) {
  const test::TemporaryFolder folder;
  write_task(folder / "tasks/folder7", "sentiment", "", {{"train", {kAb}}, {"test", {kAb}}});
  std::filesystem::create_directories(folder / "tasks/broken");
  written(folder / "tasks/broken/meta.json", "{");  // is none of this order's
  const Order order = load_order(order_of(folder, R"("sentiment")"), {(folder / "tasks").string()});
  ASSERT_EQ(order.tasks.size(), 1u);
  EXPECT_EQ(order.tasks[0].name, "sentiment");
  EXPECT_EQ(order.tasks[0].folder, (folder / "tasks/folder7").string());
}

TEST(Order, NamesWhatItLookedForAndWhatIsNear) {
  const test::TemporaryFolder folder;
  write_task(folder / "tasks/folder7", "sentiment", "", {});
  const std::string tasks = (folder / "tasks").string();
  const std::string told = refusal(order_of(folder, R"("sentimant")"), {tasks});
  expect_in(told, "o.json: 'tasks'[0]: no task 'sentimant'");
  expect_in(told, tasks + "/sentimant");
  expect_in(told, "Did you mean 'sentiment'?");
  expect_in(refusal(order_of(folder, R"("")")), "'tasks'[0]: is empty");
}

TEST(Order, RefusesATaskTwiceNoTaskAndAMissingSplit) {
  const test::TemporaryFolder folder;
  write_task(folder / "t", "t", "", {{"train", {kAb}}, {"test", {kAb}}});
  write_task(folder / "untested", "untested", "", {{"train", {kAb}}});
  expect_in(refusal(order_of(folder, R"("t", "./t")")), "'tasks'[1]: task 't' is there twice");
  expect_in(refusal(order_of(folder, "")), "'tasks': names no task");
  expect_in(refusal(order_of(folder, R"("t", "untested")")),
            "'tasks'[1]: task 'untested' has no split 'test'");
  expect_in(refusal(written(folder / "o.json", R"({"tasks": ["t"]})")), "is no order of tasks");
}

TEST(Order, RefusesLabelsThatDifferBetweenSplits) {
  const test::TemporaryFolder folder;
  const std::string order = order_of(folder, R"("t")");
  write_task(folder / "t", "t", "", {{"train", {kAb}}, {"test", {R"("a", "b")", kAc}}});
  expect_in(refusal(order), "test.jsonl:2: label 'c' is none of those of ");
  // Of several the one that stands first in the file, not first in the alphabet.
  write_task(folder / "t", "t", "", {{"train", {kAb}}, {"test", {kAb, R"("a", "d")", kAc}}});
  expect_in(refusal(order), "test.jsonl:2: label 'd' is none of those of ");
  // A label that only train has.
  write_task(folder / "t", "t", "", {{"train", {kAb, kAc}}, {"test", {kAb}}});
  expect_in(refusal(order), "train.jsonl:2: label 'c' is none of those of ");
  write_task(folder / "t", "t", "",
             {{"train", {kAb}}, {"validation", {kAb, kAb, kAc}}, {"test", {kAb}}});
  expect_in(refusal(order), "validation.jsonl:3: label 'c' is none of those of ");
}

TEST(Order, HoldsLabelsToThoseOfMeta) {
  const test::TemporaryFolder folder;
  const std::string order = order_of(folder, R"("t")");
  write_task(folder / "t", "t", kAb, {{"train", {kAb}}, {"test", {R"("a")"}}});
  EXPECT_EQ(load_order(order, {}).tasks.size(), 1u);  // fewer are no error
  write_task(folder / "t", "t", kAb, {{"train", {kAc}}, {"test", {kAc}}});
  const std::string told = refusal(order);
  expect_in(told, "train.jsonl:1: label 'c' is none of those of ");
  expect_in(told, "meta.json");
}

TEST(Order, OfTheBenchmarkAreThoseOfThePaper) {
  const std::vector<std::size_t> sizes = {4, 4, 4, 8, 8, 8};
  const auto cl = test::shared() / "data" / "cl";
  if (test::shared().empty() || !std::filesystem::exists(cl)) GTEST_SKIP() << "no shared tasks";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string name = "order" + std::to_string(i + 1);
    const Order order = load_order(kExamples + "/orders/" + name + ".json", {cl.string()});
    EXPECT_EQ(order.name, name);
    EXPECT_EQ(order.tasks.size(), sizes[i]);
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

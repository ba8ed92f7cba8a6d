#include "taskneuron/data/import.h"

#include <set>

#include "base/file.h"
#include "data/csv.h"
#include "support/support.h"

namespace taskneuron {
namespace {

using test::error_of;
using test::TemporaryFolder;

TEST(Csv, FollowsRfc4180) {
  const auto rows = parse_csv(
      "\xEF\xBB\xBF"
      "a,b\r\n\"x, \"\"y\"\"\",\"two\nlines\"\n\n,last\n",
      "f.csv");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1].fields, (std::vector<std::string>{"x, \"y\"", "two\nlines"}));
  EXPECT_EQ(rows[2].fields, (std::vector<std::string>{"", "last"}));
  EXPECT_EQ(rows[2].line, 5);
  EXPECT_EQ(error_of([] { parse_csv("a,b\n\"x", "f.csv"); }),
            "f.csv:2: a quoted field that does not end");
  EXPECT_EQ(error_of([] { parse_csv("a\n\"x\"y\n", "f.csv"); }),
            "f.csv:2: text behind a closing quote");
  EXPECT_EQ(error_of([] { parse_csv("a\nx\"y\n", "f.csv"); }),
            "f.csv:2: a quote inside a field that does not start with one");
}

TEST(Csv, TheDelimiterIsGivenOrNamed) {
  EXPECT_EQ(parse_csv("a;b\n\"x;y\";\"1,2\"\n", "f.csv", ';')[1].fields,
            (std::vector<std::string>{"x;y", "1,2"}));
  EXPECT_EQ(parse_csv("a\tb\nx,y\t2\n", "f.csv", '\t')[1].fields,
            (std::vector<std::string>{"x,y", "2"}));
  EXPECT_EQ(likely_delimiter("a,b;c;d\n"), ',');
  EXPECT_EQ(likely_delimiter("\"a,b\";\"c\"\n1,2\n"), ';');
  EXPECT_EQ(likely_delimiter("a|b\tc\td"), '\t');
  EXPECT_EQ(likely_delimiter("a\n;"), '\0');
}

ImportedTask import_one(const std::string& format, const std::string& text,
                        ImportOptions options = {}) {
  const TemporaryFolder folder;
  write_file(folder / "source.txt", text);
  const auto tasks = import_tasks(folder / "source.txt", format, options);
  EXPECT_EQ(tasks.size(), 1u);
  return tasks.at(0);
}

std::string csv_rows(int count) {
  std::string text = "review,stars\n";
  for (int i = 0; i < count; ++i)
    text += "text " + std::to_string(i % 40) + "," + std::to_string(i % 2) + "\n";
  return text;
}

TEST(Import, CsvBecomesAClassificationTaskWithSplits) {
  ImportOptions options;
  options.columns = {{"input", "review"}, {"output", "stars"}};
  options.instruction = "How many stars?";
  const ImportedTask task = import_one("csv", csv_rows(80), options);
  EXPECT_EQ(task.task.type, TaskType::kClassification);
  EXPECT_EQ(task.task.labels, (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(task.task.instruction, "How many stars?");
  std::map<std::string, std::set<std::string>> inputs;
  std::size_t rows = 0;
  for (const auto& [split, list] : task.splits) {
    rows += list.size();
    for (const TaskRow& row : list) inputs[row.input].insert(split);
  }
  EXPECT_EQ(rows, 80u);
  EXPECT_EQ(task.splits.at("test").size(), 16u);  // 8 of the 40 inputs, twice each
  for (const auto& [input, splits] : inputs) EXPECT_EQ(splits.size(), 1u) << input;
  const ImportedTask again = import_one("csv", csv_rows(80), options);
  EXPECT_EQ(again.splits.at("test")[3].input, task.splits.at("test")[3].input);
}

TEST(Import, OtherFormats) {
  const ImportedTask superni =
      import_one("superni", R"({"Definition": ["Say it."], "URL": [NaN], "Instances": [
        {"input": "NaN \" NaN", "output": ["x", "y"]}, {"input": "b", "output": ["z"]}]})");
  EXPECT_EQ(superni.task.type, TaskType::kGeneration);
  EXPECT_EQ(superni.task.instruction, "Say it.");
  EXPECT_EQ(superni.splits.at("train").size(), 2u);
  EXPECT_EQ(superni.splits.at("train")[0].input, "NaN \" NaN");
  EXPECT_EQ(superni.splits.at("train")[0].references.size(), 2u);
  const ImportedTask alpaca =
      import_one("alpaca", "[{\"instruction\": \"Add.\", \"input\": \"1 1\", \"output\": \"2\"}]");
  EXPECT_EQ(alpaca.splits.at("train")[0].instruction, "Add.");
  const ImportedTask trace = import_one("trace", "{\"prompt\": \"p\", \"answer\": \"a\"}\n");
  EXPECT_EQ(trace.splits.at("train")[0].input, "p");
  const ImportedTask jsonl = import_one("jsonl", "{\"input\": \"p\", \"output\": 3}\n");
  EXPECT_EQ(jsonl.splits.at("train")[0].output, "3");
}

TEST(Import, OloraFolders) {
  const TemporaryFolder folder;
  for (const char* name : {"NLI/CB", "SC/IMDB"}) {
    std::filesystem::create_directories(folder / name);
    write_file((folder / name) / "labels.json", "[\"a\", \"b\"]");
    write_file((folder / name) / "train.json", "[{\"sentence\": \"s\", \"label\": \"a\"}]");
    write_file((folder / name) / "dev.json", "[{\"sentence\": \"t\", \"label\": \"b\"}]");
  }
  const auto tasks = import_tasks(folder.path(), "olora", {});
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks[0].task.name, "CB");
  EXPECT_EQ(tasks[0].splits.at("validation")[0].output, "b");
}

TEST(Import, WhatIsSavedLoads) {
  const TemporaryFolder folder;
  ImportOptions options;
  options.columns = {{"input", "review"}, {"output", "stars"}};
  const ImportedTask task = import_one("csv", csv_rows(80), options);
  save_task(task, folder / "t");
  const Task loaded = load_task(folder / "t");
  EXPECT_EQ(loaded.labels, task.task.labels);
  EXPECT_EQ(load_split(loaded, "train").size(), task.splits.at("train").size());
  EXPECT_NE(error_of([&] { save_task(task, folder / "t"); }).find("exists already"),
            std::string::npos);
}

TEST(Import, ErrorsNameThePlace) {
  const auto expect = [](const std::string& format, const std::string& text, const char* part) {
    const std::string message = error_of([&] { import_one(format, text); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("csv", "review,stars\na,b\n", "source.txt:1: no column 'input'; there are review, stars");
  expect("csv", "input,output\na\n", "source.txt:2: 1 fields, the header has 2");
  expect("csv", "input,output\na,\n", "source.txt:2: the answer is empty");
  expect("jsonl", "{\"text\": 1}\n", "source.txt:1: no column 'input'; there are text");
  expect("alpaca", "[{\"instruction\": \"x\"}]", "source.txt[0]: key 'output' is missing");
  expect("superni", "{}", "key 'Definition' is missing");
  expect("excel", "", "use superni, olora, alpaca, trace, csv, jsonl");
}

}  // namespace
}  // namespace taskneuron

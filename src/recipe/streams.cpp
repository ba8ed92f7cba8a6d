#include "taskneuron/recipe/streams.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "base/json.h"
#include "base/plain_name.h"
#include "recipe/stage_cost.h"
#include "recipe/stream_summary.h"
#include "taskneuron/base/error.h"
#include "train/run_files.h"

namespace taskneuron {

namespace {

using Settings = std::map<std::string, Setting>;
using Values = std::vector<std::optional<double>>;

Setting read_setting(const JsonView& json) {
  const Json& value = json.value();
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  return json.string();
}

Settings read_settings(const JsonView& json) {
  Settings settings;
  for (const auto& item : json.object().items()) {
    settings[item.key()] = read_setting(json.at(item.key()));
  }
  return settings;
}

double metric_in(const JsonView& json) {
  const double value = json.number();
  if (!(value >= 0 && value <= 1)) {
    json.fail(fmt::format("{} is no metric; they are from 0 to 1", value));
  }
  return value;
}

Values read_values(const JsonView& json, std::size_t size) {
  Values values;
  for (const JsonView& one : json.array()) {
    values.push_back(one.value().is_null() ? std::nullopt : std::optional<double>(metric_in(one)));
  }
  if (values.size() != size) {
    json.fail(fmt::format("has {} entries; the stream has {} tasks", values.size(), size));
  }
  return values;
}

StreamRun read_run(const JsonView& json) {
  StreamRun run;
  run.method = json.at("method").string();
  run.order = json.at("order").string();
  if (holds_control(run.method)) json.at("method").fail("holds a control character");
  if (run.method.empty()) json.at("method").fail("is empty");
  if (const std::string problem = problem_of_name(run.order); !problem.empty()) {
    json.at("order").fail(problem);
  }
  const JsonView seed = json.at("seed");
  if (!seed.value().is_number_unsigned()) seed.fail("is no whole number of 0 or more");
  run.seed = seed.value().get<std::uint64_t>();
  run.settings = read_settings(json.at("settings"));
  run.results.tasks = json.at("tasks").strings();
  const std::size_t count = run.results.tasks.size();
  if (count == 0) json.at("tasks").fail("is empty");
  if (std::set<std::string>(run.results.tasks.begin(), run.results.tasks.end()).size() != count) {
    json.at("tasks").fail("names a task twice");
  }
  const std::vector<JsonView> rows = json.at("matrix").array();
  if (rows.size() != count) {
    json.at("matrix").fail(fmt::format("has {} rows; the stream has {} tasks", rows.size(), count));
  }
  for (const JsonView& row : rows) run.results.matrix.push_back(read_values(row, count));
  run.results.zero_shot = read_values(json.at("zero_shot"), count);
  run.results.single = read_values(json.at("single"), count);
  for (const JsonView& stage : json.at("stages").array()) run.stages.push_back(read_cost(stage));
  run.diverged = json.string_or("diverged", "");
  run.metrics = stream_metrics(run.results);
  return run;
}

// The settings that differ, as "lr is '0.001' here and '0.003' in FILE"; empty: none does.
std::string difference(const Settings& here, const Settings& there, const std::string& file) {
  const auto all_here = settings_text(here), all_there = settings_text(there);
  const auto text = [](const std::map<std::string, std::string>& all, const std::string& key) {
    const auto found = all.find(key);
    return found == all.end() ? std::string("not there") : "'" + found->second + "'";
  };
  std::set<std::string> keys;
  for (const auto& item : all_here) keys.insert(item.first);
  for (const auto& item : all_there) keys.insert(item.first);
  for (const std::string& key : keys) {
    const std::string a = text(all_here, key), b = text(all_there, key);
    if (a != b && key != "version")
      return fmt::format("{} is {} here and {} in {}", key, a, b, file);
  }
  return "";
}

// All files, and where what must be the same everywhere was seen first.
class StreamFiles {
 public:
  void add(const std::string& file);
  ContinualResult result(const std::vector<std::string>& compare);

 private:
  void add(const JsonView& json, const std::string& file);

  struct SeenMethod {
    Settings settings;
    std::string file;
  };
  struct SeenOrder {
    std::vector<std::string> tasks;
    std::string file;
  };
  struct SeenTask {
    std::string rows;
    std::string file;
  };
  std::string first_;                                                  // file
  std::map<std::pair<std::string, std::string>, SeenMethod> methods_;  // by method and order
  std::map<std::string, SeenOrder> orders_;
  std::map<std::string, SeenTask> tasks_;
  std::map<std::tuple<std::string, std::string, std::uint64_t>, std::string> files_;  // of streams
  ContinualResult found_;
};

void StreamFiles::add(const JsonView& json, const std::string& file) {
  StreamRun run = read_run(json);
  const SeenOrder& order =
      orders_.try_emplace(run.order, SeenOrder{run.results.tasks, file}).first->second;
  if (order.tasks != run.results.tasks) {
    json.at("tasks").fail(fmt::format("are not those of order '{}' in {}", run.order, order.file));
  }
  for (const std::string& task : run.results.tasks) {
    run.rows[task] = json.at("rows").at(task).string();
  }
  for (const auto& [task, rows] : run.rows) {
    const SeenTask& known = tasks_.try_emplace(task, SeenTask{rows, file}).first->second;
    if (known.rows == rows) continue;
    json.at("rows").fail(
        fmt::format("task '{}' has other train or test rows than in {}", task, known.file));
  }
  const SeenMethod& method =
      methods_.try_emplace({run.method, run.order}, SeenMethod{run.settings, file}).first->second;
  const std::string other = difference(run.settings, method.settings, method.file);
  if (!other.empty()) {
    json.at("settings").fail(fmt::format("'{}' is another method: {}", run.method, other));
  }
  const auto [seen, fresh] = files_.try_emplace({run.method, run.order, run.seed}, file);
  if (!fresh) {
    json.fail(fmt::format("{}, {}, seed {} is in {} already; give each stream once", run.method,
                          run.order, run.seed, seen->second));
  }
  if (std::find(found_.methods.begin(), found_.methods.end(), run.method) == found_.methods.end()) {
    found_.methods.push_back(run.method);
  }
  found_.runs.push_back(std::move(run));
}

void StreamFiles::add(const std::string& file) {
  const Json document = read_json(file);
  const JsonView json(document, file);
  if (!json.find("runs") || !json.find("settings")) {
    json.fail("is no result of continual: it has no 'settings' or no 'runs'");
  }
  const Settings settings = read_settings(json.at("settings"));
  if (first_.empty()) {
    first_ = file;
    found_.settings = settings;
  }
  const std::string other = difference(settings, found_.settings, first_);
  if (!other.empty()) {
    json.at("settings").fail(fmt::format("streams are not measured alike: {}", other));
  }
  const std::vector<JsonView> runs = json.at("runs").array();
  if (runs.empty()) json.at("runs").fail("holds no streams");
  for (const JsonView& run : runs) add(run, file);
}

ContinualResult StreamFiles::result(const std::vector<std::string>& compare) {
  constexpr std::size_t kMostMethods = 100;
  if (compare.empty() && found_.methods.size() > kMostMethods) {
    throw Error(fmt::format(
        "every two of {} methods are not compared, only of {}; name the pairs with `compare`",
        found_.methods.size(), kMostMethods));
  }
  MethodPairs pairs;
  for (std::size_t i = 0; i < compare.size(); ++i) {
    if (std::find(found_.methods.begin(), found_.methods.end(), compare[i]) ==
        found_.methods.end()) {
      throw UsageError("compare", compare[i], fmt::format("{}", fmt::join(found_.methods, ", ")),
                       "is no method of these");
    }
    if (i % 2 == 1) pairs.emplace_back(compare[i - 1], compare[i]);
  }
  found_.summary = summary_of(found_.runs, pairs);
  return std::move(found_);
}

}  // namespace

void StreamsOptions::declare(OptionList& list) {
  list.add("files", &files, Effect::kInput,
           "Folders of continual, their result.json, or what it printed with JSON")
      .positional()
      .required();
  list.add("compare", &compare, Effect::kResult,
           "Methods, two by two, as results name them: the first of each is compared with the "
           "second, and p corrected over these pairs alone; default: every two");
}

ContinualResult streams_from_files(const StreamsOptions& options) {
  check_declared(options);
  if (options.compare.size() % 2 == 1) {
    throw UsageError("compare", options.compare.back(), "methods two by two", "has no other side");
  }
  StreamFiles streams;
  for (const std::string& file : options.files) {
    const std::filesystem::path path(file);
    streams.add(std::filesystem::is_directory(path) ? (path / "result.json").string() : file);
  }
  return streams.result(options.compare);
}

}  // namespace taskneuron

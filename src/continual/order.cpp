#include "taskneuron/continual/order.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/json.h"
#include "base/plain_name.h"
#include "base/text_distance.h"
#include "taskneuron/base/error.h"
#include "taskneuron/continual/method.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.order/1";

bool is_task(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "meta.json", ignored);
}

// By its meta.json; the folder's own name where that cannot be read: a broken task beside the one
// that is looked for is no reason to stop.
std::string name_of(const fs::path& folder) {
  try {
    return load_task(folder).name;
  } catch (const Error&) {
    return folder.filename().string();
  }
}

// Task folders in `parent`, in the order of their paths: listings have none of their own.
std::vector<fs::path> tasks_below(const fs::path& parent) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) {
    if (is_task(at->path())) found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

[[noreturn]] void fail_unknown(const JsonView& entry, const fs::path& own_folder,
                               const std::vector<std::string>& task_folders) {
  const std::string text = entry.string();
  std::vector<std::string> looked = {(own_folder / text).string()}, known;
  const auto add_known = [&](const fs::path& parent) {
    for (const fs::path& folder : tasks_below(parent)) {
      known.push_back(name_of(folder));
      known.push_back(folder.filename().string());
    }
  };
  add_known(own_folder);
  for (const std::string& folder : task_folders) {
    looked.push_back((fs::path(folder) / text).string());
    add_known(folder);
  }
  const std::string near = nearest_text(text, known);
  entry.fail(fmt::format("no task '{}'; looked for {}{}.{} `tasks` names folders to look in", text,
                         fmt::join(looked, ", "),
                         task_folders.empty() ? "" : ", and for that name in a meta.json there",
                         near.empty() ? "" : fmt::format(" Did you mean '{}'?", near)));
}

// The folder of a task that an order names: a path from the order's own folder, or the name of a
// folder or a task below one of task_folders. The first that fits, in this order.
fs::path find_task(const JsonView& entry, const fs::path& own_folder,
                   const std::vector<std::string>& task_folders) {
  const std::string text = entry.string();
  if (text.empty()) entry.fail("is empty; expected a task's folder or name");
  if (is_task(own_folder / text)) return own_folder / text;
  for (const std::string& folder : task_folders) {
    if (is_task(fs::path(folder) / text)) return fs::path(folder) / text;
    for (const fs::path& task : tasks_below(folder)) {
      if (name_of(task) == text) return task;
    }
  }
  fail_unknown(entry, own_folder, task_folders);
}

void require_splits(const Task& task, const JsonView& entry) {
  for (const char* split : {"train", "test"}) {
    const fs::path path = split_path(task, split);
    if (fs::is_regular_file(path)) continue;
    entry.fail(
        fmt::format("task '{}' has no split '{}' ({} is not there); a stream trains on "
                    "`train` and measures on `test`",
                    task.name, split, path.string()));
  }
}

// Labels that rows of a split bring, each with the line where it first stands.
std::map<std::string, std::int64_t> labels_of(const Task& task, const std::string& split) {
  std::map<std::string, std::int64_t> labels;
  for (const TaskRow& row : load_split(task, split)) {
    for (const std::string& label : row.labels) labels.emplace(label, row.line);
  }
  return labels;
}

// Throws Error at the first row with a label that `others` lacks.
void require_among(const Task& task, const std::string& split,
                   const std::map<std::string, std::int64_t>& labels,
                   const std::map<std::string, std::int64_t>& others, const fs::path& other_path) {
  const auto lacking = [&](const auto& label) { return others.count(label.first) == 0; };
  auto first = labels.end();
  for (auto at = labels.begin(); at != labels.end(); ++at) {
    if (lacking(*at) && (first == labels.end() || at->second < first->second)) first = at;
  }
  if (first == labels.end()) return;
  throw Error(fmt::format(
      "{}:{}: label '{}' is none of those of {}; a task's labels must be the "
      "same in every split",
      split_path(task, split).string(), first->second, first->first, other_path.string()));
}

// Loading rows has checked each answer against its row's own labels. Those must be among the
// labels of meta.json; where it names none, every split must have the labels of train.
void require_same_labels(const Task& task) {
  if (task.type != TaskType::kClassification) return;
  std::map<std::string, std::int64_t> meta;
  for (const std::string& label : task.labels) meta.emplace(label, 0);
  const auto train = labels_of(task, "train");
  if (!meta.empty()) require_among(task, "train", train, meta, task.folder / "meta.json");
  for (const char* split : {"validation", "test"}) {
    if (!fs::is_regular_file(split_path(task, split))) continue;
    const auto labels = labels_of(task, split);
    if (!meta.empty()) {
      require_among(task, split, labels, meta, task.folder / "meta.json");
      continue;
    }
    require_among(task, split, labels, train, split_path(task, "train"));
    require_among(task, "train", train, labels, split_path(task, split));
  }
}

std::string setting_text(const JsonView& view) {
  const Json& value = view.value();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number()) return value.dump();
  if (value.is_array()) return fmt::format("{}", fmt::join(view.strings(), "+"));
  view.fail("is neither a text, a number, true or false, nor a list of texts");
}

// What a method, or with "*" any of them, can be set to.
std::set<std::string> keys_of(const std::string& method, const JsonView& values) {
  if (method != "*") {
    try {
      return method_keys(find_method(method));
    } catch (const UsageError& error) {
      values.fail(fmt::format("no method '{}'; there are {}", method, error.allowed()));
    }
  }
  std::set<std::string> keys;
  for (const MethodKind& kind : method_kinds()) keys.merge(method_keys(kind));
  return keys;
}

void require_known_keys(const JsonView& json) {
  for (const auto& item : json.object().items()) {
    const std::string& key = item.key();
    if (key == "format" || key == "name" || key == "source" || key == "tasks" ||
        key == "settings") {
      continue;
    }
    json.fail(
        fmt::format("holds '{}'; an order has format, name, source, tasks and settings", key));
  }
}

void read_settings(const JsonView& json, Order& order) {
  const auto settings = json.find("settings");
  if (!settings) return;
  for (const auto& method : settings->object().items()) {
    const JsonView values = settings->at(method.key());
    const std::set<std::string> keys = keys_of(method.key(), values);
    for (const auto& value : values.object().items()) {
      if (keys.count(value.key()) == 0) {
        values.fail(
            fmt::format("no setting '{}'; there are {}", value.key(), fmt::join(keys, ", ")));
      }
      order.settings[method.key()][value.key()] = setting_text(values.at(value.key()));
    }
  }
}

}  // namespace

Order load_order(const fs::path& path, const std::vector<std::string>& task_folders) {
  const Json document = read_json(path);
  const JsonView json(document, path.string());
  if (json.string_or("format", "") != kFormat) {
    json.fail(fmt::format("is no order of tasks: its format is not \"{}\"", kFormat));
  }
  Order order;
  order.path = path.string();
  require_known_keys(json);
  order.name = json.string_or("name", path.stem().string());
  if (const std::string problem = problem_of_name(order.name); !problem.empty()) {
    json.fail(fmt::format("its name '{}' {}", order.name, problem));
  }
  for (const JsonView& entry : json.at("tasks").array()) {
    const fs::path folder = find_task(entry, path.parent_path(), task_folders);
    const Task task = load_task(folder);
    for (const OrderTask& known : order.tasks) {
      if (known.name == task.name) {
        entry.fail(fmt::format("task '{}' is there twice; a stream has each task once", task.name));
      }
    }
    require_splits(task, entry);
    require_same_labels(task);
    order.tasks.push_back({task.name, folder.string()});
  }
  if (order.tasks.empty()) json.at("tasks").fail("names no task");
  read_settings(json, order);
  return order;
}

}  // namespace taskneuron

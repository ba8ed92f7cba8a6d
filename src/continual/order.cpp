#include "taskneuron/continual/order.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "base/json.h"
#include "base/sha256.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.order/1";

bool is_task(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "meta.json", ignored);
}

// The folder of a task that an order names: a path from the order's own folder, or a name.
fs::path find_task(const JsonView& entry, const fs::path& order,
                   const std::vector<std::string>& task_folders) {
  const std::string text = entry.string();
  std::vector<fs::path> places = {order.parent_path() / text};
  for (const std::string& folder : task_folders) places.push_back(fs::path(folder) / text);
  std::vector<std::string> looked;
  for (const fs::path& place : places) {
    if (!text.empty() && is_task(place)) return place;
    looked.push_back(place.string());
  }
  entry.fail(fmt::format("no task '{}'; looked for {}. `tasks` names folders to look in", text,
                         fmt::join(looked, ", ")));
}

std::set<std::string> labels_of(const Task& task, const std::string& split) {
  std::set<std::string> labels;
  for (const TaskRow& row : load_split(task, split)) {
    labels.insert(row.labels.begin(), row.labels.end());
  }
  return labels;
}

// Loading rows has checked each against its own labels; rows that bring labels must agree too.
void require_same_labels(const Task& task) {
  if (task.type != TaskType::kClassification) return;
  const std::set<std::string> train = labels_of(task, "train"), test = labels_of(task, "test");
  if (train == test) return;
  throw Error(fmt::format(
      "{}: its rows have other labels than those of {} ({} against {}); a task's labels must be "
      "the same in every split",
      split_path(task, "test").string(), split_path(task, "train").string(), fmt::join(test, ", "),
      fmt::join(train, ", ")));
}

std::string setting_text(const JsonView& view) {
  const Json& value = view.value();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number()) return value.dump();
  if (value.is_array()) return fmt::format("{}", fmt::join(view.strings(), "+"));
  view.fail("is neither a text, a number, true or false, nor a list of texts");
}

void read_settings(const JsonView& json, Order& order) {
  const auto settings = json.find("settings");
  if (!settings) return;
  for (const auto& method : settings->object().items()) {
    const JsonView values = settings->at(method.key());
    for (const auto& value : values.object().items()) {
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
  order.hash = sha256_of_file(path);
  order.name = json.string_or("name", path.stem().string());
  for (const JsonView& entry : json.at("tasks").array()) {
    const fs::path folder = find_task(entry, path, task_folders);
    Task task = load_task(folder);
    for (const OrderTask& known : order.tasks) {
      if (known.name == task.name) {
        entry.fail(fmt::format("task '{}' is there twice; a stream has each task once", task.name));
      }
    }
    require_same_labels(task);
    order.tasks.push_back({task.name, folder.string(), std::move(task)});
  }
  if (order.tasks.empty()) json.at("tasks").fail("names no task");
  read_settings(json, order);
  return order;
}

}  // namespace taskneuron

#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/data/task.h"

namespace taskneuron {

struct OrderTask {
  std::string name;
  std::string folder;
};

// A stream of tasks and settings of methods for it (format: docs/formats/order.md).
struct Order {
  std::string name;
  std::string path;
  std::vector<OrderTask> tasks;
  // By method ("*": all), then by key (method_settings.h); values as they are written.
  std::map<std::string, std::map<std::string, std::string>> settings;
};

// task_folders: where tasks are looked for by name (the folder's, or that in its meta.json), beside
// paths from the order's own folder. Throws Error naming file and place for a file that is no
// order, one without tasks, a task that is there twice or nowhere, a task without a train or test
// split; and naming path:line and label for labels that differ between a task's splits.
Order load_order(const std::filesystem::path& path, const std::vector<std::string>& task_folders);

}  // namespace taskneuron

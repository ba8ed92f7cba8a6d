#include "recipe/work_folder.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "taskneuron/base/error.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

void open_work_folder(const WorkFolder& folder, const std::map<std::string, Setting>& settings) {
  const std::string where = folder.path.string();
  const fs::path file = folder.path / folder.file;
  if (fs::exists(file)) {
    const Json document = read_json(file);
    const JsonView json(document, file.string());
    if (json.string_or("format", "") != folder.format) {
      json.fail(fmt::format("holds no {}", folder.what));
    }
    require_same_settings(settings, json.at("settings"), where, folder.otherwise);
    remove_leftovers(folder.path);
    return;
  }
  if (fs::exists(folder.path) && !fs::is_directory(folder.path)) {
    throw Error(fmt::format("{}: is a file; `out` is a folder", where));
  }
  if (fs::exists(folder.path) && !is_free_folder(folder.path, folder.file)) {
    throw Error(
        fmt::format("{}: is not empty, and holds no {}; {}", where, folder.what, folder.otherwise));
  }
  const OutputJson json = {{"format", folder.format}, {"settings", settings_json(settings)}};
  if (fs::exists(folder.path)) remove_leftovers(folder.path);
  write_file(file, json.dump(1) + "\n");
}

}  // namespace taskneuron

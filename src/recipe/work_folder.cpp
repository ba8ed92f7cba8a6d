#include "recipe/work_folder.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"
#include "taskneuron/data/task.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

FolderLock open_work_folder(const WorkFolder& folder,
                            const std::map<std::string, Setting>& settings) {
  const std::string where = folder.path.string();
  const fs::path file = folder.path / folder.file;
  const bool new_folder = !fs::exists(folder.path);
  if (!new_folder && !fs::is_directory(folder.path)) {
    throw Error(fmt::format("{}: is a file; `out` is a folder", where));
  }
  std::error_code failure;
  fs::create_directories(folder.path, failure);
  if (failure) throw Error(fmt::format("{}: cannot be created: {}", where, failure.message()));
  FolderLock lock(folder.path);
  if (fs::exists(file)) {
    const Json document = read_json(file);
    const JsonView json(document, file.string());
    if (json.string_or("format", "") != folder.format) {
      json.fail(fmt::format("holds no {}", folder.what));
    }
    require_same_settings(settings, json.at("settings"), where, folder.otherwise);
    remove_leftovers(folder.path);
    return lock;
  }
  if (!new_folder && !is_free_folder(folder.path, folder.file)) {
    throw Error(
        fmt::format("{}: is not empty, and holds no {}; {}", where, folder.what, folder.otherwise));
  }
  const OutputJson json = {{"format", folder.format}, {"settings", settings_json(settings)}};
  remove_leftovers(folder.path);
  write_file(file, json_text(json, 1) + "\n");
  return lock;
}

std::map<std::string, Setting> shared_identity(const TaskReader& reader) {
  const Session& session = reader.session();
  return {{"model", session.checkpoint().hash()},
          {"dtype", std::string(dtype_name(session.decoder().options().dtype))},
          {"template", reader.prompt().hash()},
          {"version", std::string(version())}};
}

std::string file_hashes(const std::vector<std::string>& paths) {
  std::string hashes;
  for (const std::string& path : paths) {
    hashes += (hashes.empty() ? "" : ", ") + sha256_of_file(path).substr(7, 16);
  }
  return hashes;
}

std::string task_hash(const std::string& folder) {
  // Labels, metric and instruction stand there.
  std::string hashes = sha256_of_file(fs::path(folder) / "meta.json").substr(7, 16);
  const Task loaded = load_task(folder);
  for (const char* split : {"train", "validation", "test"}) {
    const fs::path path = split_path(loaded, split);
    const bool there = fs::exists(path);
    hashes += " " + (there ? sha256_of_file(path).substr(7, 16) : "none");
  }
  return hashes;
}

}  // namespace taskneuron

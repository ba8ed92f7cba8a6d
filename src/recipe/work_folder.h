#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "taskneuron/base/options.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// A folder in which several calls of a command do one job, and the file in it that says which.
struct WorkFolder {
  std::filesystem::path path;
  const char* file;       // "sweep.json"
  const char* format;     // of that file
  const char* what;       // "sweep": as in "holds no sweep"
  const char* otherwise;  // "sweep into another folder"
};

// Makes the folder and its file, or finds that it is of these settings and removes what killed
// calls left in it. Throws Error when it is of others (naming them), or holds something else, and
// when another process is working in it: none can while the lock that is returned lives.
FolderLock open_work_folder(const WorkFolder& folder,
                            const std::map<std::string, Setting>& settings);

// What results depend on beside a command's own options: the model, what it computes in, the
// prompts and this program's version.
std::map<std::string, Setting> shared_identity(const TaskReader& reader);
// Of a task's folder: what it says of itself, and its splits' rows.
std::string task_hash(const std::string& folder);
// Of files, enough to tell them apart.
std::string file_hashes(const std::vector<std::string>& paths);

}  // namespace taskneuron

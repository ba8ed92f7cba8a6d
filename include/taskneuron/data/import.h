#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/data/task.h"

namespace taskneuron {

struct ImportOptions {
  std::string name;                            // default: from the file
  std::optional<TaskType> type;                // default: classification if outputs repeat
  std::string instruction;                     // for sources that carry none
  std::map<std::string, std::string> columns;  // csv, jsonl: our field -> their column
  char delimiter = ',';                        // csv: between fields
  double validation_share = 0.1;               // of sources without splits
  double test_share = 0.2;
  std::uint64_t seed = 0;
};

// A task read from another format: what meta.json and the split files will hold.
struct ImportedTask {
  Task task;
  std::map<std::string, std::vector<TaskRow>> splits;
};

// Formats: superni (a Super-NaturalInstructions task file), olora (a folder of CL_Benchmark with
// train.json, dev.json, test.json, labels.json; or any folder above such), alpaca (a JSON list or
// JSON lines of {instruction, input, output}), trace (a JSON list or lines of {prompt, answer}, or
// a folder with train.json, eval.json, test.json), csv and jsonl (columns named by `columns`). One
// task for each found. Throws Error naming path and line.
std::vector<ImportedTask> import_tasks(const std::filesystem::path& path, const std::string& format,
                                       const ImportOptions& options);

std::vector<std::string> import_formats();

// Writes meta.json and the splits; the folder appears when complete. Throws Error if it exists.
void save_task(const ImportedTask& imported, const std::filesystem::path& path);

}  // namespace taskneuron

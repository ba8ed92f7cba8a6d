// The first line: meta.json of a task; the others: its rows.
#include "taskneuron/data/task.h"

#include <filesystem>

#include "base/file.h"
#include "fuzz.h"

namespace {

void read(std::string_view input) {
  using namespace taskneuron;
  const std::size_t end = std::min(input.find('\n'), input.size());
  const Task task = parse_task(input.substr(0, end), "input", "folder");
  std::string_view rows = end < input.size() ? input.substr(end + 1) : std::string_view();
  while (!rows.empty()) {
    const std::size_t line = std::min(rows.find('\n'), rows.size());
    parse_task_row(rows.substr(0, line), "input", task);
    rows.remove_prefix(std::min(line + 1, rows.size()));
  }
}

}  // namespace

TASKNEURON_FUZZ(read)

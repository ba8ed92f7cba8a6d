#include <fmt/format.h>

#include <algorithm>

#include "base/plain_name.h"
#include "cli/command.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/base/tensor_pool.h"

namespace taskneuron::cli {

void CommonOptions::declare(OptionList& list) {
  list.add("json", &json, Effect::kNone, "Print the result as JSON");
  list.add("quiet", &quiet, Effect::kNone, "No progress and no notes on standard error");
  list.add("threads", &threads, Effect::kNone, "Threads; 0 uses every processor").at_least(0);
}

void CommonOptions::apply() const {
  set_verbosity(quiet ? Verbosity::kQuiet : Verbosity::kNormal);
  set_threads(static_cast<int>(threads));
  use_tensor_pool();
}

OutputJson model_json(const std::string& given, const ModelFolder& found) {
  OutputJson json = {{"model", given}};
  if (!found.revision.empty()) {
    json["model_folder"] = found.path.string();
    json["model_revision"] = found.revision;
  }
  return json;
}

namespace {

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool numeric(const std::string& text) {
  return !text.empty() && text.find_first_of("0123456789") < 2 && text.front() != 'e' &&
         text.find_first_not_of("0123456789+-.%e± ()") == std::string::npos;
}

}  // namespace

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = shown(cell);
  rows_.push_back(std::move(row));
}

void Table::print() const {
  std::vector<std::size_t> width(rows_[0].size(), 0);
  std::vector<bool> right(rows_[0].size(), rows_.size() > 1);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < rows_[r].size(); ++c) {
      width[c] = std::max(width[c], characters(rows_[r][c]));
      if (r > 0 && !rows_[r][c].empty() && !numeric(rows_[r][c])) right[c] = false;
    }
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(width[c] - characters(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (right[c] ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void print_json(const OutputJson& json) { fmt::print("{}\n", json_text(json, 2)); }

}  // namespace taskneuron::cli

#include "recipe/data_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "base/file.h"
#include "data/csv.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

const Json kMissing = nullptr;

std::string shown(const Json& cell) {
  return cell.is_string() ? cell.get<std::string>() : cell.dump();
}

// A finite number, or a text that is one.
std::optional<double> number_of(const Json& cell) {
  if (cell.is_number()) return cell.get<double>();
  if (!cell.is_string()) return std::nullopt;
  const std::string text = cell.get<std::string>();
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

DataTable::DataTable(const std::string& path) : path_(path) {
  const std::string text = read_file(path);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) throw Error(fmt::format("{}: is empty", path));
  if (text.find('\0') != std::string::npos) {
    throw Error(fmt::format("{}: is a binary file; expected CSV, JSON lines or a JSON list", path));
  }
  if (text[first] == '{') {
    if (Json::accept(text) && text.find('\n', first) < text.find_last_of('}')) {
      throw Error(
          fmt::format("{}: is one JSON object; expected an object a line, or a list", path));
    }
    read_json_lines(text);
  } else if (text[first] == '[') {
    read_json_list(text);
  } else {
    read_csv(text);
  }
  if (rows_.empty()) throw Error(fmt::format("{}: has no rows", path));
}

void DataTable::add(std::int64_t line, Json cells) {
  if (!cells.is_object()) {
    throw Error(fmt::format("{}:{}: expected an object, a value for each column", path_, line));
  }
  for (const auto& item : cells.items()) {
    if (known_.insert(item.key()).second) columns_.push_back(item.key());
  }
  rows_.push_back({line, std::move(cells)});
}

void DataTable::read_csv(const std::string& text) {
  csv_ = true;
  const char delimiter = likely_delimiter(text);
  const std::vector<CsvRow> lines = parse_csv(text, path_, delimiter == '\0' ? ',' : delimiter);
  columns_ = lines.front().fields;
  for (const std::string& column : columns_) {
    if (!known_.insert(column).second) {
      throw Error(fmt::format("{}:1: two columns are named '{}'", path_, column));
    }
  }
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const CsvRow& line = lines[i];
    if (line.fields.size() != columns_.size()) {
      throw Error(fmt::format("{}:{}: {} fields, the header has {}", path_, line.line,
                              line.fields.size(), columns_.size()));
    }
    Json cells = Json::object();
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (!line.fields[c].empty()) cells[columns_[c]] = line.fields[c];
    }
    add(line.line, std::move(cells));
  }
}

void DataTable::read_json_lines(const std::string& text) {
  std::istringstream stream(text);
  std::int64_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    add(number, parse_json(line, fmt::format("{}:{}", path_, number)));
  }
}

void DataTable::read_json_list(const std::string& text) {
  std::int64_t number = 0;
  for (Json& cells : parse_json(text, path_)) add(++number, std::move(cells));
}

void DataTable::require_column(const std::string& name) const {
  if (known_.count(name) != 0) return;
  throw Error(
      fmt::format("{}: has no column '{}'; it has {}", path_, name, fmt::join(columns_, ", ")));
}

void DataTable::fail(std::size_t row, const std::string& column, const std::string& problem) const {
  throw Error(fmt::format("{}:{}: column '{}': {}", path_, rows_[row].line, column, problem));
}

const Json& DataTable::cell(std::size_t row, const std::string& column) const {
  const Json& cells = rows_[row].cells;
  const auto found = cells.find(column);
  return found == cells.end() ? kMissing : *found;
}

std::optional<double> DataTable::number(std::size_t row, const std::string& column) const {
  const Json& value = cell(row, column);
  if (value.is_null()) return std::nullopt;
  const std::optional<double> number = number_of(value);
  if (!number) {
    fail(row, column,
         fmt::format("'{}' is not a finite number; leave it empty where there is none",
                     shown(value)));
  }
  return number;
}

std::vector<std::optional<double>> DataTable::numbers(std::size_t row,
                                                      const std::string& column) const {
  Json list = cell(row, column);
  if (list.is_null()) return {};
  if (csv_)
    list = parse_json(list.get<std::string>(), fmt::format("{}:{}", path_, rows_[row].line));
  if (!list.is_array()) fail(row, column, "expected a list, a number or null for each layer");
  std::vector<std::optional<double>> result;
  for (const Json& value : list) {
    if (!value.is_null() && !value.is_number()) {
      fail(row, column, fmt::format("'{}' is neither a number nor null", shown(value)));
    }
    result.push_back(number_of(value));
  }
  return result;
}

std::string DataTable::text(std::size_t row, const std::string& column) const {
  const Json& value = cell(row, column);
  return value.is_null() ? std::string() : shown(value);
}

}  // namespace taskneuron

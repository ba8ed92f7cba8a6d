#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"

namespace taskneuron {

// Rows of named values: a CSV file with a header, JSON lines, or a JSON list of objects. Cells that
// are empty, null or absent are missing.
class DataTable {
 public:
  // Throws Error naming path and line.
  explicit DataTable(const std::string& path);

  std::size_t rows() const { return rows_.size(); }
  // Throws Error listing the columns that there are.
  void require_column(const std::string& name) const;

  // Throws Error naming row and column for a value of another kind, or that is not finite.
  std::optional<double> number(std::size_t row, const std::string& column) const;
  std::vector<std::optional<double>> numbers(std::size_t row, const std::string& column) const;
  // As text, whatever it is; "" where it is missing.
  std::string text(std::size_t row, const std::string& column) const;

 private:
  struct Row {
    std::int64_t line = 0;
    Json cells;  // an object
  };
  void read_csv(const std::string& text);
  void read_json_lines(const std::string& text);
  void read_json_list(const std::string& text);
  void add(std::int64_t line, Json cells);
  // The cell, or null.
  const Json& cell(std::size_t row, const std::string& column) const;
  [[noreturn]] void fail(std::size_t row, const std::string& column,
                         const std::string& problem) const;

  std::string path_;
  std::vector<std::string> columns_;  // in the order in which they appear
  std::set<std::string> known_;       // columns
  std::vector<Row> rows_;
  bool csv_ = false;
};

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace taskneuron {

struct CsvRow {
  std::int64_t line = 0;  // 1-based, where the row starts
  std::vector<std::string> fields;
};

// RFC 4180: fields in quotes may hold commas, line breaks and doubled quotes. where: the path, for
// errors, which name path:line.
std::vector<CsvRow> parse_csv(const std::string& text, const std::string& where);

}  // namespace taskneuron

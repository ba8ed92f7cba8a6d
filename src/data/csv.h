#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace taskneuron {

struct CsvRow {
  std::int64_t line = 0;  // 1-based, where the row starts
  std::vector<std::string> fields;
};

// RFC 4180: fields in quotes may hold delimiters, line breaks and doubled quotes. where: the path,
// for errors, which name path:line.
std::vector<CsvRow> parse_csv(const std::string& text, const std::string& where,
                              char delimiter = ',');

// What seems to stand between the fields of the first line: ',', or if it holds none outside of
// quotes, the most frequent one of ';', tab and '|', or '\0'.
char likely_delimiter(const std::string& text);

}  // namespace taskneuron

#include "data/csv.h"

#include <fmt/format.h>

#include <map>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

class CsvParser {
 public:
  CsvParser(const std::string& text, std::string where, char delimiter)
      : text_(text), where_(std::move(where)), delimiter_(delimiter) {
    if (text_.rfind("\xEF\xBB\xBF", 0) == 0) at_ = 3;  // byte order mark
  }

  std::vector<CsvRow> parse() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row{line_, {}};
      do row.fields.push_back(field());
      while (take(delimiter_));
      end_of_line();
      const bool blank = row.fields.size() == 1 && row.fields[0].empty();
      if (!blank) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  [[noreturn]] void fail(std::int64_t line, const std::string& problem) const {
    throw Error(fmt::format("{}:{}: {}", where_, line, problem));
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void end_of_line() {
    if (at_ >= text_.size()) return;
    take('\r');
    if (!take('\n') && at_ < text_.size()) fail(line_, "text behind a closing quote");
    ++line_;
  }
  std::string field() {
    std::string value;
    if (!take('"')) {
      while (at_ < text_.size() && text_[at_] != delimiter_ && text_[at_] != '\n' &&
             text_[at_] != '\r') {
        if (text_[at_] == '"') fail(line_, "a quote inside a field that does not start with one");
        value += text_[at_++];
      }
      return value;
    }
    const std::int64_t start = line_;
    for (;;) {
      if (at_ >= text_.size()) fail(start, "a quoted field that does not end");
      const char c = text_[at_++];
      if (c == '"' && !take('"')) return value;
      if (c == '\n') ++line_;
      value += c;
    }
  }

  const std::string& text_;
  std::string where_;
  char delimiter_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> parse_csv(const std::string& text, const std::string& where, char delimiter) {
  return CsvParser(text, where, delimiter).parse();
}

char likely_delimiter(const std::string& text) {
  std::map<char, int> count;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\n') break;
    ++count[c];
  }
  if (count[','] > 0) return ',';
  char best = '\0';
  for (const char c : {';', '\t', '|'}) {
    if (count[c] > count[best]) best = c;
  }
  return best;
}

}  // namespace taskneuron

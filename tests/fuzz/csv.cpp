// A table of comma- or tab-separated values.
#include "data/csv.h"

#include "fuzz.h"

namespace {

void read(std::string_view text) {
  const std::string table(text);
  taskneuron::parse_csv(table, "input", ',');
  taskneuron::parse_csv(table, "input", '\t');
  taskneuron::likely_delimiter(table);
}

}  // namespace

TASKNEURON_FUZZ(read)

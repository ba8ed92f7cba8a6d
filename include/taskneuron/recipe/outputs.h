#pragma once

#include <string>
#include <vector>

#include "taskneuron/base/existing.h"
#include "taskneuron/base/options.h"

namespace taskneuron {

// Where a recipe writes.
struct OutputOptions {
  std::string out;
  bool force = false;
  // Returns `out`, to make it required.
  Option& declare(OptionList& list, const std::string& help);
  Existing existing() const;

  // The file for each name: `out` itself for one, out/<name><extension> for several. Throws Error
  // unless all can be written; makes nothing.
  std::vector<std::string> paths(const std::vector<std::string>& names,
                                 const std::string& extension) const;
};

}  // namespace taskneuron

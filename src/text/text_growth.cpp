#include "text/text_growth.h"

#include <fmt/format.h>

#include "taskneuron/base/error.h"

namespace taskneuron {

void require_fits(std::size_t bytes, std::size_t limit, const std::string& where) {
  if (bytes <= limit) return;
  throw Error(fmt::format(
      "{}: makes {} bytes or more of a text; at most {} are taken, 64 for each of its own", where,
      bytes, limit));
}

}  // namespace taskneuron

#pragma once

#include <optional>
#include <string>

namespace taskneuron {

// Something that a result was made from, under the name that it was given by.
struct RunInput {
  std::string path;
  std::string hash;             // starts with "sha256:"
  std::optional<double> scale;  // of a delta
};

}  // namespace taskneuron

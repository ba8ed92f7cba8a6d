#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/sha256.h"

namespace taskneuron {

// One hash of texts and token ids, each with its length: two sequences of them that differ
// anywhere have different ones.
class Fingerprint {
 public:
  void add(const std::string& text) {
    hash_.update(std::to_string(text.size()) + ":");
    hash_.update(text);
  }
  void add(const std::vector<std::int64_t>& ids) {
    hash_.update(std::to_string(ids.size()) + "#");
    hash_.update({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(std::int64_t)});
  }
  void add(std::int64_t number) { hash_.update(std::to_string(number) + "."); }
  // Ends it.
  std::string hex() { return hash_.hex(); }

 private:
  Sha256 hash_;
};

}  // namespace taskneuron

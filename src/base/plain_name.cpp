#include "base/plain_name.h"

#include <algorithm>

namespace taskneuron {

std::string problem_of_name(const std::string& name) {
  constexpr std::size_t kMaxBytes = 128;
  if (name.empty() || name == "." || name == "..") return "names nothing";
  if (name.size() > kMaxBytes) return "has more than 128 bytes";
  const bool control = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  });
  if (control) return "holds a control character";
  if (name.find('/') != std::string::npos) return "holds a slash; results are written below it";
  return "";
}

}  // namespace taskneuron

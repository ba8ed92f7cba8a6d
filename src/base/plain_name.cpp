#include "base/plain_name.h"

#include <algorithm>

namespace taskneuron {

bool holds_control(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

std::string problem_of_name(const std::string& name) {
  constexpr std::size_t kMaxBytes = 128;
  if (name.empty() || name == "." || name == "..") return "names nothing";
  if (name.size() > kMaxBytes) return "has more than 128 bytes";
  if (holds_control(name)) return "holds a control character";
  if (name.find('/') != std::string::npos) return "holds a slash; results are written below it";
  return "";
}

}  // namespace taskneuron

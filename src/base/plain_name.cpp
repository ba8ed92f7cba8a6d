#include "base/plain_name.h"

#include <fmt/format.h>

namespace taskneuron {

namespace {

// At text[i]: of one byte, or of C1, which UTF-8 writes as two.
bool control_at(const std::string& text, std::size_t i) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  if (byte(i) < ' ' || byte(i) == 0x7f) return true;
  return byte(i) == 0xc2 && i + 1 < text.size() && byte(i + 1) >= 0x80 && byte(i + 1) < 0xa0;
}

enum class Lines { kJoined, kKept };

std::string without_controls(const std::string& text, Lines lines) {
  std::string found;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lines == Lines::kKept && (text[i] == '\n' || text[i] == '\t')) {
      found += text[i];
    } else if (text[i] == '\n') {
      found += ' ';
    } else if (control_at(text, i)) {
      const bool two = static_cast<unsigned char>(text[i]) == 0xc2;
      found += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i + (two ? 1 : 0)]));
      i += two ? 1 : 0;
    } else {
      found += text[i];
    }
  }
  return found;
}

}  // namespace

bool holds_control(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (control_at(text, i)) return true;
  }
  return false;
}

std::string shown(const std::string& text) {
  return holds_control(text) ? without_controls(text, Lines::kJoined) : text;
}

std::string shown_lines(const std::string& text) {
  return holds_control(text) ? without_controls(text, Lines::kKept) : text;
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

#include "text/byte_level.h"

#include <array>

#include "text/unicode.h"

namespace taskneuron {

namespace {

struct Table {
  std::array<std::string, 256> characters;
  std::array<int, 512> bytes;

  Table() {
    bytes.fill(-1);
    char32_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) ||
                             (byte >= 0xAE && byte <= 0xFF);
      const char32_t code_point = printable ? static_cast<char32_t>(byte) : next++;
      append_utf8(characters[static_cast<std::size_t>(byte)], code_point);
      bytes[code_point] = byte;
    }
  }
};

const Table& table() {
  static const Table instance;
  return instance;
}

}  // namespace

std::string_view byte_character(unsigned char byte) { return table().characters[byte]; }

std::optional<unsigned char> character_byte(char32_t code_point) {
  if (code_point >= table().bytes.size() || table().bytes[code_point] < 0) return std::nullopt;
  return static_cast<unsigned char>(table().bytes[code_point]);
}

}  // namespace taskneuron

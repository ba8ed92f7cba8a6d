#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace taskneuron {

// GPT-2's table of 256 printable code points, one per byte, in which byte-level vocabularies are
// written.

// UTF-8 of the code point that stands for a byte.
std::string_view byte_character(unsigned char byte);
// The byte that a code point stands for, or nothing.
std::optional<unsigned char> character_byte(char32_t code_point);

}  // namespace taskneuron

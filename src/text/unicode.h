#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace taskneuron {

// Code point that starts at text[offset], whose length in bytes is added to offset.
// REQUIRES valid UTF-8 and offset < text.size().
char32_t next_code_point(std::string_view text, std::size_t& offset);
// Bytes of the code point that starts with this byte.
std::size_t utf8_length(char first);
void append_utf8(std::string& text, char32_t code_point);
bool is_valid_utf8(std::string_view text);
// Copies text with every maximal invalid part replaced by U+FFFD, as Rust's from_utf8_lossy does.
std::string lossy_utf8(std::string_view bytes);

// Unicode White_Space.
bool is_space(char32_t code_point);
// General categories Nd, Nl and No.
bool is_number(char32_t code_point);
// ASCII punctuation and the general categories P*.
bool is_punctuation(char32_t code_point);
// \w of UTS 18: Alphabetic, M, Nd, Pc and Join_Control.
bool is_word(char32_t code_point);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string normal_form(std::string_view text, NormalForm form);
std::string lower_case(std::string_view text);

}  // namespace taskneuron

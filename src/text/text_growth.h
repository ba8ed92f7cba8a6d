#pragma once

#include <cstddef>
#include <string>

namespace taskneuron {

// Steps of a tokenizer that make a text longer can follow one another, and files come from
// strangers: what all steps together may make of a text, in bytes.
constexpr std::size_t most_bytes(std::size_t of_text) { return 64 * of_text + (1 << 16); }

// Throws Error, beginning with `where`, for more than `limit` bytes.
void require_fits(std::size_t bytes, std::size_t limit, const std::string& where);

}  // namespace taskneuron

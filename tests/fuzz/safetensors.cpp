// The header of a safetensors file: two bytes for how much data follows it, then the JSON.
#include "checkpoint/safetensors_header.h"
#include "fuzz.h"

namespace {

void read(std::string_view input) {
  if (input.size() < 2) return;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(input[i]); };
  const std::uint64_t data_bytes = byte(0) + 256u * byte(1);
  const auto header = taskneuron::parse_safetensors_header(input.substr(2), data_bytes, "input");
  for (const auto& [name, entry] : header.entries) {
    if (entry.begin > entry.end || entry.end > data_bytes) __builtin_trap();
  }
}

}  // namespace

TASKNEURON_FUZZ(read)

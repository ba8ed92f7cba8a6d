#include "checkpoint/gguf_types.h"

#include <c10/util/Half.h>
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>

namespace taskneuron {

// Sums and products below are rounded one by one, in this order: compiled without contraction into
// fused operations (src/CMakeLists.txt).

namespace {

constexpr int kSuper = 256;  // numbers of a super-block, in groups with a scale each

const std::uint8_t* bytes_at(const std::byte* data, std::ptrdiff_t offset) {
  return reinterpret_cast<const std::uint8_t*>(data) + offset;
}

std::uint16_t word_at(const std::byte* data, std::ptrdiff_t offset) {
  std::uint16_t value;
  std::memcpy(&value, data + offset, sizeof(value));
  return value;
}

float half_at(const std::byte* data, std::ptrdiff_t offset) {
  return c10::detail::fp16_ieee_to_fp32_value(word_at(data, offset));
}

float signed_byte(std::uint8_t value) {
  return static_cast<float>(static_cast<std::int8_t>(value));
}

// Calls f(block, where its numbers go) for every block.
template <int numbers, int bytes, typename Function>
void for_each_block(const std::byte* data, std::int64_t blocks, float* out, Function&& f) {
  for (std::int64_t i = 0; i < blocks; ++i) f(data + i * bytes, out + i * numbers);
}

void from_f32(const std::byte* data, std::int64_t count, float* out) {
  std::memcpy(out, data, static_cast<std::size_t>(count) * sizeof(float));
}

void from_f16(const std::byte* data, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = half_at(data, 2 * i);
}

void from_bf16(const std::byte* data, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<float>(std::uint32_t{word_at(data, 2 * i)} << 16);
  }
}

// Four bits of each number: the lower ones of the first half, the upper ones of the second.
int nibble(const std::uint8_t* packed, int i, int half) {
  return i < half ? packed[i] & 15 : packed[i - half] >> 4;
}

int bit_of(const std::uint8_t* packed, int i) { return packed[i / 8] >> (i % 8) & 1; }

void from_q4_0(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<32, 18>(data, blocks, out, [](const std::byte* b, float* to) {
    const float d = half_at(b, 0);
    for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(nibble(bytes_at(b, 2), i, 16) - 8);
  });
}

void from_q4_1(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<32, 20>(data, blocks, out, [](const std::byte* b, float* to) {
    const float d = half_at(b, 0), m = half_at(b, 2);
    for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(nibble(bytes_at(b, 4), i, 16)) + m;
  });
}

void from_q5_0(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<32, 22>(data, blocks, out, [](const std::byte* b, float* to) {
    const float d = half_at(b, 0);
    for (int i = 0; i < 32; ++i) {
      const int q = nibble(bytes_at(b, 6), i, 16) | bit_of(bytes_at(b, 2), i) << 4;
      to[i] = d * static_cast<float>(q - 16);
    }
  });
}

void from_q5_1(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<32, 24>(data, blocks, out, [](const std::byte* b, float* to) {
    const float d = half_at(b, 0), m = half_at(b, 2);
    for (int i = 0; i < 32; ++i) {
      const int q = nibble(bytes_at(b, 8), i, 16) | bit_of(bytes_at(b, 4), i) << 4;
      to[i] = d * static_cast<float>(q) + m;
    }
  });
}

void from_q8_0(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<32, 34>(data, blocks, out, [](const std::byte* b, float* to) {
    const float d = half_at(b, 0);
    for (int i = 0; i < 32; ++i) to[i] = signed_byte(bytes_at(b, 2)[i]) * d;
  });
}

void from_q2_k(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<kSuper, 84>(data, blocks, out, [](const std::byte* b, float* to) {
    const std::uint8_t *scales = bytes_at(b, 0), *qs = bytes_at(b, 16);
    const float d = half_at(b, 80), dmin = half_at(b, 82);
    for (int i = 0; i < kSuper; ++i) {
      const std::uint8_t scale = scales[i / 16];
      const float dl = d * static_cast<float>(scale & 15);
      const float ml = dmin * static_cast<float>(scale >> 4);
      const int q = qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
      to[i] = dl * static_cast<float>(q) - ml;
    }
  });
}

void from_q3_k(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<kSuper, 110>(data, blocks, out, [](const std::byte* b, float* to) {
    const std::uint8_t *high = bytes_at(b, 0), *qs = bytes_at(b, 32), *scales = bytes_at(b, 96);
    const float d = half_at(b, 108);
    for (int i = 0; i < kSuper; ++i) {
      const int group = i / 16;
      // Six bits: four of them in the first eight bytes, two in the last four.
      const int low = nibble(scales, group, 8);
      const int top = scales[8 + group % 4] >> (group / 4 * 2) & 3;
      const float dl = d * static_cast<float>((low | top << 4) - 32);
      const int q = qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
      const int offset = high[i % 32] >> (i / 32) & 1 ? 0 : 4;
      to[i] = dl * static_cast<float>(q - offset);
    }
  });
}

// Scale and minimum of a group of 32 numbers: six bits each, packed into twelve bytes.
struct ScaleAndMin {
  int scale, min;
};
ScaleAndMin scale_and_min(const std::uint8_t* packed, int group) {
  const int i = group % 4;
  if (group < 4) return {packed[i] & 63, packed[4 + i] & 63};
  return {(packed[8 + i] & 15) | (packed[i] >> 2 & 48),
          (packed[8 + i] >> 4) | (packed[4 + i] >> 2 & 48)};
}

// q of number i, from its group's scale and minimum.
template <typename Number>
void write_scaled(const std::byte* b, float* to, const Number& number) {
  const float d = half_at(b, 0), dmin = half_at(b, 2);
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMin s = scale_and_min(bytes_at(b, 4), group);
    const float dl = d * static_cast<float>(s.scale), ml = dmin * static_cast<float>(s.min);
    for (int i = 32 * group; i < 32 * group + 32; ++i) {
      to[i] = dl * static_cast<float>(number(i)) - ml;
    }
  }
}

void from_q4_k(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<kSuper, 144>(data, blocks, out, [](const std::byte* b, float* to) {
    write_scaled(b, to, [&](int i) { return nibble(bytes_at(b, 16) + i / 64 * 32, i % 64, 32); });
  });
}

void from_q5_k(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<kSuper, 176>(data, blocks, out, [](const std::byte* b, float* to) {
    const std::uint8_t *high = bytes_at(b, 16), *qs = bytes_at(b, 48);
    write_scaled(b, to, [&](int i) {
      return nibble(qs + i / 64 * 32, i % 64, 32) | (high[i % 32] >> (i / 32) & 1) << 4;
    });
  });
}

void from_q6_k(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<kSuper, 210>(data, blocks, out, [](const std::byte* b, float* to) {
    const std::uint8_t *low = bytes_at(b, 0), *high = bytes_at(b, 128), *scales = bytes_at(b, 192);
    const float d = half_at(b, 208);
    for (int i = 0; i < kSuper; ++i) {
      const float dl = d * signed_byte(scales[i / 16]);
      const int top = high[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
      to[i] = dl * static_cast<float>((nibble(low + i / 128 * 64, i % 128, 64) | top << 4) - 32);
    }
  });
}

constexpr std::array<std::int8_t, 16> kUneven = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};

float uneven(int code) { return static_cast<float>(kUneven[static_cast<std::size_t>(code)]); }

void from_iq4_nl(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<32, 18>(data, blocks, out, [](const std::byte* b, float* to) {
    const float d = half_at(b, 0);
    for (int i = 0; i < 32; ++i) to[i] = d * uneven(nibble(bytes_at(b, 2), i, 16));
  });
}

void from_iq4_xs(const std::byte* data, std::int64_t blocks, float* out) {
  for_each_block<kSuper, 136>(data, blocks, out, [](const std::byte* b, float* to) {
    const float d = half_at(b, 0);
    const std::uint16_t high = word_at(b, 2);
    const std::uint8_t *low = bytes_at(b, 4), *qs = bytes_at(b, 8);
    for (int group = 0; group < 8; ++group) {
      const int scale = (low[group / 2] >> (group % 2 * 4) & 15) | (high >> (2 * group) & 3) << 4;
      const float dl = d * static_cast<float>(scale - 32);
      for (int i = 0; i < 32; ++i) {
        to[32 * group + i] = dl * uneven(nibble(qs + 16 * group, i, 16));
      }
    }
  });
}

constexpr std::array kTypes = {
    GgufType{0, "F32", 1, 4, from_f32},           GgufType{1, "F16", 1, 2, from_f16},
    GgufType{2, "Q4_0", 32, 18, from_q4_0},       GgufType{3, "Q4_1", 32, 20, from_q4_1},
    GgufType{6, "Q5_0", 32, 22, from_q5_0},       GgufType{7, "Q5_1", 32, 24, from_q5_1},
    GgufType{8, "Q8_0", 32, 34, from_q8_0},       GgufType{10, "Q2_K", kSuper, 84, from_q2_k},
    GgufType{11, "Q3_K", kSuper, 110, from_q3_k}, GgufType{12, "Q4_K", kSuper, 144, from_q4_k},
    GgufType{13, "Q5_K", kSuper, 176, from_q5_k}, GgufType{14, "Q6_K", kSuper, 210, from_q6_k},
    GgufType{20, "IQ4_NL", 32, 18, from_iq4_nl},  GgufType{23, "IQ4_XS", kSuper, 136, from_iq4_xs},
    GgufType{30, "BF16", 1, 2, from_bf16},
};

// Types that files hold and that are not read.
struct OtherType {
  std::uint32_t code;
  const char* name;
};
constexpr OtherType kOthers[] = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {21, "IQ3_S"}, {22, "IQ2_S"}, {24, "I8"},      {25, "I16"},    {26, "I32"},     {27, "I64"},
    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"},
};

}  // namespace

const GgufType* gguf_type(std::uint32_t code) {
  for (const GgufType& type : kTypes) {
    if (type.code == code) return &type;
  }
  return nullptr;
}

std::string gguf_type_name(std::uint32_t code) {
  if (const GgufType* type = gguf_type(code)) return type->name;
  for (const OtherType& type : kOthers) {
    if (type.code == code) return type.name;
  }
  return fmt::format("{}", code);
}

std::vector<std::string> gguf_type_names() {
  std::vector<std::string> names;
  for (const GgufType& type : kTypes) names.emplace_back(type.name);
  return names;
}

}  // namespace taskneuron

#include "checkpoint/safetensors_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "base/json.h"
#include "checkpoint/overlaps.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
};
constexpr DtypeName kDtypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16},
    {"I64", at::kLong},   {"I32", at::kInt},   {"I16", at::kShort}, {"I8", at::kChar},
    {"U8", at::kByte},    {"BOOL", at::kBool},
};

at::ScalarType parse_dtype(const JsonView& json) {
  const std::string name = json.string();
  for (const DtypeName& known : kDtypes) {
    if (name == known.name) return known.dtype;
  }
  json.fail(fmt::format("dtype '{}' is not supported", name));
}

std::uint64_t unsigned_integer(const JsonView& json) {
  const std::int64_t value = json.integer();
  if (value < 0) json.fail(fmt::format("expected a size, found {}", value));
  return static_cast<std::uint64_t>(value);
}

// Elements times element size; refuses a product that no file could hold.
std::uint64_t shape_bytes(const TensorEntry& entry, const JsonView& json) {
  std::uint64_t bytes = c10::elementSize(entry.dtype);
  for (const std::int64_t size : entry.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) {
      json.fail(fmt::format("shape [{}] overflows", fmt::join(entry.shape, ", ")));
    }
  }
  return bytes;
}

TensorEntry read_entry(const JsonView& view, std::uint64_t data_bytes) {
  TensorEntry entry;
  entry.dtype = parse_dtype(view.at("dtype"));
  for (const JsonView& size : view.at("shape").array()) {
    entry.shape.push_back(static_cast<std::int64_t>(unsigned_integer(size)));
  }
  const std::vector<JsonView> offsets = view.at("data_offsets").array();
  if (offsets.size() != 2) view.fail("'data_offsets' must hold two numbers");
  entry.begin = unsigned_integer(offsets[0]);
  entry.end = unsigned_integer(offsets[1]);
  if (entry.begin > entry.end || entry.end > data_bytes) {
    view.fail(
        fmt::format("claims bytes [{}, {}) but the file holds {} after its header; the "
                    "download is probably incomplete",
                    entry.begin, entry.end, data_bytes));
  }
  if (shape_bytes(entry, view) != entry.end - entry.begin) {
    view.fail(fmt::format("shape [{}] needs {} bytes, its offsets give {}",
                          fmt::join(entry.shape, ", "), shape_bytes(entry, view),
                          entry.end - entry.begin));
  }
  return entry;
}

}  // namespace

const char* safetensors_dtype(at::ScalarType dtype) {
  for (const DtypeName& known : kDtypes) {
    if (dtype == known.dtype) return known.name;
  }
  throw Error(fmt::format("dtype {} cannot be written as safetensors", c10::toString(dtype)));
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           const std::string& where) {
  const Json document = parse_json(json, where + ": header");
  const JsonView view(document, where);
  SafetensorsHeader header;
  for (const auto& [name, value] : view.object().items()) {
    if (name != "__metadata__") {
      header.entries.emplace(
          name,
          read_entry(JsonView(value, fmt::format("{}: tensor '{}'", where, name)), data_bytes));
      continue;
    }
    for (const auto& [key, text] : view.at(name).object().items()) {
      header.metadata[key] = JsonView(text, where + ": __metadata__ '" + key + "'").string();
    }
  }
  refuse_overlaps(header.entries, where);
  return header;
}

}  // namespace taskneuron

#include "checkpoint/gguf_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "checkpoint/gguf_types.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// Types of metadata values, as the file numbers them.
enum ValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

std::size_t size_of(std::uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool: return 1;
    case kUint16:
    case kInt16: return 2;
    case kUint32:
    case kInt32:
    case kFloat32: return 4;
    case kUint64:
    case kInt64:
    case kFloat64: return 8;
    default: return 0;
  }
}

template <typename T>
T read_as(const char* data) {
  T value;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

// Reads from front to back; never past the end.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

  std::string_view take(std::uint64_t count, const char* what) {
    if (count > left()) {
      throw Error(
          fmt::format("{}: ends within {}; the download is probably incomplete", where_, what));
    }
    const std::string_view taken = bytes_.substr(position_, count);
    position_ += count;
    return taken;
  }
  template <typename T>
  T number(const char* what) {
    return read_as<T>(take(sizeof(T), what).data());
  }
  std::string_view text(const char* what) { return take(number<std::uint64_t>(what), what); }

 private:
  std::string_view bytes_;
  const std::string& where_;
  std::size_t position_ = 0;
};

// A number of the file; integers are exact.
GgufMetadata::Value number_of(std::uint32_t type, const char* data) {
  switch (type) {
    case kUint8: return std::int64_t{read_as<std::uint8_t>(data)};
    case kInt8: return std::int64_t{read_as<std::int8_t>(data)};
    case kUint16: return std::int64_t{read_as<std::uint16_t>(data)};
    case kInt16: return std::int64_t{read_as<std::int16_t>(data)};
    case kUint32: return std::int64_t{read_as<std::uint32_t>(data)};
    case kInt32: return std::int64_t{read_as<std::int32_t>(data)};
    case kUint64: {
      // Beyond the range, no size or id is meant that any model has.
      constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      return static_cast<std::int64_t>(std::min(read_as<std::uint64_t>(data), kMost));
    }
    case kInt64: return read_as<std::int64_t>(data);
    case kFloat32: return static_cast<double>(read_as<float>(data));
    case kFloat64: return read_as<double>(data);
    default: return read_as<std::uint8_t>(data) != 0;
  }
}

GgufMetadata::Value read_value(Reader& reader, const std::string& key, const std::string& where) {
  const auto type = reader.number<std::uint32_t>("its metadata");
  if (type == kString) return reader.text("its metadata");
  if (const std::size_t size = size_of(type)) {
    return number_of(type, reader.take(size, "its metadata").data());
  }
  if (type != kArray) {
    throw Error(fmt::format("{}: '{}' has a value of the unknown type {}", where, key, type));
  }
  GgufArray array;
  array.type = reader.number<std::uint32_t>("its metadata");
  const auto count = reader.number<std::uint64_t>("its metadata");
  const std::size_t size = size_of(array.type);
  if (size == 0 && array.type != kString) {
    throw Error(fmt::format("{}: '{}' is a list of the type {}, which is not read", where, key,
                            array.type));
  }
  // Of a string at least its length is there.
  const std::size_t least = size > 0 ? size : sizeof(std::uint64_t);
  if (count > reader.left() / least) {
    throw Error(
        fmt::format("{}: '{}' claims {} items, more than the file holds; the download is "
                    "probably incomplete",
                    where, key, count));
  }
  array.count = static_cast<std::int64_t>(count);
  if (size > 0) {
    array.bytes = reader.take(count * size, "its metadata");
    return array;
  }
  Reader items = reader;
  for (std::uint64_t i = 0; i < count; ++i) items.text("its metadata");
  array.bytes = reader.take(items.position() - reader.position(), "its metadata");
  return array;
}

GgufTensor read_tensor(Reader& reader, const std::string& name, const std::string& where) {
  const auto fail = [&](const std::string& problem) {
    throw Error(fmt::format("{}: tensor '{}' {}", where, name, problem));
  };
  GgufTensor tensor;
  constexpr std::uint32_t kMostDimensions = 4;
  const auto dimensions = reader.number<std::uint32_t>("its list of tensors");
  if (dimensions == 0 || dimensions > kMostDimensions) {
    fail(fmt::format("claims {} dimensions; a tensor has from 1 to {}", dimensions,
                     kMostDimensions));
  }
  std::uint64_t count = 1;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const auto size = reader.number<std::uint64_t>("its list of tensors");
    if (size == 0 || __builtin_mul_overflow(count, size, &count) ||
        count > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail(fmt::format("has a dimension of {}, which no model has", size));
    }
    tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(size));
  }
  const auto code = reader.number<std::uint32_t>("its list of tensors");
  tensor.type = gguf_type(code);
  if (tensor.type == nullptr) {
    fail(fmt::format("has the type {}, which is not read; read are {}", gguf_type_name(code),
                     fmt::join(gguf_type_names(), ", ")));
  }
  if (tensor.shape.back() % tensor.type->block != 0) {
    fail(fmt::format("has rows of {} numbers, which are no whole blocks of {}", tensor.shape.back(),
                     tensor.type->name));
  }
  tensor.begin = reader.number<std::uint64_t>("its list of tensors");
  const std::uint64_t blocks = count / static_cast<std::uint64_t>(tensor.type->block);
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(blocks, static_cast<std::uint64_t>(tensor.type->bytes), &bytes) ||
      __builtin_add_overflow(tensor.begin, bytes, &tensor.end)) {
    fail("is larger than any file");
  }
  return tensor;
}

// Tensors follow each other, each at the next multiple of the alignment: whatever lies otherwise
// has another type or shape than the file says.
void require_no_gaps(const std::map<std::string, GgufTensor>& tensors, std::uint64_t start,
                     std::uint64_t alignment, const std::string& where) {
  std::vector<const std::pair<const std::string, GgufTensor>*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->second.begin < b->second.begin; });
  std::uint64_t expected = start;
  for (const auto* item : order) {
    if (item->second.begin != expected) {
      throw Error(
          fmt::format("{}: tensor '{}' begins at byte {}, and what comes before it ends at {}",
                      where, item->first, item->second.begin, expected));
    }
    expected = (item->second.end + alignment - 1) / alignment * alignment;
  }
}

}  // namespace

GgufHeader parse_gguf_header(std::string_view file, const std::string& where) {
  GgufHeader header{GgufMetadata(where), {}};
  Reader reader(file, where);
  if (reader.take(4, "its first bytes") != "GGUF") {
    throw Error(fmt::format("{}: is no GGUF file: it does not begin with GGUF", where));
  }
  const auto version = reader.number<std::uint32_t>("its first bytes");
  if (version != 2 && version != 3) {
    throw Error(fmt::format("{}: is GGUF of version {}; versions 2 and 3 are read, little-endian",
                            where, version));
  }
  const auto tensors = reader.number<std::uint64_t>("its first bytes");
  const auto values = reader.number<std::uint64_t>("its first bytes");
  // What the shortest of each takes.
  constexpr std::uint64_t kLeastTensor = 32, kLeastValue = 13;
  if (tensors > reader.left() / kLeastTensor || values > reader.left() / kLeastValue) {
    throw Error(
        fmt::format("{}: claims {} tensors and {} values of metadata, more than it can hold", where,
                    tensors, values));
  }
  for (std::uint64_t i = 0; i < values; ++i) {
    const std::string key(reader.text("its metadata"));
    header.metadata.add(key, read_value(reader, key, where));
  }
  for (std::uint64_t i = 0; i < tensors; ++i) {
    const std::string name(reader.text("its list of tensors"));
    if (!header.tensors.emplace(name, read_tensor(reader, name, where)).second) {
      throw Error(fmt::format("{}: tensor '{}' is there twice", where, name));
    }
  }
  const std::int64_t alignment = header.metadata.integer_or("general.alignment", 32);
  if (alignment <= 0 || alignment > (1 << 20)) {
    header.metadata.fail("general.alignment", fmt::format("{} is no alignment", alignment));
  }
  const auto step = static_cast<std::uint64_t>(alignment);
  const std::uint64_t start = (reader.position() + step - 1) / step * step;
  for (auto& [name, tensor] : header.tensors) {
    if (start > file.size() || tensor.end > file.size() - start) {
      throw Error(
          fmt::format("{}: tensor '{}' ends beyond the file; the download is probably "
                      "incomplete",
                      where, name));
    }
    tensor.begin += start;
    tensor.end += start;
  }
  require_no_gaps(header.tensors, start, step, where);
  return header;
}

// ---- metadata ----

void GgufMetadata::fail(const std::string& key, const std::string& problem) const {
  throw Error(fmt::format("{}: '{}': {}", where_, key, problem));
}

void GgufMetadata::add(const std::string& key, Value value) {
  if (!values_.emplace(key, std::move(value)).second) fail(key, "is there twice");
}

template <typename T>
const T& GgufMetadata::get(const std::string& key, const char* expected) const {
  const auto found = values_.find(key);
  if (found == values_.end()) fail(key, "is missing");
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) fail(key, fmt::format("expected {}", expected));
  return *value;
}

std::int64_t GgufMetadata::integer(const std::string& key) const {
  return get<std::int64_t>(key, "an integer");
}

double GgufMetadata::number(const std::string& key) const {
  const auto found = values_.find(key);
  if (found != values_.end() && std::holds_alternative<std::int64_t>(found->second)) {
    return static_cast<double>(std::get<std::int64_t>(found->second));
  }
  const double value = get<double>(key, "a number");
  if (!std::isfinite(value)) fail(key, "is no finite number");
  return value;
}

bool GgufMetadata::boolean(const std::string& key) const { return get<bool>(key, "true or false"); }

std::string GgufMetadata::string(const std::string& key) const {
  return std::string(get<std::string_view>(key, "a text"));
}

std::vector<std::string_view> GgufMetadata::strings(const std::string& key) const {
  const GgufArray& array = get<GgufArray>(key, "a list of texts");
  if (array.type != kString) fail(key, "expected a list of texts");
  Reader reader(array.bytes, where_);
  std::vector<std::string_view> result;
  result.reserve(static_cast<std::size_t>(array.count));
  for (std::int64_t i = 0; i < array.count; ++i) result.push_back(reader.text("a list"));
  return result;
}

std::vector<double> GgufMetadata::numbers(const std::string& key) const {
  const GgufArray& array = get<GgufArray>(key, "a list of numbers");
  const std::size_t size = size_of(array.type);
  if (size == 0 || array.type == kBool) fail(key, "expected a list of numbers");
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(array.count));
  for (std::int64_t i = 0; i < array.count; ++i) {
    const Value value =
        number_of(array.type, array.bytes.data() + static_cast<std::size_t>(i) * size);
    const auto* whole = std::get_if<std::int64_t>(&value);
    result.push_back(whole != nullptr ? static_cast<double>(*whole) : std::get<double>(value));
    if (!std::isfinite(result.back())) fail(key, "holds a number that is not finite");
  }
  return result;
}

std::int64_t GgufMetadata::integer_or(const std::string& key, std::int64_t fallback) const {
  return contains(key) ? integer(key) : fallback;
}

double GgufMetadata::number_or(const std::string& key, double fallback) const {
  return contains(key) ? number(key) : fallback;
}

bool GgufMetadata::boolean_or(const std::string& key, bool fallback) const {
  return contains(key) ? boolean(key) : fallback;
}

}  // namespace taskneuron

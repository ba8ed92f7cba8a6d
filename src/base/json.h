#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taskneuron {

// What is read. Keys are sorted: look-up stays logarithmic in files of a million keys.
using Json = nlohmann::json;
// What is written. Keys keep their order, so that our files read as a person would write them.
using OutputJson = nlohmann::ordered_json;

// Parses text that came from `where` (a path or path:line). Throws Error naming where, and for
// text of several lines the line, on broken syntax, invalid UTF-8, nesting over 64 levels, or a key
// that is there twice: of two values neither is the right one.
Json parse_json(std::string_view text, const std::string& where);
Json read_json(const std::filesystem::path& path);
// The same with keys in their order, for files of ours that are written again.
OutputJson read_output_json(const std::filesystem::path& path);

// As text. Bytes that are no UTF-8, which paths may hold, become U+FFFD.
std::string json_text(const OutputJson& json, int indent = -1);

// The value, or null where there is none.
template <typename Value>
OutputJson or_null(const std::optional<Value>& value) {
  return value ? OutputJson(*value) : OutputJson(nullptr);
}

// A JSON value together with where it stands, so that reading a field of the wrong type, or one
// that is missing, is an Error that names file and key. Borrows the value.
class JsonView {
 public:
  JsonView(const Json& value, std::string where)
      : value_(&value), where_(std::make_shared<const std::string>(std::move(where))) {}

  // Field of an object. at: must be there; find: nothing when absent or null.
  JsonView at(const std::string& key) const;
  std::optional<JsonView> find(const std::string& key) const;

  std::string string() const;
  std::int64_t integer() const;
  double number() const;
  bool boolean() const;
  std::vector<JsonView> array() const;
  std::vector<std::string> strings() const;
  const Json& object() const;

  std::string string_or(const std::string& key, const std::string& fallback) const;
  std::int64_t integer_or(const std::string& key, std::int64_t fallback) const;
  double number_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;

  const Json& value() const { return *value_; }
  std::string where() const;
  // Throws Error: "<where>: <problem>".
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  JsonView(const Json& value, std::shared_ptr<const std::string> list, std::size_t index)
      : value_(&value), where_(std::move(list)), index_(static_cast<std::ptrdiff_t>(index)) {}
  [[noreturn]] void fail_type(const char* expected) const;

  const Json* value_;
  // Of the list that the value is in, where index_ is not -1: items share it, for there may be
  // millions of them.
  std::shared_ptr<const std::string> where_;
  std::ptrdiff_t index_ = -1;
};

}  // namespace taskneuron

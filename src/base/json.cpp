#include "base/json.h"

#include <fmt/format.h>

#include "taskneuron/base/error.h"

namespace taskneuron {

std::string json_text(const OutputJson& json, int indent) {
  return json.dump(indent, ' ', false, OutputJson::error_handler_t::replace);
}

std::string JsonView::where() const {
  return index_ < 0 ? *where_ : fmt::format("{}[{}]", *where_, index_);
}

void JsonView::fail(const std::string& problem) const {
  throw Error(fmt::format("{}: {}", where(), problem));
}

void JsonView::fail_type(const char* expected) const {
  std::string found = value_->dump(-1, ' ', false, Json::error_handler_t::replace);
  if (found.size() > 60) found = found.substr(0, 57) + "...";
  if (value_->is_null()) fail(fmt::format("expected {}, found null", expected));
  fail(fmt::format("expected {}, found {} {}", expected, value_->type_name(), found));
}

JsonView JsonView::at(const std::string& key) const {
  const Json& fields = object();
  const auto it = fields.find(key);
  if (it == fields.end()) fail(fmt::format("key '{}' is missing", key));
  return {*it, fmt::format("{}: '{}'", where(), key)};
}

std::optional<JsonView> JsonView::find(const std::string& key) const {
  const Json& fields = object();
  const auto it = fields.find(key);
  if (it == fields.end() || it->is_null()) return std::nullopt;
  return JsonView(*it, fmt::format("{}: '{}'", where(), key));
}

std::string JsonView::string() const {
  if (!value_->is_string()) fail_type("a string");
  return value_->get<std::string>();
}

std::int64_t JsonView::integer() const {
  if (!value_->is_number_integer()) fail_type("an integer");
  if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > INT64_MAX)
    fail_type("an integer");
  return value_->get<std::int64_t>();
}

double JsonView::number() const {
  if (!value_->is_number()) fail_type("a number");
  return value_->get<double>();
}

bool JsonView::boolean() const {
  if (!value_->is_boolean()) fail_type("true or false");
  return value_->get<bool>();
}

std::vector<JsonView> JsonView::array() const {
  if (!value_->is_array()) fail_type("a list");
  std::vector<JsonView> items;
  items.reserve(value_->size());
  const auto list = index_ < 0 ? where_ : std::make_shared<const std::string>(where());
  for (std::size_t i = 0; i < value_->size(); ++i) items.push_back({(*value_)[i], list, i});
  return items;
}

std::vector<std::string> JsonView::strings() const {
  std::vector<std::string> values;
  for (const JsonView& item : array()) values.push_back(item.string());
  return values;
}

const Json& JsonView::object() const {
  if (!value_->is_object()) fail_type("an object");
  return *value_;
}

std::string JsonView::string_or(const std::string& key, const std::string& fallback) const {
  const auto field = find(key);
  return field ? field->string() : fallback;
}

std::int64_t JsonView::integer_or(const std::string& key, std::int64_t fallback) const {
  const auto field = find(key);
  return field ? field->integer() : fallback;
}

double JsonView::number_or(const std::string& key, double fallback) const {
  const auto field = find(key);
  return field ? field->number() : fallback;
}

bool JsonView::boolean_or(const std::string& key, bool fallback) const {
  const auto field = find(key);
  return field ? field->boolean() : fallback;
}

}  // namespace taskneuron

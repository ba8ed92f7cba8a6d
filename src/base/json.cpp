#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

constexpr int kMaxDepth = 64;

// nlohmann's message without its "[json.exception...] " prefix and its own idea of the place.
std::string syntax_problem(const nlohmann::json::exception& error) {
  std::string message = error.what();
  if (const auto end = message.find("] "); end != std::string::npos) message.erase(0, end + 2);
  if (const auto end = message.find(": ");
      message.rfind("parse error", 0) == 0 && end != std::string::npos) {
    message.erase(0, end + 2);
  }
  return message;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  const auto limit_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) {
      throw Error(fmt::format("{}: JSON nested deeper than {} levels", where, kMaxDepth));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), limit_depth);
  } catch (const Json::parse_error& error) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    const auto line = 1 + std::count(text.begin(), end, '\n');
    const bool several_lines = text.find('\n') != std::string_view::npos;
    throw Error(fmt::format("{}{}: not valid JSON: {}", where,
                            several_lines ? fmt::format(":{}", line) : "", syntax_problem(error)));
  } catch (const Json::exception& error) {
    throw Error(fmt::format("{}: not valid JSON: {}", where, syntax_problem(error)));
  }
}

Json read_json(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  if (text.find('\0') != std::string::npos) {
    throw Error(fmt::format("{}: is a binary file; expected JSON", path.string()));
  }
  return parse_json(text, path.string());
}

void JsonView::fail(const std::string& problem) const {
  throw Error(fmt::format("{}: {}", where_, problem));
}

void JsonView::fail_type(const char* expected) const {
  std::string found = value_->dump(-1, ' ', false, Json::error_handler_t::replace);
  if (found.size() > 60) found = found.substr(0, 57) + "...";
  fail(fmt::format("expected {}, found {} {}", expected, value_->type_name(), found));
}

JsonView JsonView::at(const std::string& key) const {
  const Json& fields = object();
  const auto it = fields.find(key);
  if (it == fields.end()) fail(fmt::format("key '{}' is missing", key));
  return {*it, fmt::format("{}: '{}'", where_, key)};
}

std::optional<JsonView> JsonView::find(const std::string& key) const {
  const Json& fields = object();
  const auto it = fields.find(key);
  if (it == fields.end() || it->is_null()) return std::nullopt;
  return JsonView(*it, fmt::format("{}: '{}'", where_, key));
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
  for (std::size_t i = 0; i < value_->size(); ++i) {
    items.emplace_back((*value_)[i], fmt::format("{}[{}]", where_, i));
  }
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

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

// Counts keys and values of every object as they are parsed: of a key that comes again the value
// replaces the one before, so that the object ends up smaller than what was counted.
template <typename Document>
class StrictParser {
 public:
  explicit StrictParser(const std::string& where) : where_(where) {}

  bool operator()(int depth, typename Document::parse_event_t event, Document& value) {
    using Event = typename Document::parse_event_t;
    if (depth > kMaxDepth) {
      throw Error(fmt::format("{}: JSON nested deeper than {} levels", where_, kMaxDepth));
    }
    if (event == Event::object_start) {
      keys_.push_back(0);
    } else if (event == Event::key) {
      ++keys_.back();
      last_key_ = value.template get<std::string>();
    } else if (event == Event::object_end) {
      if (value.size() != keys_.back()) {
        throw Error(fmt::format("{}: an object that ends with key '{}' holds a key twice", where_,
                                last_key_));
      }
      keys_.pop_back();
    }
    return true;
  }

 private:
  const std::string& where_;
  std::vector<std::size_t> keys_;  // of the objects that are open
  std::string last_key_;
};

template <typename Document>
Document parse(std::string_view text, const std::string& where) {
  try {
    return Document::parse(text.begin(), text.end(), StrictParser<Document>(where));
  } catch (const nlohmann::json::parse_error& error) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    const auto line = 1 + std::count(text.begin(), end, '\n');
    const bool several_lines = text.find('\n') != std::string_view::npos;
    throw Error(fmt::format("{}{}: not valid JSON: {}", where,
                            several_lines ? fmt::format(":{}", line) : "", syntax_problem(error)));
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: not valid JSON: {}", where, syntax_problem(error)));
  }
}

std::string read_text(const std::filesystem::path& path) {
  std::string text = read_file(path);
  if (text.find('\0') != std::string::npos) {
    throw Error(fmt::format("{}: is a binary file; expected JSON", path.string()));
  }
  return text;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  return parse<Json>(text, where);
}

Json read_json(const std::filesystem::path& path) {
  return parse<Json>(read_text(path), path.string());
}

OutputJson read_output_json(const std::filesystem::path& path) {
  return parse<OutputJson>(read_text(path), path.string());
}

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

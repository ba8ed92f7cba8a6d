#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

constexpr std::size_t kMaxDepth = 64;

// nlohmann's message without its "[json.exception...] " prefix and its own idea of the place.
std::string syntax_problem(const char* what) {
  std::string message = what;
  if (const auto end = message.find("] "); end != std::string::npos) message.erase(0, end + 2);
  if (const auto end = message.find(": ");
      message.rfind("parse error", 0) == 0 && end != std::string::npos) {
    message.erase(0, end + 2);
  }
  return message;
}

// Adds to an object and returns the value; null where the key is there already. In constant or
// logarithmic time: the look-up of an object that keeps the order of its keys is linear.
Json* add_key(Json& object, std::unordered_set<std::string>&, const std::string& key) {
  const auto added = object.get_ref<Json::object_t&>().emplace(key, nullptr);
  return added.second ? &added.first->second : nullptr;
}
OutputJson* add_key(OutputJson& object, std::unordered_set<std::string>& keys,
                    const std::string& key) {
  if (!keys.insert(key).second) return nullptr;
  OutputJson::object_t::Container& fields = object.get_ref<OutputJson::object_t&>();
  return &fields.emplace_back(key, nullptr).second;
}

// Builds a document from nlohmann's events. Its own builder replaces a value whose key comes again,
// and with a callback takes time quadratic in the number of objects in an object.
template <typename Document>
class Builder : public nlohmann::json_sax<Document> {
 public:
  Builder(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Document take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(typename Document::number_integer_t value) override { return put(value); }
  bool number_unsigned(typename Document::number_unsigned_t value) override { return put(value); }
  bool number_float(typename Document::number_float_t value, const std::string&) override {
    return put(value);
  }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(typename Document::binary_t&) override { return false; }  // not in JSON

  bool start_object(std::size_t) override { return open(Document::object()); }
  bool start_array(std::size_t) override { return open(Document::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    place_ = add_key(*open_.back().value, open_.back().keys, name);
    if (place_ == nullptr) {
      throw Error(fmt::format("{}: an object holds the key '{}' twice", where_, name));
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(position, text_.size()));
    const auto line = 1 + std::count(text_.begin(), end, '\n');
    const bool several_lines = text_.find('\n') != std::string_view::npos;
    throw Error(fmt::format("{}{}: not valid JSON: {}", where_,
                            several_lines ? fmt::format(":{}", line) : "",
                            syntax_problem(error.what())));
  }

 private:
  struct Open {
    Document* value;
    std::unordered_set<std::string> keys;  // where look-up is linear
  };

  // A value into the list or under the key that is open. What is open stays where it is in memory:
  // only the innermost one grows.
  template <typename Value>
  bool put(Value&& value) {
    place(std::forward<Value>(value));
    return true;
  }
  Document& place(Document value) {
    if (open_.empty()) return root_ = std::move(value);
    if (open_.back().value->is_array()) {
      auto& list = open_.back().value->template get_ref<typename Document::array_t&>();
      return list.emplace_back(std::move(value));
    }
    return *place_ = std::move(value);
  }
  bool open(Document value) {
    if (open_.size() == kMaxDepth) {
      throw Error(fmt::format("{}: JSON nested deeper than {} levels", where_, kMaxDepth));
    }
    open_.push_back({&place(std::move(value)), {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& where_;
  Document root_;
  Document* place_ = nullptr;  // of the last key
  std::vector<Open> open_;
};

template <typename Document>
Document parse(std::string_view text, const std::string& where) {
  Builder<Document> builder(text, where);
  Document::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
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

}  // namespace taskneuron

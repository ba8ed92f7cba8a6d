// Any JSON, every value of it asked for as everything that it may be.
#include "base/json.h"

#include "fuzz.h"

namespace {

using taskneuron::Error;
using taskneuron::JsonView;

template <typename Ask>
void ask(const Ask& one) {
  try {
    one();
  } catch (const Error&) {
  }
}

// Every value is asked for as what it is and as one kind that it mostly is not: `turn` says which.
void walk(const JsonView& json, unsigned& turn) {
  const auto& value = json.value();
  const unsigned other = turn++ % 5;
  if (value.is_string() || other == 0) ask([&] { json.string(); });
  if (value.is_number() || other == 1) ask([&] { json.integer(); });
  if (value.is_number() || other == 2) ask([&] { json.number(); });
  if (value.is_boolean() || other == 3) ask([&] { json.boolean(); });
  if (value.is_array() || other == 4) ask([&] { json.strings(); });
  if (value.is_array()) {
    for (const JsonView& item : json.array()) walk(item, turn);
  }
  if (value.is_object()) {
    for (const auto& item : json.object().items()) walk(json.at(item.key()), turn);
  }
}

void read(std::string_view text) {
  const taskneuron::Json document = taskneuron::parse_json(text, "input");
  unsigned turn = static_cast<unsigned>(text.size());
  walk(JsonView(document, "input"), turn);
}

}  // namespace

TASKNEURON_FUZZ(read)

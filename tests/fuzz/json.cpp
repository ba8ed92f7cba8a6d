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

void walk(const JsonView& json) {
  ask([&] { json.string(); });
  ask([&] { json.integer(); });
  ask([&] { json.number(); });
  ask([&] { json.boolean(); });
  ask([&] { json.strings(); });
  if (json.value().is_array()) {
    for (const JsonView& item : json.array()) walk(item);
  }
  if (json.value().is_object()) {
    for (const auto& item : json.object().items()) walk(json.at(item.key()));
  }
}

void read(std::string_view text) {
  const taskneuron::Json document = taskneuron::parse_json(text, "input");
  walk(JsonView(document, "input"));
}

}  // namespace

TASKNEURON_FUZZ(read)

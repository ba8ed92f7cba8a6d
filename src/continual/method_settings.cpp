#include "taskneuron/continual/method_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <charconv>
#include <cstdlib>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(at); end != std::string::npos; end = text.find(at, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// Whether the whole text is such a number.
template <class Number>
bool read_number(const std::string& text, Number& number) {
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && last == end;
}

void read_value(const std::string& text, bool* place, const std::string& what) {
  if (text != "yes" && text != "true" && text != "no" && text != "false") {
    throw Error(fmt::format("{} is '{}'; yes or no", what, text));
  }
  *place = text == "yes" || text == "true";
}
void read_value(const std::string& text, std::string* place, const std::string&) { *place = text; }
void read_value(const std::string& text, std::vector<std::string>* place, const std::string&) {
  *place = split(text, '+');
}
template <class Number>
void read_value(const std::string& text, Number* place, const std::string& what) {
  if (!read_number(text, *place)) throw Error(fmt::format("{} is '{}', no number", what, text));
}

void require_above_zero(const char* key, double value) {
  if (value > 0 && value < 1e9) return;
  throw Error(fmt::format("{} is {}, not above 0 and below 1e9", key, value));
}

}  // namespace

void MethodSettings::declare(OptionList& list) {
  list.add("lr", &learning_rate, Effect::kResult, "Learning rate").at_least(0);
  list.add("epochs", &epochs, Effect::kResult, "Passes over a task's rows").at_least(0);
  list.add("batch", &batch, Effect::kResult, "Examples per optimizer step").at_least(1);
  list.add("top", &top, Effect::kResult,
           "Share of the units that a task trains; of several, the one with the lowest validation "
           "loss, for each task anew");
  list.add("scope", &scope, Effect::kResult, "global or layer");
  list.add("finder", &finder, Effect::kResult,
           "What ranks units: a method of detect, change (what a short training of all units moves "
           "most) or fisher (squared gradients of their parameters)");
  list.add("probe_steps", &probe_steps, Effect::kResult, "Steps of that short training")
      .at_least(1);
  list.add(
          "exclusive", &exclusive, Effect::kResult,
          "Factor of the relevance of units that earlier tasks trained; 0: not chosen while others "
          "are left")
      .between(0, 1);
  list.add("soft", &soft, Effect::kResult,
           "Learning rate of a unit times its relevance to the new task over the sum of that and "
           "its largest to an earlier one");
  list.add("orthogonal", &orthogonal, Effect::kResult,
           "Gradients of units are projected off what earlier tasks changed in them");
  list.add("combine", &combine, Effect::kResult, "delta or literal (paper eq. 12)");
  list.add("temperature", &temperature, Effect::kResult, "Of the softmax over similarities");
  list.add("route", &route, Effect::kResult,
           "task: similarity of the task as a whole; nearest: each example takes the task of the "
           "nearest stored feature");
  list.add("stored", &stored, Effect::kResult, "Stored features per task, of route nearest")
      .at_least(1);
  list.add("dynamic", &dynamic, Effect::kResult,
           "A task trains on the model as it is weighted for it");
  list.add("rank", &rank, Effect::kResult, "Rank of adapters").between(1, 4096);
  list.add("alpha", &alpha, Effect::kResult, "Scale of adapters is alpha / rank").at_least(0);
  list.add("targets", &targets, Effect::kResult,
           "query, key, value, attention-output, gate, up, down");
  list.add("lambda", &lambda, Effect::kResult, "Weight of the penalty").between(0, 1e9);
  list.add("penalty", &penalty, Effect::kResult, "absolute or square");
  list.add("softness", &softness, Effect::kResult, "Temperature of the distillation").at_least(0);
  list.add("fisher_rows", &fisher_rows, Effect::kResult,
           "Rows that Fisher information is taken from")
      .at_least(1);
  list.add("share", &share, Effect::kResult, "Share of each task's rows that is stored")
      .between(0, 1);
}

MethodSpec parse_method_spec(const std::string& text) {
  MethodSpec spec{text, text.substr(0, text.find(':')), {}};
  if (spec.name.empty()) throw UsageError("method", text, "NAME or NAME:KEY=VALUE,...");
  if (spec.name.size() == text.size()) return spec;
  for (const std::string& part : split(text.substr(spec.name.size() + 1), ',')) {
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string value = equals == std::string::npos ? "yes" : part.substr(equals + 1);
    if (key.empty() || value.empty() || !spec.settings.emplace(key, value).second) {
      throw UsageError("method", text, "NAME:KEY=VALUE,..., each key once", "cannot be read");
    }
  }
  return spec;
}

std::string without_backticks(std::string message) {
  message.erase(std::remove(message.begin(), message.end(), '`'), message.end());
  return message;
}

void apply_settings(const std::map<std::string, std::string>& values,
                    const std::set<std::string>& keys, const std::string& where,
                    MethodSettings& settings) {
  OptionList list;
  settings.declare(list);
  for (const auto& [key, value] : values) {
    if (keys.count(key) == 0) {
      throw Error(
          fmt::format("{}: no setting '{}'; there are {}", where, key, fmt::join(keys, ", ")));
    }
    const std::string what = fmt::format("{}: {}", where, key);
    const Option& option = list.at(key);
    std::visit([&](auto* place) { read_value(value, place, what); }, option.place);
  }
  try {
    check_values(list);
    require_above_zero("lr", settings.learning_rate);
    require_above_zero("epochs", settings.epochs);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", where, without_backticks(error.what())));
  }
}

}  // namespace taskneuron

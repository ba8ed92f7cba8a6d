#include "taskneuron/base/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "taskneuron/base/error.h"

namespace taskneuron {

Option& Option::at_least(double least) {
  minimum = least;
  return *this;
}

Option& Option::between(double least, double most) {
  minimum = least;
  maximum = most;
  return *this;
}

Option& Option::required() {
  is_required = true;
  return *this;
}

Option& Option::positional() {
  is_positional = true;
  return *this;
}

Option& Option::without_default() {
  shows_default = false;
  return *this;
}

Option& OptionList::add(std::string name, Option::Place place, Effect effect, std::string help) {
  for (const Option& known : options_) TN_CHECK(known.name != name);
  return options_.emplace_back(Option{std::move(name), place, effect, std::move(help)});
}

Option& OptionList::at(const std::string& name) {
  const auto found = std::find_if(options_.begin(), options_.end(),
                                  [&](const Option& option) { return option.name == name; });
  TN_CHECK(found != options_.end());
  return *found;
}

void OptionList::remove(const std::string& name) {
  std::deque<Option> kept;
  for (Option& option : options_) {
    if (option.name != name) kept.push_back(std::move(option));
  }
  TN_CHECK(kept.size() + 1 == options_.size());
  options_ = std::move(kept);
}

namespace {

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all;
}

Setting value_of(const Option& option) {
  return std::visit(
      [](const auto* place) -> Setting {
        using Value = std::decay_t<decltype(*place)>;
        if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
          return joined(*place);
        } else {
          return *place;
        }
      },
      option.place);
}

bool is_empty(const Option& option) {
  return std::visit(
      [](const auto* place) {
        using Value = std::decay_t<decltype(*place)>;
        if constexpr (std::is_same_v<Value, std::string> ||
                      std::is_same_v<Value, std::vector<std::string>>) {
          return place->empty();
        } else {
          return false;
        }
      },
      option.place);
}

std::optional<double> number_of(const Option& option) {
  return std::visit(
      [](const auto* place) -> std::optional<double> {
        using Value = std::decay_t<decltype(*place)>;
        if constexpr (std::is_arithmetic_v<Value> && !std::is_same_v<Value, bool>) {
          return static_cast<double>(*place);
        } else {
          return std::nullopt;
        }
      },
      option.place);
}

}  // namespace

std::string range_text(const Option& option) {
  if (option.maximum) return fmt::format("between {} and {}", *option.minimum, *option.maximum);
  return fmt::format("at least {}", *option.minimum);
}

void check_values(const OptionList& options) {
  for (const Option& option : options.all()) {
    if (option.is_required && is_empty(option)) {
      throw UsageError(fmt::format("`{}` is required", option.name));
    }
    const std::optional<double> value = number_of(option);
    if (!value || !option.minimum) continue;
    if (!option.shows_default && *value == 0) continue;  // not given
    if (*value >= *option.minimum && !(*value > option.maximum.value_or(*value))) continue;
    throw UsageError(option.name, fmt::format("{}", *value), "a number " + range_text(option),
                     "is out of range");
  }
}

std::map<std::string, Setting> settings_of(const OptionList& options) {
  std::map<std::string, Setting> settings;
  for (const Option& option : options.all()) {
    if (option.effect == Effect::kResult) settings[option.name] = value_of(option);
  }
  return settings;
}

}  // namespace taskneuron

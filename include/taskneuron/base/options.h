#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace taskneuron {

// A setting as it is recorded.
using Setting = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

// What an option has to do with what comes out.
enum class Effect {
  kResult,  // the result depends on its value, which is part of a run's identity
  kInput,   // it names files, whose hashes are part of a run's identity
  kNone,    // the result does not depend on it
};

// One option of the library's recipes. It is declared once; the command line makes a flag of it
// (batch_tokens: --batch-tokens) and a run's record a setting.
struct Option {
  // Where its value is, at first the default.
  using Place = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*,
                             std::vector<std::string>*>;

  std::string name;
  Place place;
  Effect effect = Effect::kResult;
  std::string help;
  std::optional<double> minimum = std::nullopt;
  std::optional<double> maximum = std::nullopt;
  bool is_required = false;
  bool is_positional = false;  // on the command line: MODEL, not --model
  bool shows_default = true;   // false where the default's meaning is in `help`

  Option& at_least(double least);
  Option& between(double least, double most);
  Option& required();
  Option& positional();
  Option& without_default();
};

// "at least 1", "between 0 and 1". REQUIRES a minimum.
std::string range_text(const Option& option);

class OptionList {
 public:
  // place must outlive the list.
  Option& add(std::string name, Option::Place place, Effect effect, std::string help);
  // REQUIRES one of this name.
  Option& at(const std::string& name);
  void remove(const std::string& name);

  // In the order in which they were added.
  std::deque<Option>& all() { return options_; }
  const std::deque<Option>& all() const { return options_; }

 private:
  std::deque<Option> options_;  // references stay valid while more are added
};

// Throws UsageError naming an option that is required and empty, or a number that is out of range.
void check_values(const OptionList& options);
// The same of what an options struct declares.
template <class Declared>
void check_declared(Declared options) {
  OptionList list;
  options.declare(list);
  check_values(list);
}

// The values of all options that the result depends on; those of a list joined by spaces.
std::map<std::string, Setting> settings_of(const OptionList& options);

// `text` with every option between backticks replaced by what `shown` makes of its name. Other
// words between backticks are left alone where `shown` returns an empty text.
template <class Shown>
std::string with_options_shown(const std::string& text, const Shown& shown) {
  std::string result;
  std::size_t done = 0;
  while (true) {
    const std::size_t begin = text.find('`', done);
    const std::size_t end = begin == std::string::npos ? begin : text.find('`', begin + 1);
    if (end == std::string::npos) return result + text.substr(done);
    const std::string option = shown(text.substr(begin + 1, end - begin - 1));
    result += text.substr(done, begin - done);
    result += option.empty() ? text.substr(begin, end - begin + 1) : option;
    done = end + 1;
  }
}

}  // namespace taskneuron

// From the library's declared options to the command line.
#include "taskneuron/base/options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <type_traits>

#include "base/world.h"
#include "cli/command.h"
#include "train/run_files.h"

namespace taskneuron::cli {

namespace {

CLI::Validator in_range(const Option& option) {
  const auto check = [option](const std::string& text) -> std::string {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return fmt::format("'{}' is not a number", text);
    if (std::isfinite(value) && value >= *option.minimum &&
        !(value > option.maximum.value_or(value)))
      return "";
    return fmt::format("must be {}, not {}", range_text(option), text);
  };
  const std::string shown = option.maximum ? fmt::format("{}..{}", *option.minimum, *option.maximum)
                                           : fmt::format(">= {}", *option.minimum);
  return {[check](std::string& text) { return check(text); }, shown};
}

bool is_option_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// What each command declared; it lives as long as the program.
std::map<const CLI::App*, OptionList>& declared_options() {
  static std::map<const CLI::App*, OptionList> all;
  return all;
}

// Every rank is given the same, but for the device that it has.
void require_same_options(const CLI::App& command) {
  std::string text = command.get_name();
  for (const auto& [name, value] : settings_text(settings_of(declared_options()[&command]))) {
    if (name != "device") text += fmt::format(" {} '{}'", flag_of(name), value);
  }
  world().require_same("command line", text);
}

std::string positional_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name;
}

}  // namespace

std::string flag_of(const std::string& option) {
  std::string flag = "--" + option;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string with_flags(const std::string& text) {
  return with_options_shown(text, [](const std::string& name) {
    return is_option_name(name) ? flag_of(name) : std::string();
  });
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& does) {
  return app.add_subcommand(name, does);
}

void set_run(CLI::App& command, const std::string& footer, std::function<void()> run) {
  command.footer(footer);
  command.callback([run = std::move(run)] {
    if (world_place().rank == 0) run();
  });
}

void set_shared_run(CLI::App& command, const std::string& footer, std::vector<std::string*> outputs,
                    std::function<void()> run) {
  command.footer(footer);
  command.callback([&command, outputs = std::move(outputs), run = std::move(run)] {
    join_world();
    require_same_options(command);
    for (std::string* output : outputs) *output = world().output(*output);
    run();
    world().leave();
  });
}

void add_options(CLI::App& command, OptionList& list) {
  OptionList& all = declared_options()[&command];
  for (const Option& declared : list.all()) {
    all.add(declared.name, declared.place, declared.effect, declared.help);
    const std::string name =
        declared.is_positional ? positional_name(declared.name) : flag_of(declared.name);
    const std::string help = with_flags(declared.help);
    CLI::Option* option = std::visit(
        [&](auto* place) {
          using Value = std::decay_t<decltype(*place)>;
          if constexpr (std::is_same_v<Value, bool>) {
            return command.add_flag(name, *place, help);
          } else {
            CLI::Option* added = command.add_option(name, *place, help);
            bool shows = declared.shows_default && !declared.is_required;
            if constexpr (std::is_same_v<Value, std::string> ||
                          std::is_same_v<Value, std::vector<std::string>>) {
              shows = shows && !place->empty();
            }
            return shows ? added->capture_default_str() : added;
          }
        },
        declared.place);
    if (declared.minimum) option->check(in_range(declared));
    if (declared.is_required) option->required();
  }
}

}  // namespace taskneuron::cli

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "base/plain_name.h"
#include "base/text_distance.h"
#include "base/world.h"
#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/version.h"

namespace taskneuron::cli {
namespace {

// The rule for exit codes. 2: the command line is wrong by itself, whatever the files hold. 1:
// anything else that stops a command: files, data, memory, output that cannot be written.
constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

void print_error(const std::string& message) {
  fmt::print(stderr, "error: {}\n", shown(with_flags(message)));
}

// A standard stream that the caller closed must not become the number of a file that we write.
// Opened the wrong way round, so that using it is an error.
void claim_standard_streams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) != -1) continue;
    ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// number: of the system's error; 0 if it isn't known. A reader that went away knows that it did.
int report_lost_output(int number) {
  if (number != EPIPE) {
    print_error(fmt::format("standard output cannot be written{}",
                            number == 0 ? "" : std::string(": ") + std::strerror(number)));
  }
  return kFailed;
}

// A command is done when what it printed has arrived.
int finish_output(int code) {
  errno = 0;
  const bool whole = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  return whole || code != kDone ? code : report_lost_output(errno);
}

const CLI::App& chosen_command(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : chosen_command(*commands.front());
}

std::string nearest_flag(const CLI::App& command, const std::string& wrong) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back(name);
  }
  const std::string nearest = nearest_text(wrong.substr(2), flags);
  return nearest.empty() ? "" : "--" + nearest;
}

std::string nearest_command(const CLI::App& app, const std::string& wrong) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return nearest_text(wrong, names);
}

// The first word that the command line has no use for, with the nearest right one; or "".
std::string unknown_word(const CLI::App& app, const CLI::App& command,
                         const std::vector<std::string>& words) {
  const auto suggest = [](const std::string& wrong, const std::string& nearest) {
    return fmt::format("'{}' is unknown{}", wrong,
                       nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
  };
  std::size_t depth = 0;  // words that name commands
  for (const CLI::App* one = &command; one != &app; one = one->get_parent()) ++depth;
  const bool takes_command = !command.get_subcommands({}).empty() && depth < words.size();
  if (takes_command && words[depth].rfind("-", 0) != 0) {
    return suggest(words[depth], nearest_command(command, words[depth]));
  }
  for (const std::string& word : words) {
    const std::string flag = word.substr(0, word.find('='));
    if (flag.rfind("--", 0) == 0 && command.get_option_no_throw(flag) == nullptr) {
      return suggest(flag, nearest_flag(command, flag));
    }
  }
  return "";
}

// "M: '2.5' is not a whole number", of CLI11's "Could not convert: M = 2.5".
std::string conversion_problem(const CLI::App& command, const CLI::ParseError& error) {
  const std::string text = error.what();
  const std::size_t start = text.find(": ");
  const std::size_t middle = text.find(" = ");
  if (dynamic_cast<const CLI::ConversionError*>(&error) == nullptr || start > middle ||
      middle == std::string::npos) {
    return text;
  }
  const std::string name = text.substr(start + 2, middle - start - 2);
  const CLI::Option* option = command.get_option_no_throw(name);
  const std::string type = option == nullptr ? "" : option->get_type_name();
  const bool whole = type.find("INT") != std::string::npos;
  const bool positive = type.find("UINT") != std::string::npos;
  return fmt::format("{}: '{}' is not a {}number{}", name, text.substr(middle + 3),
                     whole ? "whole " : "", positive ? " of 0 or more" : "");
}

// As it is typed: "taskneuron tasks import".
std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

// One line that says what is wrong with the command line and how it would be right.
int report_usage(const CLI::App& app, const CLI::ParseError& error,
                 const std::vector<std::string>& words) {
  const CLI::App& command = chosen_command(app);
  const std::string unknown = unknown_word(app, command, words);
  print_error(fmt::format("{} (see `{} --help`)",
                          unknown.empty() ? conversion_problem(command, error) : unknown,
                          full_name(command)));
  return kWrongUsage;
}

// A number that is infinite or none at all is a slip in every option that takes one.
void refuse_numbers_that_are_not_finite(CLI::App& app) {
  const CLI::Validator finite(
      [](std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool number = end != text.c_str() && *end == '\0';
        return number && !std::isfinite(value) ? fmt::format("'{}' is not a finite number", text)
                                               : std::string();
      },
      "");
  const CLI::Validator positive(
      [](std::string& text) {
        return text.rfind('-', 0) == 0 ? fmt::format("'{}' is not a number of 0 or more", text)
                                       : std::string();
      },
      "");
  for (CLI::Option* option : app.get_options()) {
    // A negative number would wrap to a huge one.
    if (option->get_type_name().find("UINT") != std::string::npos) option->transform(positive);
    // In front of other checks: their messages are about ranges.
    if (option->get_type_name().find("FLOAT") != std::string::npos) option->transform(finite);
  }
  for (CLI::App* command : app.get_subcommands({})) refuse_numbers_that_are_not_finite(*command);
}

int run(int argc, char** argv) {
  CLI::App app{"Finds the neurons a language model uses for a task, and proves that they matter."};
  app.name("taskneuron");
  app.set_version_flag("--version", std::string("taskneuron ") + version());
  app.require_subcommand(1);
  app.footer(
      std::string(
          "Start with `taskneuron inspect MODEL`; every command has --help with an example.") +
      kTermsFooter);
  add_inspect(app);
  add_tokenize(app);
  add_evaluate(app);
  add_detect(app);
  add_select(app);
  add_merge(app);
  add_sets(app);
  add_overlap(app);
  add_similarity(app);
  add_correlate(app);
  add_affinity(app);
  add_forecast(app);
  add_ablate(app);
  add_fidelity(app);
  add_tasks(app);
  add_convert(app);
  add_test(app);
  add_train(app);
  add_apply(app);
  add_sweep(app);
  add_continual(app);
  add_streams(app);
  add_rollback(app);
  add_completion(app);
  refuse_numbers_that_are_not_finite(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error, std::vector<std::string>(argv + 1, argv + argc));
  }
  return kDone;
}

// Of several ranks one tells why they end.
void tell(const std::string& message) {
  if (world().tells(message) && !message.empty()) print_error(message);
}

int run_and_report(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    tell(error.what());
    return kWrongUsage;
  } catch (const Interrupted& error) {
    end_by_deferred_signal(error.what());
  } catch (const std::bad_alloc&) {
    tell("not enough memory; lower --batch-tokens or --max-length");
  } catch (const c10::OutOfMemoryError& error) {
    const std::string text = error.what_without_backtrace();
    tell(
        fmt::format("the device's memory is full ({}); say with --memory what batches may take, or "
                    "lower --batch-tokens",
                    text.substr(0, text.find('\n'))));
  } catch (const c10::Error& error) {
    tell(std::string("LibTorch: ") + error.what_without_backtrace());
  } catch (const std::filesystem::filesystem_error& error) {
    tell(fmt::format("{}: {}", error.path1().string(), error.code().message()));
  } catch (const std::system_error& error) {
    // What fmt throws when its text cannot be written.
    if (std::ferror(stdout) != 0) {
      world().tells("");
      return report_lost_output(error.code().value());
    }
    tell(error.what());
  } catch (const std::exception& error) {
    tell(error.what());
  }
  return kFailed;
}

}  // namespace
}  // namespace taskneuron::cli

int main(int argc, char** argv) {
  using namespace taskneuron;
  cli::claim_standard_streams();
  clean_up_on_signals(cli::with_flags);
  return cli::finish_output(cli::run_and_report(argc, argv));
}

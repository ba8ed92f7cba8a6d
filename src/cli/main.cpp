#include <fmt/format.h>

#include <exception>
#include <string>

#include "base/text_distance.h"
#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"

namespace taskneuron::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

void print_error(std::string message) {
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  fmt::print(stderr, "error: {}\n", message);
}

const CLI::App& chosen_command(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : *commands.front();
}

std::string nearest_flag(const CLI::App& command, const std::string& wrong) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return nearest_text(wrong.substr(0, wrong.find('=')), flags);
}

std::string nearest_command(const CLI::App& app, const std::string& wrong) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return nearest_text(wrong, names);
}

// One line that says what is wrong with the command line and how it would be right.
int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = chosen_command(app);
  std::string message = error.what();
  const std::vector<std::string> extra = app.remaining(true);
  if (error.get_name() == "ExtrasError" && !extra.empty()) {
    message = fmt::format("'{}' is not expected here", extra.front());
    const bool flag = extra.front().rfind("-", 0) == 0;
    const std::string nearest =
        flag ? nearest_flag(command, extra.front())
             : (&command == &app ? nearest_command(app, extra.front()) : "");
    if (!nearest.empty()) message += fmt::format("; did you mean {}?", nearest);
  }
  const std::string name = &command == &app ? "" : " " + command.get_name();
  print_error(fmt::format("{} (see `taskneuron{} --help`)", message, name));
  return kWrongUsage;
}

int run(int argc, char** argv) {
  CLI::App app{"Finds the neurons a language model uses for a task, and proves that they matter."};
  app.name("taskneuron");
  app.set_version_flag("--version", std::string("taskneuron ") + version());
  app.require_subcommand(1);
  app.footer("Start with `taskneuron inspect MODEL`; every command has --help with an example.");
  add_inspect(app);
  add_tokenize(app);
  add_evaluate(app);
  add_detect(app);
  add_select(app);
  add_merge(app);
  add_compare(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  }
  return 0;
}

}  // namespace
}  // namespace taskneuron::cli

int main(int argc, char** argv) {
  using namespace taskneuron;
  try {
    return cli::run(argc, argv);
  } catch (const UsageError& error) {
    cli::print_error(error.what());
    return cli::kWrongUsage;
  } catch (const std::bad_alloc&) {
    cli::print_error("not enough memory; lower --batch-tokens or --max-length");
  } catch (const c10::Error& error) {
    cli::print_error(std::string("LibTorch: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    cli::print_error(error.what());
  }
  return cli::kFailed;
}

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "cli/command.h"
#include "taskneuron/base/error.h"

namespace taskneuron::cli {

namespace fs = std::filesystem;

CLI::Option* OutputOptions::add_to(CLI::App& command, const std::string& help) {
  CLI::Option* option = command.add_option("--out", out, help);
  command.add_flag("--force", force, "Replace files that exist (only regular files ever are)");
  return option;
}

std::vector<std::string> OutputOptions::paths(const std::vector<std::string>& names,
                                              const std::string& extension) const {
  if (names.size() == 1) {
    require_writable(out, existing());
    return {out};
  }
  if (fs::exists(out) && !fs::is_directory(out)) {
    throw Error(fmt::format("{}: is a file; {} files need a folder", out, names.size()));
  }
  std::set<std::string> known;
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    paths.push_back((fs::path(out) / (name + extension)).string());
    if (!known.insert(name).second) {
      throw Error(fmt::format("{}: two of the files would have this name; write them one by one",
                              paths.back()));
    }
    require_writable(paths.back(), existing());
  }
  return paths;
}

void ResultOptions::add_to(CLI::App& command) {
  output.add_to(command, "Write the result as JSON to this file as well");
}

void ResultOptions::check() const {
  if (!output.out.empty()) require_writable(output.out, output.existing());
}

void ResultOptions::write(const OutputJson& json) const {
  if (output.out.empty()) return;
  write_file(output.out, json.dump(2, ' ', false, OutputJson::error_handler_t::replace) + "\n",
             output.existing());
}

CLI::Validator at_least(std::int64_t minimum) {
  const auto check = [minimum](const std::string& text) -> std::string {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return fmt::format("'{}' is not a number", text);
    if (std::isfinite(value) && value >= static_cast<double>(minimum)) return "";
    return fmt::format("must be at least {}, not {}", minimum, text);
  };
  return {[check](std::string& text) { return check(text); }, fmt::format(">= {}", minimum)};
}

}  // namespace taskneuron::cli

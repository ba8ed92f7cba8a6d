#include "base/file.h"
#include "cli/command.h"

namespace taskneuron::cli {

void ResultOptions::add_to(CLI::App& command) {
  OptionList list;
  output.declare(list, "Write the result as JSON to this file as well");
  add_options(command, list);
}

void ResultOptions::check() const {
  if (!output.out.empty()) require_writable(output.out, output.existing());
}

void ResultOptions::write(const OutputJson& json) const {
  if (output.out.empty()) return;
  write_file(output.out, json_text(json, 2) + "\n", output.existing());
}

}  // namespace taskneuron::cli

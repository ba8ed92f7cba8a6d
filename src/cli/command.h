#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "taskneuron/base/options.h"
#include "taskneuron/recipe/outputs.h"
#include "taskneuron/recipe/session.h"

// Only what looks into it includes CLI11, whose header takes most of a compilation.
namespace CLI {
class App;
}

namespace taskneuron::cli {

// Every subcommand registers itself with its options, help and an example.
void add_inspect(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_detect(CLI::App& app);
void add_select(CLI::App& app);
void add_merge(CLI::App& app);
void add_sets(CLI::App& app);
void add_overlap(CLI::App& app);
void add_similarity(CLI::App& app);
void add_correlate(CLI::App& app);
void add_affinity(CLI::App& app);
void add_forecast(CLI::App& app);
void add_ablate(CLI::App& app);
void add_fidelity(CLI::App& app);
void add_tasks(CLI::App& app);
void add_convert(CLI::App& app);
void add_test(CLI::App& app);
void add_train(CLI::App& app);
void add_apply(CLI::App& app);
void add_sweep(CLI::App& app);
void add_continual(CLI::App& app);
void add_streams(CLI::App& app);
void add_rollback(CLI::App& app);
void add_completion(CLI::App& app);

// Where the terms of all options are explained.
inline constexpr const char* kTermsFooter =
    "\n\nTerms (unit, site, relevance, ...): docs/concepts.md";

// A subcommand, what stands under its help, and what it runs.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& does);
void set_run(CLI::App& command, const std::string& footer, std::function<void()> run);
// The same of a command that several processes share (base/world.h). outputs: names of files and
// folders that it makes, which only rank 0 makes where they say.
void set_shared_run(CLI::App& command, const std::string& footer, std::vector<std::string*> outputs,
                    std::function<void()> run);

// Makes flags and positions of declared options.
void add_options(CLI::App& command, OptionList& list);
// Of everything that these declare, in their order.
template <class... Declared>
void add_options(CLI::App& command, Declared&... declared) {
  OptionList list;
  (declared.declare(list), ...);
  add_options(command, list);
}
// "--batch-tokens" for batch_tokens.
std::string flag_of(const std::string& option);
// A text of the library's, in which options stand between backticks, with flags instead.
std::string with_flags(const std::string& text);

// Options that every command has.
struct CommonOptions {
  bool json = false;
  bool quiet = false;
  std::int64_t threads = 0;
  void declare(OptionList& list);
  void add_to(CLI::App& command) { add_options(command, *this); }
  // Takes effect: call first in a command's callback.
  void apply() const;
};

// Where a command's result goes: a table or, with --json, JSON on standard output; with --out the
// JSON in a file as well.
struct ResultOptions {
  OutputOptions output;
  void add_to(CLI::App& command);
  // Throws Error if the file cannot be written: call before the work.
  void check() const;
  // Writes the file, if one is asked for.
  void write(const OutputJson& json) const;
};

// {"model": as given} and, for one from the hub's cache, "model_folder" and "model_revision".
OutputJson model_json(const std::string& given, const ModelFolder& found);
inline OutputJson model_json(const Session& session) {
  return model_json(session.name(), session.folder());
}

// A table on standard output: columns aligned, numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row);
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

void print_json(const OutputJson& json);

}  // namespace taskneuron::cli

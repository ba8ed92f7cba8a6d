#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/model_folder.h"
#include "taskneuron/data/batch_memory.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/data/task.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/text/prompt_template.h"
#include "taskneuron/text/tokenizer.h"

namespace taskneuron::cli {

// Every subcommand registers itself with its options, help and an example.
void add_inspect(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_detect(CLI::App& app);
void add_select(CLI::App& app);
void add_merge(CLI::App& app);
void add_compare(CLI::App& app);
void add_ablate(CLI::App& app);
void add_fidelity(CLI::App& app);
void add_tasks(CLI::App& app);
void add_convert(CLI::App& app);
void add_test(CLI::App& app);
void add_train(CLI::App& app);
void add_apply(CLI::App& app);
void add_completion(CLI::App& app);

// What --site's names mean, for its help, and where the terms of all options are explained.
inline constexpr const char* kSitesHelp =
    "act: the input of the FFN's down projection (TransformerLens: hook_post); up: the up "
    "projection's output; gate: the gate projection's, in gated FFNs; out: the FFN's output; "
    "paper: "
    "act and out, ranked together";
inline constexpr const char* kTermsFooter =
    "\n\nTerms (unit, site, relevance, ...): docs/concepts.md";

// Options that every command has.
struct CommonOptions {
  bool json = false;
  bool quiet = false;
  int threads = 0;
  void add_to(CLI::App& command);
  // Takes effect: call first in a command's callback.
  void apply() const;
};

// What MODEL means, in every command's help.
inline constexpr const char* kModelHelp =
    "Hugging Face model folder, or org/name[@revision] in the local Hugging Face cache";

// Options of commands that run a model.
struct ModelOptions {
  std::string folder;
  std::string dtype = "auto";
  std::string device = "cpu";
  std::vector<std::string> deltas;
  void add_to(CLI::App& command);
};

// Options of commands that read tasks.
struct DataOptions {
  std::vector<std::string> tasks;
  std::string split;
  std::int64_t limit = 0;
  std::string prompt_template = "default";
  std::int64_t max_length = 0;
  std::int64_t batch = 0;
  std::int64_t batch_tokens = 2048;
  std::string memory;
  // split: the command's default.
  void add_to(CLI::App& command, const std::string& default_split, bool tasks_required = true);
  // Of these, what says which rows are read and how they are written for the model.
  void add_rows_to(CLI::App& command, const std::string& default_split, bool tasks_required = true);
  // The longest example in tokens. Throws Error if --max-length is beyond the model's context.
  std::int64_t context(const ModelConfig& config) const;
  BatchLimits limits() const { return {batch, batch_tokens}; }
  // limits(), made to fit --memory, with a note if that changes them.
  BatchMemory fit(const Checkpoint& checkpoint, const Decoder& decoder,
                  const BatchDemand& demand) const;
};

// Options of commands that write files. What may be replaced: base/file.h.
struct OutputOptions {
  std::string out;
  bool force = false;
  // Returns --out, to make it required.
  CLI::Option* add_to(CLI::App& command, const std::string& help);
  Existing existing() const { return force ? Existing::kReplace : Existing::kRefuse; }

  // The file for each name: `out` itself for one, out/<name><extension> for several. Throws Error
  // unless all can be written; makes nothing.
  std::vector<std::string> paths(const std::vector<std::string>& names,
                                 const std::string& extension) const;
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

// For numbers on the command line: finite and not below the minimum.
CLI::Validator at_least(std::int64_t minimum);

// A model folder opened for running: weights, tokenizer and what ends a sequence.
class LoadedModel {
 public:
  explicit LoadedModel(const ModelOptions& options);

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const Decoder& decoder() const { return *decoder_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // As it was given: a folder, or a name on the hub.
  const std::string& folder() const { return folder_; }
  // The same with, for one from the hub's cache, the commit: what results record.
  OutputJson named() const;
  std::int64_t end_of_sequence() const { return end_of_sequence_; }
  EncoderOptions encoder_options(const DataOptions& data) const;

 private:
  std::string folder_;
  ModelFolder found_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Decoder> decoder_;
  std::int64_t end_of_sequence_ = 0;
};

// Runs work; if it ends in a loss that is not finite, the Error names the first weight tensor of
// the checkpoint that is not finite either, if there is one.
void blame_weights(const Checkpoint& checkpoint, const std::function<void()>& work);

// Sites by name; "paper" is act and out. Throws UsageError for another name.
std::vector<Site> parse_sites(const std::vector<std::string>& names);

// The template that --template names, for a model's tokenizer.
PromptTemplate find_template(const DataOptions& data, const std::string& model);

// {"model": as given} and, for one from the hub's cache, "model_folder" and "model_revision".
OutputJson model_json(const std::string& given, const ModelFolder& found);

// A table on standard output: columns aligned, numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

void print_json(const OutputJson& json);

// The base with deltas ("PATH" or "PATH:SCALE") in place of what they touch; itself without any.
Checkpoint with_deltas(Checkpoint base, const std::vector<std::string>& deltas);

// A split of a task, encoded with the right answers; notes how many were cut.
struct EncodedTask {
  Task task;
  std::vector<AnswerExample> examples;
  std::int64_t truncated = 0;
};
EncodedTask encode_task(const std::string& folder, const DataOptions& data,
                        const ExampleEncoder& encoder);

// "1 example was", "3 examples were" cut: a note, if any were.
void note_truncated(const std::string& task, std::int64_t truncated, std::int64_t examples);

}  // namespace taskneuron::cli

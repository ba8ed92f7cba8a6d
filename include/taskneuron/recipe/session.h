#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/options.h"
#include "taskneuron/checkpoint/model_folder.h"
#include "taskneuron/data/batch_memory.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/data/task.h"
#include "taskneuron/data/text_windows.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/text/prompt_template.h"
#include "taskneuron/text/tokenizer.h"
#include "taskneuron/train/delta.h"
#include "taskneuron/train/run_input.h"

namespace taskneuron {

// What MODEL means wherever one is asked for.
extern const char* const kModelHelp;

// Which model, and how it computes.
struct ModelOptions {
  std::string model;  // a Hugging Face folder, or org/name[@revision] in the hub's cache
  std::string dtype = "auto";
  std::string device = "cpu";
  std::vector<std::string> deltas;
  void declare(OptionList& list);
};

// A model opened once: weights with the deltas that are asked for, tokenizer, and what ends a
// sequence. Immutable; serves any number of recipes, one after another.
class Session {
 public:
  // Throws Error for a folder that is no model, or whose tokenizer and config name no
  // end-of-sequence token.
  explicit Session(const ModelOptions& options);
  // The same model with other weights of its shapes; shares the tokenizer.
  Session(const Session& session, Checkpoint weights);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // Weights are converted when this is first called, so that what is wrong with tasks and options
  // is found before.
  const Decoder& decoder() const;
  std::int64_t end_of_sequence() const { return end_of_sequence_; }
  // As it was given: a folder, or a name on the hub.
  const std::string& name() const { return name_; }
  const ModelFolder& folder() const { return folder_; }
  const std::vector<RunInput>& deltas() const { return deltas_; }

 private:
  std::string name_;
  ModelFolder folder_;
  std::vector<RunInput> deltas_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::int64_t end_of_sequence_ = 0;
  DecoderOptions how_;
  mutable std::once_flag decoder_made_;
  mutable std::unique_ptr<Decoder> decoder_;
};

// The token that ends a sequence: the tokenizer's, else config.json's. Throws Error naming the
// model if neither has one.
std::int64_t end_of_sequence_of(const Tokenizer& tokenizer, const ModelConfig& config,
                                const std::string& model);

// The tokens that an example may have: max_length, or all of the model's context where that is 0.
// Throws Error if it is more than the model has.
std::int64_t context_of(const ModelConfig& config, std::int64_t max_length);

// Deltas by "PATH" or "PATH:SCALE".
std::vector<ScaledDelta> load_deltas(const Checkpoint& base,
                                     const std::vector<std::string>& deltas);
// The base with deltas ("PATH" or "PATH:SCALE") in place of what they touch; itself without any.
Checkpoint with_deltas(Checkpoint base, const std::vector<std::string>& deltas);
// The files of such deltas, with their hashes. Reads them whole.
std::vector<RunInput> delta_inputs(const std::vector<std::string>& deltas);
// "HASH*SCALE", separated by spaces, for a file's metadata.
std::string deltas_text(const std::vector<RunInput>& deltas);

// Which rows are read, and how they are written for the model.
struct RowOptions {
  std::vector<std::string> tasks;  // folders
  std::string split;
  std::int64_t limit = 0;
  std::string prompt_template = "default";
  std::int64_t max_length = 0;
  void declare(OptionList& list);
  // The template by its name. chat_template: of the model's tokenizer.
  PromptTemplate find_template(const std::string& chat_template) const;
};

// The same, and how many of them run at a time.
struct DataOptions : RowOptions {
  std::int64_t batch = 0;
  std::int64_t batch_tokens = 2048;
  std::string memory;
  void declare(OptionList& list);
  void check() const;  // throws UsageError for an amount of memory that is none
  BatchLimits limits() const { return {batch, batch_tokens}; }
};

// A split of a task, encoded with the right answers.
struct EncodedTask {
  Task task;
  std::vector<AnswerExample> examples;
  std::int64_t truncated = 0;
};

// Tasks as a session's model reads them. Borrows the session.
class TaskReader {
 public:
  // Throws Error for a template or a length that cannot be.
  TaskReader(const Session& session, const DataOptions& options);
  TaskReader(const TaskReader&) = delete;
  TaskReader& operator=(const TaskReader&) = delete;

  const Session& session() const { return session_; }
  const DataOptions& options() const { return options_; }
  const PromptTemplate& prompt() const { return prompt_; }
  const ExampleEncoder& encoder() const { return encoder_; }
  // Tokens that an example may have.
  std::int64_t max_tokens() const { return max_tokens_; }
  // The split that the options name; notes how many inputs were cut.
  EncodedTask encode(const std::string& folder) const;
  // The options' limits, made to fit memory, with a note if that changes them.
  BatchMemory fit(const BatchDemand& demand) const;
  // A text, or its first `tokens` (0: all), in windows of the context, 2,048 tokens at most, each
  // behind what the tokenizer puts before every text. Throws Error naming it if it is too short.
  TextWindows read_text(const std::string& path, std::int64_t tokens) const;

 private:
  const Session& session_;
  DataOptions options_;
  PromptTemplate prompt_;
  std::int64_t max_tokens_;
  ExampleEncoder encoder_;
};

// "1 example was", "3 examples were" cut: a note, if any were.
void note_truncated(const std::string& task, std::int64_t truncated, std::int64_t examples);

}  // namespace taskneuron

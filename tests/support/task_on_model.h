#pragma once

#include "support/support.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/neuron/scorer.h"

namespace taskneuron::test {

// A model folder with its task, read the way the commands do.
struct TaskOnModel {
  explicit TaskOnModel(const std::filesystem::path& model, const std::filesystem::path& task_folder,
                       const std::string& split = "train", std::int64_t limit = 0,
                       at::ScalarType dtype = at::kFloat)
      : checkpoint(model),
        decoder(checkpoint, {dtype, at::kCPU}),
        tokenizer(model),
        prompt(PromptTemplate::find("default")),
        encoder(tokenizer, prompt,
                {checkpoint.config().max_positions, *tokenizer.end_of_sequence()}),
        task(load_task(task_folder)),
        rows(load_split(task, split, limit)) {
    for (const TaskRow& row : rows) examples.push_back(encoder.encode(row, "row"));
  }
  Scores score(const ScoreOptions& options) const {
    Scores scores =
        score_units(checkpoint, decoder, examples, options, [](double, std::int64_t) {});
    // As a recipe says; of every model the same, so that tests may try what else must differ.
    scores.info.model_hash = "sha256:0";
    scores.info.task = task.name;
    scores.info.split = "train";
    return scores;
  }
  TaskResult evaluate(NeuronHook& hook, std::optional<Scoring> scoring = std::nullopt) const {
    return TaskEvaluation(task, "test", rows, encoder, {scoring, StopRule::kBlankLine, 0})
        .run(decoder, hook, {}, [](std::int64_t, std::int64_t) {});
  }

  Checkpoint checkpoint;
  Decoder decoder;
  Tokenizer tokenizer;
  PromptTemplate prompt;
  ExampleEncoder encoder;
  Task task;
  std::vector<TaskRow> rows;
  std::vector<AnswerExample> examples;
};

// A fixture of tests/fixtures/end_to_end.
inline TaskOnModel end_to_end(const std::string& family, const std::string& split = "train") {
  const std::filesystem::path folder = fixtures() / "end_to_end" / family;
  return TaskOnModel(folder / "model", folder / "task", split);
}

}  // namespace taskneuron::test

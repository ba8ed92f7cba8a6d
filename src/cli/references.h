#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/command.h"
#include "taskneuron/evaluate/variant.h"

namespace taskneuron::cli {

// The activations that modes put in the place of a set's: runs reference texts where a mode asks
// for them, and keeps what the latest of_task() and of_text() found.
class ReferenceRuns {
 public:
  struct Request {
    std::vector<Mode> modes;
    std::set<Site> sites;
    std::vector<std::int64_t> text;  // ids of the unrelated text; empty: none
    std::uint64_t seed = 0;
  };
  // Throws UsageError if a mode asks for a text and there is none. Borrows all but the request.
  ReferenceRuns(const DataOptions& data, const LoadedModel& model, const ExampleEncoder& encoder,
                Request request);

  // For a task that is evaluated on `split`: prompts of its train split, if it has one.
  References of_task(const Task& task, const std::string& split);
  // For the text itself.
  References of_text();
  // What activations were taken from: [{"task", "split", "rows", ...} | {"text", ...}]; empty where
  // no mode asks for any.
  const OutputJson& json() const { return json_; }

 private:
  bool needs(Mode::Texts texts) const;
  ReferenceActivations run(const std::vector<std::vector<std::int64_t>>& texts,
                           const std::string& title) const;
  void run_text();

  const DataOptions& data_;
  const LoadedModel& model_;
  const ExampleEncoder& encoder_;
  Request request_;
  std::optional<ReferenceActivations> task_;
  std::optional<ReferenceActivations> text_;
  OutputJson json_ = OutputJson::array();
};

}  // namespace taskneuron::cli

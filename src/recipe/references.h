#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "taskneuron/data/text_windows.h"
#include "taskneuron/evaluate/variant.h"
#include "taskneuron/recipe/findings.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// The activations that modes put in the place of a set's: runs reference texts where a mode asks
// for them, and keeps what the latest of_task() and of_text() found.
class ReferenceRuns {
 public:
  struct Request {
    std::vector<Mode> modes;
    std::set<Site> sites;
    TextWindows text;  // the unrelated text; without windows: none
    std::uint64_t seed = 0;
  };
  // Borrows the reader. REQUIRES a text where a mode takes activations from one.
  ReferenceRuns(const TaskReader& reader, Request request);

  // For a task that is evaluated on `split`: prompts of its train split, if it has one.
  References of_task(const Task& task, const std::string& split);
  // For the text itself.
  References of_text();
  // What activations were taken from, in the order in which they ran.
  const std::vector<ReferenceTexts>& texts() const { return texts_; }

 private:
  bool needs(Mode::Texts texts) const;
  ReferenceActivations run(const std::vector<std::vector<std::int64_t>>& texts,
                           const std::string& title) const;
  void run_text();

  const TaskReader& reader_;
  Request request_;
  std::optional<ReferenceActivations> task_;
  std::optional<ReferenceActivations> text_;
  std::vector<ReferenceTexts> texts_;
};

// Throws UsageError if the mode takes activations from an unrelated text and there is none.
void require_text(const Mode& mode, const std::string& text);

// The sites of all sets.
std::set<Site> sites_of(const std::vector<NeuronSet>& sets);

}  // namespace taskneuron

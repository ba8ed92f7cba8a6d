#include "recipe/warnings.h"

#include <fmt/format.h>

#include "taskneuron/data/task.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

namespace {

void add(std::vector<Warning>& warnings, Warning of, const char* kind, std::string text) {
  of.kind = kind;
  of.text = std::move(text);
  warnings.push_back(std::move(of));
}

bool differ(const std::string& known, const std::string& used) {
  return !known.empty() && known != used;
}

std::string from(const NeuronSet& set, const std::string& key) {
  const auto found = set.from.find(key);
  return found == set.from.end() ? "" : found->second;
}

}  // namespace

void warn_of_rows(const Origin& origin, const std::string& split, Warning of,
                  std::vector<Warning>& warnings) {
  if (origin.split != split) return;
  add(warnings, std::move(of), "same-rows",
      fmt::format("its units were detected on the split that they are evaluated on ({}): they "
                  "are fitted to these rows and random ones are not; detect on another split",
                  split));
}

void warn_of_template(const Origin& origin, const RunHashes& run, Warning of,
                      std::vector<Warning>& warnings) {
  if (!differ(origin.template_hash, run.prompt_template)) return;
  add(warnings, std::move(of), "other-template",
      "its units were detected with another prompt template than they are evaluated with; give "
      "both commands the same `template`");
}

void warn_of_weights(const Origin& origin, const RunHashes& run, Warning of,
                     std::vector<Warning>& warnings) {
  if (!differ(origin.model_hash, run.model)) return;
  add(warnings, std::move(of), "other-weights",
      "its units were detected in other weights (`allow_other_weights`)");
}

std::vector<Warning> set_warnings(const std::vector<std::string>& paths,
                                  const std::vector<NeuronSet>& sets,
                                  const std::vector<std::string>& tasks, const std::string& split,
                                  const RunHashes& run) {
  std::vector<std::string> names;
  for (const std::string& folder : tasks) names.push_back(load_task(folder).name);
  std::vector<Warning> warnings;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const NeuronSet& set = sets[i];
    const std::string& path = paths[i];
    if (set.from.count("random") != 0) continue;
    const Origin origin = {from(set, "split"), from(set, "template_hash"), set.model_hash};
    for (const std::string& task : names) {
      if (task == from(set, "task")) warn_of_rows(origin, split, {"", task, "", path}, warnings);
    }
    if (!tasks.empty()) warn_of_template(origin, run, {"", "", "", path}, warnings);
    warn_of_weights(origin, run, {"", "", "", path}, warnings);
  }
  return warnings;
}

}  // namespace taskneuron

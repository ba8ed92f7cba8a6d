#include "taskneuron/recipe/merge.h"

#include <fmt/format.h>

#include <map>

#include "base/file.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

void MergeOptions::declare(OptionList& list) {
  list.add("scores", &scores, Effect::kInput, "Score files made by detect").positional().required();
  output.declare(list, "Score file").required();
}

Scores merge(const MergeOptions& options) {
  check_declared(options);
  require_writable(options.output.out, options.output.existing());
  Scores merged = load_scores(options.scores.front());
  std::map<std::string, std::string> paths = {{merged.sums_hash(), options.scores.front()}};
  for (std::size_t i = 1; i < options.scores.size(); ++i) {
    const std::string& path = options.scores[i];
    const Scores next = load_scores(path);
    const auto [other, is_new] = paths.emplace(next.sums_hash(), path);
    if (!is_new) {
      throw Error(
          fmt::format("{}: holds the same sums as {}; merging would count the same examples twice",
                      path, other->second));
    }
    merged.merge(next, path);
  }
  save_scores(merged, options.output.out);
  return merged;
}

}  // namespace taskneuron

#include "recipe/fitting_set.h"
#include "recipe/train_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "taskneuron/base/error.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

namespace {

TrainableOptions options_of(const NeuronSet& set) {
  TrainableOptions options;
  options.units = set.units();
  return options;
}

void add_units(TrainableOptions& all, const TrainableOptions& more) {
  for (const auto& [site, layers] : more.units) {
    auto& known = all.units[site];
    known.resize(layers.size());
    for (std::size_t l = 0; l < layers.size(); ++l) {
      std::vector<std::int64_t> joined;
      std::set_union(known[l].begin(), known[l].end(), layers[l].begin(), layers[l].end(),
                     std::back_inserter(joined));
      known[l] = joined;
    }
  }
}

Trained read_sets(const TrainOptions& options, const Checkpoint& checkpoint) {
  Trained trained;
  trained.name = "units";
  for (const std::string& path : options.sets) {
    const NeuronSet set =
        load_fitting_set(path, checkpoint, other_weights(options.allow_other_weights));
    if (set.size() == 0) throw Error(fmt::format("{}: the set is empty; nothing to train", path));
    if (!trained.by_task.empty()) {
      for (const auto& item : set.sites) {
        if (trained.by_task[0].units.count(item.first) == 0) {
          throw Error(
              fmt::format("{}: has site {}, which {} lacks; sets of one run need the same "
                          "sites",
                          path, site_name(item.first), options.sets[0]));
        }
      }
    }
    trained.by_task.push_back(options_of(set));
    add_units(trained.all, trained.by_task.back());
  }
  if (trained.by_task.size() == 1) trained.by_task.clear();
  return trained;
}

}  // namespace

Trained what_is_trained(const TrainOptions& options, const Checkpoint& checkpoint) {
  if (!options.sets.empty()) return read_sets(options, checkpoint);
  Trained trained;
  trained.name = options.full ? "full" : options.feed_forward ? "ffn" : "lora";
  trained.all.part = options.full           ? TrainedPart::kAll
                     : options.feed_forward ? TrainedPart::kFeedForward
                                            : TrainedPart::kAdapters;
  trained.all.lora.rank = options.lora_rank;
  trained.all.lora.alpha =
      options.lora_alpha > 0 ? options.lora_alpha : 4 * static_cast<double>(options.lora_rank);
  trained.all.lora.targets = {options.lora_targets.begin(), options.lora_targets.end()};
  trained.all.lora.seed = options.seed;
  return trained;
}

}  // namespace taskneuron

#include "taskneuron/neuron/reference_activations.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"

namespace taskneuron {

namespace {

// The texts of one pass, side by side. Nothing is read from the head, but a batch needs a row that
// has logits.
Batch text_batch(const std::vector<std::vector<std::int64_t>>& texts,
                 const std::vector<std::int64_t>& members) {
  Batch batch;
  for (const std::int64_t member : members) {
    const auto& text = texts[static_cast<std::size_t>(member)];
    Segment& segment = batch.segments.emplace_back();
    segment.begin = batch.tokens();
    for (std::size_t i = 0; i < text.size(); ++i) {
      batch.ids.push_back(text[i]);
      batch.positions.push_back(static_cast<std::int64_t>(i));
    }
    segment.end = batch.tokens();
    segment.logit_rows = 1;
    segment.example = static_cast<int>(batch.examples++);
  }
  return batch;
}

// Rows of a pass that are kept, and where among the samples.
struct Kept {
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> slots;
};

// ω of units added up, and over how many rows: float64 [width].
struct Totals {
  at::Tensor sum;
  at::Tensor rows;
};

// Adds up ω of every row and keeps some rows.
class CollectHook : public NeuronHook {
 public:
  CollectHook(const ModelConfig& config, const std::set<Site>& sites, std::int64_t sampled)
      : config_(config), sites_(sites), sampled_(sampled) {}
  bool wants_observe(Site site, std::int64_t) const override { return sites_.count(site) != 0; }
  bool wants_all_rows() const override { return true; }
  void observe(const SiteView& view) override {
    Totals& of_layer = totals[{view.site, view.layer}];
    if (!of_layer.sum.defined()) {
      of_layer.sum = at::zeros({site_shape(config_, view.site).width},
                               view.activation.options().dtype(at::kDouble));
      of_layer.rows = at::zeros_like(of_layer.sum);
    }
    const std::int64_t columns = view.activation.size(1);
    of_layer.sum.narrow(0, view.first_unit, columns) +=
        view.activation.sum(0, /*keepdim=*/false, at::kFloat).to(at::kDouble);
    of_layer.rows.narrow(0, view.first_unit, columns) += view.activation.size(0);
    // ω of an expert is not there at every position that is kept.
    if (kept.rows.empty() || view.rows.defined()) return;
    at::Tensor& sample = samples[{view.site, view.layer}];
    if (!sample.defined()) {
      sample = at::empty({sampled_, view.activation.size(1)}, view.activation.options());
    }
    const auto index = [&](const std::vector<std::int64_t>& of) {
      return at::tensor(of, at::kLong).to(sample.device());
    };
    sample.index_copy_(0, index(kept.slots), view.activation.index_select(0, index(kept.rows)));
  }

  Kept kept;  // of this pass
  std::map<std::pair<Site, std::int64_t>, Totals> totals;
  std::map<std::pair<Site, std::int64_t>, at::Tensor> samples;  // [samples, width]

 private:
  const ModelConfig& config_;
  const std::set<Site>& sites_;
  std::int64_t sampled_;
};

// Which rows of a pass are among the chosen positions; positions are numbered text by text.
Kept kept_rows(const std::vector<std::int64_t>& chosen,
               const std::vector<std::int64_t>& first_position,
               const std::vector<std::int64_t>& members, const Batch& batch) {
  Kept kept;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Segment& segment = batch.segments[i];
    const std::int64_t first = first_position[static_cast<std::size_t>(members[i])];
    auto next = std::lower_bound(chosen.begin(), chosen.end(), first);
    for (; next != chosen.end() && *next < first + segment.tokens(); ++next) {
      kept.rows.push_back(segment.begin + *next - first);
      kept.slots.push_back(next - chosen.begin());
    }
  }
  return kept;
}

// splitmix64's finaliser over what a position is known by.
std::uint64_t mixed(std::uint64_t seed, std::int64_t id, std::int64_t position) {
  Random random(seed ^ static_cast<std::uint64_t>(id) << 32 ^ static_cast<std::uint64_t>(position),
                "resample");
  return random.next();
}

// float32 [width], 1 at the set's units, by site and layer; places without units are left out.
std::map<std::pair<Site, std::int64_t>, at::Tensor> indicators(const NeuronSet& set) {
  std::map<std::pair<Site, std::int64_t>, at::Tensor> result;
  for (const auto& [site, units] : set.sites) {
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      if (units.units[l].empty()) continue;
      at::Tensor indicator = at::zeros({units.width}, at::kFloat);
      indicator.index_fill_(0, at::tensor(units.units[l], at::kLong), 1);
      result[{site, static_cast<std::int64_t>(l)}] = indicator;
    }
  }
  return result;
}

}  // namespace

ReferenceActivations::ReferenceActivations(const Decoder& decoder,
                                           const std::vector<std::vector<std::int64_t>>& texts,
                                           const ReferenceOptions& options,
                                           const std::function<void(std::int64_t)>& progress) {
  const at::NoGradGuard no_gradients;
  std::vector<std::int64_t> lengths, first_position;
  for (const auto& text : texts) {
    TN_CHECK(!text.empty());
    first_position.push_back(tokens_);
    lengths.push_back(static_cast<std::int64_t>(text.size()));
    tokens_ += lengths.back();
  }
  if (tokens_ == 0) throw Error("no reference texts to take activations from");
  sampled_ = std::min(options.positions, tokens_);
  const std::vector<std::int64_t> chosen =
      Random(options.seed, "reference positions").sample(tokens_, sampled_);
  CollectHook hook(decoder.config(), options.sites, sampled_);
  for (const auto& members : group_by_length(lengths, options.limits)) {
    const Batch batch = text_batch(texts, members);
    hook.kept = kept_rows(chosen, first_position, members, batch);
    decoder.features(batch, hook);
    progress(batch.tokens());
  }
  for (const auto& [place, totals] : hook.totals) {
    const at::Tensor mean = (totals.sum / totals.rows.clamp_min(1)).to(at::kFloat);
    if (!at::isfinite(mean).all().item<bool>()) {
      throw NonFiniteError(
          fmt::format("activations of layer {} are not finite; try `dtype` float32", place.second));
    }
    means_[place] = mean;
    const auto samples = hook.samples.find(place);
    if (samples != hook.samples.end()) samples_[place] = samples->second;
  }
}

ReplaceHook::ReplaceHook(const NeuronSet& set) : SetHook(set, 0), chosen_(indicators(set)) {}

bool ReplaceHook::wants_offset(Site site, std::int64_t layer) const {
  return chosen_.count({site, layer}) != 0;
}

MeanHook::MeanHook(const NeuronSet& set, const ReferenceActivations& reference) : ReplaceHook(set) {
  for (auto& [place, values] : chosen_) {
    const at::Tensor& mean = reference.mean(place.first, place.second);
    values = mean * values.to(mean.device());
  }
}

at::Tensor MeanHook::offset(Site site, std::int64_t layer, const RowTokens&) const {
  return chosen_.at({site, layer});
}

ResampleHook::ResampleHook(const NeuronSet& set, const ReferenceActivations& reference,
                           std::uint64_t seed)
    : ReplaceHook(set), reference_(reference), seed_(seed) {
  for (auto& [place, indicator] : chosen_) {
    indicator = indicator.to(reference.samples(place.first, place.second).options());
  }
}

at::Tensor ResampleHook::offset(Site site, std::int64_t layer, const RowTokens& rows) const {
  const at::Tensor& samples = reference_.samples(site, layer);
  const auto* ids = rows.ids.data_ptr<std::int64_t>();
  const auto* positions = rows.positions.data_ptr<std::int64_t>();
  std::vector<std::int64_t> from(static_cast<std::size_t>(rows.ids.numel()));
  for (std::size_t i = 0; i < from.size(); ++i) {
    from[i] = static_cast<std::int64_t>(mixed(seed_, ids[i], positions[i]) %
                                        static_cast<std::uint64_t>(samples.size(0)));
  }
  return samples.index_select(0, at::tensor(from, at::kLong).to(samples.device()))
      .mul_(chosen_.at({site, layer}));
}

}  // namespace taskneuron

#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "taskneuron/data/batching.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

struct ReferenceOptions {
  std::set<Site> sites;
  std::int64_t positions = 512;  // that resampling draws from; fewer where the texts have fewer
  std::uint64_t seed = 0;        // which positions
  BatchLimits limits;
};

// What units do on reference texts: ω's mean over all positions, and ω itself at some of them. Of
// an expert's units the mean is over the positions that go to it (0 if none does), and there are no
// samples.
class ReferenceActivations {
 public:
  // Runs the texts (ids, none empty) through the model. progress: tokens since the last call;
  // may throw to end the work (base/interruption.h, "Cancelling").
  // Throws Error for no texts, or if an activation is not finite.
  ReferenceActivations(const Decoder& decoder, const std::vector<std::vector<std::int64_t>>& texts,
                       const ReferenceOptions& options,
                       const std::function<void(std::int64_t tokens)>& progress);

  // float32 [width].
  const at::Tensor& mean(Site site, std::int64_t layer) const { return means_.at({site, layer}); }
  // [positions, width], in the model's compute dtype. Row i is of one position in every layer.
  const at::Tensor& samples(Site site, std::int64_t layer) const {
    return samples_.at({site, layer});
  }
  std::int64_t sampled() const { return sampled_; }
  std::int64_t tokens() const { return tokens_; }

 private:
  using Place = std::pair<Site, std::int64_t>;
  std::map<Place, at::Tensor> means_;
  std::map<Place, at::Tensor> samples_;
  std::int64_t sampled_ = 0;
  std::int64_t tokens_ = 0;
};

// Puts something in place of ω of the set's units: off, with an offset where the set has units.
class ReplaceHook : public SetHook {
 public:
  bool wants_offset(Site site, std::int64_t layer) const override;

 protected:
  explicit ReplaceHook(const NeuronSet& set);
  // [width], 0 where the set has no unit; 1 at its units until a subclass makes more of it.
  std::map<std::pair<Site, std::int64_t>, at::Tensor> chosen_;
};

// Puts the mean of the reference in place of ω of the set's units.
class MeanHook : public ReplaceHook {
 public:
  MeanHook(const NeuronSet& set, const ReferenceActivations& reference);
  at::Tensor offset(Site site, std::int64_t layer, const RowTokens& rows) const override;
};

// Puts ω of a sampled reference position in place of ω of the set's units: all of a position's
// units in all layers from the same one. Which one depends on seed, token and position in the text
// alone, so that neither batches nor shared prefixes change it. Borrows the reference.
class ResampleHook : public ReplaceHook {
 public:
  ResampleHook(const NeuronSet& set, const ReferenceActivations& reference, std::uint64_t seed);
  at::Tensor offset(Site site, std::int64_t layer, const RowTokens& rows) const override;

 private:
  const ReferenceActivations& reference_;
  std::uint64_t seed_;
};

}  // namespace taskneuron

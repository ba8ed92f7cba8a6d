#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/model/neuron_hook.h"
#include "taskneuron/model/unit_parameters.h"

namespace taskneuron {

// One unit of one site.
struct SiteUnit {
  Site site = Site::kAct;
  std::int64_t layer = 0;
  std::int64_t unit = 0;
  bool operator==(const SiteUnit&) const = default;
};

// Which units of a model, per site and layer (format: docs/formats/set.md).
struct NeuronSet {
  // units[l]: sorted ids of layer l.
  struct SiteUnits {
    std::int64_t width = 0;
    std::vector<std::vector<std::int64_t>> units;
    SiteShape shape() const { return {static_cast<std::int64_t>(units.size()), width}; }
    std::int64_t size() const;
  };

  std::string model_hash;
  std::map<Site, SiteUnits> sites;
  std::map<std::string, std::string> from;  // how it was made: scores, top, scope, seed, ...

  std::int64_t size() const;  // units over all sites and layers
  UnitsBySite units() const;
};

// Throws Error naming the file for a set that is malformed: layers that differ between sites, ids
// that are not ascending or not below the width.
NeuronSet load_set(const std::filesystem::path& path);
void save_set(const NeuronSet& set, const std::filesystem::path& path);

enum class OtherWeights { kRefuse, kAllow };

// Throws Error unless the set fits the model: the same layers and widths, and (unless allowed) the
// same model hash. where: the set's file, for the message.
void require_fit(const NeuronSet& set, const ModelConfig& config, const std::string& model_hash,
                 OtherWeights other_weights, const std::string& where);

// Multiplies ω of the set's units by `factor` (0: deactivated) wherever it is hooked in.
class SetHook : public NeuronHook {
 public:
  SetHook(const NeuronSet& set, double factor);
  at::Tensor scale(Site site, std::int64_t layer) const override;

 private:
  std::map<Site, std::vector<at::Tensor>> factors_;  // [layer], float32 [width] or undefined
};

}  // namespace taskneuron

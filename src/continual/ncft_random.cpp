#include "continual/ncft.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

namespace {

// As ncft, but each stage trains random units: as many per layer as were found.
class NcftRandom : public Ncft {
 public:
  using Ncft::Ncft;
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = Ncft::identity(stage);
    identity["units"] = "random";
    return identity;
  }

 protected:
  NeuronSet chosen(StageView& view) const override {
    const std::string& task = view.tasks()[view.stage()].name;
    return random_set(Ncft::chosen(view), {RandomKind::kMatched, task, view.seed(), 0});
  }
};

}  // namespace

MethodPtr make_ncft_random(const MethodSettings& settings) {
  return std::make_unique<NcftRandom>(settings);
}

}  // namespace taskneuron

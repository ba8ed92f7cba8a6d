#include "continual/ncft.h"
#include "taskneuron/continual/claims.h"

namespace taskneuron {

namespace {

// As ncft, but each stage trains random units that no earlier stage trained: as many per layer as
// were found.
class NcftDisjoint : public Ncft {
 public:
  using Ncft::Ncft;
  std::set<Kept> keeps() const override {
    std::set<Kept> kept = Ncft::keeps();
    kept.insert(Kept::kSet);
    return kept;
  }
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = Ncft::identity(stage);
    identity["units"] = "disjoint";
    return identity;
  }

 protected:
  NeuronSet chosen(StageView& view) const override {
    return disjoint_set(Ncft::chosen(view), past_sets(view), view.tasks()[view.stage()].name,
                        view.seed());
  }
};

}  // namespace

MethodPtr make_ncft_disjoint(const MethodSettings& settings) {
  return std::make_unique<NcftDisjoint>(settings);
}

}  // namespace taskneuron

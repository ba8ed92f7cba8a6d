// What a unit owns, as training and the ablation of parameters use it.
#include "taskneuron/model/unit_parameters.h"

#include "model/weights.h"
#include "support/support.h"
#include "taskneuron/model/trainable.h"
#include "taskneuron/train/certificate.h"

namespace taskneuron {
namespace {

class UnitParameters : public ::testing::TestWithParam<std::string> {};

// Every combination of sites, `paper` (act and out) among them: the entries that ablation sets to
// zero are those that training would change, in every tensor of the checkpoint.
TEST_P(UnitParameters, TrainingAndAblationAgree) {
  const Checkpoint checkpoint(test::fixtures() / "hf_parity" / GetParam());
  const Decoder decoder(checkpoint, {});
  const auto before = named_weights(decoder);
  for (unsigned combination = 1; combination < 1U << kAllSites.size(); ++combination) {
    SCOPED_TRACE(combination);
    UnitsBySite units;
    bool possible = true;
    for (std::size_t s = 0; s < kAllSites.size(); ++s) {
      if ((combination >> s & 1U) == 0) continue;
      const Site site = kAllSites[s];
      if (site == Site::kGate && !checkpoint.config().gated) possible = false;
      if (!possible) break;
      const SiteShape shape = site_shape(checkpoint.config(), site);
      const auto offset = static_cast<std::int64_t>(s);
      for (std::int64_t l = 0; l < shape.layers; ++l) {
        units[site].push_back({offset, offset + 5, shape.width - 1 - l});
      }
    }
    if (!possible) continue;
    TrainableOptions options;
    options.units = units;
    const TrainableModel model = make_trainable(checkpoint, decoder, options);
    std::map<std::string, at::Tensor> owned;  // by tensor: which entries
    for (const ParameterPtr& parameter : model.parameters) {
      at::Tensor& mask = owned[parameter->tensor];
      if (!mask.defined()) mask = at::zeros_like(before.at(parameter->tensor), at::kBool);
      mask.index_fill_(parameter->axis, parameter->stored_units(), true);
    }
    for (const auto& [name, after] : named_weights(decoder.with_zeroed(units))) {
      const at::Tensor start = before.at(name);
      const auto found = owned.find(name);
      const at::Tensor expected =
          found == owned.end() ? start : start.masked_fill(found->second, 0);
      EXPECT_TRUE(at::equal(after, expected)) << name;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Families, UnitParameters,
                         ::testing::Values("gpt2", "llama", "phi3", "bloom", "mixtral", "olmoe"));

TEST(UnitParameters, ThePapersReadingOwnsTheFirstMatrixAlone) {
  const UnitsBySite act = {{Site::kAct, {{1, 4}}}};
  const UnitsBySite paper = {{Site::kAct, {{1, 4}}}, {Site::kOut, {{2}}}};
  const std::vector<std::int64_t> units = {1, 4}, none;
  EXPECT_EQ(owned_units(act, 0, OwnedPart::kDownInputs), units);
  EXPECT_EQ(owned_units(paper, 0, OwnedPart::kDownInputs), none);
  EXPECT_EQ(owned_units(paper, 0, OwnedPart::kUpOutputs), units);
  EXPECT_EQ(owned_units(paper, 0, OwnedPart::kDownOutputs), std::vector<std::int64_t>{2});
  EXPECT_EQ(owned_units(paper, 1, OwnedPart::kUpOutputs), none);
}

}  // namespace
}  // namespace taskneuron

#include "continual/adapters.h"
#include "taskneuron/continual/features.h"

namespace taskneuron {

namespace {

// Private adapters for every task, trained from the base; each example is answered with those of
// the task whose features it lies nearest to (Wang et al. 2023b).
class Epi : public AdapterMethod {
 public:
  using AdapterMethod::AdapterMethod;
  bool independent() const override { return true; }
  std::set<Kept> keeps() const override { return {Kept::kAdapters}; }
  std::int64_t kept_features() const override { return 1; }                             // the mean
  std::int64_t kept_features_once(std::int64_t width) const override { return width; }  // scatter
  StagePlan plan(StageView& view) const override { return new_adapters(view); }

  std::vector<Answer> answers(TestView& view) const override {
    std::vector<at::Tensor> seen;
    for (std::size_t k = 0; k < view.stages(); ++k) seen.push_back(view.seen_features(k));
    const std::vector<std::size_t> nearest = nearest_gaussian(view.test_features(), seen);
    std::vector<Answer> answers;
    for (std::size_t k = 0; k < view.stages(); ++k) {
      Answer answer;
      answer.stage = static_cast<std::int64_t>(k);
      for (std::size_t row = 0; row < nearest.size(); ++row) {
        if (nearest[row] == k) answer.rows.push_back(static_cast<std::int64_t>(row));
      }
      if (!answer.rows.empty()) answers.push_back(std::move(answer));
    }
    return answers;
  }
};

}  // namespace

MethodPtr make_epi(const MethodSettings& settings) { return std::make_unique<Epi>(settings); }

}  // namespace taskneuron

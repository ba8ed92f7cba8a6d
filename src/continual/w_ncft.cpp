#include <fmt/format.h>

#include "continual/ncft.h"
#include "taskneuron/base/error.h"
#include "taskneuron/continual/combination.h"
#include "taskneuron/continual/features.h"

namespace taskneuron {

namespace {

// ncft whose units count at test time by how like the tested task is to each that was trained.
class WeightedNcft : public Ncft {
 public:
  explicit WeightedNcft(MethodSettings given) : Ncft(std::move(given)) {
    parse_combine(settings().combine);
    if (settings().route != "task" && settings().route != "nearest") {
      throw UsageError("route", settings().route, "task or nearest");
    }
    if (!(settings().temperature > 0)) {
      throw UsageError("temperature", "0", "a number above 0", "is out of range");
    }
  }

  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = Ncft::identity(stage);
    if (settings().dynamic && stage > 0) {
      identity["found_and_started_at"] =
          fmt::format("weights of temperature {}", settings().temperature);
    }
    return identity;
  }

  StagePlan plan(StageView& view) const override {
    std::vector<double> weights;
    if (settings().dynamic && view.stage() > 0) {
      weights = view.similarities(settings().temperature);
      view.start_from(weights);
    }
    StagePlan plan = Ncft::plan(view);
    plan.start_weights = std::move(weights);
    return plan;
  }

  std::set<Kept> keeps() const override {
    std::set<Kept> kept = Ncft::keeps();
    kept.insert(Kept::kChange);
    return kept;
  }
  std::int64_t kept_features() const override {
    return settings().route == "task" ? 1 : settings().stored;  // the mean, or some
  }

  std::vector<Answer> answers(TestView& view) const override {
    return settings().route == "task" ? weighted(view) : routed(view);
  }

 private:
  std::vector<Answer> weighted(TestView& view) const {
    std::vector<at::Tensor> seen;
    for (std::size_t k = 0; k < view.stages(); ++k) seen.push_back(view.seen_features(k));
    Answer answer;
    answer.combine = settings().combine;
    answer.weights = softmax(mean_cosines(view.test_features(), seen), settings().temperature);
    return {answer};
  }

  // Every example with the change of one task alone.
  std::vector<Answer> routed(TestView& view) const {
    std::vector<at::Tensor> seen;
    for (std::size_t k = 0; k < view.stages(); ++k) {
      seen.push_back(stored_features(view.seen_features(k), settings().stored));
    }
    const std::vector<std::size_t> nearest = nearest_stored(view.test_features(), seen);
    std::vector<Answer> answers;
    for (std::size_t k = 0; k < view.stages(); ++k) {
      Answer answer;
      answer.combine = settings().combine;
      answer.weights.assign(view.stages(), 0.0);
      answer.weights[k] = 1;
      for (std::size_t row = 0; row < nearest.size(); ++row) {
        if (nearest[row] == k) answer.rows.push_back(static_cast<std::int64_t>(row));
      }
      if (!answer.rows.empty()) answers.push_back(std::move(answer));
    }
    return answers;
  }
};

}  // namespace

MethodPtr make_w_ncft(const MethodSettings& settings) {
  return std::make_unique<WeightedNcft>(settings);
}

}  // namespace taskneuron

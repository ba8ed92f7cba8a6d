#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "continual/full.h"
#include "taskneuron/base/random.h"

namespace taskneuron {

namespace {

// Rehearsal: a share of every earlier task's train rows trains beside the new ones.
class Replay : public FullMethod {
 public:
  using FullMethod::FullMethod;
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = FullMethod::identity(stage);
    if (stage > 0) identity["share"] = fmt::format("{}", settings().share);
    return identity;
  }
  StagePlan plan(StageView& view) const override {
    StagePlan plan = FullMethod::plan(view);
    for (const PastStage& past : view.past()) {
      std::vector<std::int64_t> rows = kept_rows(view.tasks()[past.task]);
      if (!rows.empty()) plan.stored.push_back({past.task, std::move(rows)});
    }
    return plan;
  }
  // The same at every stage: what was not stored is gone.
  std::vector<std::int64_t> kept_rows(const StreamTask& task) const override {
    const auto count = static_cast<std::int64_t>(
        std::llround(settings().share * static_cast<double>(task.train_rows)));
    Random random(0, fmt::format("stored rows of {}", task.name));
    return random.sample(task.train_rows, count);
  }
};

}  // namespace

MethodPtr make_replay(const MethodSettings& settings) { return std::make_unique<Replay>(settings); }

}  // namespace taskneuron

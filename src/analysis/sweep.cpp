#include "taskneuron/analysis/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

constexpr Company kCompanies[] = {Company::kTogether, Company::kAlone};
constexpr Quantity kQuantities[] = {Quantity::kSpecialization, Quantity::kGeneralization,
                                    Quantity::kMean};

const std::vector<double>& scores_of(const SweptTask& task, bool of_loss) {
  return of_loss ? task.measured.losses : task.measured.scores;
}

// The sweep's models by what they are, and which of them make a point of a curve.
class Models {
 public:
  Models(const std::vector<SweptModel>& models, const std::vector<SweptTask>& base,
         std::optional<std::size_t> all_units)
      : base_(base), all_units_(all_units) {
    for (const SweptModel& model : models) {
      by_name_[{model.company, model.trained_on, model.arm, model.top}][model.seed] = &model;
      companies_.insert(model.company);
      // All units are one model, which tells nothing of what arms there are.
      if (model.top != all_units) arms_[model.company].insert(model.arm);
    }
    for (const Company company : companies_) {
      if (arms_[company].empty()) arms_[company].insert(Arm::kOwn);
    }
  }

  const std::set<Company>& companies() const { return companies_; }
  const std::set<Arm>& arms(Company company) const { return arms_.at(company); }
  // Tasks of this metric that were trained, or were not.
  std::vector<std::string> tasks(const Metric& metric, bool trained) const {
    std::vector<std::string> names;
    for (const SweptTask& task : base_) {
      if (task.metric.name == metric.name && task.trained == trained) names.push_back(task.task);
    }
    return names;
  }
  const SweptTask& base(const std::string& task) const {
    for (const SweptTask& one : base_) {
      if (one.task == task) return one;
    }
    throw Error(fmt::format("{}: was not evaluated before training", task));
  }
  std::vector<std::string> trained() const {
    std::vector<std::string> names;
    for (const SweptTask& task : base_) {
      if (task.trained) names.push_back(task.task);
    }
    return names;
  }

  // A task's scores by seed in the models that were trained on `on`.
  std::vector<std::vector<double>> scores(const CurveKey& key, Arm arm, std::size_t top,
                                          const std::string& on, const std::string& task) const {
    const Arm which = top == all_units_ ? Arm::kOwn : arm;
    const auto found = by_name_.find({key.company, on, which, top});
    if (found == by_name_.end()) {
      throw Error(fmt::format("the sweep has no model of {} units, trained {}{}{}", arm_name(which),
                              company_name(key.company), on.empty() ? "" : " on ", on));
    }
    std::vector<std::vector<double>> by_seed;
    for (const auto& item : found->second) {
      const auto& tasks = item.second->tasks;
      const auto one = std::find_if(tasks.begin(), tasks.end(),
                                    [&](const SweptTask& swept) { return swept.task == task; });
      if (one == tasks.end()) throw Error(fmt::format("{}: a model was not evaluated on it", task));
      by_seed.push_back(scores_of(*one, key.of_loss));
    }
    return by_seed;
  }

 private:
  struct Name {
    Company company;
    std::string trained_on;
    Arm arm;
    std::size_t top;
    auto operator<=>(const Name&) const = default;
  };

  std::vector<SweptTask> base_;
  std::optional<std::size_t> all_units_;
  std::map<Name, std::map<std::int64_t, const SweptModel*>> by_name_;
  std::set<Company> companies_;
  std::map<Company, std::set<Arm>> arms_;
};

// Each example's mean over models, seed by seed.
std::vector<std::vector<double>> mean_over_models(
    const std::vector<std::vector<std::vector<double>>>& models) {
  std::vector<std::vector<double>> means;
  for (std::size_t s = 0; s < models.front().size(); ++s) {
    std::vector<std::vector<double>> of_seed;
    for (const auto& model : models) {
      TN_CHECK_EQ(model.size(), models.front().size());
      of_seed.push_back(model[s]);
    }
    means.push_back(mean_over_seeds(of_seed));
  }
  return means;
}

// The tasks that a quantity is a mean of, with their shares.
struct Averaged {
  std::string task;
  bool trained = false;
  double share = 1;
};

std::vector<Averaged> averaged(const Models& models, const CurveKey& key) {
  std::vector<Averaged> result;
  const double half = key.quantity == Quantity::kMean ? 0.5 : 1;
  for (const bool trained : {true, false}) {
    if (key.quantity == (trained ? Quantity::kGeneralization : Quantity::kSpecialization)) continue;
    const std::vector<std::string> tasks = models.tasks(key.metric, trained);
    if (tasks.empty()) return {};
    for (const std::string& task : tasks) {
      result.push_back({task, trained, half / static_cast<double>(tasks.size())});
    }
  }
  return result;
}

Trainings point_of(const Models& models, const CurveKey& key, Arm arm, std::size_t top) {
  Trainings point;
  for (const Averaged& task : averaged(models, key)) {
    TrainedScores& scores = point.emplace_back();
    scores.share = task.share;
    if (key.company == Company::kTogether) {
      scores.by_seed = models.scores(key, arm, top, "", task.task);
    } else if (task.trained) {
      scores.by_seed = models.scores(key, arm, top, task.task, task.task);
    } else {
      std::vector<std::vector<std::vector<double>>> of_models;
      for (const std::string& on : models.trained()) {
        of_models.push_back(models.scores(key, arm, top, on, task.task));
      }
      scores.by_seed = mean_over_models(of_models);
    }
  }
  return point;
}

SweepCurve curve_of(const Models& models, const CurveKey& key, Arm arm,
                    const std::vector<Trainings>& points, const SeedVariance& pooled) {
  SweepCurve curve;
  curve.key = key;
  curve.arm = arm;
  curve.seeds = static_cast<std::int64_t>(points.front().front().by_seed.size());
  for (const Averaged& task : averaged(models, key)) {
    curve.base += task.share * mean(scores_of(models.base(task.task), key.of_loss));
  }
  for (const Trainings& point : points) curve.points.push_back(mean_of_trainings(point, pooled));
  curve.best = best_of(points, pooled, key.better() == Better::kHigher);
  return curve;
}

// Of one training each, where every trained task has a model of its own: these are what differs
// from training to training, and the test is over them.
Contrast over_models(const Models& models, const CurveKey& key, std::size_t top) {
  std::vector<double> differences;
  std::int64_t examples = 0;
  const std::vector<std::string> trained = models.trained();
  const std::vector<Averaged> tasks = averaged(models, key);
  // Each model stands for its own task alone, so the shares of trained tasks grow with the number
  // of models that the mean below is of.
  const auto count = static_cast<double>(key.quantity == Quantity::kSpecialization
                                             ? models.tasks(key.metric, true).size()
                                             : trained.size());
  for (const std::string& on : trained) {
    double difference = 0;
    for (const Averaged& task : tasks) {
      if (task.trained && task.task != on) continue;
      const double share = task.trained ? count * task.share : task.share;
      const auto own = models.scores(key, Arm::kOwn, top, on, task.task).front(),
                 random = models.scores(key, Arm::kRandom, top, on, task.task).front();
      difference += share * (mean(own) - mean(random));
      examples += static_cast<std::int64_t>(own.size());
    }
    // Of the tasks of this metric alone.
    if (std::any_of(tasks.begin(), tasks.end(),
                    [&](const Averaged& task) { return !task.trained || task.task == on; })) {
      differences.push_back(difference);
    }
  }
  Contrast contrast = paired_difference({differences});
  contrast.examples = examples;
  if (differences.size() < 2) {
    contrast.no_test = contrast.no_interval = "one model shows no spread between trainings";
  }
  return contrast;
}

void adjust_present(std::vector<std::optional<Contrast>>& contrasts) {
  std::vector<Contrast*> family;
  for (std::optional<Contrast>& contrast : contrasts) {
    if (contrast) family.push_back(&*contrast);
  }
  adjust(family);
}

// The curves of both arms with one key, and their difference.
void add_curves(const Models& models, const CurveKey& key, std::size_t tops,
                std::optional<std::size_t> all_units, SweepCurves& result) {
  std::map<Arm, std::vector<Trainings>> points;
  std::vector<Trainings> alike;
  for (const Arm arm : models.arms(key.company)) {
    for (std::size_t top = 0; top < tops; ++top) {
      points[arm].push_back(point_of(models, key, arm, top));
      const bool known = top == all_units && arm != *models.arms(key.company).begin();
      if (!known) alike.push_back(points[arm].back());
    }
  }
  const SeedVariance pooled = pooled_seed_variance(alike);
  for (const auto& [arm, of_arm] : points) {
    result.curves.push_back(curve_of(models, key, arm, of_arm, pooled));
  }
  if (points.size() < 2) return;
  SweepDifference& difference = result.differences.emplace_back();
  difference.key = key;
  for (std::size_t top = 0; top < tops; ++top) {
    std::optional<Contrast>& one = difference.points.emplace_back();
    if (top == all_units) continue;
    const bool by_model = key.company == Company::kAlone && !(pooled.df > 0);
    one = by_model ? over_models(models, key, top)
                   : contrast_of_trainings({&points[Arm::kOwn][top], &points[Arm::kRandom][top]},
                                           {1, -1}, pooled);
  }
  adjust_present(difference.points);
}

std::map<std::string, Metric> metrics_of(const std::vector<SweptTask>& tasks) {
  std::map<std::string, Metric> metrics;
  for (const SweptTask& task : tasks) metrics[task.metric.name] = task.metric;
  return metrics;
}

}  // namespace

const char* arm_name(Arm arm) { return arm == Arm::kOwn ? "own" : "random"; }

const char* company_name(Company company) {
  return company == Company::kTogether ? "together" : "alone";
}

Company parse_company(const std::string& name) {
  for (const Company company : kCompanies) {
    if (name == company_name(company)) return company;
  }
  throw UsageError("trained", name, "together or alone");
}

const char* quantity_name(Quantity quantity) {
  switch (quantity) {
    case Quantity::kSpecialization: return "specialization";
    case Quantity::kGeneralization: return "generalization";
    case Quantity::kMean: return "mean";
  }
  TN_CHECK(false);
}

SweepCurves sweep_curves(const std::vector<std::string>& tops, std::optional<std::size_t> all_units,
                         const std::vector<SweptModel>& models,
                         const std::vector<SweptTask>& base) {
  const Models known(models, base, all_units);
  SweepCurves result;
  for (const Company company : known.companies()) {
    for (const auto& [name, metric] : metrics_of(base)) {
      for (const bool of_loss : {false, true}) {
        if (of_loss && metric.name == "loss") continue;
        for (const Quantity quantity : kQuantities) {
          const CurveKey key{company, quantity, metric, of_loss};
          if (averaged(known, key).empty()) continue;
          add_curves(known, key, tops.size(), all_units, result);
        }
      }
    }
  }
  return result;
}

}  // namespace taskneuron

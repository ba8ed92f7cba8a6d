// Overlap-controlled training: what a test task gains from the share of its own units that are
// trained.
#include "base/check.h"
#include "taskneuron/analysis/sweep.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

// Least squares: Σ coefficient · y is the slope of y over x. Empty where all x are the same.
std::vector<double> slope_coefficients(const std::vector<double>& x) {
  const double center = mean(x);
  double squares = 0;
  for (const double value : x) squares += (value - center) * (value - center);
  if (!(squares > 1e-18)) return {};  // rounding
  std::vector<double> coefficients;
  for (const double value : x) coefficients.push_back((value - center) / squares);
  return coefficients;
}

// All models of a dose and a share, averaged over their test tasks.
struct Point {
  Trainings trainings;
  double share = 0;
};

Point point_of(const std::vector<OverlapModel>& models, std::size_t top, std::size_t share,
               const std::string& metric, bool of_loss) {
  std::map<std::string, std::map<std::int64_t, const OverlapModel*>> tasks;
  for (const OverlapModel& model : models) {
    if (model.top != top || model.share != share || model.test.metric.name != metric) continue;
    tasks[model.test.task][model.seed] = &model;
  }
  Point point;
  double count = 0;
  for (const auto& [task, seeds] : tasks) {
    TrainedScores& scores = point.trainings.emplace_back();
    scores.share = 1 / static_cast<double>(tasks.size());
    for (const auto& [seed, model] : seeds) {
      const Measurement& measured = model->test.measured;
      scores.by_seed.push_back(of_loss ? measured.losses : measured.scores);
      point.share += model->real_share;
      ++count;
    }
  }
  if (count > 0) point.share /= count;
  return point;
}

// Each test task's models are its own, so with one training each the slopes of the tasks show how
// trainings differ.
Contrast slope_over_tasks(const std::vector<const Trainings*>& points,
                          const std::vector<double>& coefficients) {
  std::vector<double> slopes;
  std::int64_t examples = 0;
  for (std::size_t task = 0; task < points.front()->size(); ++task) {
    double slope = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      slope += coefficients[i] * mean((*points[i])[task].by_seed.front());
    }
    slopes.push_back(slope);
    examples += static_cast<std::int64_t>((*points.front())[task].by_seed.front().size());
  }
  Contrast contrast = paired_difference({slopes});
  contrast.examples = examples;
  contrast.tasks = static_cast<std::int64_t>(slopes.size());
  if (slopes.size() < 2) {
    contrast.no_test = contrast.no_interval = "one task shows no spread between trainings";
  }
  return contrast;
}

// One measure at every dose; points[top][share].
std::vector<OverlapCurve> curves_of(const std::vector<std::vector<Point>>& points,
                                    const Metric& metric, bool of_loss) {
  std::vector<Trainings> alike;
  for (const std::vector<Point>& of_top : points) {
    for (const Point& point : of_top) alike.push_back(point.trainings);
  }
  const SeedVariance pooled = pooled_seed_variance(alike);
  std::vector<OverlapCurve> curves(points.size());
  std::vector<Contrast*> family;
  for (std::size_t top = 0; top < points.size(); ++top) {
    OverlapCurve& curve = curves[top];
    curve.top = top;
    curve.metric = metric;
    curve.of_loss = of_loss;
    std::vector<const Trainings*> trainings;
    for (const Point& point : points[top]) {
      curve.shares.push_back(point.share);
      curve.points.push_back(mean_of_trainings(point.trainings, pooled));
      trainings.push_back(&point.trainings);
    }
    curve.seeds = static_cast<std::int64_t>(trainings.front()->front().by_seed.size());
    const std::vector<double> coefficients = slope_coefficients(curve.shares);
    if (coefficients.empty()) continue;
    curve.slope = pooled.df > 0 ? contrast_of_trainings(trainings, coefficients, pooled)
                                : slope_over_tasks(trainings, coefficients);
    family.push_back(&*curve.slope);
  }
  adjust(family);
  return curves;
}

}  // namespace

std::vector<OverlapCurve> overlap_curves(std::size_t tops, std::size_t shares,
                                         const std::vector<OverlapModel>& models) {
  std::map<std::string, Metric> metrics;
  for (const OverlapModel& model : models) metrics[model.test.metric.name] = model.test.metric;
  std::vector<OverlapCurve> curves;
  for (const auto& [name, metric] : metrics) {
    for (const bool of_loss : {false, true}) {
      if (of_loss && name == "loss") continue;
      std::vector<std::vector<Point>> points(tops);
      for (std::size_t top = 0; top < tops; ++top) {
        for (std::size_t share = 0; share < shares; ++share) {
          points[top].push_back(point_of(models, top, share, name, of_loss));
          TN_CHECK(!points[top].back().trainings.empty());
        }
      }
      const std::vector<OverlapCurve> found = curves_of(points, metric, of_loss);
      curves.insert(curves.end(), found.begin(), found.end());
    }
  }
  return curves;
}

}  // namespace taskneuron

#include "taskneuron/recipe/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/file.h"
#include "cli/command.h"
#include "cli/contrast_output.h"
#include "cli/inference_json.h"
#include "cli/provenance.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  SweepOptions sweep;
};

Claim claimed(Better better) { return better == Better::kHigher ? Claim::kHigher : Claim::kLower; }

OutputJson task_json(const SweptTask& task) {
  return {{"task", task.task},
          {"trained", task.trained},
          {"metric", task.metric.name},
          {"value", task.measured.value},
          {"stderr", task.measured.standard_error},
          {"loss", task.measured.loss},
          {"n", task.measured.scores.size()}};
}

OutputJson tasks_json(const std::vector<SweptTask>& tasks) {
  OutputJson json = OutputJson::array();
  for (const SweptTask& task : tasks) json.push_back(task_json(task));
  return json;
}

OutputJson rate_json(const TunedRate& rate) {
  OutputJson json = {{"trained", company_name(rate.company)}};
  if (!rate.trained_on.empty()) json["on"] = rate.trained_on;
  json.update({{"arm", arm_name(rate.arm)},
               {"top", rate.top},
               {"rate", rate.rate},
               {"at_edge", rate.at_edge},
               {"tried", OutputJson::array()}});
  for (const auto& [tried, loss] : rate.losses) {
    const OutputJson shown = std::isfinite(loss) ? OutputJson(loss) : OutputJson(nullptr);
    json["tried"].push_back({{"rate", tried}, {"loss", shown}});
  }
  return json;
}

OutputJson key_json(const CurveKey& key) {
  return {{"trained", company_name(key.company)},
          {"quantity", quantity_name(key.quantity)},
          {"metric", key.metric.name},
          {"measure", key.of_loss ? "loss" : "value"}};
}

OutputJson mean_json(const Contrast& mean) {
  OutputJson json = {{"mean", mean.difference}};
  add_interval(json, mean.interval, mean.no_interval);
  return json;
}

OutputJson curve_json(const SweepCurve& curve, const std::vector<std::string>& tops) {
  OutputJson json = key_json(curve.key);
  json.update({{"arm", arm_name(curve.arm)},
               {"seeds", curve.seeds},
               {"base", curve.base},
               {"points", OutputJson::array()}});
  for (std::size_t i = 0; i < tops.size(); ++i) {
    OutputJson point = {{"top", tops[i]}};
    point.update(mean_json(curve.points[i]));
    json["points"].push_back(point);
  }
  OutputJson& best = json["best"];
  best = {{"top", tops[curve.best.at]}, {"others", OutputJson::array()}};
  for (std::size_t i = 0; i < tops.size(); ++i) {
    if (i == curve.best.at) continue;
    best["others"].push_back({{"top", tops[i]},
                              {"p_adjusted", or_null(curve.best.p[i])},
                              {"told_apart", static_cast<bool>(curve.best.told_apart[i])}});
  }
  return json;
}

OutputJson difference_json(const SweepDifference& difference,
                           const std::vector<std::string>& tops) {
  OutputJson json = key_json(difference.key);
  json["points"] = OutputJson::array();
  for (std::size_t i = 0; i < tops.size(); ++i) {
    if (!difference.points[i]) continue;
    OutputJson point = {{"top", tops[i]}};
    point.update(contrast_json(*difference.points[i], claimed(difference.key.better())));
    json["points"].push_back(point);
  }
  return json;
}

OutputJson overlap_json(const SweepResult& found, const SweepOptions& options) {
  OutputJson json = {{"models", OutputJson::array()}, {"curves", OutputJson::array()}};
  for (const OverlapModel& model : found.overlap_models) {
    OutputJson row = {{"top", found.overlap_tops[model.top]},
                      {"share", std::stod(options.shares[model.share])},
                      {"real_share", model.real_share},
                      {"seed", model.seed}};
    row.update(task_json(model.test));
    json["models"].push_back(row);
  }
  for (const OverlapCurve& curve : found.overlap) {
    OutputJson row = {{"top", found.overlap_tops[curve.top]},
                      {"metric", curve.metric.name},
                      {"measure", curve.of_loss ? "loss" : "value"},
                      {"seeds", curve.seeds},
                      {"points", OutputJson::array()}};
    for (std::size_t i = 0; i < curve.points.size(); ++i) {
      OutputJson point = {{"share", curve.shares[i]}};
      point.update(mean_json(curve.points[i]));
      row["points"].push_back(point);
    }
    const Claim claim = claimed(curve.of_loss ? Better::kLower : curve.metric.better);
    row["slope"] = curve.slope ? contrast_json(*curve.slope, claim) : OutputJson(nullptr);
    json["curves"].push_back(row);
  }
  return json;
}

OutputJson result_json(const Session& session, const SweepResult& found,
                       const SweepOptions& options) {
  OutputJson json = model_json(session);
  json.update({{"tops", found.tops},
               {"trainings", found.trainings},
               {"seconds", found.seconds},
               {"rates", OutputJson::array()},
               {"base", tasks_json(found.base)},
               {"models", OutputJson::array()},
               {"curves", OutputJson::array()},
               {"differences", OutputJson::array()}});
  for (const TunedRate& rate : found.rates) json["rates"].push_back(rate_json(rate));
  for (const SweptModel& model : found.models) {
    OutputJson row = {{"trained", company_name(model.company)}};
    if (!model.trained_on.empty()) row["on"] = model.trained_on;
    row.update({{"arm", arm_name(model.arm)},
                {"top", found.tops[model.top]},
                {"seed", model.seed},
                {"tasks", tasks_json(model.tasks)}});
    json["models"].push_back(row);
  }
  for (const SweepCurve& curve : found.curves.curves) {
    json["curves"].push_back(curve_json(curve, found.tops));
  }
  for (const SweepDifference& difference : found.curves.differences) {
    json["differences"].push_back(difference_json(difference, found.tops));
  }
  if (options.overlap_control) json["overlap_control"] = overlap_json(found, options);
  return json;
}

std::string interval_text(const Contrast& contrast, const char* format) {
  const std::string value = fmt::format(fmt::runtime(format), contrast.difference);
  if (!contrast.interval) return value;
  return fmt::format("{} ({} … {})", value,
                     fmt::format(fmt::runtime(format), contrast.interval->low),
                     fmt::format(fmt::runtime(format), contrast.interval->high));
}

std::string measure_text(const std::string& metric, bool of_loss) {
  return of_loss ? fmt::format("loss ({} tasks)", metric) : metric;
}

// Which share of several is best, and whether that can be said.
std::string best_text(const SweepCurve& curve, const std::vector<std::string>& tops) {
  std::vector<std::string> alike;
  for (std::size_t i = 0; i < tops.size(); ++i) {
    if (i != curve.best.at && !curve.best.told_apart[i]) alike.push_back(tops[i]);
  }
  return fmt::format("{}, {} ({}), {} units: best at {}{}\n", company_name(curve.key.company),
                     quantity_name(curve.key.quantity),
                     measure_text(curve.key.metric.name, curve.key.of_loss), arm_name(curve.arm),
                     tops[curve.best.at],
                     alike.empty() ? ", told from all others"
                                   : fmt::format(", not told from {}", fmt::join(alike, ", ")));
}

// All units are one set: a second arm would repeat the first one's numbers.
bool repeats(const SweepResult& found, const SweepCurve& curve, std::size_t top) {
  return curve.arm == Arm::kRandom && !found.curves.differences.empty() &&
         parse_percent(found.tops[top]) == 100;
}

void print_curves(const SweepResult& found) {
  Table table({"trained", "quantity", "measure", "before", "units", "arm", "after (95%)"});
  for (const SweepCurve& curve : found.curves.curves) {
    for (std::size_t i = 0; i < found.tops.size(); ++i) {
      if (repeats(found, curve, i)) continue;
      table.add({company_name(curve.key.company), quantity_name(curve.key.quantity),
                 measure_text(curve.key.metric.name, curve.key.of_loss),
                 fmt::format("{:.4f}", curve.base), found.tops[i], arm_name(curve.arm),
                 interval_text(curve.points[i], "{:.4f}")});
    }
  }
  table.print();
}

void print_differences(const SweepResult& found) {
  if (found.curves.differences.empty()) return;
  fmt::print("\n");
  Table table({"trained", "quantity", "measure", "units", "own − random (95%)", "p", "p (BH)",
               "detectable", "own is better"});
  for (const SweepDifference& difference : found.curves.differences) {
    for (std::size_t i = 0; i < found.tops.size(); ++i) {
      if (!difference.points[i]) continue;
      const Contrast& point = *difference.points[i];
      table.add({company_name(difference.key.company), quantity_name(difference.key.quantity),
                 measure_text(difference.key.metric.name, difference.key.of_loss), found.tops[i],
                 interval_text(point, "{:+.4f}"), p_text(point.p()), p_text(point.p_adjusted),
                 point.detectable ? fmt::format("{:.4f}", *point.detectable) : "–",
                 verdict_name(judge(point, claimed(difference.key.better())))});
    }
  }
  table.print();
}

void print_overlap(const SweepResult& found) {
  if (found.overlap.empty()) return;
  fmt::print("\n");
  Table points({"units", "measure", "share of own", "test tasks (95%)"});
  Table slopes({"units", "measure", "per share of 1 (95%)", "p", "p (BH)", "own is better"});
  for (const OverlapCurve& curve : found.overlap) {
    const std::string measure = measure_text(curve.metric.name, curve.of_loss);
    for (std::size_t i = 0; i < curve.points.size(); ++i) {
      points.add({found.overlap_tops[curve.top], measure, fmt::format("{:.2f}", curve.shares[i]),
                  interval_text(curve.points[i], "{:.4f}")});
    }
    if (!curve.slope) {
      slopes.add({found.overlap_tops[curve.top], measure, "undefined", "–", "–", "undetermined"});
      continue;
    }
    slopes.add({found.overlap_tops[curve.top], measure, interval_text(*curve.slope, "{:+.4f}"),
                p_text(curve.slope->p()), p_text(curve.slope->p_adjusted),
                verdict_name(judge(
                    *curve.slope, claimed(curve.of_loss ? Better::kLower : curve.metric.better)))});
  }
  points.print();
  fmt::print("\n");
  slopes.print();
}

void print(const SweepResult& found) {
  print_curves(found);
  fmt::print("\n");
  bool one_training = false;
  for (const SweepCurve& curve : found.curves.curves) {
    if (found.tops.size() > 1) fmt::print("{}", best_text(curve, found.tops));
    one_training = one_training || curve.seeds == 1;
  }
  for (const OverlapCurve& curve : found.overlap) one_training = one_training || curve.seeds == 1;
  print_differences(found);
  print_overlap(found);
  fmt::print(
      "\nspecialization: tasks that were trained; generalization: the others; mean: of these "
      "two\n95%: over trainings and examples{}; told: p < .05, corrected over all pairs of "
      "shares (Holm); p (BH): over shares\n",
      one_training
          ? " (means of one training: over examples alone; contrasts: over models or test tasks)"
          : "");
}

void run(const Options& options) {
  options.common.apply();
  options.sweep.check();
  const Session session(options.model);
  const SweepResult found = sweep(session, options.sweep);
  const OutputJson json = result_json(session, found, options.sweep);
  const std::string path = options.sweep.out + "/result.json";
  write_file(path, json_text(json, 2) + "\n");
  if (options.common.json) return print_json(json);
  print(found);
  fmt::print("{}\n", path);
}

}  // namespace

void add_sweep(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "sweep", "Train more and more of tasks' units; test on these tasks and on others");
  add_options(*command, options->model, options->sweep);
  options->common.add_to(*command);
  set_run(
      *command,
      std::string(
          "Example:\n  taskneuron sweep examples/models/mini --task examples/tasks/scitail \\\n"
          "    --other-task examples/tasks/babi --limit 200 --seeds 2 --out sweep\n\nWhat is "
          "computed: docs/method.md, \"The share of units\"; the folder: docs/formats/sweep.md") +
          kTermsFooter,
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

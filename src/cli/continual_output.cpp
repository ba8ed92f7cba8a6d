#include "cli/continual_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/plain_name.h"
#include "cli/inference_json.h"
#include "cli/provenance.h"
#include "recipe/stage_cost.h"
#include "taskneuron/base/memory.h"
#include "train/run_files.h"

namespace taskneuron::cli {

namespace {

OutputJson list_json(const std::vector<std::optional<double>>& values) {
  OutputJson json = OutputJson::array();
  for (const auto& value : values) json.push_back(or_null(value));
  return json;
}

OutputJson run_json(const StreamRun& run) {
  OutputJson json = {{"method", run.method},
                     {"order", run.order},
                     {"seed", run.seed},
                     {"settings", settings_json(run.settings)},
                     {"rows", run.rows},
                     {"tasks", run.results.tasks},
                     {"matrix", OutputJson::array()},
                     {"zero_shot", list_json(run.results.zero_shot)},
                     {"single", list_json(run.results.single)},
                     {"cl", or_null(run.metrics.cl)},
                     {"fg", list_json(run.metrics.fg)},
                     {"fg_diagonal", list_json(run.metrics.fg_diagonal)},
                     {"bwt", or_null(run.metrics.bwt)},
                     {"fwt", or_null(run.metrics.fwt)},
                     {"forgetting", or_null(run.metrics.forgetting)},
                     {"stages", OutputJson::array()}};
  for (const auto& row : run.results.matrix) json["matrix"].push_back(list_json(row));
  for (const StageCost& cost : run.stages) json["stages"].push_back(cost_json(cost));
  if (!run.diverged.empty()) json["diverged"] = run.diverged;
  return json;
}

OutputJson mean_json(const StreamMean& mean) {
  return {{"method", mean.method}, {"order", mean.order},    {"metric", mean.key},
          {"mean", mean.mean},     {"sd", or_null(mean.sd)}, {"seeds", mean.seeds}};
}

OutputJson comparison_json(const StreamComparison& one) {
  OutputJson json = {{"a", one.a}, {"b", one.b}, {"metric", one.key}};
  json["difference"] = one.contrast.difference;
  add_interval(json, one.contrast.interval, one.contrast.no_interval);
  json["p"] = or_null(one.contrast.p());
  json["p_adjusted"] = or_null(one.contrast.p_adjusted);
  json["detectable"] = or_null(one.contrast.detectable);
  json["over"] = spread_name(one.spread);
  json["orders"] = one.orders;
  json["seeds"] = one.seeds;
  json["left_out"] = one.left_out;
  json["verdict"] = verdict_name(judge(one));
  return json;
}

OutputJson formulas_json() {
  OutputJson json;
  for (const StreamFormula& formula : stream_formulas()) json[formula.key] = formula.formula;
  return json;
}

// No minus zero.
std::string fixed(double value) {
  return fmt::format("{:.4f}", std::abs(value) < 0.00005 ? 0.0 : value);
}

std::string cell(const std::optional<double>& value) { return value ? fixed(*value) : "–"; }

void print_matrix(const StreamRun& run) {
  fmt::print("{}, {}, seed {}: the metric of each task after each stage\n", run.method, run.order,
             run.seed);
  std::vector<std::string> header = {"task", "before"};
  for (const std::string& task : run.results.tasks) header.push_back("after " + task);
  header.push_back("alone");
  Table table(header);
  for (std::size_t i = 0; i < run.results.tasks.size(); ++i) {
    std::vector<std::string> row = {run.results.tasks[i], cell(run.results.zero_shot[i])};
    for (const auto& value : run.results.matrix[i]) row.push_back(cell(value));
    row.push_back(cell(run.results.single[i]));
    table.add(row);
  }
  table.print();
  fmt::print("\n");
}

// "0.7123 ± 0.0120": mean and standard deviation over seeds.
std::string mean_text(const StreamSummary& summary, const std::string& method,
                      const std::string& order, const std::string& key) {
  for (const StreamMean& mean : summary.means) {
    if (mean.method != method || mean.order != order || mean.key != key) continue;
    return mean.sd ? fmt::format("{} ± {:.4f}", fixed(mean.mean), *mean.sd) : fixed(mean.mean);
  }
  return "–";
}

std::vector<std::string> orders_of(const ContinualResult& found) {
  std::vector<std::string> orders;
  for (const StreamRun& run : found.runs) {
    if (std::find(orders.begin(), orders.end(), run.order) == orders.end()) {
      orders.push_back(run.order);
    }
  }
  return orders;
}

// A row per method and order.
void print_metrics(const ContinualResult& found) {
  std::vector<std::string> header = {"method", "order"};
  for (const StreamFormula& formula : stream_formulas()) header.push_back(formula.name);
  header.push_back("seeds");
  Table table(header);
  for (const std::string& method : found.methods) {
    for (const std::string& order : orders_of(found)) {
      std::vector<std::string> row = {method, order};
      for (const StreamFormula& formula : stream_formulas()) {
        row.push_back(mean_text(found.summary, method, order, formula.key));
      }
      row.push_back(std::to_string(std::count_if(
          found.runs.begin(), found.runs.end(),
          [&](const StreamRun& run) { return run.method == method && run.order == order; })));
      table.add(row);
    }
  }
  table.print();
  for (const StreamFormula& formula : stream_formulas()) {
    fmt::print("{} = {}\n", formula.name, formula.formula);
  }
  fmt::print(
      "± is the standard deviation over the seeds that know the metric; –: unknown, or divided by "
      "0; "
      "FG is of the last stage\n");
  for (const StreamRun& run : found.runs) {
    if (run.diverged.empty()) continue;
    fmt::print("{}, {}, seed {}: diverged at stage {}, and is in no mean: {}\n", run.method,
               run.order, run.seed, run.stages.size() + 1, shown(run.diverged));
  }
  fmt::print("\n");
}

// What a method costs and keeps, means over stages of all its streams.
void print_costs(const ContinualResult& found) {
  Table table({"method", "trained values", "kept per task", "kept once", "training", "detection",
               "peak memory", "stages"});
  for (const std::string& method : found.methods) {
    StageCost sum;
    double stages = 0;
    for (const StreamRun& run : found.runs) {
      if (run.method != method) continue;
      for (const StageCost& cost : run.stages) {
        ++stages;
        sum.trained_values += cost.trained_values;
        sum.stored_bytes += cost.stored_bytes;
        sum.shared_bytes = std::max(sum.shared_bytes, cost.shared_bytes);
        sum.training_seconds += cost.training_seconds;
        sum.detection_seconds += cost.detection_seconds + cost.memory_seconds;
        sum.peak_memory_bytes = std::max(sum.peak_memory_bytes, cost.peak_memory_bytes);
      }
    }
    if (stages == 0) continue;
    table.add(
        {method, fmt::format("{:.0f}", static_cast<double>(sum.trained_values) / stages),
         format_bytes(static_cast<std::int64_t>(static_cast<double>(sum.stored_bytes) / stages)),
         format_bytes(sum.shared_bytes), fmt::format("{:.1f} s", sum.training_seconds / stages),
         fmt::format("{:.1f} s", sum.detection_seconds / stages),
         format_bytes(sum.peak_memory_bytes), fmt::format("{:.0f}", stages)});
  }
  table.print();
  fmt::print(
      "means over stages (peak memory and what is kept once: the largest); detection: finding "
      "units, and forming what is "
      "remembered\n");
}

bool compares(const StreamComparison& one) {
  return one.key == std::string("cl") && one.spread != StreamSpread::kNone;
}

std::string counted(std::int64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// "+0.1250 (+0.0312 … +0.2188)"
std::string difference_text(const Contrast& contrast) {
  if (!contrast.interval) return fmt::format("{:+.4f} (no interval)", contrast.difference);
  return fmt::format("{:+.4f} ({:+.4f} … {:+.4f})", contrast.difference, contrast.interval->low,
                     contrast.interval->high);
}

// The pairs that were asked for, or the first method that can be compared against all others.
void print_comparisons(const ContinualResult& found, Compared compared) {
  const auto any =
      std::find_if(found.summary.comparisons.begin(), found.summary.comparisons.end(), compares);
  if (any == found.summary.comparisons.end()) return;
  const bool asked = compared == Compared::kAsked;
  const std::string first = asked ? "the first method" : any->a;
  std::vector<std::string> columns = {"against", "CL difference (95%)", "over", "p", "p (BH)",
                                      "verdict"};
  if (asked) columns.insert(columns.begin(), "method");
  Table table(columns);
  std::int64_t left_out = 0;
  bool one_seed = false;
  for (const StreamComparison& one : found.summary.comparisons) {
    if (!compares(one) || (!asked && one.a != first)) continue;
    one_seed = one_seed || one.spread == StreamSpread::kOrders;
    left_out += one.left_out;
    std::vector<std::string> row = {
        one.b,
        difference_text(one.contrast),
        counted(one.orders, "order") + " × " + counted(one.seeds, "seed"),
        p_text(one.contrast.p()),
        p_text(one.contrast.p_adjusted),
        verdict_name(judge(one))};
    if (asked) row.insert(row.begin(), one.a);
    table.add(row);
  }
  fmt::print(
      "\n{} minus the other method, over the streams that both have; verdict: is it better?\n",
      first);
  table.print();
  fmt::print("p (BH) holds for {}\n", asked ? "these pairs" : "all pairs of methods");
  if (one_seed) {
    fmt::print("over orders of one seed nothing is concluded: another may give something else\n");
  }
  if (left_out > 0) {
    fmt::print("{} streams that one of two methods lacks, or that diverged, are in no difference\n",
               left_out);
  }
}

}  // namespace

void add_streams_json(OutputJson& json, const ContinualResult& found) {
  json["settings"] = settings_json(found.settings);
  json["runs"] = OutputJson::array();
  for (const StreamRun& run : found.runs) json["runs"].push_back(run_json(run));
  json["means"] = OutputJson::array();
  for (const StreamMean& mean : found.summary.means) json["means"].push_back(mean_json(mean));
  json["comparisons"] = OutputJson::array();
  for (const StreamComparison& one : found.summary.comparisons) {
    json["comparisons"].push_back(comparison_json(one));
  }
  json["formulas"] = formulas_json();
  json["trained"] = found.trained;
}

void print_streams(const ContinualResult& found, Compared compared) {
  for (const StreamRun& run : found.runs) print_matrix(run);
  print_metrics(found);
  print_costs(found);
  print_comparisons(found, compared);
}

}  // namespace taskneuron::cli

#include "cli/contrast_output.h"

#include <fmt/format.h>

#include <cmath>

#include "cli/inference_json.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

OutputJson contrast_json(const Contrast& contrast, Claim claim) {
  OutputJson json = {{"difference", contrast.difference}};
  add_interval(json, contrast.interval, contrast.no_interval);
  json["p"] = or_null(contrast.p());
  json["p_adjusted"] = or_null(contrast.p_adjusted);
  if (contrast.test) {
    json["t"] = contrast.test->t;
    json["df"] = contrast.test->df;
    json["p_t"] = contrast.test->p;
  } else {
    json["no_test"] = contrast.no_test;
  }
  if (contrast.randomisation) {
    json["p_randomisation"] = or_null(contrast.randomisation->p);
    json["smallest_p_randomisation"] = contrast.randomisation->smallest_p;
    json["orders"] = contrast.randomisation->orders;
    json["exact"] = contrast.randomisation->exact;
    json["sets"] = contrast.sets;
  }
  json["detectable"] = or_null(contrast.detectable);
  json["examples"] = contrast.examples;
  json["verdict"] = verdict_name(judge(contrast, claim));
  return json;
}

OutputJson contrasts_json(const MeasureContrasts& contrasts, const Metric& metric,
                          Expected expected) {
  const Claim of_losses = claim_of(expected, Better::kLower);
  OutputJson json = {{"value", contrast_json(contrasts.value, claim_of(expected, metric.better))},
                     {"loss", contrast_json(contrasts.loss, of_losses)}};
  if (contrasts.label_loss) json["label_loss"] = contrast_json(*contrasts.label_loss, of_losses);
  return json;
}

OutputJson test_json(const DiagonalTest& test) {
  return {{"statistic", test.statistic}, {"p", or_null(test.p)}, {"smallest_p", test.smallest_p},
          {"orders", test.orders},       {"exact", test.exact},  {"permuted", "within task type"}};
}

ContrastTable::ContrastTable(Expected expected, const std::string& verdict)
    : expected_(expected),
      verdict_(verdict),
      table_({"task", "measure", "its own −", "difference", "95%", "p (t)", "p (sets)", "p (BH)",
              "detectable", verdict}) {}

void ContrastTable::add(const std::string& task, const Metric& metric, const std::string& against,
                        const MeasureContrasts& contrasts) {
  row(task, metric.name, against, contrasts.value, metric.better);
  row(task, "loss", against, contrasts.loss, Better::kLower);
  if (contrasts.label_loss) {
    row(task, "label loss", against, *contrasts.label_loss, Better::kLower);
  }
}

void ContrastTable::row(const std::string& task, const std::string& measure,
                        const std::string& against, const Contrast& contrast, Better better) {
  const std::optional<double> p_sets =
      contrast.randomisation ? contrast.randomisation->p : std::nullopt;
  const bool seen = contrast.p() && *contrast.p() <= kAlpha;
  table_.add(
      {task, measure, against, fmt::format("{:+.4f}", contrast.difference),
       contrast.interval
           ? fmt::format("{:+.4f} … {:+.4f}", contrast.interval->low, contrast.interval->high)
           : "undefined",
       contrast.test ? p_text(contrast.test->p) : "–", p_text(p_sets), p_text(contrast.p_adjusted),
       seen || !contrast.detectable ? "" : fmt::format("{:.4f}", *contrast.detectable),
       verdict_name(judge(contrast, claim_of(expected_, better)))});
}

void ContrastTable::print() const {
  table_.print();
  const bool falls = expected_ == Expected::kWorse;
  fmt::print(
      "95%: over examples and sets; p (t): own set as one more draw beside the random sets, or "
      "paired over examples;\np (sets): which set is the own one, exchanged; p (BH): the p that "
      "counts, corrected over tasks, of means over metrics and\nkinds of random set; detectable: "
      "smallest difference seen with a power of 80%;\n{}: value {}, or loss {}, than with those "
      "units {}\n",
      verdict_, falls ? "lower" : "higher", falls ? "higher" : "lower",
      falls ? "off" : "trained, or none");
}

void print_matrix(const std::vector<std::string>& tasks,
                  const std::vector<std::vector<double>>& matrix, const DiagonalTest& test,
                  const MatrixTitle& title) {
  std::vector<std::string> header = {fmt::format("{} \\ {}", title.rows, title.entries)};
  header.insert(header.end(), tasks.begin(), tasks.end());
  Table table(header);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    std::vector<std::string> row = {tasks[i]};
    for (const double value : matrix[i]) row.push_back(fmt::format("{:+.4f}", value));
    table.add(row);
  }
  fmt::print("\n");
  table.print();
  const bool rounds_to_zero = std::abs(test.statistic) < 0.0005;  // never "-0.000"
  fmt::print("diagonal above the rest: {:.3f} standard deviations, ",
             rounds_to_zero ? 0.0 : test.statistic);
  const std::string orders =
      fmt::format("{} {} row orders within task types", test.exact ? "all" : "random", test.orders);
  if (test.p) {
    fmt::print("p = {} ({}; smallest possible {})\n", p_text(test.p), orders,
               p_text(test.smallest_p));
  } else {
    fmt::print("no p ({}: none could be below .5)\n", orders);
  }
}

}  // namespace taskneuron::cli

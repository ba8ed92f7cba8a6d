#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "recipe/sweep_parts.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr int kMostRates = 9;  // that a grid may grow to

// Three digits of a rate, so that grids and files stay readable.
double rounded(double rate) { return std::stod(fmt::format("{:.2e}", rate)); }

double best_rate(const std::map<double, double>& losses) {
  return std::min_element(losses.begin(), losses.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

}  // namespace

SweepRates::SweepRates(SweepCells& cells, const SweepSets& sets, const SweepOptions& options,
                       const std::vector<SweepTask>& tasks, const fs::path& folder)
    : cells_(cells), sets_(sets), options_(options), tasks_(tasks), folder_(folder / "tuning") {}

std::string SweepRates::rate(Company company, const std::string& trained_on, Arm arm,
                             const std::string& top) {
  if (options_.rates.size() == 1) return options_.rates.front();
  const auto known = [&] {
    return std::find_if(chosen_.begin(), chosen_.end(), [&](const TunedRate& one) {
      return one.company == company && one.trained_on == trained_on && one.arm == arm &&
             one.top == top;
    });
  };
  if (known() == chosen_.end()) tune(company, trained_on, top);
  return fmt::format("{}", known()->rate);
}

double SweepRates::loss(Company company, const std::string& trained_on, Arm arm,
                        const std::string& top, double rate) {
  SweptModel model{company, trained_on, arm, 0, 0, {}};
  SweepCell cell = sweep_cell(sets_, tasks_, model, top);
  const fs::path path = folder_ / fmt::format("{}-lr{}.json", cell.name, rate);
  if (fs::exists(path)) {
    const Json document = read_json(path);
    const auto saved = JsonView(document, path.string()).find("loss");
    if (saved && !(saved->number() >= 0)) saved->fail("is below 0");
    return saved ? saved->number() : INFINITY;
  }
  if (arm == Arm::kRandom) {
    for (std::size_t i = 0; i < cell.tasks.size(); ++i) {
      cell.sets[i] = sets_.random(cell.tasks[i], top, kTuningDraw);
    }
  }
  cell.rate = fmt::format("{}", rate);
  const double loss = cells_.tuning_loss(cell);
  const OutputJson json = {{"rate", rate},
                           {"loss", std::isfinite(loss) ? OutputJson(loss) : nullptr}};
  write_file(path, json_text(json) + "\n");
  return loss;
}

void SweepRates::tune(Company company, const std::string& trained_on, const std::string& top) {
  std::vector<double> grid;
  for (const std::string& rate : options_.rates) grid.push_back(std::stod(rate));
  // All units are one set, whichever side it is called.
  const bool all = parse_percent(top) == 100;
  std::vector<Arm> arms = {Arm::kOwn};
  // Overlap-controlled training takes the rate of random units.
  const bool compared = (options_.overlap_control && company == Company::kTogether) ||
                        std::count(options_.arms.begin(), options_.arms.end(), "random") > 0;
  if (!all && compared) arms.push_back(Arm::kRandom);
  std::map<Arm, std::map<double, double>> losses;
  bool grows = true;
  while (grows) {
    for (const Arm arm : arms) {
      for (const double rate : grid) {
        if (losses[arm].count(rate) == 0) {
          losses[arm][rate] = loss(company, trained_on, arm, top, rate);
        }
      }
    }
    grows = false;
    const auto [low, high] = std::minmax_element(grid.begin(), grid.end());
    const double lower = rounded(*low / std::sqrt(10.0)), higher = rounded(*high * std::sqrt(10.0));
    const bool at_low = std::any_of(arms.begin(), arms.end(),
                                    [&](Arm arm) { return best_rate(losses[arm]) == *low; }),
               at_high = std::any_of(arms.begin(), arms.end(),
                                     [&](Arm arm) { return best_rate(losses[arm]) == *high; });
    if (static_cast<int>(grid.size()) >= kMostRates) break;
    if (at_low) grid.push_back(lower);
    if (at_high) grid.push_back(higher);
    grows = at_low || at_high;
  }
  for (const Arm arm : arms) {
    const auto& of_arm = losses[arm];
    const double best = best_rate(of_arm);
    if (!std::isfinite(of_arm.at(best))) {
      throw Error(fmt::format("training {}{}{} of {} diverges at every `lr`; give smaller ones",
                              company_name(company), trained_on.empty() ? "" : " on ", trained_on,
                              top));
    }
    const bool edge = best == of_arm.begin()->first || best == of_arm.rbegin()->first;
    chosen_.push_back({company, trained_on, arm, top, best, of_arm, edge});
  }
}

}  // namespace taskneuron

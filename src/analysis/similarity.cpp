#include "taskneuron/analysis/similarity.h"

#include <fmt/format.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/check.h"
#include "model/stored_feed_forward.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

using Units = std::vector<std::int64_t>;

// Numbers of a matrix that are float64 at a time.
constexpr std::int64_t kBlockNumbers = std::int64_t{1} << 22;

Units common_units(const Units& a, const Units& b) {
  Units result;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

double sum_at(const at::Tensor& values, const Units& units) {
  const double* value = values.data_ptr<double>();
  double sum = 0;
  for (const std::int64_t unit : units) sum += value[unit];
  return sum;
}

at::Tensor index_of(const Units& units) { return at::tensor(units, at::kLong); }

// One side of the comparison in one part of a layer: some units of a matrix for every task.
struct SidePart {
  at::Tensor weights;         // [units, what each owns], as stored
  std::vector<Units> sets;    // of each task, ascending
  std::vector<Units> orders;  // of each task; empty where it has none
  at::Tensor squares;         // float64 [units]
  at::Tensor sums;            // float64 [tasks, what a unit owns]: over each set's units

  at::Tensor indicators() const {
    const auto tasks = static_cast<std::int64_t>(sets.size());
    at::Tensor result = at::zeros({tasks, weights.size(0)}, at::kDouble);
    for (std::int64_t task = 0; task < tasks; ++task) {
      result[task].index_fill_(0, index_of(sets[static_cast<std::size_t>(task)]), 1);
    }
    return result;
  }
};

// What a pair of tasks has in a layer: products of the two sides, and the squares of each.
struct Products {
  double across = 0;
  double first = 0;
  double second = 0;

  std::optional<double> cosine() const {
    if (!(first > 0) || !(second > 0)) return std::nullopt;
    return std::clamp(across / std::sqrt(first) / std::sqrt(second), -1.0, 1.0);
  }
};

struct PairProducts {
  Products masked, mean, ranked;
};

class LayerComparison {
 public:
  LayerComparison(const SimilarityRequest& request, std::size_t layer)
      : request_(request),
        layer_(layer),
        one_model_(&request.first == &request.second),
        wants_mean_(request.definitions.count(SimilarityDefinition::kMean) != 0),
        wants_ranked_(request.definitions.count(SimilarityDefinition::kRanked) != 0),
        pairs_(request.a.size() * request.b.size()) {}

  void add(OwnedPart part, const at::Tensor& first, const at::Tensor& second) {
    SidePart a = side(part, first, request_.a), b = side(part, second, request_.b);
    read(a, b);
    for_every_pair([&](std::size_t i, std::size_t j, PairProducts& pair) {
      pair.masked.across += sum_at(products_, common_units(a.sets[i], b.sets[j]));
      pair.masked.first += sum_at(a.squares, a.sets[i]);
      pair.masked.second += sum_at(b.squares, b.sets[j]);
      if (wants_mean_) add_means(a, i, b, j, pair.mean);
      pair.ranked.first += wants_ranked_ ? sum_at(a.squares, a.orders[i]) : 0;
      pair.ranked.second += wants_ranked_ ? sum_at(b.squares, b.orders[j]) : 0;
    });
  }

  // Whether any set or order owns something of a part.
  bool uses(OwnedPart part) const {
    return is_used(side(part, {}, request_.a)) || is_used(side(part, {}, request_.b));
  }
  const std::vector<PairProducts>& pairs() const { return pairs_; }
  bool is_finite() const {
    return std::all_of(pairs_.begin(), pairs_.end(), [](const PairProducts& pair) {
      const auto finite = [](const Products& products) {
        return std::isfinite(products.across + products.first + products.second);
      };
      return finite(pair.masked) && finite(pair.mean) && finite(pair.ranked);
    });
  }

 private:
  SidePart side(OwnedPart part, const at::Tensor& weights,
                const std::vector<SimilarityUnits>& tasks) const {
    SidePart result{weights, {}, {}, {}, {}};
    for (const SimilarityUnits& task : tasks) {
      result.sets.push_back(owned_units(task.set.units(), layer_, part));
      result.orders.push_back(order_of(task.order, part));
    }
    return result;
  }
  // The order of one site's units, if they own something of this part.
  Units order_of(const UnitsBySite& order, OwnedPart part) const {
    if (order.empty()) return {};
    const Units& units = order.begin()->second[layer_];
    const bool owns = !owned_units({{order.begin()->first, {{0}}}}, 0, part).empty();
    return owns ? units : Units();
  }
  static bool is_used(const SidePart& side) {
    const auto any = [](const std::vector<Units>& lists) {
      return std::any_of(lists.begin(), lists.end(),
                         [](const Units& units) { return !units.empty(); });
    };
    return any(side.sets) || any(side.orders);
  }
  template <typename Visit>
  void for_every_pair(const Visit& visit) {
    for (std::size_t i = 0; i < request_.a.size(); ++i) {
      for (std::size_t j = 0; j < request_.b.size(); ++j) {
        visit(i, j, pairs_[i * request_.b.size() + j]);
      }
    }
  }

  // Goes over both matrices once, some columns at a time.
  void read(SidePart& a, SidePart& b) {
    const std::int64_t units = a.weights.size(0), width = a.weights.size(1);
    const std::int64_t step = std::max<std::int64_t>(1, kBlockNumbers / units);
    products_ = at::zeros({units}, at::kDouble);
    const at::Tensor in_a = a.indicators(), in_b = b.indicators();
    for (SidePart* side : {&a, &b}) {
      side->squares = at::zeros({units}, at::kDouble);
      side->sums = at::zeros({static_cast<std::int64_t>(side->sets.size()), width}, at::kDouble);
    }
    for (std::int64_t from = 0; from < width; from += step) {
      const std::int64_t columns = std::min(step, width - from);
      const at::Tensor first = a.weights.narrow(1, from, columns).to(at::kDouble);
      const at::Tensor second =
          one_model_ ? first : b.weights.narrow(1, from, columns).to(at::kDouble);
      products_ += (first * second).sum(1);
      a.squares += one_model_ ? (first * second).sum(1) : (first * first).sum(1);
      b.squares += one_model_ ? (first * second).sum(1) : (second * second).sum(1);
      if (wants_mean_) {
        a.sums.narrow(1, from, columns).copy_(at::matmul(in_a, first));
        b.sums.narrow(1, from, columns).copy_(at::matmul(in_b, second));
      }
      if (wants_ranked_) add_ranked(a, first, b, second);
    }
  }
  void add_ranked(const SidePart& a, const at::Tensor& first, const SidePart& b,
                  const at::Tensor& second) {
    for_every_pair([&](std::size_t i, std::size_t j, PairProducts& pair) {
      TN_CHECK_EQ(a.orders[i].size(), b.orders[j].size());
      const at::Tensor x = first.index_select(0, index_of(a.orders[i]));
      pair.ranked.across +=
          (x * second.index_select(0, index_of(b.orders[j]))).sum().item<double>();
    });
  }
  static void add_means(const SidePart& a, std::size_t i, const SidePart& b, std::size_t j,
                        Products& mean) {
    const auto mean_of = [](const SidePart& side, std::size_t task) {
      const auto units = static_cast<double>(std::max<std::size_t>(1, side.sets[task].size()));
      return side.sums[static_cast<std::int64_t>(task)] / units;
    };
    const at::Tensor x = mean_of(a, i), y = mean_of(b, j);
    mean.across += (x * y).sum().item<double>();
    mean.first += (x * x).sum().item<double>();
    mean.second += (y * y).sum().item<double>();
  }

  const SimilarityRequest& request_;
  std::size_t layer_;
  bool one_model_;
  bool wants_mean_;
  bool wants_ranked_;
  at::Tensor products_;  // float64 [units]: of a unit's parameters in both models
  std::vector<PairProducts> pairs_;
};

// |A ∩ B| / √(|A|·|B|) of a layer, all sites together.
std::optional<double> overlap_only(const NeuronSet& a, const NeuronSet& b, std::size_t layer) {
  double common = 0, first = 0, second = 0;
  for (const auto& [site, units] : a.sites) {
    const Units& of_a = units.units[layer];
    const Units& of_b = b.sites.at(site).units[layer];
    common += static_cast<double>(common_units(of_a, of_b).size());
    first += static_cast<double>(of_a.size());
    second += static_cast<double>(of_b.size());
  }
  if (first == 0 || second == 0) return std::nullopt;
  return common / std::sqrt(first * second);
}

void append(std::optional<LayerSimilarity>& to, const std::optional<double>& value) {
  if (to) to->layers.push_back(value);
}

void finish(std::optional<LayerSimilarity>& similarity) {
  if (!similarity) return;
  double sum = 0, defined = 0;
  for (const std::optional<double>& value : similarity->layers) {
    sum += value.value_or(0);
    defined += value ? 1 : 0;
  }
  if (defined > 0) similarity->mean = sum / defined;
}

void require_alike(const SimilarityRequest& request) {
  const ModelConfig& a = request.first.config();
  const ModelConfig& b = request.second.config();
  if (a.layers != b.layers || a.hidden != b.hidden || a.ffn_width != b.ffn_width ||
      a.gated != b.gated || a.mixture.experts != b.mixture.experts) {
    const auto shape = [](const ModelConfig& config) {
      return fmt::format(
          "{} layers of {} units{}, {} wide, {}gated", config.layers, config.ffn_width,
          config.mixture.experts == 1 ? "" : fmt::format(" in {} experts", config.mixture.experts),
          config.hidden, config.gated ? "" : "not ");
    };
    throw Error(fmt::format(
        "{}: {}; {} has {}: parameters are compared between models of one shape",
        request.second.folder().string(), shape(b), request.first.folder().string(), shape(a)));
  }
  for (const SimilarityUnits& i : request.a) {
    for (const SimilarityUnits& j : request.b) {
      const bool same = i.set.sites.size() == j.set.sites.size() &&
                        std::all_of(i.set.sites.begin(), i.set.sites.end(), [&](const auto& item) {
                          return j.set.sites.count(item.first) != 0;
                        });
      if (!same) throw Error("the sets to compare are of different sites");
    }
  }
}

}  // namespace

const char* similarity_name(SimilarityDefinition definition) {
  switch (definition) {
    case SimilarityDefinition::kMasked: return "masked";
    case SimilarityDefinition::kMean: return "mean";
    case SimilarityDefinition::kRanked: return "ranked";
  }
  TN_CHECK(false);
}

SimilarityDefinition parse_similarity(const std::string& name) {
  for (const SimilarityDefinition definition :
       {SimilarityDefinition::kMasked, SimilarityDefinition::kMean,
        SimilarityDefinition::kRanked}) {
    if (name == similarity_name(definition)) return definition;
  }
  throw UsageError("definition", name, "masked, mean or ranked");
}

namespace {

// What is asked for, of no layer yet.
std::vector<UnitSimilarity> begin_result(const SimilarityRequest& request) {
  const auto wants = [&](SimilarityDefinition definition) {
    return request.definitions.count(definition) != 0;
  };
  UnitSimilarity pair;
  if (wants(SimilarityDefinition::kMasked)) {
    pair.masked.emplace();
    pair.overlap_only.emplace();
  }
  if (wants(SimilarityDefinition::kMean)) pair.mean.emplace();
  if (wants(SimilarityDefinition::kRanked)) pair.ranked.emplace();
  return std::vector<UnitSimilarity>(request.a.size() * request.b.size(), pair);
}

void append_layer(const SimilarityRequest& request, std::size_t layer,
                  const std::vector<PairProducts>& found, std::vector<UnitSimilarity>& result) {
  for (std::size_t pair = 0; pair < result.size(); ++pair) {
    append(result[pair].masked, found[pair].masked.cosine());
    append(result[pair].mean, found[pair].mean.cosine());
    append(result[pair].ranked, found[pair].ranked.cosine());
    append(result[pair].overlap_only, overlap_only(request.a[pair / request.b.size()].set,
                                                   request.b[pair % request.b.size()].set, layer));
  }
}

// Pages that were read and will not be again.
void release(const Checkpoint& checkpoint, const std::vector<FeedForwardWeights>& layer) {
  for (const FeedForwardWeights& expert : layer) {
    for (const Linear* linear : {&expert.gate, &expert.up, &expert.down}) {
      if (linear->weight.defined()) checkpoint.release(linear->name + ".weight");
    }
  }
}

[[noreturn]] void fail_not_finite(const SimilarityRequest& request) {
  for (const Checkpoint* checkpoint : {&request.first, &request.second}) {
    const std::string tensor = checkpoint->first_non_finite();
    if (tensor.empty()) continue;
    throw Error(fmt::format("{}: tensor '{}' holds a value that is not finite",
                            checkpoint->folder().string(), tensor));
  }
  throw Error(fmt::format("{}: weights are too large for sums of their squares",
                          request.first.folder().string()));
}

}  // namespace

std::vector<UnitSimilarity> unit_similarity(const SimilarityRequest& request) {
  require_alike(request);
  std::vector<UnitSimilarity> result = begin_result(request);
  const bool one_model = &request.first == &request.second;
  const auto first = stored_feed_forward(request.first);
  const auto second = one_model ? first : stored_feed_forward(request.second);
  for (std::size_t layer = 0; layer < first.size(); ++layer) {
    LayerComparison comparison(request, layer);
    for (const OwnedPart part : kOwnedParts) {
      if (!comparison.uses(part)) continue;
      const at::Tensor weights = part_weights(first[layer], part);
      if (!weights.defined()) continue;
      comparison.add(part, weights, one_model ? weights : part_weights(second[layer], part));
    }
    if (!comparison.is_finite()) fail_not_finite(request);
    append_layer(request, layer, comparison.pairs(), result);
    release(request.first, first[layer]);
    if (!one_model) release(request.second, second[layer]);
    if (request.progress) request.progress(1);
  }
  for (UnitSimilarity& pair : result) {
    for (auto* one : {&pair.masked, &pair.overlap_only, &pair.mean, &pair.ranked}) finish(*one);
  }
  return result;
}

}  // namespace taskneuron

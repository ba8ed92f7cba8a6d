#include "taskneuron/analysis/affinity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "base/check.h"
#include "taskneuron/base/correlation.h"
#include "taskneuron/data/batching.h"

namespace taskneuron {

namespace {

using Units = std::vector<std::int64_t>;

std::optional<double> cosine_of(double across, double first, double second) {
  if (!(first > 0) || !(second > 0)) return std::nullopt;
  return std::clamp(across / std::sqrt(first) / std::sqrt(second), -1.0, 1.0);
}

}  // namespace

SignedAgreement signed_agreement(const Scores& a, const NeuronSet& units_a, const Scores& b,
                                 const NeuronSet& units_b) {
  const auto means = [](const Scores& scores) {
    const at::Tensor sum = scores.sites.at(Site::kAct).signed_sum;
    TN_CHECK(sum.defined());
    return (sum / static_cast<double>(scores.denominator)).contiguous();
  };
  const at::Tensor of_a = means(a), of_b = means(b);
  TN_CHECK_EQ(of_a.sizes(), of_b.sizes());
  const auto& layers_a = units_a.sites.at(Site::kAct).units;
  const auto& layers_b = units_b.sites.at(Site::kAct).units;
  std::vector<double> x, y;
  for (std::size_t layer = 0; layer < layers_a.size(); ++layer) {
    Units either;
    std::set_union(layers_a[layer].begin(), layers_a[layer].end(), layers_b[layer].begin(),
                   layers_b[layer].end(), std::back_inserter(either));
    for (const std::int64_t unit : either) {
      const auto at = static_cast<std::int64_t>(layer) * of_a.size(1) + unit;
      x.push_back(of_a.data_ptr<double>()[at]);
      y.push_back(of_b.data_ptr<double>()[at]);
    }
  }
  const auto dot = [](const std::vector<double>& v, const std::vector<double>& w) {
    return std::inner_product(v.begin(), v.end(), w.begin(), 0.0);
  };
  // No p is wanted here: units are no sample.
  const PermutationOptions none{0, 0, 1};
  return {cosine_of(dot(x, y), dot(x, x), dot(y, y)),
          correlate(CorrelationKind::kPearson, x, y, none).value};
}

std::int64_t layer_gradient_bytes(const ModelConfig& config) {
  const std::int64_t matrices = config.gated ? 3 : 2;
  const std::int64_t biases = config.ffn_bias ? matrices - 1 : 0;
  return config.ffn_width * (matrices * config.hidden + biases) *
         static_cast<std::int64_t>(sizeof(float));
}

std::int64_t layers_at_a_time(const ModelConfig& config, std::size_t tasks, std::int64_t bytes) {
  // Beside the tasks': the master copy, the gradient that grows, and one that is being copied.
  const std::int64_t layer = layer_gradient_bytes(config) * (static_cast<std::int64_t>(tasks) + 3);
  return std::clamp<std::int64_t>(bytes / layer, 1, config.layers);
}

namespace {

// Float64 sums of products of tasks' gradients: [source][target].
class Products {
 public:
  explicit Products(std::size_t tasks)
      : across_(at::zeros({static_cast<std::int64_t>(tasks), static_cast<std::int64_t>(tasks)},
                          at::kDouble)),
        sources_(at::zeros_like(across_)),
        targets_(at::zeros_like(across_)) {}

  // gradients: [tasks, numbers], over all of which every pair is compared.
  void add(const at::Tensor& gradients) {
    const at::Tensor gram = at::matmul(gradients, gradients.t());
    const at::Tensor squares = gram.diagonal();
    across_ += gram;
    sources_ += squares.unsqueeze(1);
    targets_ += squares.unsqueeze(0);
  }
  // The same where only `source` is compared with the others.
  void add_of(std::int64_t source, const at::Tensor& gradients) {
    across_[source] += at::mv(gradients, gradients[source]);
    const at::Tensor squares = (gradients * gradients).sum(1);
    sources_[source] += squares[source];
    targets_[source] += squares;
  }
  void add(const Products& other) {
    across_ += other.across_;
    sources_ += other.sources_;
    targets_ += other.targets_;
  }
  std::optional<double> cosine(std::size_t source, std::size_t target) const {
    const auto i = static_cast<std::int64_t>(source), j = static_cast<std::int64_t>(target);
    const auto value = [&](const at::Tensor& table) { return table[i][j].item<double>(); };
    return cosine_of(value(across_), value(sources_), value(targets_));
  }

 private:
  at::Tensor across_;
  at::Tensor sources_;
  at::Tensor targets_;
};

// Every unit of some layers.
TrainableOptions all_units(const ModelConfig& config, std::int64_t first, std::int64_t last) {
  TrainableOptions options;
  std::vector<Units>& layers = options.units[Site::kAct];
  layers.resize(static_cast<std::size_t>(config.layers));
  for (std::int64_t layer = first; layer < last; ++layer) {
    Units& units = layers[static_cast<std::size_t>(layer)];
    units.resize(static_cast<std::size_t>(config.ffn_width));
    std::iota(units.begin(), units.end(), std::int64_t{0});
  }
  return options;
}

// Gradients of all tasks in some layers, and what they give.
class LayerBlock {
 public:
  LayerBlock(const Checkpoint& checkpoint, const Decoder& decoder,
             const std::vector<GradientTask>& tasks, const GradientOptions& options,
             std::int64_t first, std::int64_t last)
      : tasks_(tasks),
        options_(options),
        model_(make_trainable(checkpoint, decoder, all_units(checkpoint.config(), first, last))) {}

  // The mean loss of one task, whose gradient is kept.
  double run(const GradientTask& task) {
    for (const ParameterPtr& parameter : model_.parameters) parameter->clear_gradient();
    NeuronHook no_hook;
    const ExampleLoss loss(model_, no_hook, options_.passes);
    PrefixGroup group;
    group.prefix_tokens = shared_prefix_tokens(task.examples);
    for (const AnswerExample& example : task.examples) group.examples.push_back(&example);
    const double mean = loss.backward({group}, 1 / static_cast<double>(task.examples.size()));
    auto& kept = gradients_.emplace_back();
    for (const ParameterPtr& parameter : model_.parameters) {
      kept.push_back(parameter->gradient.clone());
    }
    return mean;
  }

  // Adds the parameters' products to those of their layers.
  void add_products(std::vector<Products>& all, std::vector<Products>& own) const {
    for (std::size_t p = 0; p < model_.parameters.size(); ++p) {
      const auto layer = static_cast<std::size_t>(model_.owned[p].layer);
      for (std::int64_t first = 0; first < gradients_[0][p].size(0); first += kRows) {
        const at::Tensor rows = rows_of(p, first);
        all[layer].add(rows.flatten(1));
        for (std::size_t task = 0; task < tasks_.size(); ++task) {
          add_own(task, layer, model_.owned[p].first_unit() + first, rows, own[layer]);
        }
      }
    }
  }

 private:
  static constexpr std::int64_t kRows = 512;  // units that are float64 at a time

  // float64 [tasks, units, ...].
  at::Tensor rows_of(std::size_t parameter, std::int64_t first) const {
    std::vector<at::Tensor> rows;
    for (const auto& task : gradients_) {
      const at::Tensor& gradient = task[parameter];
      rows.push_back(gradient.narrow(0, first, std::min(kRows, gradient.size(0) - first))
                         .to(at::kDouble)
                         .cpu());
    }
    return at::stack(rows);
  }
  // Rows are the layer's units from `first` on.
  void add_own(std::size_t task, std::size_t layer, std::int64_t first, const at::Tensor& rows,
               Products& own) const {
    const Units& units = tasks_[task].units.sites.at(Site::kAct).units[layer];
    Units here;
    for (auto unit = std::lower_bound(units.begin(), units.end(), first);
         unit != units.end() && *unit < first + rows.size(1); ++unit) {
      here.push_back(*unit - first);
    }
    if (here.empty()) return;
    const at::Tensor chosen = rows.index_select(1, at::tensor(here, at::kLong)).flatten(1);
    own.add_of(static_cast<std::int64_t>(task), chosen);
  }

  const std::vector<GradientTask>& tasks_;
  const GradientOptions& options_;
  TrainableModel model_;
  std::vector<std::vector<at::Tensor>> gradients_;  // [task][parameter]
};

std::vector<std::vector<GradientCosine>> cosines(const std::vector<Products>& layers,
                                                 std::size_t tasks) {
  Products together(tasks);
  for (const Products& layer : layers) together.add(layer);
  std::vector<std::vector<GradientCosine>> result(tasks, std::vector<GradientCosine>(tasks));
  for (std::size_t i = 0; i < tasks; ++i) {
    for (std::size_t j = 0; j < tasks; ++j) {
      result[i][j].all = together.cosine(i, j);
      for (const Products& layer : layers) result[i][j].layers.push_back(layer.cosine(i, j));
    }
  }
  return result;
}

}  // namespace

GradientAgreement gradient_agreement(const Checkpoint& checkpoint, const Decoder& decoder,
                                     const std::vector<GradientTask>& tasks,
                                     const GradientOptions& options) {
  TN_CHECK(!tasks.empty());
  const std::int64_t layers = checkpoint.config().layers;
  GradientAgreement result;
  result.layers_at_a_time =
      layers_at_a_time(checkpoint.config(), tasks.size(), options.gradient_bytes);
  std::vector<Products> all, own;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    all.emplace_back(tasks.size());
    own.emplace_back(tasks.size());
  }
  const std::int64_t blocks = (layers + result.layers_at_a_time - 1) / result.layers_at_a_time;
  const double share = 1 / static_cast<double>(blocks * static_cast<std::int64_t>(tasks.size()));
  for (std::int64_t first = 0; first < layers; first += result.layers_at_a_time) {
    const std::int64_t last = std::min(layers, first + result.layers_at_a_time);
    LayerBlock block(checkpoint, decoder, tasks, options, first, last);
    for (const GradientTask& task : tasks) {
      const double loss = block.run(task);
      if (first == 0) result.losses.push_back(loss);
      if (options.progress) options.progress(share);
    }
    block.add_products(all, own);
  }
  result.all = cosines(all, tasks.size());
  result.own = cosines(own, tasks.size());
  return result;
}

}  // namespace taskneuron

#include "model/loss.h"

#include <algorithm>

#include "base/check.h"
#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"
#include "model/operations.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

namespace {

// Targets as tensors, sorted by the feature row that they are read at.
struct TargetTable {
  std::vector<std::int64_t> feature_rows;  // [targets], ascending
  at::Tensor rows;                         // the same, int64 on the device
  at::Tensor tokens;                       // int64
  at::Tensor weights;                      // float32
  std::vector<std::int64_t> order;         // position in batch.targets
};

// Number of each batch row among those that have logits; -1 for the others.
std::vector<std::int64_t> feature_row_of(const Batch& batch) {
  std::vector<std::int64_t> feature_row(batch.ids.size(), -1);
  std::int64_t next = 0;
  for (const Segment& segment : batch.segments) {
    for (std::int64_t row = segment.end - segment.logit_rows; row < segment.end; ++row) {
      feature_row[static_cast<std::size_t>(row)] = next++;
    }
  }
  return feature_row;
}

TargetTable make_table(const Batch& batch, at::Device device, at::ScalarType wide) {
  const std::vector<std::int64_t> feature_row = feature_row_of(batch);
  const auto row_of = [&](std::int64_t target) {
    return feature_row[static_cast<std::size_t>(
        batch.targets[static_cast<std::size_t>(target)].row)];
  };
  TargetTable table;
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    table.order.push_back(static_cast<std::int64_t>(i));
  }
  std::stable_sort(table.order.begin(), table.order.end(),
                   [&](std::int64_t a, std::int64_t b) { return row_of(a) < row_of(b); });
  std::vector<std::int64_t> tokens;
  std::vector<double> weights;
  for (const std::int64_t i : table.order) {
    const Target& target = batch.targets[static_cast<std::size_t>(i)];
    TN_CHECK_GE(row_of(i), 0);
    table.feature_rows.push_back(row_of(i));
    tokens.push_back(target.token);
    weights.push_back(target.weight);
  }
  table.rows = at::tensor(table.feature_rows, at::kLong).to(device);
  table.tokens = at::tensor(tokens, at::kLong).to(device);
  table.weights = at::tensor(weights, at::kDouble).to(wide).to(device);
  return table;
}

// Targets of feature rows [begin, end).
struct TargetRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};
TargetRange targets_of_rows(const TargetTable& table, std::int64_t begin, std::int64_t end) {
  const auto position = [&](std::int64_t row) {
    return std::lower_bound(table.feature_rows.begin(), table.feature_rows.end(), row) -
           table.feature_rows.begin();
  };
  return {position(begin), position(end) - position(begin)};
}

// nll of the targets, and in place of the logits the gradient d(Σ weight · nll)/dlogits if wanted.
at::Tensor nll_on_loops(const at::Tensor& logits, const TargetTable& table, std::int64_t begin,
                        bool differentiate) {
  const std::int64_t rows = logits.size(0);
  const TargetRange all = targets_of_rows(table, begin, begin + rows);
  at::Tensor nll = at::empty({all.count}, table.weights.options());
  kernels::for_type_of(logits, [&](auto zero) {
    using T = decltype(zero);
    using A = kernels::Accumulator<T>;
    at::parallel_for(0, rows, 1, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t row = from; row < to; ++row) {
        const TargetRange own = targets_of_rows(table, begin + row, begin + row + 1);
        kernels::CrossEntropy<T> loss;
        loss.vocabulary = logits.size(1);
        loss.logits = kernels::data<T>(logits) + row * logits.size(1);
        loss.differentiate = differentiate;
        loss.targets = own.count;
        loss.tokens = table.tokens.template data_ptr<std::int64_t>() + own.first;
        loss.weights = kernels::data<A>(table.weights) + own.first;
        loss.nll = kernels::data<A>(nll) + (own.first - all.first);
        kernels::table<T>().cross_entropy(loss);
      }
    });
  });
  return nll;
}

// Adds the gradient of a trained head; a loss is differentiated as it is, with factor 1.
void train_head(const Linear& head, const at::Tensor& dlogits, const at::Tensor& features) {
  if (!head.training) return;
  if (head.training->outputs) head.training->outputs->add_product(dlogits, features);
  if (head.training->bias) {
    head.training->bias->add(dlogits.sum(0, false, wide_type(dlogits)));
  }
}

// What a gradient of logits is times as one of the head's products.
at::Tensor logit_slope(const at::Tensor& logits, const LogitShape& shape) {
  if (shape.softcap == 0) return at::scalar_tensor(shape.scale, logits.options());
  return (1 - (logits / shape.softcap).square_()).mul_(shape.scale);
}

// nll of the targets of feature rows from `begin` on, and the gradient of those rows where it is
// defined.
at::Tensor slice_nll(const at::Tensor& features, const Linear& head, const LogitShape& shape,
                     const TargetTable& table, std::int64_t begin, at::Tensor gradient) {
  at::Tensor logits = product(features, head);
  shape_logits(logits, shape);
  const at::Tensor slope =
      gradient.defined() && !shape.plain() ? logit_slope(logits, shape) : at::Tensor();
  if (kernels::covers(logits)) {
    const at::Tensor nll = nll_on_loops(logits, table, begin, gradient.defined());
    if (gradient.defined()) {
      if (slope.defined()) logits.mul_(slope);
      gradient.copy_(transposed_product(logits, head));
      train_head(head, logits, features);
    }
    return nll;
  }
  const TargetRange own = targets_of_rows(table, begin, begin + features.size(0));
  const at::Tensor rows = table.rows.narrow(0, own.first, own.count) - begin;
  const at::Tensor tokens = table.tokens.narrow(0, own.first, own.count);
  const at::Tensor log_probabilities = at::log_softmax(logits.to(wide_type(features)), -1);
  const at::Tensor nll = -log_probabilities.index({rows, tokens});
  if (gradient.defined()) {
    // d(w·nll)/dlogits = w·(softmax − onehot), added up where rows have several targets.
    const at::Tensor weights = table.weights.narrow(0, own.first, own.count);
    const at::Tensor row_weight =
        at::zeros({features.size(0)}, weights.options()).index_add_(0, rows, weights);
    at::Tensor dlogits = log_probabilities.exp().mul_(row_weight.unsqueeze(1));
    dlogits.index_put_({rows, tokens}, -weights, /*accumulate=*/true);
    if (slope.defined()) dlogits.mul_(slope);
    dlogits = dlogits.to(features.scalar_type());
    gradient.copy_(transposed_product(dlogits, head));
    train_head(head, dlogits, features);
  }
  return nll;
}

struct LossFunction : Function<LossFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& features,
                            const Linear* head, const LogitShape& shape, const Batch* batch,
                            at::Tensor* nll_result) {
    const TargetTable table = make_table(*batch, features.device(), wide_type(features));
    at::Tensor gradient;
    if (features.requires_grad()) gradient = at::empty_like(features);
    const std::int64_t slice = std::max<std::int64_t>(1, kMaxLogits / head->weight.size(0));
    std::vector<at::Tensor> parts;
    for (std::int64_t begin = 0; begin < features.size(0); begin += slice) {
      const std::int64_t rows = std::min(slice, features.size(0) - begin);
      parts.push_back(
          slice_nll(features.narrow(0, begin, rows), *head, shape, table, begin,
                    gradient.defined() ? gradient.narrow(0, begin, rows) : at::Tensor()));
    }
    const at::Tensor sorted = parts.empty()
                                  ? at::zeros({0}, features.options().dtype(wide_type(features)))
                                  : at::cat(parts);
    const at::Tensor order = at::tensor(table.order, at::kLong).to(features.device());
    *nll_result = at::empty_like(sorted).index_put_({order}, sorted);
    context->save_for_backward({gradient});
    return (sorted * table.weights).sum();
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const at::Tensor gradient = context->get_saved_variables()[0];
    return {gradient * gradients[0].to(gradient.scalar_type()), at::Tensor(), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

LogitShape logit_shape(const ModelConfig& config) {
  return {config.logit_scale, config.logit_softcap};
}

void shape_logits(at::Tensor& products, const LogitShape& shape) {
  if (shape.softcap > 0) {
    products.mul_(shape.scale / shape.softcap).tanh_().mul_(shape.softcap);
  } else if (shape.scale != 1) {
    products.mul_(shape.scale);
  }
}

TargetLoss target_loss(const at::Tensor& features, const Linear& head, const LogitShape& shape,
                       const Batch& batch) {
  TargetLoss result;
  result.total = LossFunction::apply(features, &head, shape, &batch, &result.nll);
  return result;
}

}  // namespace taskneuron

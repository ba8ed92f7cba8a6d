// How fast detect could be if it were its matrix products alone: the products that one pass over a
// task's training examples needs, in the same shapes and the same batches, as many of them side by
// side, with the engine's own product routine and nothing in between. A worker (bench/worker.h):
// gemm_bound MODEL TASK DTYPE LIMIT BATCH_TOKENS.
//
// Counted are the products with weight matrices: forward through every layer, backward down to the
// first FFN's activation, the last layer's tail and the head at answer positions. Attention's
// products are not, so the bound is a little higher than it has a right to be.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <mutex>

#include "base/torch_compat.h"
#include "base/workers.h"
#include "bench/worker.h"
#include "model/matrix_product.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/neuron/scorer.h"

namespace {

using namespace taskneuron;

struct Matrix {
  std::int64_t out, in;
  bool every_row;       // whether the last layer runs it at every row
  bool backward;        // whether a gradient passes it in every layer but the first
  bool first_backward;  // and in the first
};

std::vector<Matrix> matrices(const ModelConfig& c) {
  const std::int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  std::vector<Matrix> result;
  if (c.qkv == QkvOrder::kSeparate) {
    result = {{q, c.hidden, false, true, false},
              {kv, c.hidden, true, true, false},
              {kv, c.hidden, true, true, false}};
  } else {
    result = {{q + 2 * kv, c.hidden, true, true, false}};
  }
  result.push_back({c.hidden, q, false, true, false});
  result.push_back({c.ffn_width, c.hidden, false, true, false});
  if (c.gated) result.push_back({c.ffn_width, c.hidden, false, true, false});
  result.push_back({c.hidden, c.ffn_width, false, true, true});
  return result;
}

// Several buffers in turn, made before anything is measured: no product of a real pass finds its
// input left in the cache by the product before.
class Inputs {
 public:
  Inputs(std::int64_t values, at::ScalarType dtype) {
    for (at::Tensor& buffer : buffers_) buffer = at::randn({values}, at::kFloat).to(dtype);
  }
  at::Tensor operator()(std::int64_t rows, std::int64_t width) {
    const at::Tensor& buffer = buffers_[next_++ % buffers_.size()];
    return buffer.narrow(0, 0, rows * width).view({rows, width});
  }

 private:
  std::array<at::Tensor, 8> buffers_;
  std::size_t next_ = 0;
};

class Products {
 public:
  Products(const Checkpoint& checkpoint, at::ScalarType dtype)
      : config_(checkpoint.config()),
        dtype_(dtype),
        packs_(packs_weights(checkpoint, {dtype, at::kCPU})) {
    // Every layer has weights of its own, as in the model: caches must not see the same ones again.
    for (std::int64_t l = 0; l < config_.layers; ++l) {
      for (const Matrix& m : matrices(config_)) weights_.push_back(weight(m.out, m.in));
    }
    head_ = weight(config_.vocabulary, config_.hidden);
  }

  // Values of the largest input of such a batch.
  std::int64_t most_values(std::int64_t rows, std::int64_t answer_rows) const {
    const std::int64_t widest = std::max(config_.ffn_width, 3 * config_.hidden);
    return std::max(padded_rows(rows) * widest, padded_rows(answer_rows) * config_.vocabulary);
  }

  void run(std::int64_t rows, std::int64_t answer_rows, Inputs& input) const {
    const std::vector<Matrix> shapes = matrices(config_);
    for (std::int64_t l = 0; l < config_.layers; ++l) {
      const bool last = l + 1 == config_.layers;
      for (std::size_t m = 0; m < shapes.size(); ++m) {
        const Matrix& shape = shapes[m];
        const std::int64_t count = last && !shape.every_row ? answer_rows : rows;
        const Linear& w = weights_[static_cast<std::size_t>(l) * shapes.size() + m];
        product(input(count, shape.in), w);
        if (l > 0 ? shape.backward : shape.first_backward) {
          transposed_product(input(count, shape.out), w);
        }
      }
    }
    product(input(answer_rows, config_.hidden), head_);
    transposed_product(input(answer_rows, config_.vocabulary), head_);
  }

 private:
  Linear weight(std::int64_t out, std::int64_t in) const {
    Linear result;
    result.weight = at::randn({out, in}, at::kFloat).mul_(0.02).to(dtype_);
    if (config_.transposed_linears && out != config_.vocabulary) {
      result.weight = result.weight.t().contiguous().t();
    }
    if (packs_) result.packed = std::make_shared<PackedWeights>();
    return result;
  }
  ModelConfig config_;
  at::ScalarType dtype_;
  bool packs_;
  std::vector<Linear> weights_;
  Linear head_;
};

// Inputs for as many batches as run at a time.
class InputPool {
 public:
  InputPool(std::int64_t count, std::int64_t values, at::ScalarType dtype) {
    for (std::int64_t i = 0; i < count; ++i) {
      free_.push_back(std::make_unique<Inputs>(values, dtype));
    }
  }
  std::unique_ptr<Inputs> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<Inputs> inputs = std::move(free_.back());
    free_.pop_back();
    return inputs;
  }
  void give(std::unique_ptr<Inputs> inputs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(inputs));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Inputs>> free_;
};

struct Rows {
  std::int64_t all, answers;
};

// What each batch of the engine's runs; the last token of a text is only a target.
std::vector<Rows> batch_rows(const std::vector<AnswerExample>& examples,
                             const BatchLimits& limits) {
  std::vector<std::int64_t> lengths;
  for (const AnswerExample& example : examples) {
    lengths.push_back(static_cast<std::int64_t>(example.ids.size()));
  }
  std::vector<Rows> batches;
  for (const auto& members : even_groups(lengths, limits)) {
    Rows rows{0, 0};
    for (const std::int64_t e : members) {
      rows.all += lengths[static_cast<std::size_t>(e)] - 1;
      rows.answers += examples[static_cast<std::size_t>(e)].answer_tokens;
    }
    batches.push_back(rows);
  }
  return batches;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  bench::start();
  const bench::Workload work(argv[1], argv[2], argv[3], std::atoll(argv[4]));
  const at::NoGradGuard no_gradients;
  const Products products(work.checkpoint, work.decoder.options().dtype);
  const BatchLimits limits =
      bench::planned(work, score_demand(work.examples, {}), std::atoll(argv[5]));
  const std::vector<Rows> batches = batch_rows(work.examples, limits);
  std::int64_t most = 0;
  for (const Rows& rows : batches)
    most = std::max(most, products.most_values(rows.all, rows.answers));
  InputPool pool(limits.workers, most, work.decoder.options().dtype);
  bench::serve(
      work.tokens,
      [&](const std::string&) {
        run_side_by_side(
            static_cast<std::int64_t>(batches.size()), limits.workers,
            [&](std::int64_t i) {
              const at::NoGradGuard none;
              const Rows& rows = batches[static_cast<std::size_t>(i)];
              std::unique_ptr<Inputs> inputs = pool.take();
              products.run(rows.all, rows.answers, *inputs);
              pool.give(std::move(inputs));
            },
            [](std::int64_t) {});
        return std::string();
      },
      [](const std::string&) {});
  return 0;
}

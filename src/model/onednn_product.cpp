#include "model/onednn_product.h"

#include <mutex>
#include <unordered_map>

#include "base/check.h"
#include "base/torch_compat.h"
#include "model/matrix_product.h"
#include "model/onednn_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

struct PackedMatrix::Content {
  std::mutex mutex;
  dnnl::memory memory;
  at::Tensor storage;
};

PackedMatrix::PackedMatrix() : content_(std::make_unique<Content>()) {}
PackedMatrix::~PackedMatrix() = default;

namespace {

using dnnl::memory;

const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::stream& stream() {
  thread_local dnnl::stream instance(engine());
  return instance;
}

memory::data_type type_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat ? memory::data_type::f32 : memory::data_type::bf16;
}

memory::desc describe(const at::Tensor& matrix, std::int64_t rows) {
  return memory::desc({rows, matrix.size(1)}, type_of(matrix),
                      {matrix.stride(0), matrix.stride(1)});
}
memory::desc describe(const at::Tensor& matrix) { return describe(matrix, matrix.size(0)); }

bool has_space(const at::Tensor& matrix, std::int64_t rows) {
  const std::int64_t values = matrix.storage_offset() + rows * matrix.size(1);
  return static_cast<std::int64_t>(matrix.storage().nbytes()) >=
         values * static_cast<std::int64_t>(matrix.element_size());
}

// Products of one shape are made once; what tells them apart is in the key.
struct Key {
  std::int64_t rows, depth, columns;
  std::int64_t stride;  // between the right matrix's rows or columns
  memory::data_type type;
  bool bias, accumulate;
  int layout;  // of the right matrix: 0 rows contiguous, 1 columns contiguous, 2 oneDNN's own
  bool transposed = false;  // the left matrix lies by columns, and the result is float32
  bool operator==(const Key& other) const {
    return rows == other.rows && depth == other.depth && columns == other.columns &&
           stride == other.stride && type == other.type && bias == other.bias &&
           accumulate == other.accumulate && layout == other.layout &&
           transposed == other.transposed;
  }
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    std::size_t hash = static_cast<std::size_t>(key.type) * 8 + (key.bias ? 4U : 0U) +
                       (key.accumulate ? 2U : 0U) + (key.transposed ? 1U : 0U) +
                       static_cast<std::size_t>(key.layout) * 64;
    for (const std::int64_t size : {key.rows, key.depth, key.columns, key.stride}) {
      hash = hash * 1000003U + static_cast<std::size_t>(size);
    }
    return hash;
  }
};

struct Product {
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
};

Product make_product(const Key& key, const memory::desc& a, const memory::desc& b,
                     const memory::desc& out) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::library);
  if (key.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const memory::desc bias =
      key.bias ? memory::desc({1, key.columns}, key.type, memory::format_tag::ab) : memory::desc();
  Product product;
  product.description = describe_matmul(engine(), a, b, bias, out, attributes);
  product.primitive = dnnl::matmul(product.description);
  return product;
}

// Per thread, so that no lock is held while a product runs. Emptied when it gets long: every batch
// brings a new number of rows, and the code of a product is a few hundred kilobytes. Layers share
// products, so little is made twice.
Product& find_product(const Key& key, const memory::desc& a, const memory::desc& b,
                      const memory::desc& out) {
  constexpr std::size_t kMost = 48;
  static const bool only_cache = (dnnl::set_primitive_cache_capacity(32), true);
  static_cast<void>(only_cache);
  thread_local std::unordered_map<Key, Product, KeyHash> products;
  const auto found = products.find(key);
  if (found != products.end()) return found->second;
  if (products.size() >= kMost) products.clear();
  return products.emplace(key, make_product(key, a, b, out)).first->second;
}

memory wrap(const memory::desc& description, const at::Tensor& tensor) {
  return memory(description, engine(), tensor.data_ptr());
}

// b in the layout that oneDNN picks for it; the layout depends on its shape alone.
const memory& packed_matrix(const at::Tensor& b, PackedMatrix& packed) {
  PackedMatrix::Content& content = packed.content();
  const std::lock_guard<std::mutex> lock(content.mutex);
  if (content.storage.defined()) return content.memory;
  constexpr std::int64_t kTypicalRows = 1024;
  const memory::desc any({b.size(0), b.size(1)}, type_of(b), memory::format_tag::any);
  const memory::desc a({kTypicalRows, b.size(0)}, type_of(b), memory::format_tag::ab);
  const memory::desc out({kTypicalRows, b.size(1)}, type_of(b), memory::format_tag::ab);
  const memory::desc layout = describe_matmul(engine(), a, any, {}, out).weights_desc();
  content.storage =
      at::empty({static_cast<std::int64_t>(layout.get_size())}, at::TensorOptions(at::kByte));
  content.memory = wrap(layout, content.storage);
  memory plain = wrap(describe(b), b);
  dnnl::reorder(plain, content.memory).execute(stream(), plain, content.memory);
  stream().wait();
  return content.memory;
}

}  // namespace

bool has_onednn() { return true; }

bool onednn_multiplies(const at::Tensor& a, const at::Tensor& b) {
  // Below AVX-512 oneDNN's products are no faster than LibTorch's, and bfloat16 is far slower.
  constexpr auto kNeeded = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  static const bool fast =
      (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kNeeded) == kNeeded;
  const bool type = a.scalar_type() == at::kFloat || a.scalar_type() == at::kBFloat16;
  return fast && type && a.scalar_type() == b.scalar_type() && a.device().is_cpu() &&
         b.device().is_cpu() && a.numel() > 0 && b.numel() > 0;
}

void onednn_product(const at::Tensor& out, const at::Tensor& a, const RightMatrix& right_matrix,
                    Output output) {
  const auto& [b, bias, packed] = right_matrix;
  TN_CHECK(a.is_contiguous() && out.is_contiguous());
  TN_CHECK(!bias.defined() || (bias.is_contiguous() && bias.scalar_type() == a.scalar_type()));
  const memory right = packed != nullptr ? packed_matrix(b, *packed) : wrap(describe(b), b);
  const int layout = packed != nullptr ? 2 : (b.stride(1) == 1 ? 0 : 1);
  const std::int64_t stride = packed != nullptr ? 0 : b.stride(layout);
  const std::int64_t padded = padded_rows(a.size(0));
  const std::int64_t rows = has_space(a, padded) && has_space(out, padded) ? padded : a.size(0);
  const Key key{
      rows,  a.size(1), b.size(1), stride, type_of(a), bias.defined(), output == Output::kAdd,
      layout};
  const memory::desc left = describe(a, rows), result = describe(out, rows);
  Product& product = find_product(key, left, right.get_desc(), result);
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, wrap(left, a)}, {DNNL_ARG_WEIGHTS, right}, {DNNL_ARG_DST, wrap(result, out)}};
  if (bias.defined()) {
    arguments[DNNL_ARG_BIAS] =
        wrap(memory::desc({1, bias.numel()}, type_of(bias), memory::format_tag::ab), bias);
  }
  product.primitive.execute(stream(), arguments);
  stream().wait();
}

void onednn_add_transposed_product(const at::Tensor& out, const at::Tensor& a,
                                   const at::Tensor& b) {
  TN_CHECK(a.is_contiguous() && b.is_contiguous() && out.is_contiguous());
  TN_CHECK_EQ(out.scalar_type(), at::kFloat);
  const at::Tensor left_matrix = a.t();
  const Key key{a.size(1), a.size(0), b.size(1), b.stride(0), type_of(a), false, true, 0, true};
  const memory::desc left = describe(left_matrix), right = describe(b), result = describe(out);
  Product& product = find_product(key, left, right, result);
  product.primitive.execute(stream(), {{DNNL_ARG_SRC, wrap(left, a)},
                                       {DNNL_ARG_WEIGHTS, wrap(right, b)},
                                       {DNNL_ARG_DST, wrap(result, out)}});
  stream().wait();
}

}  // namespace taskneuron

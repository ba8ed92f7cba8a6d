#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/torch_compat.h"
#include "checkpoint/gguf_architecture.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/gguf_model.h"

namespace taskneuron {

namespace {

struct Place {
  std::string name;
  GgufChange change = GgufChange::kNone;
};

// Tensors that config.json holds, or nothing here needs.
bool is_rotation(const std::string& name) {
  return name == "rope_freqs.weight" || name == "rope_factors_short.weight" ||
         name == "rope_factors_long.weight";
}

std::optional<Place> find_place(const std::vector<GgufTensorName>& names, const std::string& name,
                                const std::string& prefix) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  const std::string module = name.substr(0, dot), part = name.substr(dot);
  if (part != ".weight" && part != ".bias") return std::nullopt;
  for (const GgufTensorName& one : names) {
    if (module != one.gguf) continue;
    const bool bias = part == ".bias";
    // A bias has no rows to transpose, but those of queries and keys are in the file's order.
    const GgufChange change =
        bias && one.change == GgufChange::kTranspose ? GgufChange::kNone : one.change;
    return Place{prefix + one.folder + part, change};
  }
  return std::nullopt;
}

Place place_of(const GgufArchitecture& architecture, const std::string& name,
               const GgufFile& file) {
  std::optional<Place> found;
  constexpr std::string_view kLayer = "blk.";
  if (name.starts_with(kLayer)) {
    const std::size_t end = name.find_first_not_of("0123456789", kLayer.size());
    if (end != std::string::npos && end > kLayer.size() && name[end] == '.') {
      found =
          find_place(architecture.layer, name.substr(end + 1),
                     architecture.layers + name.substr(kLayer.size(), end - kLayer.size()) + ".");
    }
  } else {
    found = find_place(architecture.whole, name, "");
  }
  if (!found) {
    throw Error(fmt::format("{}: tensor '{}' is no part of a '{}' model that is read here",
                            file.path().string(), name, architecture.name));
  }
  return *found;
}

// Rows of heads whose pairs are neighbours, as halves: [heads, pairs, 2, ...] to [heads, 2, pairs,
// ...].
at::Tensor halves(const at::Tensor& rows, std::int64_t heads, const std::string& name,
                  const GgufFile& file) {
  if (heads <= 0 || rows.size(0) % (2 * heads) != 0) {
    throw Error(fmt::format("{}: tensor '{}' has {} rows, which are no {} heads",
                            file.path().string(), name, rows.size(0), heads));
  }
  const std::int64_t pairs = rows.size(0) / heads / 2;
  return rows.reshape({heads, pairs, 2, -1}).transpose(1, 2).reshape(rows.sizes());
}

at::Tensor changed(const at::Tensor& tensor, const Place& place, const std::string& name,
                   const GgufFile& file) {
  const auto heads = [&](const char* key) {
    const GgufFields fields(file);
    return fields.integer_or(key, fields.integer("attention.head_count"));
  };
  switch (place.change) {
    case GgufChange::kNone:
    case GgufChange::kExperts: return tensor;
    case GgufChange::kTranspose: return tensor.t().contiguous();
    case GgufChange::kMinusOne: return tensor - 1;
    case GgufChange::kQueryHalves: return halves(tensor, heads("attention.head_count"), name, file);
    case GgufChange::kKeyHalves:
      return halves(tensor, heads("attention.head_count_kv"), name, file);
  }
  return tensor;
}

constexpr std::int64_t kSliceNumbers = 1 << 24;

}  // namespace

std::vector<TensorSource> gguf_tensors(const GgufFile& file, at::ScalarType dtype) {
  const GgufArchitecture& architecture = gguf_architecture_of(file);
  std::vector<TensorSource> sources;
  for (const auto& [name, where] : file.tensors()) {
    if (is_rotation(name)) continue;
    const Place place = place_of(architecture, name, file);
    const auto rounded = [&file, name = name, place, dtype](const at::Tensor& stored) {
      const at::Tensor made = changed(stored, place, name, file).to(dtype);
      if (!at::isfinite(made).all().item<bool>()) {
        throw Error(fmt::format("{}: tensor '{}' holds values that are not finite in {}",
                                file.path().string(), name, dtype_name(dtype)));
      }
      return made;
    };
    if (place.change == GgufChange::kExperts) {
      const std::int64_t experts = GgufFields(file).integer("expert_count");
      if (where.shape.size() != 3 || where.shape.front() != experts) {
        throw Error(fmt::format("{}: tensor '{}' is no matrix for each of {} experts",
                                file.path().string(), name, experts));
      }
      const std::size_t number = place.name.find("{}");
      for (std::int64_t e = 0; e < experts; ++e) {
        TensorSource& source = sources.emplace_back();
        source.name = place.name;
        source.name.replace(number, 2, std::to_string(e));
        source.dtype = dtype;
        source.shape = {where.shape[1], where.shape[2]};
        source.make = [&file, name = name, rounded, e] {
          return rounded(file.rows(name, e, e + 1).squeeze(0));
        };
      }
      continue;
    }
    std::vector<std::int64_t> shape = where.shape;
    if (place.change == GgufChange::kTranspose) {
      if (shape.size() != 2) {
        throw Error(fmt::format("{}: tensor '{}' is no matrix", file.path().string(), name));
      }
      std::swap(shape[0], shape[1]);
    }
    TensorSource& source = sources.emplace_back();
    source.name = place.name;
    source.dtype = dtype;
    source.shape = shape;
    source.make = [&file, name = name, rounded] { return rounded(file.tensor(name)); };
    // An embedding may be larger than all else; rows of other changes belong together.
    const bool any_rows = place.change == GgufChange::kNone && shape.size() > 1;
    const std::int64_t step = kSliceNumbers / (c10::multiply_integers(shape) / shape.front()) + 1;
    for (std::int64_t begin = 0; any_rows && step < shape.front() && begin < shape.front();
         begin += step) {
      const std::int64_t end = std::min(begin + step, shape.front());
      source.make_slices.push_back([&file, name = name, rounded, begin, end] {
        return rounded(file.rows(name, begin, end));
      });
    }
  }
  return sources;
}

}  // namespace taskneuron

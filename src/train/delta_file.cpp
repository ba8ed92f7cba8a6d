#include "taskneuron/train/delta.h"

#include <fmt/format.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"

namespace taskneuron {

namespace {

constexpr const char* kFormat = "taskneuron.delta/1";
const std::string kAxis = "axis.";
const std::string kUnits = ".units";
const std::string kValue = ".value";

[[noreturn]] void refuse(const std::string& file, const std::string& tensor,
                         const std::string& problem) {
  throw Error(fmt::format("{}: tensor '{}': {}", file, tensor, problem));
}

TrainedTensor read_tensor(const SafetensorsFile& file, const std::string& name, int axis,
                          const Checkpoint& base) {
  const std::string where = file.path().string();
  if (!base.contains(name)) refuse(where, name, "the base model has no such tensor");
  if (!file.contains(name + kUnits) || !file.contains(name + kValue)) {
    refuse(where, name, fmt::format("'{}{}' or '{}{}' is missing", name, kUnits, name, kValue));
  }
  TrainedTensor tensor{name, axis, file.tensor(name + kUnits), file.tensor(name + kValue)};
  const std::vector<std::int64_t> shape = base.tensor(name).sizes().vec();
  if (axis < 0 || axis >= static_cast<int>(shape.size())) refuse(where, name, "its axis is wrong");
  if (tensor.units.scalar_type() != at::kLong || tensor.units.dim() != 1) {
    refuse(where, name, "its units are not a list of int64");
  }
  const std::int64_t limit = shape[static_cast<std::size_t>(axis)];
  std::int64_t previous = -1;
  for (std::int64_t i = 0; i < tensor.units.numel(); ++i) {
    const std::int64_t unit = tensor.units.data_ptr<std::int64_t>()[i];
    if (unit <= previous || unit >= limit) {
      refuse(where, name, fmt::format("unit {} does not ascend or is not below {}", unit, limit));
    }
    previous = unit;
  }
  std::vector<std::int64_t> wanted = shape;
  wanted[static_cast<std::size_t>(axis)] = tensor.units.numel();
  if (tensor.value.sizes() != at::IntArrayRef(wanted) || !tensor.value.is_floating_point()) {
    refuse(where, name, "its values do not have the shape of its units");
  }
  if (!at::isfinite(tensor.value).all().item<bool>()) {
    refuse(where, name, "holds values that are not finite");
  }
  return tensor;
}

}  // namespace

void save_delta(const Delta& delta, const std::filesystem::path& path) {
  std::map<std::string, std::string> metadata = delta.from;
  metadata["format"] = kFormat;
  metadata["model"] = delta.base_hash;
  metadata["version"] = version();
  NamedTensors tensors;
  for (const auto& [name, tensor] : delta.tensors) {
    if (!at::isfinite(tensor.value).all().item<bool>()) {
      refuse(path.string(), name, "would hold values that are not finite; nothing is written");
    }
    metadata[kAxis + name] = std::to_string(tensor.axis);
    tensors.emplace_back(name + kUnits, tensor.units);
    tensors.emplace_back(name + kValue, tensor.value);
  }
  write_safetensors(path, std::move(tensors), metadata);
}

Delta load_delta(const std::filesystem::path& path, const Checkpoint& base) {
  const SafetensorsFile file(path, "a delta (safetensors) that train saved");
  const auto field = [&](const char* name) {
    const auto found = file.metadata().find(name);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  if (field("format") != kFormat) {
    throw Error(
        fmt::format("{}: not a delta (metadata 'format' is not '{}')", path.string(), kFormat));
  }
  Delta delta;
  delta.base_hash = field("model");
  if (delta.base_hash != base.hash()) {
    throw Error(fmt::format(
        "{}: was made on a model with other weights ({:.19}...) than {} ({:.19}...); a delta needs "
        "the very base that it was trained from",
        path.string(), delta.base_hash, base.folder().string(), base.hash()));
  }
  for (const auto& [key, value] : file.metadata()) {
    if (key.rfind(kAxis, 0) != 0) {
      delta.from[key] = value;
      continue;
    }
    const std::string name = key.substr(kAxis.size());
    if (value != "0" && value != "1") refuse(path.string(), name, "its axis is neither 0 nor 1");
    delta.tensors[name] = read_tensor(file, name, value == "1" ? 1 : 0, base);
  }
  if (delta.tensors.empty()) throw Error(fmt::format("{}: touches no tensor", path.string()));
  for (const auto& item : file.entries()) {
    const std::string& name = item.first;
    const bool part = name.ends_with(kUnits) || name.ends_with(kValue);
    if (!part || delta.tensors.count(name.substr(0, name.rfind('.'))) == 0) {
      refuse(path.string(), name, "belongs to no change of a tensor; is its axis missing?");
    }
  }
  return delta;
}

}  // namespace taskneuron

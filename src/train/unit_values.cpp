#include "taskneuron/train/unit_values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

const std::string kUnits = ".units";
const std::string kValues = ".values";

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool same_units(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.is_same(b) || at::equal(a, b.to(a.device()));
}

// Where `units` stand among `all`, and which of them do.
struct Places {
  at::Tensor positions;
  at::Tensor found;  // bool

  bool complete() const { return found.all().item<bool>(); }
};
Places places_of(const at::Tensor& units, const at::Tensor& all) {
  const at::Tensor positions = at::searchsorted(all, units).clamp_max(all.numel() - 1);
  return {positions, all.index_select(0, positions) == units};
}

}  // namespace

bool UnitValues::holds(const Parameter& parameter) const {
  const auto found = entries_.find(parameter.key());
  if (found == entries_.end()) return false;
  const Entry& entry = found->second;
  return fits(entry, parameter) && (same_units(entry.units, parameter.units) ||
                                    places_of(parameter.units, entry.units).complete());
}

bool UnitValues::fits(const Entry& entry, const Parameter& parameter) {
  if (entry.units.defined() != parameter.units.defined()) return false;
  const at::IntArrayRef kept = entry.values.sizes(), trained = parameter.master.sizes();
  return entry.units.defined() ? kept.slice(1) == trained.slice(1) : kept == trained;
}

void UnitValues::require_fit(const Entry& entry, const Parameter& parameter) {
  if (fits(entry, parameter)) return;
  throw Error(fmt::format(
      "values are kept of '{}' as [{}]{}, and it is trained as [{}]{} now", parameter.key(),
      fmt::join(entry.values.sizes(), ", "), entry.units.defined() ? " by units" : "",
      fmt::join(parameter.master.sizes(), ", "), parameter.units.defined() ? " by units" : ""));
}

at::Tensor UnitValues::of(const Parameter& parameter) const {
  TN_CHECK(holds(parameter));
  const Entry& entry = entries_.at(parameter.key());
  if (same_units(entry.units, parameter.units)) return entry.values;
  return entry.values.index_select(0, places_of(parameter.units, entry.units).positions);
}

at::Tensor UnitValues::of_or_zero(const Parameter& parameter) const {
  const auto found = entries_.find(parameter.key());
  if (found == entries_.end()) return at::zeros_like(parameter.master);
  const Entry& entry = found->second;
  require_fit(entry, parameter);
  if (same_units(entry.units, parameter.units)) return entry.values;
  if (entry.units.numel() == 0) return at::zeros_like(parameter.master);
  const Places places = places_of(parameter.units, entry.units);
  std::vector<std::int64_t> shape(static_cast<std::size_t>(entry.values.dim()), 1);
  shape[0] = places.found.numel();
  return entry.values.index_select(0, places.positions)
      .masked_fill(places.found.logical_not().view(shape), 0);
}

void UnitValues::add_missing(const Parameter& parameter, const at::Tensor& values) {
  if (!holds(parameter)) join(parameter, values, Where::kMissing);
}

void UnitValues::put(const Parameter& parameter, const at::Tensor& values) {
  join(parameter, values, Where::kAll);
}

void UnitValues::join(const Parameter& parameter, const at::Tensor& values, Where where) {
  TN_CHECK(values.sizes() == parameter.master.sizes());
  const auto [place, is_new] = entries_.try_emplace(parameter.key());
  Entry& entry = place->second;
  if (is_new ||
      (same_units(entry.units, parameter.units) && entry.values.sizes() == values.sizes())) {
    entry = {parameter.units, values.clone()};
    return;
  }
  require_fit(entry, parameter);
  const at::Tensor units = std::get<0>(at::_unique(at::cat({entry.units, parameter.units})));
  std::vector<std::int64_t> shape = values.sizes().vec();
  shape[0] = units.numel();
  const at::Tensor joined = at::empty(shape, values.options());
  const auto write = [&](const at::Tensor& own, const at::Tensor& rows) {
    joined.index_copy_(0, at::searchsorted(units, own), rows.to(joined.options()));
  };
  if (where == Where::kAll) write(entry.units, entry.values);
  write(parameter.units, values);
  if (where == Where::kMissing) write(entry.units, entry.values);
  entry = {units, joined};
}

NamedTensors UnitValues::tensors(const std::string& prefix) const {
  NamedTensors tensors;
  for (const auto& [key, entry] : entries_) {
    if (entry.units.defined()) tensors.emplace_back(prefix + key + kUnits, entry.units);
    tensors.emplace_back(prefix + key + kValues, entry.values);
  }
  return tensors;
}

UnitValues UnitValues::read(const std::map<std::string, at::Tensor>& tensors,
                            const std::string& prefix) {
  UnitValues result;
  for (const auto& [name, tensor] : tensors) {
    if (name.rfind(prefix, 0) != 0) continue;
    const std::string rest = name.substr(prefix.size());
    if (ends_with(rest, kUnits)) {
      result.entries_[rest.substr(0, rest.size() - kUnits.size())].units = tensor;
    } else if (ends_with(rest, kValues)) {
      result.entries_[rest.substr(0, rest.size() - kValues.size())].values = tensor;
    } else {
      throw Error(fmt::format("tensor '{}' is neither values nor units", name));
    }
  }
  for (const auto& [key, entry] : result.entries_) {
    const auto refuse = [&, &tensor = key](const char* problem) {
      throw Error(fmt::format("tensor '{}{}': {}", prefix, tensor, problem));
    };
    if (!entry.values.defined()) refuse("its values are missing");
    if (!entry.units.defined()) continue;
    const at::Tensor& units = entry.units;
    if (units.dim() != 1 || units.scalar_type() != at::kLong || entry.values.dim() < 1 ||
        entry.values.size(0) != units.numel() || units.numel() == 0) {
      refuse("its units are not one int64 for each row of its values");
    }
    if (units.numel() > 1 && !units.slice(0, 1).gt(units.slice(0, 0, -1)).all().item<bool>()) {
      refuse("its units do not ascend");
    }
  }
  return result;
}

}  // namespace taskneuron

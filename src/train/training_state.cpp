#include "train/training_state.h"

#include <fmt/format.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "train/run_files.h"
#include "train/state_reader.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

const std::string kBest = "best.";

fs::path path_in(const fs::path& folder) { return folder / kStateFile; }

std::string names_of(const std::vector<StepTerm*>& terms) {
  std::string names;
  for (const StepTerm* term : terms) {
    if (term->lasts()) names += (names.empty() ? "" : "/") + term->name();
  }
  return names;
}

std::string prefix_of(const StepTerm& term) { return fmt::format("term.{}/", term.name()); }

// What the optimizer holds of a parameter, by the names that a checkpoint gives it.
std::vector<std::pair<std::string, at::Tensor>> parts_of(AdamW& optimizer, std::size_t p) {
  const AdamW::State& state = optimizer.states()[p];
  const Parameter& parameter = *optimizer.parameters()[p];
  const std::string key = parameter.key();
  return {{"master." + key, parameter.master},
          {"first." + key, state.first},
          {"second." + key, state.second},
          {"updates." + key, state.updates}};
}

// The same units are trained, whatever their numbers.
void require_units(StateReader& reader, const Parameter& parameter) {
  const std::string name = "units." + parameter.key();
  if (!parameter.units.defined()) return;
  const at::Tensor stored = reader.take(name);
  const at::Tensor units = parameter.units.cpu();
  if (stored.scalar_type() == at::kLong && at::equal(stored, units)) return;
  reader.fail(
      fmt::format("tensor '{}': the checkpoint's {} units are not the {} that this run "
                  "trains",
                  name, stored.numel(), units.numel()));
}

// What no run can have: a sum of squares below 0, a unit updated more often than there were steps.
void require_possible(const StateReader& reader, const Parameter& parameter,
                      const AdamW::State& state, std::int64_t step) {
  if ((state.second < 0).any().item<bool>()) {
    reader.fail(fmt::format("tensor 'second.{}' holds negative means of squares", parameter.key()));
  }
  if ((state.updates < 0).any().item<bool>() || (state.updates > step).any().item<bool>()) {
    reader.fail(fmt::format("tensor 'updates.{}' holds counts outside of 0 to {}, the run's step",
                            parameter.key(), step));
  }
}

void read_terms(StateReader& reader, const Trainer& trainer) {
  const std::string now = names_of(trainer.terms()), then = reader.text("terms");
  if (now != then) {
    reader.fail(fmt::format("the step's terms were '{}', this run's are '{}'", then, now));
  }
  for (StepTerm* term : trainer.terms()) {
    try {
      term->restore(reader.take_all(prefix_of(*term)), trainer.model());
    } catch (const Error& error) {
      reader.fail(fmt::format("the state of '{}' does not fit: {}", term->name(), error.what()));
    }
  }
}

void read_best(StateReader& reader, const std::vector<ParameterPtr>& parameters, UnitValues& best) {
  if (!reader.contains(kBest + parameters.front()->key())) return;
  for (const ParameterPtr& parameter : parameters) {
    const at::Tensor masters = at::empty_like(parameter->master);
    reader.read(kBest + parameter->key(), masters);
    best.put(*parameter, masters);
  }
}

}  // namespace

void save_training_state(const TrainingState& state, Trainer& trainer, const fs::path& folder) {
  AdamW& optimizer = trainer.optimizer();
  NamedTensors tensors;
  for (std::size_t p = 0; p < optimizer.parameters().size(); ++p) {
    const Parameter& parameter = *optimizer.parameters()[p];
    for (auto& part : parts_of(optimizer, p)) tensors.push_back(std::move(part));
    if (parameter.units.defined())
      tensors.emplace_back("units." + parameter.key(), parameter.units);
    if (state.best_masters.empty()) continue;
    tensors.emplace_back(kBest + parameter.key(), state.best_masters.of(parameter));
  }
  for (const StepTerm* term : trainer.terms()) {
    for (const auto& [name, tensor] : term->state()) {
      tensors.emplace_back(prefix_of(*term) + name, tensor);
    }
  }
  std::map<std::string, std::string> metadata = state_counters(state);
  metadata["terms"] = names_of(trainer.terms());
  write_safetensors(path_in(folder), std::move(tensors), metadata);
}

bool load_training_state(const fs::path& folder, Trainer& trainer, TrainingState& state) {
  if (!fs::exists(path_in(folder))) return false;
  StateReader reader(path_in(folder));
  AdamW& optimizer = trainer.optimizer();
  for (const ParameterPtr& parameter : optimizer.parameters()) require_units(reader, *parameter);
  reader.read_counters(trainer.steps(), state);
  for (std::size_t p = 0; p < optimizer.parameters().size(); ++p) {
    for (auto& [name, target] : parts_of(optimizer, p)) reader.read(name, target);
    const Parameter& parameter = *optimizer.parameters()[p];
    require_possible(reader, parameter, optimizer.states()[p], state.step);
    optimizer.parameters()[p]->store();
  }
  read_best(reader, optimizer.parameters(), state.best_masters);
  read_terms(reader, trainer);
  reader.require_nothing_left();
  return true;
}

bool has_training_state(const fs::path& folder) { return fs::exists(path_in(folder)); }

void remove_training_state(const fs::path& folder) {
  std::error_code ignored;
  fs::remove(path_in(folder), ignored);
}

}  // namespace taskneuron

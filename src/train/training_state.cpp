#include "train/training_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/safetensors.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.training-state/2";
const std::string kBest = "best.";

fs::path path_in(const fs::path& folder) { return folder / "checkpoint.safetensors"; }

// 0x1.8p+1 and the like: every bit of a double survives.
std::string exact(double value) { return fmt::format("{:a}", value); }

std::string described(const at::Tensor& tensor) {
  return fmt::format("[{}] {}", fmt::join(tensor.sizes(), ", "),
                     c10::toString(tensor.scalar_type()));
}

std::string names_of(const std::vector<StepTerm*>& terms) {
  std::string names;
  for (const StepTerm* term : terms) names += (names.empty() ? "" : "/") + term->name();
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

// A checkpoint, of which everything must be asked for.
class Reader {
 public:
  explicit Reader(const fs::path& path) : file_(path) {
    for (const auto& item : file_.entries()) left_.insert(item.first);
  }

  std::string text(const char* key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) fail(fmt::format("'{}' is missing", key));
    return found->second;
  }
  // Of low … high.
  std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const {
    const std::string written = text(key);
    std::int64_t value = 0;
    const char* const end = written.data() + written.size();
    const auto [stop, failure] = std::from_chars(written.data(), end, value);
    if (failure != std::errc() || stop != end || value < low || value > high) {
      fail(fmt::format("'{}' is '{}', no number from {} to {}", key, written, low, high));
    }
    return value;
  }
  double number(const char* key) const {
    const std::string written = text(key);
    char* end = nullptr;
    const double value = std::strtod(written.c_str(), &end);
    if (written.empty() || *end != '\0' || std::isnan(value)) {
      fail(fmt::format("'{}' is '{}', no number", key, written));
    }
    return value;
  }

  at::Tensor take(const std::string& name) {
    if (!file_.contains(name)) {
      fail(fmt::format("tensor '{}' is missing, which this run trains", name));
    }
    left_.erase(name);
    const at::Tensor stored = file_.tensor(name);
    if (stored.is_floating_point() && !at::isfinite(stored).all().item<bool>()) {
      fail(fmt::format("tensor '{}' holds values that are not finite", name));
    }
    return stored;
  }
  void read(const std::string& name, at::Tensor target) {
    const at::Tensor stored = take(name);
    if (stored.sizes() != target.sizes() || stored.scalar_type() != target.scalar_type()) {
      fail(fmt::format("tensor '{}' is {}, this run has {}", name, described(stored),
                       described(target)));
    }
    target.copy_(stored);
  }
  // Copies: the file may be replaced while they are in use.
  TermState take_all(const std::string& prefix) {
    TermState state;
    const std::set<std::string> names = left_;
    for (const std::string& name : names) {
      if (name.rfind(prefix, 0) == 0) state[name.substr(prefix.size())] = take(name).clone();
    }
    return state;
  }
  bool contains(const std::string& name) const { return file_.contains(name); }
  void require_nothing_left() const {
    if (left_.empty()) return;
    fail(fmt::format("holds tensor '{}', which this run does not train", *left_.begin()));
  }
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(
        fmt::format("{}: {}; delete it to start the run over", file_.path().string(), problem));
  }

 private:
  SafetensorsFile file_;
  std::set<std::string> left_;
};

void require_format(const Reader& reader) {
  const std::string format = reader.text("format");
  if (format == kFormat) return;
  if (format.rfind("taskneuron.training-state/", 0) == 0) {
    reader.fail(
        fmt::format("was written by another version ({}, this one reads {}), which can go "
                    "on with it",
                    format, kFormat));
  }
  reader.fail("is not a training state");
}

// The same units are trained, whatever their numbers.
void require_units(Reader& reader, const Parameter& parameter) {
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

// steps: of the whole run, which no counter of it can be beyond.
void read_counters(const Reader& reader, std::int64_t steps, TrainingState& state) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  state.step = reader.integer("step", 0, steps);
  state.tokens = reader.integer("tokens", 0, kMost);
  state.seconds = reader.number("seconds");
  state.first_loss = reader.number("first_loss");
  state.last_loss = reader.number("last_loss");
  state.best_loss = reader.number("best_loss");
  state.best_step = reader.integer("best_step", 0, state.step);
  state.evaluated_step = reader.integer("evaluated_step", -1, state.step);
  state.evaluations_since_best = reader.integer("evaluations_since_best", 0, state.step + 1);
  state.stopped = reader.text("stopped") == "1";
}

void read_terms(Reader& reader, const Trainer& trainer) {
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

void read_best(Reader& reader, const std::vector<ParameterPtr>& parameters, UnitValues& best) {
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
  write_safetensors(path_in(folder), std::move(tensors),
                    {{"format", kFormat},
                     {"terms", names_of(trainer.terms())},
                     {"step", std::to_string(state.step)},
                     {"tokens", std::to_string(state.tokens)},
                     {"seconds", exact(state.seconds)},
                     {"first_loss", exact(state.first_loss)},
                     {"last_loss", exact(state.last_loss)},
                     {"best_loss", exact(state.best_loss)},
                     {"best_step", std::to_string(state.best_step)},
                     {"evaluated_step", std::to_string(state.evaluated_step)},
                     {"evaluations_since_best", std::to_string(state.evaluations_since_best)},
                     {"stopped", state.stopped ? "1" : "0"}});
}

bool load_training_state(const fs::path& folder, Trainer& trainer, TrainingState& state) {
  if (!fs::exists(path_in(folder))) return false;
  Reader reader(path_in(folder));
  require_format(reader);
  AdamW& optimizer = trainer.optimizer();
  for (const ParameterPtr& parameter : optimizer.parameters()) require_units(reader, *parameter);
  for (std::size_t p = 0; p < optimizer.parameters().size(); ++p) {
    for (auto& [name, target] : parts_of(optimizer, p)) reader.read(name, target);
    optimizer.parameters()[p]->store();
  }
  read_counters(reader, trainer.steps(), state);
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

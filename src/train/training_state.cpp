#include "train/training_state.h"

#include <fmt/format.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/safetensors.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.training-state/1";

fs::path path_in(const fs::path& folder) { return folder / "checkpoint.safetensors"; }

std::string name_of(const char* part, std::size_t parameter) {
  return fmt::format("{}.{}", part, parameter);
}

// 0x1.8p+1 and the like: every bit of a double survives.
std::string exact(double value) { return fmt::format("{:a}", value); }

class Reader {
 public:
  explicit Reader(const fs::path& path) : file_(path) {}

  std::string text(const char* key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) fail(fmt::format("'{}' is missing", key));
    return found->second;
  }
  std::int64_t integer(const char* key) const {
    return std::strtoll(text(key).c_str(), nullptr, 10);
  }
  double number(const char* key) const { return std::strtod(text(key).c_str(), nullptr); }
  void read(const char* part, std::size_t parameter, at::Tensor& target) const {
    const std::string name = name_of(part, parameter);
    if (!file_.contains(name)) fail(fmt::format("tensor '{}' is missing", name));
    const at::Tensor stored = file_.tensor(name);
    if (stored.sizes() != target.sizes() || stored.scalar_type() != target.scalar_type()) {
      fail(fmt::format("tensor '{}' is of another model or set", name));
    }
    if (stored.is_floating_point() && !at::isfinite(stored).all().item<bool>()) {
      fail(fmt::format("tensor '{}' holds values that are not finite", name));
    }
    target.copy_(stored);
  }
  bool contains(const char* part) const { return file_.contains(name_of(part, 0)); }
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(
        fmt::format("{}: {}; delete it to start the run over", file_.path().string(), problem));
  }

 private:
  SafetensorsFile file_;
};

}  // namespace

void save_training_state(const TrainingState& state, AdamW& optimizer, const fs::path& folder) {
  NamedTensors tensors;
  for (std::size_t p = 0; p < optimizer.parameters().size(); ++p) {
    tensors.emplace_back(name_of("master", p), optimizer.parameters()[p]->master);
    tensors.emplace_back(name_of("first", p), optimizer.states()[p].first);
    tensors.emplace_back(name_of("second", p), optimizer.states()[p].second);
    tensors.emplace_back(name_of("updates", p), optimizer.states()[p].updates);
    if (!state.best_masters.empty()) {
      tensors.emplace_back(name_of("best", p), state.best_masters[p]);
    }
  }
  write_safetensors(path_in(folder), std::move(tensors),
                    {{"format", kFormat},
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

bool load_training_state(const fs::path& folder, AdamW& optimizer, TrainingState& state) {
  if (!fs::exists(path_in(folder))) return false;
  const Reader reader(path_in(folder));
  if (reader.text("format") != kFormat) reader.fail("is not a training state");
  state.step = reader.integer("step");
  state.tokens = reader.integer("tokens");
  state.seconds = reader.number("seconds");
  state.first_loss = reader.number("first_loss");
  state.last_loss = reader.number("last_loss");
  state.best_loss = reader.number("best_loss");
  state.best_step = reader.integer("best_step");
  state.evaluated_step = reader.integer("evaluated_step");
  state.evaluations_since_best = reader.integer("evaluations_since_best");
  state.stopped = reader.text("stopped") == "1";
  for (std::size_t p = 0; p < optimizer.parameters().size(); ++p) {
    Parameter& parameter = *optimizer.parameters()[p];
    reader.read("master", p, parameter.master);
    reader.read("first", p, optimizer.states()[p].first);
    reader.read("second", p, optimizer.states()[p].second);
    reader.read("updates", p, optimizer.states()[p].updates);
    parameter.store();
    if (!reader.contains("best")) continue;
    state.best_masters.push_back(at::empty_like(parameter.master));
    reader.read("best", p, state.best_masters.back());
  }
  return true;
}

bool has_training_state(const fs::path& folder) { return fs::exists(path_in(folder)); }

void remove_training_state(const fs::path& folder) {
  std::error_code ignored;
  fs::remove(path_in(folder), ignored);
}

}  // namespace taskneuron

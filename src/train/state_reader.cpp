#include "train/state_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

constexpr const char* kFormat = "taskneuron.training-state/2";

// 0x1.8p+1 and the like: every bit of a double survives.
std::string exact(double value) { return fmt::format("{:a}", value); }

std::string described(const at::Tensor& tensor) {
  return fmt::format("[{}] {}", fmt::join(tensor.sizes(), ", "),
                     c10::toString(tensor.scalar_type()));
}

}  // namespace

StateReader::StateReader(const std::filesystem::path& path) : file_(path) {
  for (const auto& item : file_.entries()) left_.insert(item.first);
  require_format();
}

std::string StateReader::text(const char* key) const {
  const auto found = file_.metadata().find(key);
  if (found == file_.metadata().end()) fail(fmt::format("'{}' is missing", key));
  return found->second;
}

std::int64_t StateReader::integer(const char* key, std::int64_t low, std::int64_t high) const {
  const std::string written = text(key);
  std::int64_t value = 0;
  const char* const end = written.data() + written.size();
  const auto [stop, failure] = std::from_chars(written.data(), end, value);
  if (failure != std::errc() || stop != end || value < low || value > high) {
    fail(fmt::format("'{}' is '{}', no number from {} to {}", key, written, low, high));
  }
  return value;
}

double StateReader::number(const char* key) const {
  const std::string written = text(key);
  char* end = nullptr;
  const double value = std::strtod(written.c_str(), &end);
  if (written.empty() || *end != '\0' || std::isnan(value)) {
    fail(fmt::format("'{}' is '{}', no number", key, written));
  }
  return value;
}

void StateReader::read_counters(std::int64_t steps, TrainingState& state) const {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  state.step = integer("step", 0, steps);
  state.tokens = integer("tokens", 0, kMost);
  state.seconds = number("seconds");
  state.first_loss = number("first_loss");
  state.last_loss = number("last_loss");
  state.best_loss = number("best_loss");
  state.best_step = integer("best_step", 0, state.step);
  state.evaluated_step = integer("evaluated_step", -1, state.step);
  state.evaluations_since_best = integer("evaluations_since_best", 0, state.step + 1);
  state.stopped = text("stopped") == "1";
}

at::Tensor StateReader::take(const std::string& name) {
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

void StateReader::read(const std::string& name, at::Tensor target) {
  const at::Tensor stored = take(name);
  if (stored.sizes() != target.sizes() || stored.scalar_type() != target.scalar_type()) {
    fail(fmt::format("tensor '{}' is {}, this run has {}", name, described(stored),
                     described(target)));
  }
  target.copy_(stored);
}

TermState StateReader::take_all(const std::string& prefix) {
  TermState state;
  const std::set<std::string> names = left_;
  for (const std::string& name : names) {
    if (name.rfind(prefix, 0) == 0) state[name.substr(prefix.size())] = take(name).clone();
  }
  return state;
}

void StateReader::require_nothing_left() const {
  if (left_.empty()) return;
  fail(fmt::format("holds tensor '{}', which this run does not train", *left_.begin()));
}

void StateReader::fail(const std::string& problem) const {
  throw Error(
      fmt::format("{}: {}; delete it to start the run over", file_.path().string(), problem));
}

void StateReader::require_format() const {
  const std::string format = text("format");
  if (format == kFormat) return;
  if (format.rfind("taskneuron.training-state/", 0) == 0) {
    fail(
        fmt::format("was written by another version ({}, this one reads {}), which can go "
                    "on with it",
                    format, kFormat));
  }
  fail("is not a training state");
}

std::map<std::string, std::string> state_counters(const TrainingState& state) {
  return {{"format", kFormat},
          {"step", std::to_string(state.step)},
          {"tokens", std::to_string(state.tokens)},
          {"seconds", exact(state.seconds)},
          {"first_loss", exact(state.first_loss)},
          {"last_loss", exact(state.last_loss)},
          {"best_loss", exact(state.best_loss)},
          {"best_step", std::to_string(state.best_step)},
          {"evaluated_step", std::to_string(state.evaluated_step)},
          {"evaluations_since_best", std::to_string(state.evaluations_since_best)},
          {"stopped", state.stopped ? "1" : "0"}};
}

}  // namespace taskneuron

#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/train/step_term.h"
#include "train/training_state.h"

namespace taskneuron {

// A training state's file, of which everything must be asked for. Every Error names the file and
// what of it does not fit.
class StateReader {
 public:
  // Throws Error for a file that is none, or another version's.
  explicit StateReader(const std::filesystem::path& path);

  std::string text(const char* key) const;
  // The numbers of where the run stands. steps: of the whole run, which no counter of it can be
  // beyond.
  void read_counters(std::int64_t steps, TrainingState& state) const;

  bool contains(const std::string& name) const { return file_.contains(name); }
  // The mapped tensor, its values finite.
  at::Tensor take(const std::string& name);
  // Into target, which it must be like.
  void read(const std::string& name, at::Tensor target);
  // All whose names begin with the prefix, by the rest of them. Copies: the file may be replaced
  // while they are in use.
  TermState take_all(const std::string& prefix);
  void require_nothing_left() const;

  [[noreturn]] void fail(const std::string& problem) const;

 private:
  void require_format() const;
  std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const;
  double number(const char* key) const;

  SafetensorsFile file_;
  std::set<std::string> left_;
};

// What read_counters reads, and the format.
std::map<std::string, std::string> state_counters(const TrainingState& state);

}  // namespace taskneuron

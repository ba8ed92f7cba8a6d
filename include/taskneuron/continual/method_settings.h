#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "taskneuron/base/options.h"

namespace taskneuron {

// Everything that methods of continual learning can be set to; each reads some of it (method.h).
struct MethodSettings {
  // How a stage trains.
  double learning_rate = 1e-4;
  double epochs = 3;
  std::int64_t batch = 16;
  // Which units a stage trains.
  std::vector<std::string> top = {"10%"};
  std::string scope = "global";
  std::string finder = "taylor";
  std::int64_t probe_steps = 20;
  double exclusive = 1;
  bool soft = false;
  bool orthogonal = false;
  // How units answer at test time.
  std::string combine = "delta";
  double temperature = 1;
  std::string route = "task";
  std::int64_t stored = 16;
  bool dynamic = false;
  // Adapters.
  std::int64_t rank = 8;
  double alpha = 32;
  std::vector<std::string> targets = {"query", "value"};
  // What joins the loss.
  double lambda = 0;
  std::string penalty = "absolute";
  double softness = 2;
  std::int64_t fisher_rows = 300;
  // Rehearsal.
  double share = 0.05;

  // All of it, keys by their names: lr, epochs, batch, top, ...
  void declare(OptionList& list);
};

// A method with settings of its own, as it is asked for: NAME or NAME:KEY=VALUE,KEY=VALUE where the
// values of a list stand between '+' and a key without a value means yes: "ncft:top=1%+10%,soft".
struct MethodSpec {
  std::string text;  // as it was given: what results are called
  std::string name;
  std::map<std::string, std::string> settings;
};
// Throws UsageError for what is no such text; names and keys are not looked at.
MethodSpec parse_method_spec(const std::string& text);

// A message about settings, whose keys are no options of a command: without the marks of those.
std::string without_backticks(std::string message);

// Sets `settings` by keys and values. Throws Error, beginning with `where`, for a key that is not
// among `keys` (and lists them) and for a value that does not fit or is out of range.
void apply_settings(const std::map<std::string, std::string>& values,
                    const std::set<std::string>& keys, const std::string& where,
                    MethodSettings& settings);

}  // namespace taskneuron

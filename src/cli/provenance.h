#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "taskneuron/train/run_input.h"

// What results say about where they come from, and how sure they are.
namespace taskneuron::cli {

// SHA-256 of a file of any size, "sha256:...".
std::string file_hash(const std::filesystem::path& path);

// The deltas of --delta ("PATH" or "PATH:SCALE"), with their files' hashes. Reads the files whole.
std::vector<RunInput> delta_inputs(const std::vector<std::string>& deltas);
// [{"path", "hash", "scale"}]
OutputJson deltas_json(const std::vector<RunInput>& deltas);
// "HASH*SCALE", separated by spaces, for a file's metadata.
std::string deltas_text(const std::vector<RunInput>& deltas);

// A p value as tables show it: "0.012", "3.1e-05"; "–" where there is none.
std::string p_text(const std::optional<double>& p);

// A mean loss with its 95% interval by Student's t over examples; none for fewer than two.
class LossInterval {
 public:
  explicit LossInterval(const std::vector<double>& losses);
  // "2.3312 ± 0.1204"; "" without any loss.
  std::string text() const;
  // Sets "loss", "loss_stderr", "loss_low" and "loss_high"; null where there is none.
  void add_to(OutputJson& json) const;

 private:
  std::size_t count_;
  double mean_ = 0;
  double standard_error_ = 0;
  double half_width_ = 0;
};

}  // namespace taskneuron::cli

#include "cli/provenance.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/sha256.h"
#include "taskneuron/base/distributions.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/train/delta.h"

namespace taskneuron::cli {

std::string file_hash(const std::filesystem::path& path) {
  const MappedFile file(path);
  Sha256 hash;
  hash.update(file.data(), file.size_bytes());
  return "sha256:" + hash.hex();
}

std::vector<RunInput> delta_inputs(const std::vector<std::string>& deltas) {
  std::vector<RunInput> inputs;
  for (const std::string& text : deltas) {
    const DeltaArgument argument = parse_delta_argument(text);
    inputs.push_back({argument.path, file_hash(argument.path), argument.scale});
  }
  return inputs;
}

OutputJson deltas_json(const std::vector<RunInput>& deltas) {
  OutputJson list = OutputJson::array();
  for (const RunInput& input : deltas) {
    list.push_back({{"path", input.path}, {"hash", input.hash}, {"scale", *input.scale}});
  }
  return list;
}

std::string deltas_text(const std::vector<RunInput>& deltas) {
  std::string text;
  for (const RunInput& input : deltas) {
    text += fmt::format("{}{}*{}", text.empty() ? "" : " ", input.hash, *input.scale);
  }
  return text;
}

std::string p_text(const std::optional<double>& p) {
  if (!p) return "–";
  return *p < 0.001 ? fmt::format("{:.1e}", *p) : fmt::format("{:.3f}", *p);
}

LossInterval::LossInterval(const std::vector<double>& losses) : count_(losses.size()) {
  if (count_ == 0) return;
  mean_ = mean(losses);
  if (count_ < 2) return;
  standard_error_ = standard_error(losses);
  half_width_ = student_t_quantile(0.975, static_cast<double>(count_ - 1)) * standard_error_;
}

std::string LossInterval::text() const {
  if (count_ == 0) return "";
  if (count_ == 1) return fmt::format("{:.4f}", mean_);
  return fmt::format("{:.4f} ± {:.4f}", mean_, half_width_);
}

void LossInterval::add_to(OutputJson& json) const {
  for (const char* key : {"loss", "loss_stderr", "loss_low", "loss_high"}) json[key] = nullptr;
  if (count_ > 0) json["loss"] = mean_;
  if (count_ < 2) return;
  json["loss_stderr"] = standard_error_;
  json["loss_low"] = mean_ - half_width_;
  json["loss_high"] = mean_ + half_width_;
}

}  // namespace taskneuron::cli

#include "cli/provenance.h"

#include <fmt/format.h>

#include "base/plain_name.h"
#include "cli/command.h"

namespace taskneuron::cli {

OutputJson deltas_json(const std::vector<RunInput>& deltas) {
  OutputJson list = OutputJson::array();
  for (const RunInput& input : deltas) {
    list.push_back({{"path", input.path}, {"hash", input.hash}, {"scale", *input.scale}});
  }
  return list;
}

std::string p_text(const std::optional<double>& p) {
  if (!p) return "–";
  return *p < 0.001 ? fmt::format("{:.1e}", *p) : fmt::format("{:.3f}", *p);
}

std::string loss_text(const LossInterval& loss) {
  if (loss.examples == 0) return "";
  if (!loss.standard_error) return fmt::format("{:.4f}", loss.mean);
  return fmt::format("{:.4f} ± {:.4f}", loss.mean, loss.half_width);
}

void add_loss(OutputJson& json, const LossInterval& loss) {
  for (const char* key : {"loss", "loss_stderr", "loss_low", "loss_high"}) json[key] = nullptr;
  if (loss.examples > 0) json["loss"] = loss.mean;
  if (!loss.standard_error) return;
  json["loss_stderr"] = *loss.standard_error;
  json["loss_low"] = loss.mean - loss.half_width;
  json["loss_high"] = loss.mean + loss.half_width;
}

OutputJson references_json(const std::vector<ReferenceTexts>& references) {
  OutputJson json = OutputJson::array();
  for (const ReferenceTexts& texts : references) {
    OutputJson entry;
    if (texts.task.empty()) {
      entry["text"] = true;
    } else {
      entry = {{"task", texts.task}, {"split", texts.split}, {"rows", texts.rows}};
    }
    entry["tokens"] = texts.tokens;
    entry["positions"] = texts.positions;
    json.push_back(entry);
  }
  return json;
}

OutputJson warnings_json(const std::vector<Warning>& warnings) {
  OutputJson json = OutputJson::array();
  for (const Warning& warning : warnings) {
    OutputJson entry = {{"kind", warning.kind}};
    if (!warning.task.empty()) entry["task"] = warning.task;
    if (!warning.set.empty()) entry["set"] = warning.set;
    entry["text"] = with_flags(warning.text);
    json.push_back(entry);
  }
  return json;
}

void print_warnings(const std::vector<Warning>& warnings) {
  if (!warnings.empty()) fmt::print("\n");
  for (const Warning& warning : warnings) {
    std::string of = warning.task;
    if (!warning.set.empty()) of += (of.empty() ? "" : ", ") + warning.set;
    fmt::print("warning: {}{}\n", of.empty() ? "" : shown(of) + ": ",
               shown(with_flags(warning.text)));
  }
}

}  // namespace taskneuron::cli

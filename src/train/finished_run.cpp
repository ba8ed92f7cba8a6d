#include "train/finished_run.h"

#include "base/file.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kCertificateFormat = "taskneuron.certificate/1";

Certificate read_certificate(const fs::path& path) {
  const Json document = read_json(path);
  const JsonView json(document, path.string());
  if (json.string_or("format", "") != kCertificateFormat) json.fail("is no certificate");
  Certificate certificate;
  certificate.trained_values = json.at("trained_values").integer();
  certificate.frozen_values = json.at("frozen_values").integer();
  for (const JsonView& row : json.at("tensors").array()) {
    CertifiedTensor& tensor = certificate.tensors.emplace_back();
    tensor.tensor = row.at("tensor").string();
    tensor.units = row.integer_or("units", 0);
    tensor.trained_units = row.integer_or("trained_units", 0);
    tensor.changed_units = row.integer_or("changed_units", 0);
    tensor.frozen_before = row.at("frozen_sha256_before").string();
    tensor.frozen_after = row.at("frozen_sha256_after").string();
  }
  return certificate;
}

}  // namespace

OutputJson certificate_json(const Certificate& certificate, const std::string& base_hash) {
  OutputJson rows = OutputJson::array();
  for (const CertifiedTensor& tensor : certificate.tensors) {
    OutputJson row = {{"tensor", tensor.tensor}};
    if (tensor.units > 0) {
      row["units"] = tensor.units;
      row["trained_units"] = tensor.trained_units;
      row["changed_units"] = tensor.changed_units;
    }
    row["frozen_sha256_before"] = tensor.frozen_before;
    row["frozen_sha256_after"] = tensor.frozen_after;
    row["identical"] = tensor.holds();
    rows.push_back(row);
  }
  return {{"format", kCertificateFormat},
          {"base", base_hash},
          {"holds", certificate.holds()},
          {"trained_values", certificate.trained_values},
          {"frozen_values", certificate.frozen_values},
          {"tensors", rows}};
}

void finish_run(const fs::path& folder, const TrainingRunResult& result) {
  OutputJson run = read_output_json(folder / kRunFile);
  run["finished"] = true;
  run["result"] = {{"steps", result.steps},
                   {"best_step", result.best_step},
                   {"stopped_early", result.stopped_early},
                   {"first_loss", result.first_loss},
                   {"last_loss", result.last_loss},
                   {"tokens", result.tokens},
                   {"seconds", result.seconds},
                   {"file", fs::path(result.file).filename().string()}};
  write_file(folder / kRunFile, json_text(run, 1) + "\n");
}

TrainingRunResult read_finished_run(const fs::path& folder) {
  const Json document = read_json(folder / kRunFile);
  const JsonView json = JsonView(document, (folder / kRunFile).string()).at("result");
  TrainingRunResult result;
  result.steps = json.at("steps").integer();
  result.best_step = json.at("best_step").integer();
  result.stopped_early = json.at("stopped_early").boolean();
  result.first_loss = json.at("first_loss").number();
  result.last_loss = json.at("last_loss").number();
  result.tokens = json.at("tokens").integer();
  result.seconds = json.at("seconds").number();
  result.file = (folder / fs::path(json.at("file").string()).filename()).string();
  result.validation = read_evaluation(folder / kEvaluationsFile, result.best_step);
  result.validation_before = read_evaluation(folder / kEvaluationsFile, 0);
  result.certificate = read_certificate(folder / "certificate.json");
  return result;
}

}  // namespace taskneuron

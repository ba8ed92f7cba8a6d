#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

#include "cli/command.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/tensor_pool.h"
#include "taskneuron/train/delta.h"

namespace taskneuron::cli {

namespace fs = std::filesystem;

void CommonOptions::add_to(CLI::App& command) {
  command.add_flag("--json", json, "Print the result as JSON");
  command.add_flag("--quiet", quiet, "No progress and no notes on standard error");
  command.add_option("--threads", threads, "Threads; 0 uses every processor")
      ->check(at_least(0))
      ->capture_default_str();
}

void CommonOptions::apply() const {
  set_verbosity(quiet ? Verbosity::kQuiet : Verbosity::kNormal);
  set_threads(threads);
  use_tensor_pool();
}

void ModelOptions::add_to(CLI::App& command) {
  command.add_option("MODEL", folder, kModelHelp)->required();
  command
      .add_option(
          "--dtype", dtype,
          "auto, float32 or bfloat16; auto is bfloat16 where the checkpoint has 16 bits and "
          "the processor multiplies bfloat16 fast")
      ->capture_default_str();
  command.add_option("--device", device, "cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--delta", deltas,
                     "What train saved: the model with these changes, PATH or PATH:SCALE");
}

void DataOptions::add_rows_to(CLI::App& command, const std::string& default_split,
                              bool tasks_required) {
  split = default_split;
  auto* task_option = command.add_option("--task", tasks, "Task folders (docs/formats/task.md)");
  if (tasks_required) task_option->required();
  command.add_option("--split", split, "Split of the tasks")->capture_default_str();
  command.add_option("--limit", limit, "Read at most N rows of the split; 0 reads all")
      ->check(at_least(0))
      ->capture_default_str();
  command
      .add_option("--template", prompt_template,
                  "Prompt template: default, alpaca, olora, chat, or a JSON file")
      ->capture_default_str();
  command
      .add_option("--max-length", max_length,
                  "Longest example in tokens; longer inputs are cut. 0: the model's context")
      ->check(at_least(0))
      ->capture_default_str();
}

void DataOptions::add_to(CLI::App& command, const std::string& default_split, bool tasks_required) {
  add_rows_to(command, default_split, tasks_required);
  command.add_option("--batch", batch, "Examples per forward pass; 0: by --batch-tokens")
      ->check(at_least(0))
      ->capture_default_str();
  command.add_option("--batch-tokens", batch_tokens, "Tokens per forward pass")
      ->check(at_least(1))
      ->capture_default_str();
  command
      .add_option("--memory", memory,
                  "Memory that the run may take beyond the mapped weights, as 800M or 6G; "
                  "batches shrink and layers run twice to fit. Default: most of what is free")
      ->each([](const std::string& text) { parse_bytes(text, "--memory"); });
}

BatchMemory DataOptions::fit(const Checkpoint& checkpoint, const Decoder& decoder,
                             const BatchDemand& demand) const {
  // What another device holds is not in this process's memory.
  if (memory.empty() && !decoder.options().device.is_cpu()) return {limits(), false, 0};
  const std::int64_t budget =
      memory.empty() ? default_memory_budget(checkpoint) : parse_bytes(memory, "--memory");
  const BatchMemory plan = fit_batches(checkpoint, decoder.options(), demand, limits(), budget);
  if (plan.recompute || plan.limits.max_tokens < batch_tokens) {
    note(fmt::format("to fit {}: {} tokens per forward pass{}; {} predicted", format_bytes(budget),
                     plan.limits.max_tokens,
                     plan.recompute ? ", layers run again in the backward pass" : "",
                     format_bytes(plan.predicted)));
  }
  return plan;
}

OutputJson model_json(const std::string& given, const ModelFolder& found) {
  OutputJson json = {{"model", given}};
  if (!found.revision.empty()) {
    json["model_folder"] = found.path.string();
    json["model_revision"] = found.revision;
  }
  return json;
}

OutputJson LoadedModel::named() const { return model_json(folder_, found_); }

std::int64_t DataOptions::context(const ModelConfig& config) const {
  if (max_length > config.max_positions) {
    throw Error(fmt::format("--max-length {} is more than the model's context of {} tokens",
                            max_length, config.max_positions));
  }
  return max_length > 0 ? max_length : config.max_positions;
}

LoadedModel::LoadedModel(const ModelOptions& options)
    : folder_(options.folder), found_(find_model(options.folder)) {
  const at::Device device = parse_device(options.device);
  checkpoint_ = std::make_unique<Checkpoint>(with_deltas(Checkpoint(found_.path), options.deltas));
  tokenizer_ = std::make_unique<Tokenizer>(found_.path);
  const auto from_tokenizer = tokenizer_->end_of_sequence();
  const auto& from_config = checkpoint_->config().end_of_sequence;
  if (!from_tokenizer && from_config.empty()) {
    throw Error(
        fmt::format("{}: neither tokenizer_config.json nor config.json names an "
                    "end-of-sequence token (eos_token, eos_token_id)",
                    options.folder));
  }
  end_of_sequence_ = from_tokenizer ? *from_tokenizer : from_config.front();
  decoder_ = std::make_unique<Decoder>(
      *checkpoint_, DecoderOptions{choose_dtype(options.dtype, *checkpoint_, device), device});
}

Checkpoint with_deltas(Checkpoint base, const std::vector<std::string>& deltas) {
  if (deltas.empty()) return base;
  std::vector<ScaledDelta> scaled;
  for (const std::string& text : deltas) {
    const DeltaArgument argument = parse_delta_argument(text);
    scaled.push_back({load_delta(argument.path, base), argument.scale});
  }
  return base.with_replaced(apply_deltas(base, scaled));
}

EncodedTask encode_task(const std::string& folder, const DataOptions& data,
                        const ExampleEncoder& encoder) {
  EncodedTask result{load_task(folder), {}, 0};
  for (const TaskRow& row : load_split(result.task, data.split, data.limit)) {
    const std::string where =
        fmt::format("{}:{}", split_path(result.task, data.split).string(), row.line);
    result.examples.push_back(encoder.encode(row, where));
    result.truncated += result.examples.back().truncated ? 1 : 0;
  }
  note_truncated(result.task.name, result.truncated,
                 static_cast<std::int64_t>(result.examples.size()));
  return result;
}

EncoderOptions LoadedModel::encoder_options(const DataOptions& data) const {
  return {data.context(checkpoint_->config()), end_of_sequence_};
}

std::vector<Site> parse_sites(const std::vector<std::string>& names) {
  std::set<Site> sites;
  for (const std::string& name : names) {
    if (name == "paper") {
      sites.insert({Site::kAct, Site::kOut});
      continue;
    }
    try {
      sites.insert(parse_site(name));
    } catch (const Error& error) {
      throw UsageError(std::string(error.what()) + ", and the preset paper");
    }
  }
  return {sites.begin(), sites.end()};
}

void blame_weights(const Checkpoint& checkpoint, const std::function<void()>& work) {
  try {
    work();
  } catch (const NonFiniteError&) {
    const std::string tensor = checkpoint.first_non_finite();
    if (tensor.empty()) throw;
    throw Error(
        fmt::format("{}: tensor '{}' holds values that are not finite; the checkpoint is damaged",
                    checkpoint.folder().string(), tensor));
  }
}

PromptTemplate find_template(const DataOptions& data, const std::string& model) {
  const bool chat = data.prompt_template == "chat";
  return PromptTemplate::find(data.prompt_template,
                              chat ? Tokenizer(find_model(model).path).chat_template() : "");
}

namespace {

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool numeric(const std::string& text) {
  return !text.empty() && text.find_first_of("0123456789") < 2 && text.front() != 'e' &&
         text.find_first_not_of("0123456789+-.%e± ()") == std::string::npos;
}

}  // namespace

void Table::print() const {
  std::vector<std::size_t> width(rows_[0].size(), 0);
  std::vector<bool> right(rows_[0].size(), rows_.size() > 1);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < rows_[r].size(); ++c) {
      width[c] = std::max(width[c], characters(rows_[r][c]));
      if (r > 0 && !rows_[r][c].empty() && !numeric(rows_[r][c])) right[c] = false;
    }
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(width[c] - characters(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (right[c] ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void print_json(const OutputJson& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, OutputJson::error_handler_t::replace));
}

void note_truncated(const std::string& task, std::int64_t truncated, std::int64_t examples) {
  if (truncated == 0) return;
  note(fmt::format("{}: the input of {} of {} examples was cut to fit the context", task, truncated,
                   examples));
}

}  // namespace taskneuron::cli

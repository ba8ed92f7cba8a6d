#include "taskneuron/neuron/scores.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>

#include "base/plain_name.h"
#include "base/sha256.h"
#include "base/torch_compat.h"
#include "base/world.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"
#include "taskneuron/checkpoint/safetensors.h"

namespace taskneuron {

namespace {

constexpr const char* kFormat = "taskneuron.scores/1";

struct SumField {
  const char* name;
  at::Tensor SiteSums::*sum;
};
constexpr SumField kSums[] = {
    {"signed_sum", &SiteSums::signed_sum},
    {"example_abs_sum", &SiteSums::example_abs_sum},
    {"token_abs_sum", &SiteSums::token_abs_sum},
    {"example_sq_sum", &SiteSums::example_sq_sum},
};

struct InfoField {
  const char* name;
  std::string ScoreInfo::*value;
  bool may_lack = false;  // then an empty one is not written
};
constexpr InfoField kInfo[] = {
    {"model", &ScoreInfo::model_hash},
    {"task", &ScoreInfo::task},
    {"split", &ScoreInfo::split},
    {"template", &ScoreInfo::template_hash},
    {"method", &ScoreInfo::method},
    {"positions", &ScoreInfo::positions},
    {"aggregate", &ScoreInfo::aggregate},
    {"dtype", &ScoreInfo::dtype},
    {"seed", &ScoreInfo::seed},
    {"deltas", &ScoreInfo::deltas},
    {"experts", &ScoreInfo::experts, true},
};

// Whatever sum is there; all have one shape.
const at::Tensor& any_sum(const SiteSums& sums) {
  for (const SumField& field : kSums) {
    if ((sums.*field.sum).defined()) return sums.*field.sum;
  }
  TN_CHECK(false);
}

std::int64_t parse_count(const std::map<std::string, std::string>& metadata, const char* key,
                         const std::string& where) {
  const auto found = metadata.find(key);
  const std::string text = found == metadata.end() ? "" : found->second;
  if (text.empty() || text.size() > 18 ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    throw Error(fmt::format("{}: metadata '{}' is '{}'; a count was expected", where, key, text));
  }
  return std::stoll(text);
}

// Finite, and of absolute values and squares not below 0.
void require_sums(const SafetensorsFile& file, const std::string& name, const at::Tensor& sum,
                  bool absolute) {
  if (!at::isfinite(sum).all().item<bool>()) {
    throw Error(fmt::format("{}: tensor '{}' holds values that are not finite",
                            file.path().string(), name));
  }
  if (absolute && (sum < 0).any().item<bool>()) {
    throw Error(fmt::format("{}: tensor '{}' holds negative sums of what cannot be negative",
                            file.path().string(), name));
  }
}

Site site_in(const SafetensorsFile& file, const std::string& tensor, const std::string& name) {
  try {
    return parse_site(name);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: tensor '{}': {}", file.path().string(), tensor, error.what()));
  }
}

void read_sum(const SafetensorsFile& file, const std::string& name, Scores& scores) {
  const auto dot = name.find('.');
  for (const SumField& field : kSums) {
    if (dot == std::string::npos || name.substr(0, dot) != field.name) continue;
    const TensorEntry& entry = file.entries().at(name);
    if (entry.dtype != at::kDouble || entry.shape.size() != 2) {
      throw Error(fmt::format("{}: tensor '{}' must be F64 with two dimensions",
                              file.path().string(), name));
    }
    SiteSums& sums = scores.sites[site_in(file, name, name.substr(dot + 1))];
    const at::Tensor sum = file.tensor(name).clone();
    require_sums(file, name, sum, field.sum != &SiteSums::signed_sum);
    for (const SumField& other : kSums) {
      if ((sums.*other.sum).defined() && (sums.*other.sum).sizes() != sum.sizes()) {
        throw Error(fmt::format("{}: tensor '{}' has another shape than {}.{}",
                                file.path().string(), name, other.name, name.substr(dot + 1)));
      }
    }
    sums.*field.sum = sum;
  }
}

}  // namespace

const char* aggregate_name(Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::kExample: return "example";
    case Aggregate::kToken: return "token";
    case Aggregate::kDataset: return "dataset";
  }
  TN_CHECK(false);
}

Aggregate parse_aggregate(const std::string& name) {
  for (const Aggregate aggregate : {Aggregate::kExample, Aggregate::kToken, Aggregate::kDataset}) {
    if (name == aggregate_name(aggregate)) return aggregate;
  }
  throw UsageError("aggregate", name, "example, token or dataset");
}

SiteShape Scores::shape(Site site) const {
  const at::Tensor& sum = any_sum(sites.at(site));
  return {sum.size(0), sum.size(1)};
}

at::Tensor Scores::relevance(Site site, Aggregate aggregate) const {
  const auto found = sites.find(site);
  if (found == sites.end()) {
    std::vector<std::string> held;
    for (const auto& one : sites) held.push_back(site_name(one.first));
    throw Error(fmt::format("the scores of task '{}' hold nothing for site {}, only for {}",
                            info.task, site_name(site), fmt::join(held, " and ")));
  }
  const SiteSums& sums = found->second;
  const at::Tensor& sum = aggregate == Aggregate::kExample ? sums.example_abs_sum
                          : aggregate == Aggregate::kToken ? sums.token_abs_sum
                                                           : sums.signed_sum;
  if (!sum.defined()) {
    throw Error(
        fmt::format("the scores of task '{}' ({}) were made without the sums of aggregate "
                    "{}; detect again with `aggregate` {}",
                    info.task, info.method, aggregate_name(aggregate), aggregate_name(aggregate)));
  }
  return (sum / static_cast<double>(denominator)).abs();
}

at::Tensor Scores::relevance(Site site) const {
  return relevance(site, parse_aggregate(info.aggregate));
}

at::Tensor Scores::standard_error(Site site) const {
  const SiteSums& sums = sites.at(site);
  if (!sums.example_sq_sum.defined() || examples < 2) {
    throw Error(fmt::format("the scores of task '{}' allow no standard error", info.task));
  }
  const auto n = static_cast<double>(examples);
  const at::Tensor mean = sums.example_abs_sum / n;
  const at::Tensor variance = (sums.example_sq_sum / n - mean * mean).clamp_min(0) * (n / (n - 1));
  return (variance / n).sqrt();
}

std::string Scores::sums_hash() const {
  Sha256 hash;
  for (const auto& [site, sums] : sites) {
    for (const SumField& field : kSums) {
      if (!(sums.*field.sum).defined()) continue;
      const at::Tensor sum = (sums.*field.sum).contiguous();
      hash.update(fmt::format("{}.{}", field.name, site_name(site)));
      hash.update(sum.data_ptr(), sum.nbytes());
    }
  }
  return hash.hex();
}

void Scores::merge(const Scores& other, const std::string& where) {
  for (const InfoField& field : kInfo) {
    if (info.*field.value != other.info.*field.value) {
      throw Error(fmt::format("{}: cannot be added: its {} is '{}', the others have '{}'", where,
                              field.name, other.info.*field.value, info.*field.value));
    }
  }
  for (const auto& item : other.sites) {
    if (sites.count(item.first) == 0 || shape(item.first) != other.shape(item.first)) {
      throw Error(fmt::format("{}: cannot be added: its shape at site {} differs", where,
                              site_name(item.first)));
    }
  }
  if (sites.size() != other.sites.size()) {
    throw Error(fmt::format("{}: cannot be added: it lacks a site that the others have", where));
  }
  for (auto& [site, sums] : sites) {
    for (const SumField& field : kSums) {
      at::Tensor& mine = sums.*field.sum;
      const at::Tensor& theirs = other.sites.at(site).*field.sum;
      mine = mine.defined() && theirs.defined() ? mine + theirs : at::Tensor();
      if (mine.defined() && !at::isfinite(mine).all().item<bool>()) {
        throw Error(fmt::format("{}: cannot be added: a {} at site {} would not be finite", where,
                                field.name, site_name(site)));
      }
    }
  }
  losses.insert(losses.end(), other.losses.begin(), other.losses.end());
  if (__builtin_add_overflow(examples, other.examples, &examples) ||
      __builtin_add_overflow(tokens, other.tokens, &tokens) ||
      __builtin_add_overflow(denominator, other.denominator, &denominator)) {
    throw Error(
        fmt::format("{}: cannot be added: its counts are more than any scores have", where));
  }
}

void save_scores(const Scores& scores, const std::filesystem::path& path) {
  NamedTensors tensors;
  for (const auto& [site, sums] : scores.sites) {
    for (const SumField& field : kSums) {
      if ((sums.*field.sum).defined()) {
        tensors.emplace_back(fmt::format("{}.{}", field.name, site_name(site)), sums.*field.sum);
      }
    }
    const at::Tensor relevance = scores.relevance(site).to(at::kFloat);
    if (!at::isfinite(relevance).all().item<bool>()) {
      throw Error(fmt::format("{}: the relevance at site {} is beyond float32; nothing is written",
                              path.string(), site_name(site)));
    }
    tensors.emplace_back(fmt::format("relevance.{}", site_name(site)), relevance);
  }
  std::map<std::string, std::string> metadata = {
      {"format", kFormat},
      {"version", version()},
      {"examples", std::to_string(scores.examples)},
      {"tokens", std::to_string(scores.tokens)},
      {"denominator", std::to_string(scores.denominator)},
  };
  for (const InfoField& field : kInfo) {
    const std::string& value = scores.info.*field.value;
    if (!value.empty() || !field.may_lack) metadata[field.name] = value;
  }
  write_safetensors(path, std::move(tensors), metadata);
}

Scores load_scores(const std::filesystem::path& path) {
  require_same_file(path.string());
  const SafetensorsFile file(path, "a score file (safetensors) that detect made");
  const auto& metadata = file.metadata();
  const auto format = metadata.find("format");
  if (format == metadata.end() || format->second != kFormat) {
    throw Error(fmt::format("{}: not a score file (metadata 'format' is not '{}')", path.string(),
                            kFormat));
  }
  Scores scores;
  for (const InfoField& field : kInfo) {
    const auto found = metadata.find(field.name);
    if (found == metadata.end()) {
      if (field.may_lack) continue;
      throw Error(fmt::format("{}: metadata '{}' is missing", path.string(), field.name));
    }
    if (holds_control(found->second)) {
      throw Error(
          fmt::format("{}: metadata '{}' holds a control character", path.string(), field.name));
    }
    scores.info.*field.value = found->second;
  }
  for (const std::string ScoreInfo::*value :
       {&ScoreInfo::model_hash, &ScoreInfo::task, &ScoreInfo::split, &ScoreInfo::method}) {
    if ((scores.info.*value).empty()) {
      throw Error(fmt::format("{}: metadata does not say of which model, task, split and method",
                              path.string()));
    }
  }
  try {
    parse_aggregate(scores.info.aggregate);
  } catch (const Error&) {
    throw Error(
        fmt::format("{}: metadata 'aggregate' is '{}'; example, token or dataset was expected",
                    path.string(), scores.info.aggregate));
  }
  scores.examples = parse_count(metadata, "examples", path.string());
  scores.tokens = parse_count(metadata, "tokens", path.string());
  scores.denominator = parse_count(metadata, "denominator", path.string());
  for (const auto& item : file.entries()) read_sum(file, item.first, scores);
  if (scores.sites.empty() || scores.denominator == 0) {
    throw Error(fmt::format("{}: holds no sums", path.string()));
  }
  for (const auto& item : scores.sites) {
    if (scores.shape(item.first).layers != scores.shape(scores.sites.begin()->first).layers) {
      throw Error(fmt::format("{}: its sites have different numbers of layers", path.string()));
    }
  }
  return scores;
}

}  // namespace taskneuron

#include "text/normalizer.h"

#include <fmt/format.h>

#include <vector>

#include "text/regex.h"
#include "text/text_growth.h"
#include "text/unicode.h"

namespace taskneuron {

namespace {

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(NormalForm form) : form_(form) {}
  std::string normalize(std::string text, std::size_t) const override {
    return normal_form(text, form_);
  }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  std::string normalize(std::string text, std::size_t) const override { return lower_case(text); }
};

class PrependNormalizer : public Normalizer {
 public:
  PrependNormalizer(std::string prefix, std::string where)
      : prefix_(std::move(prefix)), where_(std::move(where)) {}
  std::string normalize(std::string text, std::size_t limit) const override {
    require_fits(text.size() + prefix_.size(), limit, where_);
    return text.empty() ? text : prefix_ + text;
  }

 private:
  std::string prefix_, where_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  std::string normalize(std::string text, std::size_t) const override {
    std::size_t begin = text.size(), end = 0;
    for (std::size_t offset = 0; offset < text.size();) {
      const std::size_t start = offset;
      if (!is_space(next_code_point(text, offset))) {
        begin = std::min(begin, start);
        end = offset;
      }
    }
    if (end == 0) return left_ || right_ ? "" : text;
    if (!left_) begin = 0;
    if (!right_) end = text.size();
    return text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Regex pattern, std::string content, std::string where)
      : pattern_(std::move(pattern)), content_(std::move(content)), where_(std::move(where)) {}
  std::string normalize(std::string text, std::size_t limit) const override {
    std::string result;
    std::size_t from = 0;
    while (from <= text.size()) {
      const auto [begin, end] = pattern_.find(text, from);
      if (begin == std::string::npos || begin == end) break;
      require_fits(result.size() + begin - from + content_.size(), limit, where_);
      result.append(text, from, begin - from).append(content_);
      from = end;
    }
    return result.append(text, from);
  }

 private:
  Regex pattern_;
  std::string content_, where_;
};

class NormalizerSequence : public Normalizer {
 public:
  NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps, std::string where)
      : steps_(std::move(steps)), where_(std::move(where)) {}
  std::string normalize(std::string text, std::size_t limit) const override {
    for (const auto& step : steps_) {
      text = step->normalize(std::move(text), limit);
      require_fits(text.size(), limit, where_);
    }
    return text;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
  std::string where_;
};

}  // namespace

std::string pattern_expression(const JsonView& json) {
  if (const auto text = json.find("String")) return regex_escape(text->string());
  if (const auto regex = json.find("Regex")) return regex->string();
  json.fail("expected a pattern {\"String\": ...} or {\"Regex\": ...}");
}

std::unique_ptr<Normalizer> make_normalizer(const std::optional<JsonView>& json) {
  if (!json) return nullptr;
  const std::string type = json->at("type").string();
  if (type == "NFC") return std::make_unique<FormNormalizer>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<FormNormalizer>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<FormNormalizer>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<FormNormalizer>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "Prepend") {
    return std::make_unique<PrependNormalizer>(json->at("prepend").string(), json->where());
  }
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(json->boolean_or("strip_left", true),
                                             json->boolean_or("strip_right", true));
  }
  if (type == "Replace") {
    return std::make_unique<ReplaceNormalizer>(
        Regex(pattern_expression(json->at("pattern")), json->where()), json->at("content").string(),
        json->where());
  }
  if (type == "Sequence") {
    std::vector<std::unique_ptr<Normalizer>> steps;
    for (const JsonView& step : json->at("normalizers").array())
      steps.push_back(make_normalizer(step));
    return std::make_unique<NormalizerSequence>(std::move(steps), json->where());
  }
  json->fail(fmt::format("normalizer '{}' is not supported", type));
}

}  // namespace taskneuron

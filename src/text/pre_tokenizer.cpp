#include "text/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "text/byte_level.h"
#include "text/normalizer.h"
#include "text/regex.h"
#include "text/text_growth.h"
#include "text/unicode.h"

namespace taskneuron {

namespace {

// What becomes of the parts that a pattern matches (tokenizers, SplitDelimiterBehavior).
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior parse_behavior(const JsonView& json) {
  const std::string name = json.string();
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  json.fail(fmt::format("behavior '{}' is not supported", name));
}

struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool match = false;
};

// Alternating matches and gaps that cover text.
std::vector<Part> regex_parts(const std::string& text, const Regex& regex) {
  std::vector<Part> parts;
  std::size_t covered = 0, from = 0;
  while (from <= text.size()) {
    const auto [begin, end] = regex.find(text, from);
    if (begin == std::string::npos) break;
    if (begin == end) {  // an empty match cuts nothing; look on behind the next character
      if (begin >= text.size()) break;
      from = begin + utf8_length(text[begin]);
      continue;
    }
    if (begin > covered) parts.push_back({covered, begin, false});
    parts.push_back({begin, end, true});
    covered = from = end;
  }
  if (covered < text.size()) parts.push_back({covered, text.size(), false});
  return parts;
}

std::vector<Part> character_parts(const std::string& text, bool (*matches)(char32_t)) {
  std::vector<Part> parts;
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t begin = offset;
    const bool match = matches(next_code_point(text, offset));
    if (!match && !parts.empty() && !parts.back().match) {
      parts.back().end = offset;
    } else {
      parts.push_back({begin, offset, match});
    }
  }
  return parts;
}

// Each part that joins the one before it is added to what is kept last.
template <typename Joins>
std::vector<Part> joined(const std::vector<Part>& parts, const Joins& joins) {
  std::vector<Part> kept;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && joins(parts[i - 1], parts[i])) {
      kept.back().end = parts[i].end;
    } else {
      kept.push_back(parts[i]);
    }
  }
  return kept;
}

// A match goes to the part that follows it; of several in a row, the last one.
std::vector<Part> merged_with_next(const std::vector<Part>& parts) {
  std::vector<Part> kept;
  bool previous_match = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->match && !previous_match && !kept.empty()) {
      kept.back().begin = part->begin;
    } else {
      kept.push_back(*part);
    }
    previous_match = part->match;
  }
  return {kept.rbegin(), kept.rend()};
}

std::vector<Part> apply_behavior(std::vector<Part> parts, Behavior behavior) {
  switch (behavior) {
    case Behavior::kIsolated: break;
    case Behavior::kRemoved:
      parts.erase(
          std::remove_if(parts.begin(), parts.end(), [](const Part& part) { return part.match; }),
          parts.end());
      break;
    case Behavior::kContiguous:
      return joined(parts, [](const Part& a, const Part& b) { return a.match == b.match; });
    case Behavior::kMergedWithPrevious:
      return joined(parts, [](const Part& a, const Part& b) { return !a.match && b.match; });
    case Behavior::kMergedWithNext: return merged_with_next(parts);
  }
  return parts;
}

using CutFunction = std::function<std::vector<Part>(const std::string&)>;

void cut_words(std::vector<std::string>& words, const CutFunction& cut) {
  std::vector<std::string> finer;
  for (const std::string& word : words) {
    for (const Part& part : cut(word)) {
      if (part.end > part.begin) finer.push_back(word.substr(part.begin, part.end - part.begin));
    }
  }
  words = std::move(finer);
}

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Regex regex, Behavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}
  void split(std::vector<std::string>& words, bool) const override {
    cut_words(words, [this](const std::string& word) {
      std::vector<Part> parts = regex_parts(word, regex_);
      if (invert_) {
        for (Part& part : parts) part.match = !part.match;
      }
      return apply_behavior(parts, behavior_);
    });
  }

 private:
  Regex regex_;
  Behavior behavior_;
  bool invert_;
};

class CharacterPreTokenizer : public PreTokenizer {
 public:
  CharacterPreTokenizer(bool (*matches)(char32_t), Behavior behavior)
      : matches_(matches), behavior_(behavior) {}
  void split(std::vector<std::string>& words, bool) const override {
    cut_words(words, [this](const std::string& word) {
      return apply_behavior(character_parts(word, matches_), behavior_);
    });
  }

 private:
  bool (*matches_)(char32_t);
  Behavior behavior_;
};

class ByteLevelPreTokenizer : public PreTokenizer {
 public:
  ByteLevelPreTokenizer(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space),
        use_regex_(use_regex),
        regex_(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
               "ByteLevel") {}
  void split(std::vector<std::string>& words, bool) const override {
    if (add_prefix_space_) {
      for (std::string& word : words) {
        if (!word.empty() && word[0] != ' ') word.insert(0, " ");
      }
    }
    if (use_regex_) {
      cut_words(words, [this](const std::string& word) { return regex_parts(word, regex_); });
    }
    for (std::string& word : words) {
      std::string mapped;
      mapped.reserve(2 * word.size());
      for (const char c : word) mapped += byte_character(static_cast<unsigned char>(c));
      word = std::move(mapped);
    }
  }

 private:
  bool add_prefix_space_;
  bool use_regex_;
  Regex regex_;
};

enum class PrependScheme { kAlways, kFirst, kNever };

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  MetaspacePreTokenizer(std::string replacement, PrependScheme scheme, bool cut)
      : replacement_(std::move(replacement)),
        scheme_(scheme),
        cut_(cut),
        regex_(regex_escape(replacement_), "Metaspace") {}
  void split(std::vector<std::string>& words, bool starts_text) const override {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const bool prepend = scheme_ == PrependScheme::kAlways ||
                           (scheme_ == PrependScheme::kFirst && starts_text && i == 0);
      words[i] = replaced(words[i], prepend);
    }
    if (!cut_) return;
    cut_words(words, [this](const std::string& word) {
      return apply_behavior(regex_parts(word, regex_), Behavior::kMergedWithNext);
    });
  }

 private:
  std::string replaced(const std::string& word, bool prepend) const {
    std::string result;
    for (const char c : word) {
      if (c == ' ') {
        result += replacement_;
      } else {
        result += c;
      }
    }
    if (prepend && result.compare(0, replacement_.size(), replacement_) != 0) {
      result.insert(0, replacement_);
    }
    return result;
  }

  std::string replacement_;
  PrependScheme scheme_;
  bool cut_;
  Regex regex_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps, std::string where)
      : steps_(std::move(steps)), where_(std::move(where)) {}
  void split(std::vector<std::string>& words, bool starts_text) const override {
    const std::size_t limit = most_bytes(bytes_of(words));
    for (const auto& step : steps_) {
      step->split(words, starts_text);
      require_fits(bytes_of(words), limit, where_);
    }
  }

 private:
  static std::size_t bytes_of(const std::vector<std::string>& words) {
    std::size_t bytes = 0;
    for (const std::string& word : words) bytes += word.size();
    return bytes;
  }

  std::vector<std::unique_ptr<PreTokenizer>> steps_;
  std::string where_;
};

std::unique_ptr<PreTokenizer> make_metaspace(const JsonView& json) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (const auto name = json.find("prepend_scheme")) {
    if (name->string() == "first") {
      scheme = PrependScheme::kFirst;
    } else if (name->string() == "never") {
      scheme = PrependScheme::kNever;
    } else if (name->string() != "always") {
      name->fail(fmt::format("prepend scheme '{}' is not supported", name->string()));
    }
  } else if (!json.boolean_or("add_prefix_space", true)) {
    scheme = PrependScheme::kNever;
  }
  return std::make_unique<MetaspacePreTokenizer>(metaspace_replacement(json), scheme,
                                                 json.boolean_or("split", true));
}

}  // namespace

std::string metaspace_replacement(const JsonView& json) {
  const std::string text = json.string_or("replacement", "\u2581");
  if (text.empty() || utf8_length(text.front()) != text.size()) {
    json.at("replacement").fail("must be one character");
  }
  return text;
}

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const std::optional<JsonView>& json) {
  if (!json) return nullptr;
  const std::string type = json->at("type").string();
  if (type == "ByteLevel") {
    return std::make_unique<ByteLevelPreTokenizer>(json->boolean_or("add_prefix_space", true),
                                                   json->boolean_or("use_regex", true));
  }
  if (type == "Split") {
    return std::make_unique<SplitPreTokenizer>(
        Regex(pattern_expression(json->at("pattern")), json->where()),
        parse_behavior(json->at("behavior")), json->boolean_or("invert", false));
  }
  if (type == "Digits") {
    return std::make_unique<CharacterPreTokenizer>(
        is_number,
        json->boolean_or("individual_digits", false) ? Behavior::kIsolated : Behavior::kContiguous);
  }
  if (type == "Punctuation") {
    const auto behavior = json->find("behavior");
    return std::make_unique<CharacterPreTokenizer>(
        is_punctuation, behavior ? parse_behavior(*behavior) : Behavior::kIsolated);
  }
  if (type == "Whitespace") {
    return std::make_unique<SplitPreTokenizer>(Regex(R"(\w+|[^\w\s]+)", json->where()),
                                               Behavior::kRemoved, /*invert=*/true);
  }
  if (type == "WhitespaceSplit") {
    return std::make_unique<CharacterPreTokenizer>(is_space, Behavior::kRemoved);
  }
  if (type == "Metaspace") return make_metaspace(*json);
  if (type == "Sequence") {
    std::vector<std::unique_ptr<PreTokenizer>> steps;
    for (const JsonView& step : json->at("pretokenizers").array()) {
      steps.push_back(make_pre_tokenizer(step));
    }
    return std::make_unique<PreTokenizerSequence>(std::move(steps), json->where());
  }
  json->fail(fmt::format("pre-tokenizer '{}' is not supported", type));
}

}  // namespace taskneuron

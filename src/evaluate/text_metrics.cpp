#include "taskneuron/evaluate/text_metrics.h"

#include <algorithm>
#include <utility>

#include "evaluate/porter_stemmer.h"
#include "taskneuron/base/error.h"
#include "text/unicode.h"

namespace taskneuron {

namespace {

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> result;
  bool inside = false;
  for (const char c : lower_case(text)) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (letter && !inside) result.emplace_back();
    if (letter) result.back() += c;
    inside = letter;
  }
  return result;
}

// As rouge_score: short words stay as they are.
void stem(std::vector<std::string>& list) {
  for (std::string& word : list) {
    if (word.size() > 3) word = porter_stem(std::move(word));
  }
}

std::size_t longest_common_subsequence(const std::vector<std::string>& a,
                                       const std::vector<std::string>& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const std::string& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string normalized_answer(const std::string& text) {
  const std::string lower = lower_case(text);
  std::string result;
  bool space = false;
  for (std::size_t offset = 0; offset < lower.size();) {
    const std::size_t begin = offset;
    const char32_t c = next_code_point(lower, offset);
    if (is_space(c)) {
      space = true;
    } else if (!is_punctuation(c)) {
      if (space && !result.empty()) result += ' ';
      space = false;
      result.append(lower, begin, offset - begin);
    }
  }
  return result;
}

bool exact_match(const std::string& prediction, const std::string& reference) {
  return normalized_answer(prediction) == normalized_answer(reference);
}

double rouge_l(const std::string& prediction, const std::string& reference, Stemming stemming) {
  std::vector<std::string> predicted = words(prediction), expected = words(reference);
  if (stemming == Stemming::kPorter) {
    stem(predicted);
    stem(expected);
  }
  if (predicted.empty() || expected.empty()) return 0;
  const auto common = static_cast<double>(longest_common_subsequence(predicted, expected));
  if (common == 0) return 0;
  const double precision = common / static_cast<double>(predicted.size());
  const double recall = common / static_cast<double>(expected.size());
  return 2 * precision * recall / (precision + recall);
}

double rouge_l(const std::string& prediction, const std::vector<std::string>& references,
               Stemming stemming) {
  TN_CHECK(!references.empty());
  double best = 0;
  for (const std::string& reference : references) {
    best = std::max(best, rouge_l(prediction, reference, stemming));
  }
  return best;
}

}  // namespace taskneuron

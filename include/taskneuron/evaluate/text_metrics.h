#pragma once

#include <string>
#include <vector>

namespace taskneuron {

// Text in lower case, without punctuation, white space squeezed to single spaces and trimmed: what
// exact match compares.
std::string normalized_answer(const std::string& text);

// Whether the prediction is the reference once both are normalized.
bool exact_match(const std::string& prediction, const std::string& reference);

enum class Stemming { kNone, kPorter };

// ROUGE-L F1 (Lin 2004) of words as the package rouge_score makes them: lower case, runs of
// [a-z0-9]; with kPorter, words of more than three letters stemmed as NLTK does. In [0, 1].
double rouge_l(const std::string& prediction, const std::string& reference, Stemming stemming);
// The highest over references. REQUIRES at least one.
double rouge_l(const std::string& prediction, const std::vector<std::string>& references,
               Stemming stemming);

}  // namespace taskneuron

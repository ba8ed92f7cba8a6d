#include "evaluate/porter_stemmer.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

namespace taskneuron {

namespace {

// Words whose stem no rule finds.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kIrregular = {{
    {"sky", "sky"},
    {"skies", "sky"},
    {"dying", "die"},
    {"lying", "lie"},
    {"tying", "tie"},
    {"news", "news"},
    {"innings", "inning"},
    {"inning", "inning"},
    {"outings", "outing"},
    {"outing", "outing"},
    {"cannings", "canning"},
    {"canning", "canning"},
    {"howe", "howe"},
    {"proceed", "proceed"},
    {"exceed", "exceed"},
    {"succeed", "succeed"},
}};

constexpr int kAlways = -1;  // below every measure

struct Rule {
  std::string_view suffix;
  std::string_view replacement;
};

bool is_one_of(char letter, std::string_view letters) {
  return letters.find(letter) != std::string_view::npos;
}

// By letter; y is a consonant unless it follows one.
std::vector<bool> consonants(std::string_view word) {
  std::vector<bool> result;
  for (const char letter : word) {
    result.push_back(letter == 'y' ? result.empty() || !result.back()
                                   : !is_one_of(letter, "aeiou"));
  }
  return result;
}

// Porter's m: how often a vowel is followed by a consonant.
int measure(std::string_view stem) {
  const std::vector<bool> consonant = consonants(stem);
  int count = 0;
  for (std::size_t i = 1; i < consonant.size(); ++i) count += consonant[i] && !consonant[i - 1];
  return count;
}

bool has_vowel(std::string_view stem) {
  const std::vector<bool> consonant = consonants(stem);
  return std::find(consonant.begin(), consonant.end(), false) != consonant.end();
}

// Porter's *d.
bool ends_in_double_consonant(std::string_view word) {
  const std::size_t n = word.size();
  return n >= 2 && word[n - 1] == word[n - 2] && consonants(word).back();
}

// Porter's *o, consonant - vowel - consonant but for w, x and y; also a word that is vowel -
// consonant.
bool ends_in_short_syllable(std::string_view word) {
  const std::vector<bool> consonant = consonants(word);
  const std::size_t n = word.size();
  if (n == 2) return !consonant[0] && consonant[1];
  return n >= 3 && consonant[n - 3] && !consonant[n - 2] && consonant[n - 1] &&
         !is_one_of(word.back(), "wxy");
}

std::string_view without(std::string_view word, std::string_view suffix) {
  return word.substr(0, word.size() - suffix.size());
}

void replace(std::string& word, const Rule& rule) {
  word.resize(word.size() - rule.suffix.size());
  word += rule.replacement;
}

// Applies the first rule whose suffix the word has, if what is before it has a measure above
// `minimum`; no other is tried.
void apply(std::string& word, int minimum, std::initializer_list<Rule> rules) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    if (measure(without(word, rule.suffix)) > minimum) replace(word, rule);
    return;
  }
}

void plural(std::string& word) {  // step 1a
  if (word.size() == 4 && word.ends_with("ies")) return word.pop_back();
  apply(word, kAlways, {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}});
}

// What is left of a word whose -ed or -ing was taken.
void tidy(std::string& word) {
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz")) {
    word += 'e';
  } else if (ends_in_double_consonant(word)) {
    if (!is_one_of(word.back(), "lsz")) word.pop_back();
  } else if (measure(word) == 1 && ends_in_short_syllable(word)) {
    word += 'e';
  }
}

void past_and_gerund(std::string& word) {  // step 1b
  if (word.ends_with("ied")) return replace(word, {"ied", word.size() == 4 ? "ie" : "i"});
  if (word.ends_with("eed")) return apply(word, 0, {{"eed", "ee"}});
  for (const std::string_view suffix : {"ed", "ing"}) {
    if (!word.ends_with(suffix) || !has_vowel(without(word, suffix))) continue;
    replace(word, {suffix, ""});
    return tidy(word);
  }
}

void final_y(std::string& word) {  // step 1c
  if (word.size() < 3 || word.back() != 'y') return;
  if (consonants(without(word, "y")).back()) word.back() = 'i';
}

void double_suffix(std::string& word) {  // step 2
  while (word.ends_with("alli") && measure(without(word, "alli")) > 0) {
    replace(word, {"alli", "al"});
  }
  // The l counts to the stem, so that "geo" and "theo" are long enough.
  if (word.ends_with("logi") && measure(without(word, "ogi")) > 0) {
    return replace(word, {"logi", "log"});
  }
  apply(word, 0, {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
                  {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
                  {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
                  {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
                  {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
                  {"fulli", "ful"}});
}

void single_suffix(std::string& word) {  // step 3
  apply(word, 0,
        {{"icate", "ic"},
         {"ative", ""},
         {"alize", "al"},
         {"iciti", "ic"},
         {"ical", "ic"},
         {"ful", ""},
         {"ness", ""}});
}

void rest_of_suffix(std::string& word) {  // step 4
  if (word.ends_with("ion")) {
    const std::string_view stem = without(word, "ion");
    if (measure(stem) > 1 && is_one_of(stem.back(), "st")) replace(word, {"ion", ""});
    return;
  }
  apply(word, 1,
        {{"al", ""},
         {"ance", ""},
         {"ence", ""},
         {"er", ""},
         {"ic", ""},
         {"able", ""},
         {"ible", ""},
         {"ant", ""},
         {"ement", ""},
         {"ment", ""},
         {"ent", ""},
         {"ou", ""},
         {"ism", ""},
         {"ate", ""},
         {"iti", ""},
         {"ous", ""},
         {"ive", ""},
         {"ize", ""}});
}

void final_e_and_l(std::string& word) {  // step 5
  if (word.ends_with("e")) {
    const std::string_view stem = without(word, "e");
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_in_short_syllable(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(without(word, "l")) > 1) word.pop_back();
}

}  // namespace

std::string porter_stem(std::string word) {
  for (const auto& [irregular, stem] : kIrregular) {
    if (word == irregular) return std::string(stem);
  }
  if (word.size() <= 2) return word;
  plural(word);
  past_and_gerund(word);
  final_y(word);
  double_suffix(word);
  single_suffix(word);
  rest_of_suffix(word);
  final_e_and_l(word);
  return word;
}

}  // namespace taskneuron

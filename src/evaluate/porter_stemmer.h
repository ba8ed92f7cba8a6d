#pragma once

#include <string>

namespace taskneuron {

// The stem of a word of [a-z0-9] as NLTK's PorterStemmer makes it in its default mode,
// NLTK_EXTENSIONS, which rouge_score uses: Porter, "An algorithm for suffix stripping" (1980), with
// a table of irregular words and a handful of other rules. Snowball's porter differs in these.
std::string porter_stem(std::string word);

}  // namespace taskneuron

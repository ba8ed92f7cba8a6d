// Megabytes per second of encoding a text on one core, for each tokenizer folder named.
#include <cstdio>
#include <fstream>
#include <iterator>

#include "bench/timing.h"
#include "taskneuron/text/tokenizer.h"

int main(int argc, char** argv) {
  using namespace taskneuron;
  if (argc < 3) return 2;  // TEXT FOLDER...
  std::ifstream file(argv[1], std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (int i = 2; i < argc; ++i) {
    const Tokenizer tokenizer(argv[i]);
    const auto rate = [&](const std::string& sample) {
      const double seconds =
          bench::median_seconds(5, [&] { tokenizer.encode(sample, SpecialTokens::kLeaveOut); });
      return static_cast<double>(sample.size()) / seconds / 1e6;
    };
    // Linear in the length: a quarter of the text goes through as fast.
    std::printf("{\"tokenizer\": \"%s\", \"megabytes_per_second\": %.2f, \"of_a_quarter\": %.2f}\n",
                argv[i], rate(text), rate(text.substr(0, text.size() / 4)));
  }
  return 0;
}

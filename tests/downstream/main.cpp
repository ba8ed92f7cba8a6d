// Loads a model through the installed library and prints how many units its FFNs have.
#include <cstdio>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/model/site.h"
#include "taskneuron/text/tokenizer.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const taskneuron::Checkpoint checkpoint(argv[1]);
  const taskneuron::Tokenizer tokenizer(argv[1]);
  const auto shape = taskneuron::site_shape(checkpoint.config(), taskneuron::Site::kAct);
  std::printf("%lld units, %zu tokens\n", static_cast<long long>(shape.units()),
              tokenizer.encode("Hello world", taskneuron::SpecialTokens::kAdd).size());
  return 0;
}

#pragma once

#include <string>
#include <vector>

#include "taskneuron/checkpoint/gguf.h"

namespace taskneuron {

// What llama.cpp does to a tensor when it writes a file, to be undone.
enum class GgufChange {
  kNone,
  kTranspose,    // GPT-2 stores [in, out]
  kMinusOne,     // Gemma's norms multiply with 1 + weight
  kQueryHalves,  // pairs that are turned together are neighbours in the file
  kKeyHalves,
  kExperts,  // all experts' matrices lie in one; the folder's name has {} for an expert's number
};

struct GgufTensorName {
  const char* gguf;
  const char* folder;
  GgufChange change = GgufChange::kNone;
};

// An architecture of GGUF files and the model folder that it becomes. Names of modules, without
// ".weight" and ".bias".
struct GgufArchitecture {
  std::string name;        // general.architecture
  std::string model_type;  // of the folder
  std::string class_name;
  std::string layers;  // before a layer's number in the folder
  std::vector<GgufTensorName> whole, layer;
  bool mixture = false;  // of experts
};

const std::vector<GgufArchitecture>& known_gguf_architectures();
// A file of this architecture with a number of experts is one of a mixture. Throws Error naming the
// file and its architecture if that is none of them.
const GgufArchitecture& gguf_architecture_of(const GgufFile& file);

// Metadata of the file's architecture, without its name in front. Borrows the file.
class GgufFields {
 public:
  explicit GgufFields(const GgufFile& file)
      : file_(file), prefix_(gguf_architecture_of(file).name + ".") {}

  std::string key(const std::string& name) const { return prefix_ + name; }
  bool contains(const std::string& name) const { return metadata().contains(key(name)); }
  std::int64_t integer(const std::string& name) const { return metadata().integer(key(name)); }
  double number(const std::string& name) const { return metadata().number(key(name)); }
  std::int64_t integer_or(const std::string& name, std::int64_t fallback) const {
    return metadata().integer_or(key(name), fallback);
  }
  double number_or(const std::string& name, double fallback) const {
    return metadata().number_or(key(name), fallback);
  }
  const GgufMetadata& metadata() const { return file_.metadata(); }
  const GgufFile& file() const { return file_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

}  // namespace taskneuron

#pragma once

#include <string>

namespace taskneuron {

// The texts of one example, as a template's fields {instruction}, {input} and {output}.
struct PromptFields {
  std::string instruction;
  std::string input;
  std::string output;
};

// How an example is written for the model: a prompt and an answer. A template's text holds fields
// in braces; {{ and }} are literal braces.
class PromptTemplate {
 public:
  // Throws Error (naming `where`) for an unknown field, and for a prompt with {output}.
  PromptTemplate(std::string name, std::string prompt, std::string answer,
                 const std::string& where = "template");

  // A template by name ("default") or the path of a JSON file {"prompt": ..., "answer": ...}.
  // Throws Error for a name that is neither, listing the names there are.
  static PromptTemplate find(const std::string& name_or_path);

  std::string prompt(const PromptFields& fields) const;
  std::string answer(const PromptFields& fields) const;
  const std::string& name() const { return name_; }
  // "sha256:..." of the template's texts; recorded with every result.
  std::string hash() const;

 private:
  std::string name_;
  std::string prompt_;
  std::string answer_;
};

}  // namespace taskneuron

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

  // A template by name (default, alpaca, olora, chat) or the path of a JSON file
  // {"prompt": ..., "answer": ...}. chat takes the form that chat_template, the tokenizer's Jinja
  // source, is recognised as: ChatML, Llama-2, Llama-3, Mistral or Gemma. Throws Error for a name
  // that is neither, listing the names there are, and for a chat template of another form.
  static PromptTemplate find(const std::string& name_or_path,
                             const std::string& chat_template = "");

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

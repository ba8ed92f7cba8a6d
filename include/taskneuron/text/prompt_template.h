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
// in braces; {{ and }} are literal braces. A row without an instruction may have a prompt of its
// own, that has no empty place for it.
class PromptTemplate {
 public:
  // Throws Error (naming `where`) for an unknown field, and for a prompt with {output}.
  PromptTemplate(std::string name, std::string prompt, std::string answer,
                 const std::string& where = "template");

  // A template by name (default, alpaca, olora, chat) or the path of a JSON file
  // {"prompt": ..., "answer": ..., "prompt_without_instruction"?: ...}. chat takes the form that
  // chat_template, the tokenizer's Jinja source, is recognised as: ChatML, Llama-2, Llama-3,
  // Mistral or Gemma. Throws Error for a name that is neither, listing the names there are, and for
  // a chat template of another form.
  static PromptTemplate find(const std::string& name_or_path,
                             const std::string& chat_template = "");

  // The same with another prompt for rows whose instruction is empty; without this, `prompt` is
  // used for them too.
  PromptTemplate with_bare_prompt(std::string prompt, const std::string& where = "template") const;

  std::string prompt(const PromptFields& fields) const;
  std::string answer(const PromptFields& fields) const;
  const std::string& name() const { return name_; }
  // "sha256:..." of the texts that the template's author wrote; recorded with every result.
  const std::string& hash() const { return hash_; }

 private:
  std::string name_;
  std::string prompt_;
  std::string answer_;
  std::string bare_prompt_;
  std::string hash_;
};

}  // namespace taskneuron

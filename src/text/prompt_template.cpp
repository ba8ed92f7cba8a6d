#include "taskneuron/text/prompt_template.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/json.h"
#include "base/sha256.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

struct NamedTemplate {
  const char* name;
  const char* prompt;
  const char* bare_prompt;  // for rows without an instruction
  const char* answer;
};
constexpr NamedTemplate kTemplates[] = {
    {"default",
     "Definition: {instruction}\nInput: {input}\nOutput:", "Input: {input}\nOutput:", " {output}"},
    // Taori et al. 2023, for examples with an input.
    {"alpaca",
     "Below is an instruction that describes a task, paired with an input that provides further "
     "context. Write a response that appropriately completes the request.\n\n"
     "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
     // Its form for examples of one text.
     "Below is an instruction that describes a task. Write a response that appropriately completes "
     "the request.\n\n### Instruction:\n{input}\n\n### Response:\n",
     "{output}"},
    // Wang et al. 2023 (O-LoRA), without the task and data set names that it can put in front.
    {"olora", "{instruction} \n{input}\nAnswer:", "{input}\nAnswer:", " {output}"},
};

// One turn of the user and the start of the assistant's. What the tokenizer itself puts in front of
// a text (beginning-of-sequence) is left out; the answer's end is the end-of-sequence token.
struct ChatForm {
  const char* name;
  const char* marker;  // what gives the form away in the tokenizer's Jinja source
  const char* prompt;
  const char* answer;
};
constexpr ChatForm kChatForms[] = {
    {"ChatML", "<|im_start|>",
     "<|im_start|>user\n{instruction}\n{input}<|im_end|>\n<|im_start|>assistant\n", "{output}"},
    {"Llama-3", "<|start_header_id|>",
     "<|start_header_id|>user<|end_header_id|>\n\n{instruction}\n{input}<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "{output}"},
    {"Gemma", "<start_of_turn>",
     "<start_of_turn>user\n{instruction}\n{input}<end_of_turn>\n<start_of_turn>model\n",
     "{output}"},
    // Llama-2 and Mistral write a turn alike; Llama-2's source also knows <<SYS>>.
    {"Llama-2", "<<SYS>>", "[INST] {instruction}\n{input} [/INST]", " {output}"},
    {"Mistral", "[INST]", "[INST] {instruction}\n{input} [/INST]", " {output}"},
};

PromptTemplate chat_form(const std::string& chat_template) {
  if (chat_template.empty()) {
    throw Error("template 'chat': the tokenizer carries no chat_template; use another template");
  }
  for (const ChatForm& form : kChatForms) {
    if (chat_template.find(form.marker) == std::string::npos) continue;
    const PromptTemplate found(std::string("chat (") + form.name + ")", form.prompt, form.answer);
    std::string bare = form.prompt;
    const std::string field = "{instruction}\n";
    return found.with_bare_prompt(bare.erase(bare.find(field), field.size()));
  }
  throw Error(
      fmt::format("template 'chat': the tokenizer's chat_template is none of ChatML, "
                  "Llama-2, Llama-3, Mistral and Gemma; it starts '{:.60}'",
                  chat_template));
}

int count_of(const std::string& what, const std::string& text) {
  int times = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++times;
  }
  return times;
}

// Replaces fields and doubled braces; calls fail(problem) for anything else in braces.
template <typename Fail>
std::string render(const std::string& text, const PromptFields& fields, const Fail& fail) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      result += c;
      ++i;
      continue;
    }
    if (c == '}') fail("a '}' without '{'; write '}}' for a literal brace");
    if (c != '{') {
      result += c;
      continue;
    }
    const std::size_t end = text.find('}', i);
    if (end == std::string::npos) fail("a '{' without '}'; write '{{' for a literal brace");
    const std::string field = text.substr(i + 1, end - i - 1);
    if (field == "instruction") {
      result += fields.instruction;
    } else if (field == "input") {
      result += fields.input;
    } else if (field == "output") {
      result += fields.output;
    } else {
      fail(fmt::format(
          "unknown field '{{{}}}'; fields are {{instruction}}, {{input}} and {{output}}", field));
    }
    i = end;
  }
  return result;
}

}  // namespace

PromptTemplate::PromptTemplate(std::string name, std::string prompt, std::string answer,
                               const std::string& where)
    : name_(std::move(name)),
      prompt_(std::move(prompt)),
      answer_(std::move(answer)),
      bare_prompt_(prompt_),
      hash_("sha256:" + sha256_hex(prompt_ + '\0' + answer_)) {
  const auto fail = [&](const std::string& problem) {
    throw Error(fmt::format("{}: {}", where, problem));
  };
  render(prompt_, {}, fail);
  render(answer_, {}, fail);
  // A row's text is only so many times as long as itself.
  constexpr int kMostTimes = 16;
  for (const char* field : {"{instruction}", "{input}", "{output}"}) {
    for (const std::string& text : {prompt_, answer_}) {
      if (const int times = count_of(field, text); times > kMostTimes) {
        fail(fmt::format("holds {} {} times; at most {} are taken", field, times, kMostTimes));
      }
    }
  }
  if (prompt_.find("{output}") != std::string::npos) fail("the prompt must not hold {output}");
  if (answer_.find("{output}") == std::string::npos) fail("the answer must hold {output}");
}

PromptTemplate PromptTemplate::with_bare_prompt(std::string prompt,
                                                const std::string& where) const {
  const PromptTemplate checked(name_, std::move(prompt), answer_, where);
  if (checked.prompt_.find("{instruction}") != std::string::npos) {
    throw Error(fmt::format("{}: the prompt without instruction holds {{instruction}}", where));
  }
  PromptTemplate result = *this;
  result.bare_prompt_ = checked.prompt_;
  return result;
}

PromptTemplate PromptTemplate::find(const std::string& name_or_path,
                                    const std::string& chat_template) {
  if (name_or_path == "chat") return chat_form(chat_template);
  std::string names;
  for (const NamedTemplate& known : kTemplates) {
    if (name_or_path == known.name) {
      return PromptTemplate(known.name, known.prompt, known.answer)
          .with_bare_prompt(known.bare_prompt);
    }
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  if (!std::filesystem::is_regular_file(name_or_path)) {
    throw Error(fmt::format("template '{}': neither a file nor a known name ({}, chat)",
                            name_or_path, names));
  }
  const Json document = read_json(name_or_path);
  const JsonView json(document, name_or_path);
  const PromptTemplate found(name_or_path, json.at("prompt").string(), json.at("answer").string(),
                             name_or_path);
  const auto bare = json.find("prompt_without_instruction");
  if (!bare) return found;
  PromptTemplate both = found.with_bare_prompt(bare->string(), name_or_path);
  both.hash_ = "sha256:" + sha256_hex(both.prompt_ + '\0' + both.answer_ + '\0' + bare->string());
  return both;
}

std::string PromptTemplate::prompt(const PromptFields& fields) const {
  return render(fields.instruction.empty() ? bare_prompt_ : prompt_, fields,
                [](const std::string&) { TN_CHECK(false); });
}

std::string PromptTemplate::answer(const PromptFields& fields) const {
  return render(answer_, fields, [](const std::string&) { TN_CHECK(false); });
}

}  // namespace taskneuron

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
  const char* answer;
};
constexpr NamedTemplate kTemplates[] = {
    {"default", "Definition: {instruction}\nInput: {input}\nOutput:", " {output}"},
};

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
    : name_(std::move(name)), prompt_(std::move(prompt)), answer_(std::move(answer)) {
  const auto fail = [&](const std::string& problem) {
    throw Error(fmt::format("{}: {}", where, problem));
  };
  render(prompt_, {}, fail);
  render(answer_, {}, fail);
  if (prompt_.find("{output}") != std::string::npos) fail("the prompt must not hold {output}");
  if (answer_.find("{output}") == std::string::npos) fail("the answer must hold {output}");
}

PromptTemplate PromptTemplate::find(const std::string& name_or_path) {
  std::string names;
  for (const NamedTemplate& known : kTemplates) {
    if (name_or_path == known.name) return {known.name, known.prompt, known.answer};
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  if (!std::filesystem::is_regular_file(name_or_path)) {
    throw Error(
        fmt::format("template '{}': neither a file nor a known name ({})", name_or_path, names));
  }
  const Json document = read_json(name_or_path);
  const JsonView json(document, name_or_path);
  return {name_or_path, json.at("prompt").string(), json.at("answer").string(), name_or_path};
}

std::string PromptTemplate::prompt(const PromptFields& fields) const {
  return render(prompt_, fields, [](const std::string&) { TN_CHECK(false); });
}

std::string PromptTemplate::answer(const PromptFields& fields) const {
  return render(answer_, fields, [](const std::string&) { TN_CHECK(false); });
}

std::string PromptTemplate::hash() const {
  return "sha256:" + sha256_hex(prompt_ + '\0' + answer_);
}

}  // namespace taskneuron

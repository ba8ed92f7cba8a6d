#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/neuron/scorer.h"

namespace taskneuron::cli {

namespace {

// What stands behind an option, where its type does not say: words, or the name of a kind.
struct Hint {
  const char* command;  // "": every command that has the option
  const char* option;
  std::string words;
};

constexpr const char* kFolders = "<folders>";
constexpr const char* kAnything = "<anything>";

std::vector<Hint> hints() {
  std::string sites;
  for (const Site site : kAllSites) sites += std::string(site_name(site)) + " ";
  return {
      {"", "MODEL", kFolders},
      {"", "--task", kFolders},
      {"", "--site", sites + "paper"},
      {"", "--method", fmt::format("{}", fmt::join(score_methods(), " "))},
      {"", "--aggregate", "example token dataset"},
      {"", "--positions", "all own"},
      {"", "--scope", "global layer"},
      {"", "--random-kind", "matched uniform outside"},
      {"", "--mode", "activation parameter scale="},
      {"", "--scoring", "rank rank-norm generate loss"},
      {"", "--stop", "blank-line newline"},
      {"convert", "--dtype", "bfloat16 float16 float32"},
      {"", "--dtype", "auto float32 bfloat16"},
      {"", "--device", "cpu cuda"},
      {"", "--split", "train validation test"},
      {"", "--validation-split", "train validation test"},
      {"", "--template", "default alpaca olora chat"},
      {"", "--schedule", "constant linear cosine"},
      {"", "--mixing", "proportional equal temperature="},
      {"", "--evaluate", "epoch none"},
      {"", "--save", "delta model"},
      {"", "--lora-targets", "query key value attention-output gate up down"},
      {"", "--format", "superni olora alpaca trace csv jsonl"},
      {"", "--type", "classification generation"},
      {"", "--top", kAnything},
      {"", "--memory", kAnything},
      {"", "--name", kAnything},
      {"", "--instruction", kAnything},
      {"", "--column", kAnything},
  };
}

std::string name_of(const CLI::Option& option) {
  return option.get_lnames().empty() ? option.get_name() : "--" + option.get_lnames().front();
}

bool shown(const CLI::App& command) { return !command.get_group().empty(); }

// The program's commands and options as the cases of shell functions.
class Cases {
 public:
  explicit Cases(const CLI::App& app) : hints_(hints()), used_(hints_.size(), false) {
    add(app, "");
    for (std::size_t i = 0; i < hints_.size(); ++i) TN_CHECK(used_[i]);  // else it names nothing
  }
  std::string commands, options, values;

 private:
  void add(const CLI::App& command, const std::string& path) {
    std::vector<std::string> names, flags;
    for (const CLI::App* below : command.get_subcommands({})) {
      if (!shown(*below)) continue;
      names.push_back(below->get_name());
      add(*below, path.empty() ? below->get_name() : path + " " + below->get_name());
    }
    for (const CLI::Option* option : command.get_options()) {
      if (!option->get_positional()) flags.push_back(name_of(*option));
      add_values(*option, path);
    }
    if (!names.empty()) {
      commands += fmt::format("    \"{}\") list=\"{}\" ;;\n", path, fmt::join(names, " "));
    }
    options += fmt::format("    \"{}\") list=\"{}\" ;;\n", path, fmt::join(flags, " "));
  }

  void add_values(const CLI::Option& option, const std::string& path) {
    const std::string name = name_of(option);
    // A number in front of files: what may stand there is then files, or a number all the same.
    if (option.get_positional() && option.get_type_name().rfind("INT", 0) == 0) return;
    const bool many = option.get_items_expected_max() > 1;
    values += fmt::format("    \"{} {}\") kind={} many={} list=\"{}\" ;;\n", path,
                          option.get_positional() ? "" : name, kind_of(option, path), many ? 1 : 0,
                          words_);
  }

  // Sets words_ too.
  const char* kind_of(const CLI::Option& option, const std::string& path) {
    words_.clear();
    if (option.get_items_expected_max() == 0) return "flag";
    const std::string type = option.get_type_name();
    if (type.rfind("INT", 0) == 0 || type.rfind("UINT", 0) == 0 || type.rfind("FLOAT", 0) == 0) {
      return "anything";
    }
    const std::string name = name_of(option);
    for (std::size_t i = 0; i < hints_.size(); ++i) {
      const Hint& hint = hints_[i];
      if (name != hint.option || (*hint.command != '\0' && path != hint.command)) continue;
      used_[i] = true;
      if (hint.words == kFolders) return "folders";
      if (hint.words == kAnything) return "anything";
      words_ = hint.words;
      return "words";
    }
    return "files";
  }

  std::vector<Hint> hints_;
  std::vector<bool> used_;
  std::string words_;
};

// The same in both shells: sets kind (words, files, folders, anything) and list (the words) for
// the word being typed, $1, behind the words $2...
constexpr const char* kShared = R"(_taskneuron_commands() {
  list=
  case "$1" in
@commands@  esac
}

_taskneuron_options() {
  list=
  case "$1" in
@options@  esac
}

_taskneuron_values() {
  kind=anything many=0 list=
  case "$1 $2" in
@values@  esac
}

_taskneuron_analyse() {
  local current=$1 command= option= word
  shift
  for word in "$@"; do
    if [[ $word == -* ]]; then
      option=$word
      _taskneuron_values "$command" "$option"
      if [[ $kind == flag ]]; then option=; fi
    elif [[ -n $option ]]; then
      if [[ $many == 0 ]]; then option=; fi
    else
      _taskneuron_commands "$command"
      if [[ " $list " == *" $word "* ]]; then command=${command:+$command }$word; fi
    fi
  done
  if [[ $current == -* ]]; then
    kind=words
    _taskneuron_options "$command"
  elif [[ -n $option ]]; then
    _taskneuron_values "$command" "$option"
  else
    _taskneuron_commands "$command"
    if [[ -n $list ]]; then kind=words; else _taskneuron_values "$command" ""; fi
  fi
}
)";

constexpr const char* kBash =
    R"(# bash completion of taskneuron, made by `taskneuron completion bash`.
@shared@
_taskneuron() {
  local kind= many= list= current=${COMP_WORDS[COMP_CWORD]}
  _taskneuron_analyse "$current" "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  COMPREPLY=()
  case $kind in
    words) mapfile -t COMPREPLY < <(compgen -W "$list" -- "$current") ;;
    files) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    folders) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
  esac
  if [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o filenames -F _taskneuron taskneuron
)";

constexpr const char* kZsh = R"(#compdef taskneuron
# zsh completion of taskneuron, made by `taskneuron completion zsh`.
@shared@
_taskneuron() {
  local kind= many= list= current=${words[CURRENT]}
  _taskneuron_analyse "$current" "${(@)words[2,CURRENT-1]}"
  case $kind in
    words) compadd -- ${=list} ;;
    files) _files ;;
    folders) _files -/ ;;
  esac
}

_taskneuron "$@"
)";

std::string fill(std::string text, const std::string& mark, const std::string& with) {
  return text.replace(text.find(mark), mark.size(), with);
}

void run(const CLI::App& app, const std::string& shell) {
  if (shell != "bash" && shell != "zsh") {
    throw UsageError(fmt::format("shell '{}' is unknown; use bash or zsh", shell));
  }
  const Cases cases(app);
  std::string text = fill(shell == "bash" ? kBash : kZsh, "@shared@", kShared);
  text = fill(text, "@commands@", cases.commands);
  text = fill(text, "@options@", cases.options);
  fmt::print("{}", fill(text, "@values@", cases.values));
}

}  // namespace

void add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Completion of command lines, as a script for bash or zsh");
  command->group("");  // for the installation; people find it in the README
  command->add_option("SHELL", *shell, "bash or zsh")->required();
  command->callback([&app, shell] { run(app, *shell); });
}

}  // namespace taskneuron::cli

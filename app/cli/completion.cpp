// completion: a script that teaches a shell the commands and options of this program.
#include <iostream>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

struct node {
  std::string path;                                                    // "orrery device list"
  std::vector<std::pair<std::string, std::string>> commands, options;  // name, description
};

/// All commands, each with what may follow it.
void gather(const CLI::App& app, const std::string& path, std::vector<node>& out) {
  auto n = node{path, {}, {}};
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!sub->get_group().empty())
      n.commands.emplace_back(sub->get_name(), sub->get_description());
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames())
      n.options.emplace_back("--" + name, option->get_description());
  out.push_back(n);
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!sub->get_group().empty())
      gather(*sub, path + ' ' + sub->get_name(), out);
}

std::string words(const node& n) {
  auto all = std::string{};
  for (const auto* part : {&n.commands, &n.options})
    for (const auto& [name, about] : *part)
      all += (all.empty() ? "" : " ") + name;
  return all;
}

/// Walks the words before the cursor to the deepest command that they name.
constexpr auto bash_head = R"sh(# orrery completion for bash: source <(orrery completion bash)
_orrery() {
  local word at=orrery
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${_orrery_words[$at]-} " in *" $word "*) [[ $word == -* ]] || at="$at $word" ;; esac
  done
  COMPREPLY=($(compgen -W "${_orrery_words[$at]-} $_orrery_global" -- "${COMP_WORDS[COMP_CWORD]}"))
}
declare -gA _orrery_words=(
)sh";

void bash(const std::vector<node>& all) {
  std::cout << bash_head;
  for (const auto& n : all)
    std::cout << "  [\"" << n.path << "\"]=\"" << words(n) << "\"\n";
  auto global = std::string{};
  for (const auto& [name, about] : all.front().options)
    global += (global.empty() ? "" : " ") + name;
  std::cout << ")\n_orrery_global=\"" << global << "\"\ncomplete -o default -F _orrery orrery\n";
}

void zsh(const std::vector<node>& all) {
  std::cout << "# orrery completion for zsh: source <(orrery completion zsh)\n"
               "autoload -U +X bashcompinit && bashcompinit\n";
  bash(all);
}

std::string quoted(const std::string& text) {
  auto out = std::string{"'"};
  for (const auto c : text)
    out += c == '\'' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
  return out + "'";
}

constexpr auto fish_head = R"sh(# orrery completion for fish: orrery completion fish | source
function __orrery_at
  set -l path (string match -v -- '-*' (commandline -opc))[2..]
  test "$at" = "$argv"
end
complete -c orrery -f
)sh";

void fish(const std::vector<node>& all) {
  std::cout << fish_head;
  for (const auto& n : all) {
    const auto at = n.path.size() > 7 ? n.path.substr(7) : std::string{};
    for (const auto& [name, about] : n.commands)
      std::cout << "complete -c orrery -n " << quoted("__orrery_at " + at) << " -a " << name
                << " -d " << quoted(about) << '\n';
    for (const auto& [name, about] : n.options)
      std::cout << "complete -c orrery -n " << quoted("__orrery_at " + at) << " -l "
                << name.substr(2) << " -d " << quoted(about) << '\n';
  }
}

}  // namespace

void add_completion(CLI::App& to) {
  auto* c = command(to, "completion", "A script that completes commands in your shell",
                    "completion bash > ~/.local/share/bash-completion/completions/orrery");
  const auto shell = make<std::string>();
  c->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  c->callback([&to, shell] {
    auto all = std::vector<node>{};
    gather(to, "orrery", all);
    *shell == "fish" ? fish(all) : *shell == "zsh" ? zsh(all) : bash(all);
  });
}

}  // namespace orrery::app::cli

"""`flow completion`: the script that lets a shell complete the words of `flow`, and the words it asks for.

The words are read here and not by typer, which loads pydantic for every argument that holds a value.
"""

from __future__ import annotations

import typer

from ..core.errors import UsageError
from .context import CliOptions
from .printing import one_line, visible

_BASH = """\
# Completion of flow for bash: put this line into ~/.bashrc
#   eval "$(flow completion bash)"
_flow_complete() {
    local line word last= count=0 words=() before=
    COMPREPLY=()
    # bash parts notes.py:graph at the colon, and replaces only what stands behind it.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ( $word == : && $last == *.py ) || $last == *.py: ]]; then
            words[count-1]=$last$word
        else
            words[count++]=$word
        fi
        last=${words[count-1]}
    done
    [[ $last != *.py:* ]] || before=${last%:*}:
    while IFS= read -r line; do
        line=${line%%$'\\t'*}
        COMPREPLY+=("${line#"$before"}")
    done < <(flow completion words -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _flow_complete flow
"""
_ZSH = """\
#compdef flow
# Completion of flow for zsh: put this line into ~/.zshrc, below compinit
#   eval "$(flow completion zsh)"
_flow() {
    local -a words_with_help open_ended
    local value meaning
    while IFS=$'\\t' read -r value meaning; do
        if [[ $value == *= ]]; then
            open_ended+=("$value")
        else
            words_with_help+=("${value//:/\\\\:}:$meaning")
        fi
    done < <(flow completion words -- "${(@)words[2,$CURRENT]}" 2>/dev/null)
    if (( ${#words_with_help} + ${#open_ended} == 0 )); then
        _files
        return
    fi
    (( ${#words_with_help} )) && _describe 'flow' words_with_help
    (( ${#open_ended} )) && compadd -S '' -- $open_ended
}
compdef _flow flow
"""
_FISH = """\
# Completion of flow for fish: put this line into ~/.config/fish/config.fish
#   flow completion fish | source
function __flow_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (flow completion words -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c flow -e
complete -c flow -f -a '(__flow_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completion(ctx: typer.Context) -> None:
    """Print the completion script of a shell: bash, zsh or fish.

    For bash, put eval "$(flow completion bash)" into ~/.bashrc. The script asks flow itself for graphs, their inputs
    and runs, so it need not be made again.
    """
    options: CliOptions = ctx.obj
    words = list(ctx.args)
    if words[:1] == ["words"]:
        _print_words(options, words[2:] if words[1:2] == ["--"] else words[1:])
        return
    if len(words) != 1 or words[0] not in SCRIPTS:
        given = " ".join(words)
        raise UsageError(f"`flow completion` takes the name of a shell, got {given!r}.", hint="bash, zsh or fish.")
    print(SCRIPTS[words[0]], end="")


def _print_words(options: CliOptions, words: list[str]) -> None:
    """Print what can stand at the end of the words, one a line, with its meaning behind a tab."""
    from ..core.errors import FlowError
    from .app import CommandTable
    from .completing import Place, candidates

    try:
        found = candidates(
            CommandTable(name="flow", add_help_option=False), words, Place(options.directory, options.env)
        )
    except (FlowError, OSError, ValueError):
        return
    for value, meaning in found:
        print(visible(f"{value}\t{one_line(meaning)}".rstrip()))

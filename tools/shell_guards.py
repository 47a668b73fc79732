"""Programs with a language of their own (sed, awk, find, test, ...): whether a command of one only reads.

Called by the shell policy for every command whose program stands in GUARDS.
Source of the rules: the manuals of GNU sed 4.9, gawk 5, findutils 4.9 and bash 5.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, takewhile

from .shell_git import read_git
from .shell_programs import Program, Reading, hidden_option, paths_and_texts, read_fault, split_arguments, table
from .shell_words import Word

Guard = Callable[[Sequence[Word]], Reading]

# --- sed: print, delete, quit, count and substitute; not e, w, r, R, W, a, i, c, and no flag e or w of s ---
_BLANKS = r"[ \t]*+"
_ADDRESS = r"(?:\d+(?:~\d+)?|\$|/(?:[^/\\\n\[]|\\[^\n]|\[[^\]/\n\\]+\])*/I?)"
_RANGE = rf"(?:{_ADDRESS}(?:{_BLANKS},{_BLANKS}(?:{_ADDRESS}|[+~]\d+))?{_BLANKS}!?{_BLANKS})?"
_PART = r"(?:(?!\{0})[^\\\n\[]|\\[^\n]|\[[^\]\\\n{0}]+\])*"
_SUBSTITUTES = "|".join(
    rf"s\{mark}{_PART.replace('{0}', mark)}\{mark}(?:(?!\{mark})[^\\\n]|\\[^\n])*\{mark}[gpIi0-9]*"
    for mark in "/|#,@:"
)
_SED_COMMAND = rf"{_RANGE}(?:[pdDPnNhHgGxl=]|[qQ]\d*|{_SUBSTITUTES})?"
# The blanks are taken for good (*+): with a choice left, a script of blanks would be tried in every way.
_SED_SCRIPT = re.compile(rf"{_BLANKS}{_SED_COMMAND}(?:{_BLANKS}[;\n]{_BLANKS}{_SED_COMMAND})*+{_BLANKS}")
_MAX_SCRIPT = 1000
_SED = Program(values="el", takes=("--expression", "--line-length"))
_SED_OPTIONS = frozenset(
    {"-n", "-E", "-r", "-u", "-z", "-s", "-e", "-l", "--quiet", "--silent", "--regexp-extended", "--null-data"}
    | {"--separate", "--unbuffered", "--expression", "--posix", "--sandbox", "--debug", "--line-length"}
)

# --- awk: patterns and print; nothing that writes, runs, reads other files or the environment ---
_AWK = Program(values="Fv", takes=("--field-separator", "--assign"), text=1, texts=("-F", "-v"))
_AWK_OPTIONS = frozenset({"-F", "-v", "--field-separator", "--assign"})
_AWK_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_AWK_LEADING_PATTERN = re.compile(r"^\s*!?/(?:[^/\\\n\[]|\\[^\n])*/")
_AWK_REFUSED = re.compile(
    r"[@`>]|\\\n|\||\b(?:getline|system|close|fflush|ENVIRON|PROCINFO|ARGV|ARGC|ARGIND|SYMTAB|FUNCTAB|FILENAME\s*=|function|"
    r"func|load|include|extension|while|do)\b"
)

# --- find ---
_FIND_DENIED = frozenset(
    {"-execdir", "-ok", "-okdir", "-delete", "-fls", "-fprint", "-fprint0", "-fprintf", "-files0-from"}
)
_FIND_NAMES = frozenset({"-name", "-iname", "-path", "-ipath", "-wholename", "-iwholename"})
_FIND_TEXTS = frozenset(
    {"-regex", "-iregex", "-lname", "-ilname", "-printf", "-perm", "-size", "-type", "-mtime", "-mmin", "-atime"}
    | {"-amin", "-ctime", "-cmin", "-maxdepth", "-mindepth", "-user", "-group", "-uid", "-gid", "-newermt"}
    | {"-regextype", "-inum", "-links", "-xtype", "-used", "-fstype"}
)

# --- test ---
_ARITHMETIC = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})

_XARGS_TAKES = frozenset({"--max-args", "--max-procs", "--delimiter", "--max-lines", "--max-chars"})
_XARGS = _XARGS_TAKES | {"--null", "--no-run-if-empty", "--verbose", "--exit", "--replace"}
_JQ_ENVIRONMENT = re.compile(r"(?<![.\w\"])env\b|\$ENV\b|\bimport\b|\binclude\b|\binput_filename\b")


_XXD = re.compile(r"-(?:[abeEiu]|p|ps|plain|[cglso]\+?-?(?:0x)?[0-9a-fA-F]*)")
_NUMBER = re.compile(r"\+?-?(?:0x)?[0-9a-fA-F]+")
_DATE = re.compile(r"\+.*|-u|-R|-I\w*|--utc|--universal|--(?:iso-8601|rfc-3339|date)(?:=.*)?|--rfc-email", re.DOTALL)


def _sed(words: Sequence[Word]) -> Reading:
    arguments = split_arguments(words[1:], _SED)
    if unknown := next((option.name for option in arguments.options if option.name not in _SED_OPTIONS), ""):
        return Reading(f"sed {unknown} is not known to only read")
    scripts = [option.value for option in arguments.options if option.name in ("-e", "--expression") and option.value]
    operands = [*arguments.operands, *arguments.ended]
    if not scripts and operands:
        scripts, operands = [operands[0]], operands[1:]
    if hidden_option(words[1:]):
        return Reading("sed may get an option from a file name or variable")
    if not scripts or not all(_only_prints(script) for script in scripts):
        return Reading("the sed script is not known to only print")
    return Reading(paths=tuple(operands))


def _only_prints(script: Word) -> bool:
    return script.fixed and len(script.text) <= _MAX_SCRIPT and _SED_SCRIPT.fullmatch(script.text) is not None


def _awk(words: Sequence[Word]) -> Reading:
    arguments = split_arguments(words[1:], _AWK)
    if unknown := next((option.name for option in arguments.options if option.name not in _AWK_OPTIONS), ""):
        return Reading(f"awk {unknown} is not known to only read")
    if not arguments.operands or not arguments.operands[0].fixed:
        return Reading("the awk program is not known")
    code = arguments.operands[0].text.replace("||", " ").replace(">=", " ")
    code = _AWK_LEADING_PATTERN.sub("", code)
    if not re.search("[/#]", code):  # a quote in a pattern or comment would pair with one of the code
        code = _AWK_STRING.sub(lambda string: re.sub("[>|]", "", string.group()), code)
    if _AWK_REFUSED.search(code):
        return Reading("the awk program may do more than print")
    if hidden_option(words[1:]):
        return Reading("awk may get an option from a file name or variable")
    return Reading(paths=paths_and_texts(arguments, _AWK)[0])


def _find(words: Sequence[Word]) -> Reading:
    rest = list(words[1:])
    roots = list(takewhile(lambda word: word.text[:1] not in ("-", "!", "("), rest))
    paths, inner = list(roots), []
    if any(word.may_be_option and not word.fixed for word in rest):
        return Reading("find may get an option from a file name or variable")
    waiting = iter(rest[len(roots) :])
    for word in waiting:
        if word.text in _FIND_DENIED:
            return Reading(f"find {word.text} does more than read")
        if word.text == "-exec":
            command = _until_end(waiting)
            if not command or any("{}" in part.text and part.text != "{}" for part in command):
                return Reading("find runs something that is not known", hides=True)
            inner.append(command)
        elif word.text in _FIND_NAMES:
            paths.extend(islice(waiting, 1))  # so that a search for secrets is noticed
        elif word.text in _FIND_TEXTS:
            next(waiting, None)
        else:
            paths.append(word)
    return Reading(
        paths=tuple(word for word in paths if word.text[:1] not in ("-", "!", "(", ")")), inner=tuple(inner)
    )


def _until_end(waiting: Iterator[Word]) -> tuple[Word, ...]:
    """Return the command of -exec: up to ";", or to "+" after "{}"; () = it has no end."""
    command: list[Word] = []
    for word in waiting:
        if word.text == ";" or (word.text == "+" and command and command[-1].text == "{}"):
            return tuple(command)
        command.append(word)
    return ()


def _test(words: Sequence[Word]) -> Reading:
    inside = list(words[1:])
    closing = {"[": "]", "[[": "]]"}.get(words[0].text)
    if closing and (not inside or inside.pop().text != closing):
        return Reading("the condition is not closed")
    # bash evaluates the subscript of an array here, and a command substitution in it.
    if any("[" in word.text and (word.fixed or word.variable) for word in inside):
        return Reading("the condition holds a subscript", hides=True)
    if any(word.text in ("-v", "-R") for word in inside):
        return Reading("the condition looks up a variable by name", hides=True)
    if words[0].text == "[[" and any(word.text in _ARITHMETIC for word in inside):
        numbers = [word for word in inside if word.text not in _ARITHMETIC and not word.text.startswith("-")]
        if not all(re.fullmatch(r"[0-9]+", word.text) for word in numbers):
            return Reading("the condition calculates with something unknown", hides=True)
    return Reading(paths=tuple(word for word in inside if not word.text.startswith("-") and not word.variable))


def _xargs(words: Sequence[Word]) -> Reading:
    rest = list(words[1:])
    while rest and rest[0].text.startswith("-"):
        option = rest.pop(0).text
        short = re.fullmatch(r"-[0rtx]*([nPLIdsE]?)(.*)", option, re.DOTALL)
        if option in _XARGS_TAKES or (short and short.group(1) and not short.group(2)):
            rest = rest[1:]
        elif not (short and bool(short.group(1)) >= bool(short.group(2))) and option.partition("=")[0] not in _XARGS:
            return Reading(f"xargs {option} is not known to only read", hides=True)
    if not rest:
        return Reading()
    program = table().read.get(rest[0].text)
    if program is None or program.deny or program.operands is not None or program.only:
        return Reading(f"xargs runs {rest[0].text} with options that are not known", hides=True)
    return Reading(inner=(tuple(rest),))


def _jq(words: Sequence[Word]) -> Reading:
    reading = read_listed(words)
    if not reading.fault and any(_JQ_ENVIRONMENT.search(word.text) for word in words[1:]):
        return Reading("the jq program may show the environment or read other files")
    return reading


def _date(words: Sequence[Word]) -> Reading:
    paths: list[Word] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word.text in ("-d", "--date") and rest:
            rest.pop(0)
        elif word.text in ("-r", "--reference") and rest:
            paths.append(rest.pop(0))
        elif not (word.fixed and _DATE.fullmatch(word.text)):
            return Reading(f"date {word.text} may set the clock")
    return Reading(paths=tuple(paths))


def _ps(words: Sequence[Word]) -> Reading:
    if any(not word.text.startswith("-") and "e" in word.text for word in words[1:]):
        return Reading("ps shows the environment of processes")
    return read_listed(words)


def _strings(words: Sequence[Word]) -> Reading:
    if any(word.text.startswith("@") or (word.may_be_option and not word.fixed) for word in words[1:]):
        return Reading("strings may get options from a file")
    return read_listed(words)


def _xxd(words: Sequence[Word]) -> Reading:
    # It takes every word behind the first operand for a file to write, however it looks.
    rest = list(words[1:])
    while rest and rest[0].text.startswith("-") and rest[0].fixed:
        option = rest.pop(0).text
        if not _XXD.fullmatch(option):
            return Reading(f"xxd {option} is not known to only read")
        if option in ("-c", "-g", "-l", "-s", "-o") and (not rest or not _NUMBER.fullmatch(rest.pop(0).text)):
            return Reading(f"xxd {option} is given no number")
    if len(rest) > 1 or any(not word.fixed for word in rest):
        return Reading("xxd writes to its last operand")
    return Reading(paths=tuple(rest))


def _set(words: Sequence[Word]) -> Reading:
    texts = [word.text for word in words[1:]]
    if texts and all(re.fullmatch(r"[-+][eux]*o?|pipefail|errexit|nounset", text) for text in texts):
        return Reading()
    return Reading("set changes how the shell reads the rest")


def _exit(words: Sequence[Word]) -> Reading:
    return Reading("" if all(word.text.isdigit() for word in words[1:]) else "exit is given something unknown")


def _cd(words: Sequence[Word]) -> Reading:
    if len(words) != 2 or not words[1].fixed or words[1].text.startswith("-"):
        return Reading("cd leads to a folder that is not known")
    return Reading(paths=(words[1],))


def read_listed(words: Sequence[Word]) -> Reading:
    """Return what a command of a program in the table does."""
    program = table().read[words[0].text]
    arguments = split_arguments(words[1:], program)
    paths, texts = paths_and_texts(arguments, program)
    return Reading(read_fault(words, program, arguments), paths, texts if program.text > 0 else ())


GUARDS: Mapping[str, Guard] = {
    "[": _test,
    "[[": _test,
    "awk": _awk,
    "gawk": _awk,
    "mawk": _awk,
    "cd": _cd,
    "date": _date,
    "exit": _exit,
    "find": _find,
    "git": read_git,
    "jq": _jq,
    "ps": _ps,
    "sed": _sed,
    "set": _set,
    "strings": _strings,
    "test": _test,
    "xargs": _xargs,
    "xxd": _xxd,
}

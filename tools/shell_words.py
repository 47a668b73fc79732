"""The words and operators of a shell line as bash reads them, with what each word may turn into.

Called by shell_parse, which holds these words against the tree of another parser; and by the rules.
Source: the bash manual, 3.1 "Shell Syntax" and 3.5 "Shell Expansions", for a shell started with -c (no aliases, no
history expansion, no extended patterns).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_OPERATORS = (
    *("&>>", "<<<", "<<-"),
    *("&&", "||", "|&", ";;", "&>", "<<", "<&", "<>", ">>", ">&", ">|", "<(", ">("),
    *(";", "&", "|", "(", ")", "<", ">", "\n"),
)
_BLANK = " \t"
_ENDS_WORD = frozenset(" \t\n;&|()<>")
_VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|[?$#!@*0-9-]|\{[A-Za-z_][A-Za-z0-9_]*\})")
# Only numbers: a name in it could hold an array subscript, which bash evaluates.
_SUM = re.compile(r"\$\(\([0-9+*/%() -]*\)\)")
_GLOB = frozenset("*?[")
# Without a slash, so that it names no file; what bash sets itself and nothing secret stands in.
_PLAIN_VARIABLES = frozenset(
    {"?", "$", "#", "PWD", "OLDPWD", "HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TERM", "HOSTNAME", "UID"}
    | {"SECONDS", "RANDOM", "LINENO", "BASH_VERSION", "PIPESTATUS"}
)
_BRACES = re.compile(r"([^{}]*)\{([^{}]*,[^{}]*)\}([^{}]*)")


class Unreadable(Exception):
    """A line that is not taken apart, with the reason; `hides` tells that something in it runs unseen."""

    def __init__(self, reason: str, hides: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hides = hides


@dataclass(frozen=True, slots=True)
class Word:
    """One word.

    Attributes:
        text: after quotes are removed; variables stand in it as they are written.
        source: as written.
        start, end: where it stands in the line, in characters.
        variable: it holds a variable, so that its value is not known.
        plain: all its variables are ones that hold nothing secret.
        glob: it holds a pattern that file names are put in for.
        brace: it holds an unquoted brace list, not expanded yet.
        tilde: a ~ in it may stand for a home folder.
    """

    text: str
    source: str
    start: int
    end: int
    variable: bool = False
    plain: bool = True
    glob: bool = False
    brace: bool = False
    tilde: bool = False

    @property
    def fixed(self) -> bool:
        """True when the program receives exactly `text`."""
        return not (self.variable or self.glob or self.brace or self.tilde)

    @property
    def may_be_option(self) -> bool:
        """True when what it turns into may begin with "-", whoever chose the file names or the variable."""
        return self.text.startswith("-") or self.source.startswith(("*", "?", "[", "$", '"$'))


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; `descriptor` is the number written before a redirection, "" = none."""

    text: str
    start: int
    end: int
    descriptor: str = ""


def read_tokens(line: str) -> list[Word | Operator]:
    """Return the tokens of a line in order; comments are left out.

    Raises:
        Unreadable: a substitution, an expansion that is more than a variable, a here-document, or open quotes.
    """
    return _Reader(line).tokens()


class _Reader:
    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0

    def tokens(self) -> list[Word | Operator]:
        found: list[Word | Operator] = []
        line = self._line
        while self._at < len(line):
            if line[self._at] in _BLANK:
                self._at += 1
            elif line.startswith("\\\n", self._at) and line[self._at - 1 : self._at] in (" ", "\t"):
                self._at += 2  # behind a blank it joins nothing; elsewhere it could join an operator or a name
            elif line[self._at] == "#":
                self._at = end if (end := line.find("\n", self._at)) >= 0 else len(line)
            elif operator := self._operator():
                found.append(operator)
            else:
                found.append(self._word())
        return found

    def _operator(self) -> Operator | None:
        start = self._at
        digits = re.compile(r"[0-9]*").match(self._line, start)
        after = digits.end() if digits else start
        text = next((text for text in _OPERATORS if self._line.startswith(text, after)), None)
        if text is None or (after > start and text[0] not in "<>"):
            return None
        if text in ("<(", ">("):
            raise Unreadable("it holds a process substitution")
        if text in ("<<", "<<-"):
            raise Unreadable("it holds a here-document")
        self._at = after + len(text)
        return Operator(text, start, self._at, self._line[start:after])

    def _word(self) -> Word:
        start = self._at
        word = Word("", "", start, start)
        parts: list[str] = []
        while self._at < len(self._line) and self._line[self._at] not in _ENDS_WORD:
            text, word = self._piece(word)
            parts.append(text)
        source = self._line[start : self._at]
        following = self._line[self._at : self._at + 1]
        if following == "(" and source != "!":
            raise Unreadable("it defines a function or holds an extended pattern")
        if following in ("<", ">") and following and source.startswith("{"):
            raise Unreadable("a redirection sets a variable")
        tilde = word.tilde or source.startswith("~")
        return replace(word, text="".join(parts), source=source, end=self._at, tilde=tilde)

    def _piece(self, word: Word) -> tuple[str, Word]:
        """Read one character or quoted part; return its text and the word with what is known of it since."""
        char = self._line[self._at]
        if char == "\\":
            return self._escaped(), word
        if char == "'":
            return self._single_quoted(), word
        if char == '"':
            return self._double_quoted(word)
        if char == "`":
            raise Unreadable("it holds a command substitution")
        if char == "$":
            return self._dollar(word, quoted=False)
        self._at += 1
        if char in _GLOB:
            return char, replace(word, glob=True)
        if char == "~" and self._line[self._at - 2 : self._at - 1] in ("=", ":"):
            return char, replace(word, tilde=True)  # as behind the = of an assignment
        if char == "{" and self._line[self._at : self._at + 1] not in ("", "}", *_ENDS_WORD):
            return char, replace(word, brace=True)
        return char, word

    def _escaped(self) -> str:
        following = self._line[self._at + 1 : self._at + 2]
        if not following:
            raise Unreadable("it ends in a backslash")
        if following == "\n":
            raise Unreadable("a backslash joins two lines inside of a word")
        self._at += 2
        return following

    def _single_quoted(self) -> str:
        end = self._line.find("'", self._at + 1)
        if end < 0:
            raise Unreadable("a quote is not closed")
        text = self._line[self._at + 1 : end]
        self._at = end + 1
        return text

    def _double_quoted(self, word: Word) -> tuple[str, Word]:
        parts: list[str] = []
        self._at += 1
        while self._at < len(self._line):
            char = self._line[self._at]
            if char == '"':
                self._at += 1
                return "".join(parts), word
            if char == "`":
                raise Unreadable("it holds a command substitution")
            if char == "\\" and self._line[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                parts.append(self._escaped())
            elif char == "$":
                text, word = self._dollar(word, quoted=True)
                parts.append(text)
            else:
                parts.append(char)
                self._at += 1
        raise Unreadable("a quote is not closed")

    def _dollar(self, word: Word, *, quoted: bool) -> tuple[str, Word]:
        line, at = self._line, self._at
        if found := (_VARIABLE.match(line, at) or _SUM.match(line, at)):
            self._at = found.end()
            name = found.group().strip("${}")
            if name == "IFS":
                raise Unreadable("it uses $IFS")
            is_plain = name in _PLAIN_VARIABLES or name.startswith("((")
            return found.group(), replace(word, variable=True, plain=word.plain and is_plain)
        following = line[at + 1 : at + 2]
        if following == "(":
            raise Unreadable("it holds a command substitution")
        if following in ("{", "["):
            raise Unreadable("it holds an expansion that is more than a variable")
        if following == "\\":
            raise Unreadable("a backslash stands behind a dollar sign")
        if following in ("'", '"') and following and not quoted:
            raise Unreadable("it holds $'...' or $\"...\", which hides characters")
        self._at += 1
        return "$", word


def expand_braces(word: Word) -> list[Word]:
    """Return the words a brace list makes; a word without one (`HEAD@{1}`) is returned alone.

    Raises:
        Unreadable: a list within a list, quotes beside one, or a sequence.
    """
    if not word.brace or not ("," in word.source or ".." in word.source):
        return [replace(word, brace=False)]
    found = _BRACES.fullmatch(word.source)
    if found is None or re.search(r"[\\'\"$`]", word.source):
        raise Unreadable("it holds a brace expansion")
    before, inner, after = found.groups()
    texts = [before + part + after for part in inner.split(",")]
    return [replace(word, text=text, source=text, brace=False, tilde=text.startswith("~")) for text in texts]

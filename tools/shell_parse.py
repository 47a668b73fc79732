"""A shell line taken apart into its simple commands. Pure; called by the shell policy.

Two readers must agree: tree-sitter's grammar gives the structure, shell_words the words. Where they differ, or where
a line holds anything that is not listed here, it is not taken apart, and a person is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.texts import visible
from ..retrieval.parse import parse_tree
from .shell_words import Operator, Unreadable, Word, expand_braces, read_tokens

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_CHARACTERS = 20_000
"""Of a line that is taken apart."""
_MAX_SEARCHED = 200_000
_MAX_DEPTH = 200

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_WORDS = frozenset(
    {"command_name", "word", "string", "raw_string", "concatenation", "number", "simple_expansion", "expansion"}
    | {"ansi_c_string", "arithmetic_expansion", "brace_expression", "string_content", "variable_assignment", "regex"}
    | {"extglob_pattern", "special_variable_name", "translated_string"}
)
_GROUPS = frozenset({"subshell", "compound_statement", "if_statement", "elif_clause", "else_clause"})
_STRUCTURE = frozenset({"program", "list", "pipeline", "negated_command", "redirected_statement"}) | _GROUPS
_JOINING = frozenset({"&&", "||", "|", "|&", ";", "\n"})
_RESERVED = frozenset({"!", "{", "}", "if", "then", "elif", "else", "fi", "(", ")"})
_REFUSED = {
    "command_substitution": "it holds a command substitution",
    "process_substitution": "it holds a process substitution",
    "heredoc_redirect": "it holds a here-document",
    "function_definition": "it defines a function",
}
_NO_SINGLE_COMMANDS = {
    "for_statement": "it holds a loop",
    "c_style_for_statement": "it holds a loop",
    "while_statement": "it holds a loop",
    "case_statement": "it holds a case statement",
    "declaration_command": "it sets variables",
    "variable_assignment": "it sets a variable",
    "variable_assignments": "it sets variables",
    "unset_command": "it unsets a variable",
}


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection: `operator` (">", "2>" is ">" with descriptor "2") and the word after it."""

    operator: str
    target: Word
    descriptor: str = ""


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One simple command.

    Attributes:
        words: program and arguments, brace lists expanded; empty only when nothing but assignments stands there.
        assignments: the words NAME=value before the program.
        text: as written.
        joint: the operator before it: "" at the start of the line or of a group, else && || | |& ; or a line break.
        group: number of the subshell, group or branch it stands in; 0 = none.
    """

    words: tuple[Word, ...]
    assignments: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    text: str = ""
    joint: str = ""
    group: int = 0


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """What a line consists of.

    Attributes:
        commands: the simple commands in order. When `fault` is set these are only what was found of them, those in
            substitutions too: enough to find one that is denied.
        redirects: of groups of commands; those of one command stand with it.
        fault: why the line was not taken apart; "" = it was.
        hides: True when something in the line is run, changed or expanded that its words do not show.
    """

    commands: tuple[SimpleCommand, ...]
    redirects: tuple[Redirect, ...] = ()
    fault: str = ""
    hides: bool = False


def parse_line(line: str) -> ParsedLine:
    """Return a shell line taken apart; never raises for what stands in it."""
    try:
        _refuse_hidden(line)
        return _Walk(line).parsed()
    except Unreadable as err:
        return ParsedLine(tuple(_commands_found(line)), fault=err.reason, hides=err.hides)


def _refuse_hidden(line: str) -> None:
    if len(line) > MAX_CHARACTERS:
        raise Unreadable(f"it is longer than {MAX_CHARACTERS:,} characters", hides=False)
    if visible(line) != line:
        raise Unreadable("it holds characters that are not visible")


def _root(line: str) -> Node:
    tree = parse_tree("bash", line.encode(errors="replace"))
    if tree is None:
        raise Unreadable("it takes too long to read", hides=False)
    return tree.root_node


@dataclass
class _Walk:
    line: str
    commands: list[SimpleCommand] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    joint: str = ""
    group: int = 0
    groups: int = 0
    depth: int = 0

    def parsed(self) -> ParsedLine:
        tokens = read_tokens(self.line)
        self._words = {token.start: token for token in tokens if isinstance(token, Word)}
        self._operators = {token.start: token for token in tokens if isinstance(token, Operator)}
        self._places = _character_places(self.line)
        root = _root(self.line)
        if root.has_error:
            raise Unreadable("it is not a shell line that can be read")
        self._structure(root)
        if self._words or self._operators.keys() - self._ends_of_statements():
            raise Unreadable("its words cannot be told apart for certain")
        if not self.commands:
            raise Unreadable("it holds no command", hides=False)
        return ParsedLine(tuple(self.commands), tuple(self.redirects))

    def _ends_of_statements(self) -> set[int]:
        # The grammar gives no node for a line break between two statements.
        return {start for start, operator in self._operators.items() if operator.text == "\n"}

    def _structure(self, node: Node) -> None:
        before = self.group
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise Unreadable("it is nested too deep", hides=False)
        if node.type in _GROUPS:
            self._enter()
        for child in node.children:
            self._child(child)
        if node.type in _GROUPS:
            self.group = before
        self.depth -= 1

    def _enter(self) -> None:
        self.groups += 1
        self.group = self.groups
        self.joint = ""

    def _child(self, node: Node) -> None:
        kind = node.type
        if kind == "comment":
            return
        if kind in _JOINING:
            self.joint = kind
            self._take_operator(node)
        elif kind in _RESERVED:
            self._take_reserved(node)
        elif kind == "&":
            raise Unreadable("it runs a command in the background")
        elif kind == "file_redirect" or kind == "herestring_redirect":
            self.redirects.append(self._redirect(node))
        elif kind == "redirected_statement":
            self._redirected(node)
        elif kind == "command":
            self._command(node, node.children)
        elif kind == "test_command":
            self._test(node)
        elif kind in _STRUCTURE:
            self._structure(node)
        else:
            _refuse(kind)

    def _take_operator(self, node: Node) -> Operator:
        operator = self._operators.pop(self._places[node.start_byte], None)
        if operator is None:
            raise Unreadable("its words cannot be told apart for certain")
        return operator

    def _take_reserved(self, node: Node) -> None:
        start = self._places[node.start_byte]
        if self._words.pop(start, None) is None and self._operators.pop(start, None) is None:
            raise Unreadable("its words cannot be told apart for certain")
        if node.type in ("then", "else", "elif"):
            self._enter()

    def _take_word(self, node: Node) -> Word:
        word = self._words.pop(self._places[node.start_byte], None)
        if word is None or word.end != self._places[node.end_byte]:
            raise Unreadable("its words cannot be told apart for certain")
        return word

    def _redirected(self, node: Node) -> None:
        body, *rest = node.children
        if body.type != "command":
            self._structure(node)
        else:
            self._command(body, [*body.children, *rest])

    def _command(self, node: Node, parts: list[Node]) -> None:
        words: list[Word] = []
        assignments: list[Word] = []
        redirects: list[Redirect] = []
        first, last = self._places[parts[0].start_byte], self._places[parts[-1].end_byte]
        if any(first <= start < last for start in self._ends_of_statements()):
            raise Unreadable("a line break stands inside of a command")
        for part in parts:
            if part.type in ("file_redirect", "herestring_redirect"):
                redirects.append(self._redirect(part))
            elif part.type in _WORDS:
                word = self._take_word(part)
                is_assignment = not words and _ASSIGNMENT.match(word.source) is not None
                (assignments if is_assignment else words).append(word)
            else:
                _refuse(part.type)
        self._add(node, words, assignments, redirects)

    def _test(self, node: Node) -> None:
        first, last = self._places[node.start_byte], self._places[node.end_byte]
        if any(first <= start < last for start in self._operators):
            raise Unreadable("its condition is more than words", hides=False)
        starts = sorted(start for start in self._words if first <= start < last)
        self._add(node, [self._words.pop(start) for start in starts], [], [])

    def _add(self, node: Node, words: list[Word], assignments: list[Word], redirects: list[Redirect]) -> None:
        if not words:
            raise Unreadable("it sets a variable", hides=False)
        if words[0].brace or (words[0].glob and words[0].text not in ("[", "[[")):
            raise Unreadable("the name of the program is put together by the shell")
        text = self.line[self._places[node.start_byte] : self._places[node.end_byte]]
        expanded = tuple(part for word in words for part in expand_braces(word))
        self.commands.append(
            SimpleCommand(expanded, tuple(assignments), tuple(redirects), text, self.joint, self.group)
        )
        self.joint = "\n"

    def _redirect(self, node: Node) -> Redirect:
        start = self._places[node.start_byte]
        operator = self._operators.pop(start, None)
        targets = [child for child in node.children if child.type in _WORDS]
        if operator is None or len(targets) != 1:
            raise Unreadable("a redirection cannot be read")
        target = self._take_word(targets[0])
        if any(operator.end <= start < target.start for start in self._ends_of_statements()):
            raise Unreadable("a line break stands inside of a command")
        return Redirect(operator.text, target, operator.descriptor)


def _refuse(kind: str) -> None:
    if reason := _REFUSED.get(kind):
        raise Unreadable(reason)
    raise Unreadable(_NO_SINGLE_COMMANDS.get(kind, "it holds something that is not read here"), hides=False)


def _character_places(line: str) -> dict[int, int]:
    """Return the character at which each byte offset stands that begins one."""
    places: dict[int, int] = {}
    offset = 0
    for place, char in enumerate(line):
        places[offset] = place
        offset += len(char.encode(errors="replace"))
    places[offset] = len(line)
    return places


def _commands_found(line: str) -> Iterator[SimpleCommand]:
    """Yield whatever stands in a line as a command, at any depth; its words are unquoted as far as they are fixed."""
    source = line[:_MAX_SEARCHED].encode(errors="replace")
    tree = parse_tree("bash", source)
    waiting = [tree.root_node] if tree else []
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(node.children))
        if node.type == "command":
            parts = [child for child in node.children if child.type in _WORDS - {"variable_assignment"}]
            words = tuple(_unquoted(_text(source, part)) for part in parts)
            if words:
                yield SimpleCommand(words, text=_text(source, node))


def _text(source: bytes, node: Node) -> str:
    return source[node.start_byte : node.end_byte].decode(errors="replace")


def _unquoted(source: str) -> Word:
    text = re.sub(r"\\(.)|['\"]", r"\1", source)
    return Word(text, source, 0, len(source))

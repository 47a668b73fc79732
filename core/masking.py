"""Secrets in texts become placeholders, the same for the same secret in one run, and back again where a file is
edited.

One SecretMask is made for each run by app/ and handed down. A placeholder is made from the secret and the run's key,
so it is the same again after a resume, and the secret behind it is found by looking through the file that is edited.
"""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .secret_forms import Found, find_secrets, is_telling, merged, places

KEY_BYTES = 32
MAX_KNOWN = 100
"""Values that are looked for wherever they appear; each costs a search through every text, 0.1 ms for 100 KB."""
MAX_KEY_LINES = 2_000
MAX_GIVEN = 20_000
"""Placeholders whose secrets are remembered; the others are found in their files."""
MAX_LEARNED_CHARS = 2_000_000

_MARK = "<secret:"
PLACEHOLDER = re.compile(r"<secret:[A-Z][A-Z0-9-]*-([0-9a-f]{6})>")
_LONG_RUN = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_CUTS = ("…", "[... ")
"""Marks of where a text was cut: at a long line's end, in the middle of a long output."""
_MIN_PIECE = 6


ENVIRONMENT = "ENV"
OnLearned = Callable[[str, str], None]
"""Told of a secret and its kind when it becomes known."""


class UnknownPlaceholder(ValueError):
    """A placeholder for which no secret, or more than one, is found in the file; the message is for the model."""


class Masked(NamedTuple):
    """A text without its secrets, and the secret behind each placeholder's tag."""

    text: str
    values: dict[str, str]


class SecretMask:
    """Masks the texts of one run.

    May be used from several threads.

    Args:
        key: KEY_BYTES random bytes that belong to the run; b"" = the placeholders of a single command.
        values: secrets that are known from elsewhere, such as the environment's; only telling ones are taken.
    """

    def __init__(self, key: bytes = b"", values: Iterable[str] = ()) -> None:
        self.key = key
        self._lock = threading.Lock()
        self._kinds: dict[str, str] = {}
        self._given: dict[str, set[str]] = {}
        self._everywhere: list[str] = []
        self._key_lines: set[str] = set()
        self._on_learned: OnLearned | None = None
        for value in values:
            self.note(value, ENVIRONMENT)

    def mask(self, text: str, path: str = "") -> str:
        """Return the text with a placeholder for every secret; masking it again changes nothing.

        The number of lines stays. What is found is known from then on, wherever it appears.

        Args:
            path: of the file that the text is the content of; "" = not one file's.
        """
        return self.masked(text, path).text

    def mask_own(self, text: str) -> str:
        """Return a model's own words without secrets that are known or that their form gives away.

        What it says to be a password is one that it made up, and has to be the same again in a replay.
        """
        return self._masked(text, "", by_form_only=True).text

    def mask_data(self, value: Any) -> Any:
        """Return JSON data, or tuples of it, with every text masked, keys of objects excepted."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {key: self._mask_item(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.mask_data(item) for item in value)
        return value

    def learn(self, text: str, path: str = "") -> None:
        """Look through a file's content, so that a piece of it is masked by what the whole of it says."""
        self.masked(text[:MAX_LEARNED_CHARS], path)

    def note(self, value: str, kind: str) -> None:
        """Know a secret from now on, if its value is telling enough to be looked for anywhere."""
        is_line = kind == "PRIVATE-KEY"
        known, most = (self._key_lines, MAX_KEY_LINES) if is_line else (self._everywhere, MAX_KNOWN)
        if value in self._kinds or len(known) >= most or not is_telling(value):
            return
        with self._lock:
            self._kinds[value] = kind
            if is_line:
                self._key_lines.add(value)
            else:
                # A new list: another thread may be going through the old one.
                self._everywhere = [*self._everywhere, value]
            if self._on_learned is not None:
                self._on_learned(value, kind)

    def tell(self, on_learned: OnLearned) -> None:
        """Tell of every secret that is known, and of each that becomes known later."""
        with self._lock:
            self._on_learned = on_learned
            for value, kind in self._kinds.items():
                on_learned(value, kind)

    def masked(self, text: str, path: str = "") -> Masked:
        """Return the masked text with what stands behind its placeholders."""
        return self._masked(text, path, by_form_only=False)

    def restore(self, text: str, path: str, *contents: str) -> str:
        """Return the text with every placeholder replaced by the secret of the file that it stands for.

        Args:
            path: of the file.
            contents: what stands in the file, and what was shown of it before.

        Raises:
            UnknownPlaceholder: the file holds no such secret.
        """
        if _MARK not in text:
            return text
        values: dict[str, set[str]] = {}
        tags = {found[1] for found in PLACEHOLDER.finditer(text)}
        for content in contents:
            for found in PLACEHOLDER.finditer(content):
                values.setdefault(found[1], set()).add(found[0])
            for tag, value in self.masked(content, path).values.items():
                values.setdefault(tag, set()).add(value)
            # What is known by now may divide the file's secrets in another way than when they were shown.
            for tag in tags:
                values.setdefault(tag, set()).update(each for each in self._given.get(tag, ()) if each in content)

        def secret(found: re.Match[str]) -> str:
            known = values.get(found[1], set())
            if len(known) != 1:
                raise UnknownPlaceholder(_unknown(found[0], path, bool(known)))
            return next(iter(known))

        return PLACEHOLDER.sub(secret, text)

    def _mask_item(self, key: object, item: Any) -> Any:
        if not isinstance(item, str):
            return self.mask_data(item)
        # A name and its value, as they would stand in a file: {"password": "..."}.
        head = f'"{key}": "'
        masked = self.mask(f'{head}{item}"') if '"' not in item and "\n" not in item else ""
        return masked[len(head) : -1] if masked.startswith(head) else self.mask(item)

    def _masked(self, text: str, path: str, *, by_form_only: bool) -> Masked:
        values: dict[str, str] = {}
        while True:
            # Again until nothing is found: what a secret stood beside can be one as well, once that is masked.
            text, more = self._pass(text, path, by_form_only)
            if not more:
                return Masked(text, values)
            values |= more
            for tag, value in more.items():
                if len(self._given) < MAX_GIVEN:
                    self._given.setdefault(tag, set()).add(value)

    def _pass(self, text: str, path: str, by_form_only: bool) -> tuple[str, dict[str, str]]:
        parts: list[str] = []
        values: dict[str, str] = {}
        for piece in _between_placeholders(text):
            if piece.startswith(_MARK) and PLACEHOLDER.fullmatch(piece):
                parts.append(piece)
                continue
            at = 0
            for start, end, kind in self._found(piece, path, by_form_only):
                value = piece[start:end]
                tag = self._tag(value)
                parts += piece[at:start], f"{_MARK}{self._kinds.get(value, kind)}-{tag}>"
                values[tag] = value
                at = end
            parts.append(piece[at:])
        return "".join(parts) if values else text, values

    def _found(self, text: str, path: str, by_form_only: bool) -> list[Found]:
        found = find_secrets(text, path, by_form_only=by_form_only)
        for start, end, kind in found:
            self.note(text[start:end], kind)
        found += self._known_in(text)
        if self._key_lines:
            found += self._lines_of_keys(text)
        return merged(found)

    def _known_in(self, text: str) -> Iterator[Found]:
        known = self._everywhere
        if not known:
            return
        # Without line ends a secret is found that was folded, too.
        joined = text.replace("\r", "").replace("\n", "") if "\n" in text else text
        cuts = [(at, at + len(mark)) for mark in _CUTS if mark in text for at in places(text, mark)]
        for value in known:
            pieces = [*_cut_pieces(text, value, cuts)] if cuts else []
            if value in joined:
                pieces += _pieces(text, value)
            for start, end in pieces:
                if start < end:
                    yield Found(start, end, self._kinds[value])

    def _lines_of_keys(self, text: str) -> Iterator[Found]:
        for run in _LONG_RUN.finditer(text):
            # The sign in front may be a diff's.
            for start in (run.start(), run.start() + 1):
                if text[start : run.end()] in self._key_lines:
                    yield Found(start, run.end(), "PRIVATE-KEY")
                    break

    def _tag(self, value: str) -> str:
        return hmac.digest(self.key, value.encode("utf-8", "surrogatepass"), "sha256").hex()[:6]


def first_placeholder(text: str) -> str:
    """Return the first placeholder in a text; "" = there is none."""
    found = PLACEHOLDER.search(text) if _MARK in text else None
    return found[0] if found else ""


def _between_placeholders(text: str) -> Iterator[str]:
    """Yield the text in pieces, each a placeholder or without one."""
    at = 0
    if _MARK in text:
        for found in PLACEHOLDER.finditer(text):
            yield text[at : found.start()]
            yield found[0]
            at = found.end()
    yield text[at:]


def _pieces(text: str, value: str) -> Iterator[tuple[int, int]]:
    """Yield where a secret stands: whole, or where it was folded its pieces, one a line."""
    for at in places(text, value):
        yield at, at + len(value)
    for found in re.finditer(r"\r?\n?".join(map(re.escape, value)), text):
        at = found.start()
        for line in found[0].split("\n"):
            yield at, at + len(line.rstrip("\r"))
            at += len(line) + 1


def _cut_pieces(text: str, value: str, cuts: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what is left of a secret beside places where the text was cut."""
    for start, end in cuts:
        # The mark in the middle of an output stands on a line of its own.
        before = text[max(0, start - len(value) - 1) : start].removesuffix("\n")
        first = max(0, start - len(value) - 1)
        for at in places(before, value[:_MIN_PIECE], step=1):
            if value.startswith(before[at:]):
                yield first + at, first + len(before)
                break
        after = text[end : end + len(value)]
        for at in places(after, value[-_MIN_PIECE:], step=1):
            if value.endswith(after[: at + _MIN_PIECE]):
                yield end, end + at + _MIN_PIECE


def _unknown(placeholder: str, path: str, ambiguous: bool) -> str:
    if ambiguous:
        return f"{placeholder} stands for more than one secret of {path}. Leave its line as it is."
    return (
        f"{placeholder} stands for a secret that is not in {path}, and a secret is not moved to another file. "
        "Keep placeholders as they are shown, and let the program read the secret from where it is."
    )

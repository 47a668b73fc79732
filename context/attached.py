"""What a person's mentions and commands gave, and how it stands in the first message of whoever gets their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.effects import Spans, spans_from_json, spans_to_json
from ..core.ports import Blobs, TokenCounter
from .blocks import Block, cut_to_tokens

LEAST_TOKENS = 20
"""A share below this holds no line worth reading."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One thing that was attached when the run began.

    Attributes:
        name: as a person and a model know it: a path, "@problems", "!pytest -q".
        inputs: names of the inputs that mention it.
        seen, spans: what `text` shows of files, as in core.messages.Message.
        keep_end: True when the end of the text tells more than its beginning, as of what a command printed.
    """

    name: str
    text: str
    tokens: int
    inputs: tuple[str, ...]
    seen: Mapping[str, str] = field(default_factory=dict)
    keep_end: bool = False
    spans: Mapping[str, Spans] = field(default_factory=dict)

    def stored(self, blobs: Blobs) -> dict[str, Any]:
        """Return the JSON form that a run keeps; the text goes to the blobs."""
        return {
            "name": self.name,
            "text": blobs.put(self.text.encode("utf-8", "replace")),
            "tokens": self.tokens,
            "inputs": list(self.inputs),
            "seen": dict(self.seen),
            "keep_end": self.keep_end,
            "spans": spans_to_json(self.spans),
        }

    @staticmethod
    def of_stored(data: Mapping[str, Any], blobs: Blobs) -> Attachment:
        """Raises: KeyError: the blobs do not hold its text."""
        text = blobs.get(data["text"]).decode("utf-8", "replace")
        spans = spans_from_json(data["spans"])
        inputs, seen, keep_end = tuple(data["inputs"]), data["seen"], data["keep_end"]
        return Attachment(data["name"], text, data["tokens"], inputs, seen, keep_end, spans)


class Fitted(NamedTuple):
    """Blocks within a budget, what they show of files, and the names of those that are not cut."""

    blocks: tuple[Block, ...] = ()
    seen: Mapping[str, str] = {}
    spans: Mapping[str, Spans] = {}
    whole: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Attached:
    """Everything that was attached to the inputs of a run.

    Attributes:
        texts: the inputs as the person wrote them, by name.
    """

    items: tuple[Attachment, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    def fit(self, prompt: str, budget: int, counter: TokenCounter) -> Fitted:
        """Return the blocks for a prompt: of what is mentioned in the inputs that the prompt holds.

        When they do not all fit, the small ones stay whole and the large ones share the rest evenly, cut to whole
        lines.

        Args:
            budget: tokens of all blocks together, their marks included.
        """
        held = {name for name, text in self.texts.items() if text.strip() and _plain(text) in _plain(prompt)}
        items = [item for item in self.items if held.intersection(item.inputs)]
        texts = _shared_out(items, budget, counter)
        shown = [(item, text) for item, text in zip(items, texts, strict=True) if text]
        whole = [item for item, text in shown if text == item.text]
        seen = {path: sha for item, _ in shown for path, sha in item.seen.items()}
        spans: dict[str, Spans] = {}
        for path, pieces in (pair for item in whole for pair in item.spans.items()):
            spans[path] = (*spans.get(path, ()), *pieces)
        blocks = tuple(Block("mentioned", text, item.name) for item, text in shown)
        return Fitted(blocks, seen, spans, frozenset(item.name for item in whole))


def _plain(text: str) -> str:
    """Return the text as a template may have set it: with other blanks and line ends."""
    return " ".join(text.split())


def _shared_out(items: Sequence[Attachment], budget: int, counter: TokenCounter) -> list[str]:
    """Return the texts that fit, in the order of the items; "" = there is no room for it."""
    frames = [counter.count(Block("mentioned", "", item.name).render()) for item in items]
    sizes = [counter.count(item.text) + frame for item, frame in zip(items, frames, strict=True)]
    texts = [""] * len(items)
    left = budget
    by_size = sorted(range(len(items)), key=lambda at: (sizes[at], at))
    for done, at in enumerate(by_size):
        share = left // (len(items) - done)
        room = share - frames[at]
        if sizes[at] > share and room < LEAST_TOKENS:
            continue
        item = items[at]
        texts[at] = cut_to_tokens(
            item.text, sizes[at] if sizes[at] <= share else room, counter, keep_end=item.keep_end
        )
        left -= min(sizes[at], share)
    return texts

"""Assembling the start of a conversation: the one system message and the first user message of an agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from ..core.hits import Hit, Source, hit_spans
from ..core.messages import Message
from ..core.ports import Retriever, TokenCounter
from .attached import LEAST_TOKENS, Attached
from .blocks import Block, cut_to_tokens, hits_text, map_text
from .memory import FittedFile, MemoryFile, fit_memory, lost_line, memory_text
from .prompts import load_prompt


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens each part of the first message may take; 0 leaves the part out."""

    repo_map: int = 1000
    code: int = 2000
    docs: int = 1000
    memory: int = 2000
    mentions: int = 6000

    def scaled(self, share: float) -> Budget:
        """Return this share of every part."""
        return Budget(*(int(getattr(self, each.name) * share) for each in fields(self)))


def system_message() -> Message:
    """Return the system message, the same for all roles and runs, so that a server keeps it in its cache."""
    return Message("system", f"{load_prompt('context', 'identity')}\n\n{load_prompt('context', 'workflow')}")


class _Room:
    """What is left of a first message while its parts are put in, the most important ones first.

    Args:
        most: tokens of all of it; None = there is no bound.
        fixed: what stands in it whatever it takes.
    """

    def __init__(self, counter: TokenCounter, most: int | None, fixed: str) -> None:
        self._counter = counter
        self._left = None if most is None else max(most - counter.count(fixed), 0)

    def share(self, budget: int, tag: str = "") -> int:
        """Return what a part may take of its budget.

        Args:
            tag: mark of its frame, which has to fit as well; "" = the budget holds it already.
        """
        if self._left is None:
            return budget
        frame = self._tokens(Block(tag, "")) if tag else 0
        return min(budget, max(self._left - frame, 0))

    def take(self, blocks: Sequence[Block]) -> None:
        """Take note of parts that were put in; an empty one takes nothing."""
        if self._left is not None:
            self._left -= sum(self._tokens(block) for block in blocks if block.text.strip())

    def fit(self, block: Block) -> Block:
        """Return a part, cut to whole lines where there is no room for all of it, and take note of it."""
        if self._left is not None and self._tokens(block) > self._left:
            left = self.share(self._left, block.tag)
            block = replace(
                block, text=cut_to_tokens(block.text, left, self._counter) if left >= LEAST_TOKENS else ""
            )
        self.take([block])
        return block

    def _tokens(self, block: Block) -> int:
        return self._counter.count(f"\n\n{block.render()}")


class TurnAssembler:
    """Builds first messages: role, memory, map, code, documents, then the task, with what changes daily at the end.

    Attributes:
        counter: what every budget is counted with.

    Args:
        reminder: returns day, working directory and git state; read once for each first message.
        tell: told in a line what of the memory does not fit into a budget.
    """

    def __init__(
        self,
        retriever: Retriever,
        counter: TokenCounter,
        memory: Sequence[MemoryFile],
        reminder: Callable[[], str],
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._retriever = retriever
        self.counter = counter
        self._memory = tuple(memory)
        self._reminder = reminder
        self._tell = tell
        self._attached = Attached()

    def attach(self, attached: Attached) -> None:
        """Take what the run's inputs mention; it stands in first messages from now on."""
        self._attached = attached

    def first_message(
        self, role_text: str, task: str, budget: Budget, extra: Sequence[Block] = (), most: int | None = None
    ) -> Message:
        """Return the first user message. `task` is also the query of the map and of every search.

        Args:
            most: tokens that the message has at most; None = its parts have their budgets, whatever they come to. The
                documents shrink first, then code, map, memory and mentions, and `extra` last. Role and task are never
                cut: a message that they fill alone has nothing else, and may have more.
        """
        end = [Block("task", task), Block("reminder", self._reminder())]
        room = _Room(self.counter, most, "\n\n".join([role_text, *(block.render() for block in end)]))
        extra = [room.fit(block) for block in extra]
        mentioned = self._attached.fit(task, room.share(budget.mentions), self.counter)
        room.take(mentioned.blocks)
        fitted = self._fitted_memory(room.share(budget.memory, "project_memory"))
        memory = Block("project_memory", memory_text(fitted))
        room.take([memory])
        outlines = Block("repo_map", map_text(self._found(task, room.share(budget.repo_map, "repo_map"), "map")))
        room.take([outlines])
        code = self._found(task, room.share(budget.code, "code"), "code")
        remembered = {each.file.path for each in fitted if each.fit in ("whole", "repeated")}
        code = [hit for hit in code if hit.path not in mentioned.whole | remembered]
        passages = Block("code", hits_text(code))
        room.take([passages])
        found = self._found(task, room.share(budget.docs, "documents"), "docs")
        documents = Block("documents", hits_text([hit for hit in found if not _is_within(hit, code)]))
        blocks = [memory, outlines, passages, documents, *mentioned.blocks, *extra, *end]
        text = "\n\n".join([role_text, *(block.render() for block in blocks if block.text.strip())])
        seen = {hit.path: hit.doc_sha256 for hit in code}
        # A file may have changed since it was indexed: then the passages are not of what is mentioned.
        as_mentioned = [hit for hit in code if mentioned.seen.get(hit.path, hit.doc_sha256) == hit.doc_sha256]
        spans = {**hit_spans(as_mentioned), **mentioned.spans}
        return Message("user", text, seen={**seen, **mentioned.seen}, spans=spans)

    def cut(self, text: str, budget: int) -> str:
        """Return the text cut to whole lines within a token budget."""
        return cut_to_tokens(text, budget, self.counter)

    def _found(self, query: str, budget: int, source: Source) -> list[Hit]:
        if budget <= 0:
            return []
        render = map_text if source == "map" else hits_text
        hits = self._retriever.retrieve(query, budget, (source,))
        # The retriever counts the passages alone; their headings have to fit as well.
        while hits and self.counter.count(render(hits)) > budget:
            hits = hits[:-1]
        return hits

    def _fitted_memory(self, budget: int) -> list[FittedFile]:
        if budget <= 0:
            return []
        fitted = fit_memory(self._memory, budget, self.counter)
        if line := lost_line(fitted, budget):
            self._tell(f"{line} `flow memory show` tells more.")
        return fitted


def _is_within(hit: Hit, others: Sequence[Hit]) -> bool:
    """Tell whether one of the others shows the same lines: a document of the repository is searched as a file too."""
    return any(
        (hit.path, hit.doc_sha256) == (other.path, other.doc_sha256)
        and other.start_line <= hit.start_line <= hit.end_line <= other.end_line
        for other in others
    )

"""Assembling the start of a conversation: the one system message and the first user message of an agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from ..core.hits import Hit, Source, hit_spans
from ..core.messages import Message
from ..core.ports import Retriever, TokenCounter
from .attached import Attached
from .blocks import Block, cut_to_tokens, hits_text, map_text
from .memory import MemoryFile, fit_memory, lost_line, memory_text
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

    def first_message(self, role_text: str, task: str, budget: Budget, extra: Sequence[Block] = ()) -> Message:
        """Return the first user message. `task` is also the query of the map and of every search."""
        outlines, code = self._found(task, budget.repo_map, "map"), self._found(task, budget.code, "code")
        mentioned = self._attached.fit(task, budget.mentions, self.counter)
        code = [hit for hit in code if hit.path not in mentioned.whole]
        blocks = [
            Block("project_memory", self._memory_text(budget.memory)),
            Block("repo_map", map_text(outlines)),
            Block("code", hits_text(code)),
            Block("documents", hits_text(self._found(task, budget.docs, "docs"))),
            *mentioned.blocks,
            *extra,
            Block("task", task),
            Block("reminder", self._reminder()),
        ]
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

    def _memory_text(self, budget: int) -> str:
        if budget <= 0:
            return ""
        fitted = fit_memory(self._memory, budget, self.counter)
        if line := lost_line(fitted, budget):
            self._tell(f"{line} `flow memory show` tells more.")
        return memory_text(fitted)

"""Assembling the start of a conversation: the one system message and the first user message of an agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..core.hits import Hit, Source
from ..core.messages import Message
from ..core.ports import Retriever, TokenCounter
from .blocks import Block, cut_to_tokens, hits_text, map_text
from .prompts import load_prompt


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens each part of the first message may take; 0 leaves the part out."""

    repo_map: int = 1000
    code: int = 2000
    docs: int = 1000
    memory: int = 1000


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A trusted memory file of the project (AGENTS.md and the like); `path` is what it is called to the model."""

    path: str
    text: str


def system_message() -> Message:
    """Return the system message, the same for all roles and runs, so that a server keeps it in its cache."""
    return Message("system", f"{load_prompt('context', 'identity')}\n\n{load_prompt('context', 'workflow')}")


class TurnAssembler:
    """Builds first messages: role, memory, map, code, documents, then the task, with what changes daily at the end.

    Attributes:
        counter: what every budget is counted with.

    Args:
        reminder: returns day, working directory and git state; read once for each first message.
    """

    def __init__(
        self,
        retriever: Retriever,
        counter: TokenCounter,
        memory: Sequence[MemoryFile],
        reminder: Callable[[], str],
    ) -> None:
        self._retriever = retriever
        self.counter = counter
        self._memory = tuple(memory)
        self._reminder = reminder

    def first_message(self, role_text: str, task: str, budget: Budget, extra: Sequence[Block] = ()) -> Message:
        """Return the first user message. `task` is also the query of the map and of every search."""
        outlines, code = self._found(task, budget.repo_map, "map"), self._found(task, budget.code, "code")
        blocks = [
            Block("project_memory", self._memory_text(budget.memory)),
            Block("repo_map", map_text(outlines)),
            Block("code", hits_text(code)),
            Block("documents", hits_text(self._found(task, budget.docs, "docs"))),
            *extra,
            Block("task", task),
            Block("reminder", self._reminder()),
        ]
        text = "\n\n".join([role_text, *(block.render() for block in blocks if block.text.strip())])
        return Message("user", text, seen={hit.path: hit.doc_sha256 for hit in code})

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
        text = "\n\n".join(f"## {file.path}\n{file.text.strip()}" for file in self._memory)
        return cut_to_tokens(text, budget, self.counter) if budget > 0 and text else ""

"""Memory files for prompts: which a run is given, what a person is shown of them, and what an agent may add."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..configs.memory import MemorySource, memory_sources
from ..configs.project_files import AUTO_MEMORY
from ..configs.trust import TrustStore, content_hash, trust_command
from ..context.assemble import Budget
from ..context.blocks import Block
from ..context.memory import Fit, FittedFile, MemoryFile, fit_memory, lost_line, memory_text
from ..core.effects import FileWrite
from ..llm.tokens import EstimatingCounter
from .context import AppContext
from .secrets import make_mask


@dataclass(frozen=True, slots=True)
class ShownMemory:
    """A memory file as a person is shown it.

    Attributes:
        tokens: of all of its text with its heading, estimated; 0 = it cannot be used.
        fit: its place in a prompt; None = it is not told to models at all.
    """

    source: MemorySource
    tokens: int
    fit: Fit | None


@dataclass(frozen=True, slots=True)
class MemoryView:
    """All memory files in their order, and the block that a model gets of them; "" = none. `lost`: as `lost_line`."""

    files: tuple[ShownMemory, ...]
    text: str
    budget: int
    lost: str


def memory_files(context: AppContext, project: Path | None = None, start: str = ".") -> list[MemoryFile]:
    """Return the memory that models are told: the user's own, and the project's files that are trusted.

    Args:
        project, start: as for configs.memory.memory_sources.
    """
    return [_told(source) for source in _sources(context, project, start) if source.acts]


def view_memory(context: AppContext) -> MemoryView:
    """Return what there is, and what an agent that has no budget of its own is told of it, without its secrets."""
    sources = _sources(context, None, context.start)
    counter, budget = EstimatingCounter(), Budget().memory
    secrets = make_mask(b"", os.environ, context.workspace)
    files = {source.path: _told(source) for source in sources if source.content is not None}
    fitted = fit_memory([files[source.path] for source in sources if source.acts], budget, counter)
    fits = dict(zip([source.path for source in sources if source.acts], fitted, strict=True))
    shown = [
        ShownMemory(source, _tokens(files.get(source.path), counter), _fit(fits.get(source.path)))
        for source in sources
    ]
    text = memory_text(fitted)
    block = secrets.mask(Block("project_memory", text).render()) if text else ""
    return MemoryView(tuple(shown), block, budget, lost_line(fitted, budget))


def trusted_when_written(
    trust: TrustStore, workspace: Path, project: Path, tell: Callable[[str], None]
) -> Callable[[FileWrite], None]:
    """Return what is done once a file is written: what agents remember stays trusted, if it was so before.

    Every such write was shown to a person, who said yes. A file that nobody trusted stays as it is, whatever is
    added to it; so does that of a worktree, which is another one than the project's.
    """

    def written(effect: FileWrite) -> None:
        if effect.path != AUTO_MEMORY:
            return
        file, how = project / AUTO_MEMORY, trust_command(project / AUTO_MEMORY)
        if workspace != project:
            tell(f"{AUTO_MEMORY} was written in the run's worktree; agents are told it once it is merged, and: {how}")
        elif effect.pre_sha in (None, trust.trusted_hash(file)):
            trust.trust_content(file, effect.post)
        elif trust.trusted_hash(file) != content_hash(effect.post):
            tell(f"{AUTO_MEMORY} is not trusted, so nothing in it is told to agents. Look at it, then: {how}")

    return written


def _sources(context: AppContext, project: Path | None, start: str) -> list[MemorySource]:
    return memory_sources(context.workspace, context.trust, context.settings.memory.user_dir, project, start)


def _told(source: MemorySource) -> MemoryFile:
    text = (source.content or b"").decode("utf-8-sig", errors="replace")
    return MemoryFile(source.name, text, gives_way=source.layer == "auto")


def _tokens(file: MemoryFile | None, counter: EstimatingCounter) -> int:
    return 0 if file is None else counter.count(f"## {file.path}\n{file.text.strip()}")


def _fit(fitted: FittedFile | None) -> Fit | None:
    return None if fitted is None else fitted.fit

"""Effects of a node that only reads: what may change something is refused. Wraps the runner of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.effects import Command, Effect, FileWrite, ToolResult
from ..core.ports import Ask, CallRef, EffectRunner, Journal, Spawner

REFUSAL = "This node only reads: files are not changed, and no command runs that may change something."


@dataclass(frozen=True, slots=True)
class ReadingEffects:
    """Implements core.ports.EffectRunner. `workspace`: absolute, resolved."""

    effects: EffectRunner
    workspace: Path

    def within(
        self, permissions: Mapping[str, Literal["allow", "ask", "deny"]], network: bool | None
    ) -> ReadingEffects:
        """Return this runner held to more rules."""
        return ReadingEffects(self.effects.within(permissions, network), self.workspace)

    def showing(self, output_bytes: int, reader: str) -> ReadingEffects:
        """Return this runner with another limit for what commands print."""
        return ReadingEffects(self.effects.showing(output_bytes, reader), self.workspace)

    def asking(self) -> ReadingEffects:
        """Return this runner asking for what it would do unasked."""
        return ReadingEffects(self.effects.asking(), self.workspace)

    def moved(self, workspace: Path, journal: Journal, spawner: Spawner) -> ReadingEffects:
        """Return this runner for another folder."""
        return ReadingEffects(self.effects.moved(workspace, journal, spawner), workspace)

    async def run(self, ref: CallRef, effect: Effect, category: str, ask: Ask) -> ToolResult:
        """Return what the effect came to, or the refusal of one that may change something."""
        if isinstance(effect, FileWrite) or (isinstance(effect, Command) and not self._only_reads(effect)):
            return ToolResult(REFUSAL, failed=True, denied=True)
        return await self.effects.run(ref, effect, category, ask)

    async def recover(self, ref: CallRef, ask: Ask) -> ToolResult | None:
        """Return what a call begun before came to."""
        return await self.effects.recover(ref, ask)

    def _only_reads(self, command: Command) -> bool:
        if command.background:
            return False
        if not command.by_graph:
            return command.category in ("read", "shell-safe")
        from .shell_line import only_reads  # late: a run without commands goes without

        return only_reads(command, self.workspace)

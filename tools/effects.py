"""Effects: the one place where a tool call's effect is decided, asked for, journaled and applied.

Called for every tool call through `run_call`; implements core.ports.EffectRunner.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, assert_never

from ..core.effects import Command, Effect, FileWrite, Nothing, Spawn, ToolResult
from ..core.errors import ToolError
from ..core.ports import Ask, Blobs, CallRef, CommandOutcome, Journal, JournalEntry, Sandbox, Spawner
from ..core.questions import Answer, Question
from .output import cut_middle, printed_text
from .paths import read_inside, remove_leftover, replace_file
from .permissions import Decision, approval_question, decide, grant_for
from .showing import show_effect

_MAX_STALE = 2
"""Answers to an earlier question that LangGraph may give first: the stored one, and a resume value given again."""

OnDecision = Callable[[CallRef, Effect, Decision], None]
"""Told of every verdict before it is acted on."""


class Grants(Protocol):
    """What a person allowed for the rest of the run; a set will do."""

    def __contains__(self, grant: object, /) -> bool: ...

    def add(self, grant: str, /) -> None: ...


class Effects:
    """Applies effects in one workspace.

    Calls that only read may run side by side. Writes take turns here, so that a write never lands between the check
    and the rename of another one; calls of one reply that change something are run in their order by the agent loop.

    Args:
        workspace: absolute, resolved.
        mode: plan, ask, auto-edit or auto.
        output_bytes: how much of a command's output the model reads, in bytes of UTF-8.
        on_decision: told of every verdict; None = nobody is.
    """

    def __init__(
        self,
        workspace: Path,
        sandbox: Sandbox,
        journal: Journal,
        blobs: Blobs,
        mode: str,
        grants: Grants,
        output_bytes: int,
        spawner: Spawner,
        on_decision: OnDecision | None = None,
    ) -> None:
        self._workspace = workspace
        self._sandbox = sandbox
        self._journal = journal
        self._blobs = blobs
        self._mode = mode
        self._grants = grants
        self._output_bytes = output_bytes
        self._spawner = spawner
        self._on_decision = on_decision
        self._writing = asyncio.Lock()

    async def run(self, ref: CallRef, effect: Effect, category: str, ask: Ask) -> ToolResult:
        """Return what the effect came to; a refusal by policy or by a person is a failed result.

        A call that was begun before is finished, never done twice. Whatever `ask` raises passes through, and nothing
        is journaled or changed before it has answered.

        Raises:
            ToolError: a file changed since the write was planned, or a sub-agent is not to be had.
            OSError: a file can not be read or written.
        """
        if isinstance(effect, Nothing):
            return effect.result
        if (earlier := await self.recover(ref, ask)) is not None:
            return earlier
        if refused := self._refusal(ref, effect, category, ask):
            return ToolResult(refused, failed=True)
        match effect:
            case FileWrite():
                return await self._write(ref, effect)
            case Command():
                self._journal.begin(ref, effect, None)
                return await self._command(ref, effect)
            case Spawn():
                report = await self._spawner.spawn(ref.agent, ref.call_id, effect.task, effect.tools)
                return ToolResult(report)
            case _:
                assert_never(effect)

    async def recover(self, ref: CallRef, ask: Ask) -> ToolResult | None:
        """Return what a call that was begun before came to, finishing it first; None = it was never begun.

        A write is finished when the file is as it was before or after it; otherwise a person decides. Whether a
        command ran to its end is not known, so a person decides, unless it only reads.

        Raises:
            OSError: a file can not be read or written.
        """
        entry = self._journal.find(ref)
        if entry is None:
            return None
        if entry.result is not None:
            return entry.result
        if isinstance(entry.effect, FileWrite):
            return await self._recover_write(entry, entry.effect, ask)
        return await self._recover_command(entry, entry.effect, ask)

    def _refusal(self, ref: CallRef, effect: Effect, category: str, ask: Ask) -> str:
        """Return why the effect must not happen; "" = it may."""
        decision = decide(effect, category, self._mode, self._grants)
        if self._on_decision is not None:
            self._on_decision(ref, effect, decision)
        if decision.verdict != "ask" or not isinstance(effect, (FileWrite, Command)):
            return decision.reason if decision.verdict == "deny" else ""
        before = read_inside(self._workspace, effect.path) if isinstance(effect, FileWrite) else None
        answer = _asked(approval_question(effect, ref.agent, before), ask)
        if answer.choice == "no":
            return "The user declined this" + (f": {answer.reason}" if answer.reason else ". Ask what to do instead.")
        if answer.choice == "always":
            self._grants.add(grant_for(effect))
        return ""

    async def _write(self, ref: CallRef, effect: FileWrite) -> ToolResult:
        async with self._writing:
            before = await asyncio.to_thread(read_inside, self._workspace, effect.path)
            if _sha(before) != effect.pre_sha:
                raise ToolError(f"{effect.path} changed since it was read; nothing was written. Read it again.")
            self._journal.begin(ref, effect, before)
            return await self._put(ref, effect)

    async def _put(self, ref: CallRef, effect: FileWrite) -> ToolResult:
        await asyncio.to_thread(replace_file, self._workspace, effect.path, effect.post)
        return self._finish(ref, _written(effect))

    def _finish(self, ref: CallRef, result: ToolResult) -> ToolResult:
        self._journal.finish(ref, result)
        return result

    async def _recover_write(self, entry: JournalEntry, effect: FileWrite, ask: Ask) -> ToolResult:
        async with self._writing:
            now = await asyncio.to_thread(read_inside, self._workspace, effect.path)
            if now == effect.post:
                return self._finish(entry.ref, _written(effect))
            if _sha(now) == effect.pre_sha:
                return await self._put(entry.ref, effect)
            shown = show_effect(effect, now)
            text = (
                f"The run was stopped while it wrote {effect.path}, and the file has been changed since. "
                f"Keep it as it is now, or apply this?\n{shown.body}"
            )
            answer = _asked(Question("recovery", entry.ref.agent, text, ("keep", "apply"), shown.payload), ask)
            if answer.choice == "apply":
                return await self._put(entry.ref, effect)
            await asyncio.to_thread(remove_leftover, self._workspace, effect.path, effect.post)
            kept = f"{effect.path} was changed by someone else and kept; your change was not written. Read it again."
            return self._finish(entry.ref, ToolResult(kept, failed=True))

    async def _recover_command(self, entry: JournalEntry, command: Command, ask: Ask) -> ToolResult:
        if command.category != "read":
            shown = show_effect(command, None)
            text = (
                "The run was stopped while this command ran; whether it came to its end is not known. "
                f"Run it again, or skip it?\n{shown.body}"
            )
            answer = _asked(Question("recovery", entry.ref.agent, text, ("rerun", "skip"), shown.payload), ask)
            if answer.choice == "skip":
                skipped = "The run was stopped while this ran; it was not run again. Check what it has done."
                return self._finish(entry.ref, ToolResult(skipped, failed=True))
        return await self._command(entry.ref, command)

    async def _command(self, ref: CallRef, command: Command) -> ToolResult:
        try:
            outcome = await self._sandbox.run(command, self._workspace)
        except ToolError as err:
            return self._finish(ref, ToolResult(str(err), failed=True))
        return self._finish(ref, self._command_result(command, outcome))

    def _command_result(self, command: Command, outcome: CommandOutcome) -> ToolResult:
        whole = printed_text(outcome.output)
        shown = cut_middle(whole, self._output_bytes)
        if outcome.timed_out:
            status = f"timed out after {command.timeout_s:g} s\n"
        else:
            status = f"exit code {outcome.exit_code}\n" if outcome.exit_code else ""
        return ToolResult(
            text=status + (shown.rstrip("\n") or "(no output)"),
            failed=outcome.timed_out or outcome.exit_code != 0,
            exit_code=outcome.exit_code,
            full_output=self._blobs.put(outcome.output) if shown != whole else "",
        )


def _written(effect: FileWrite) -> ToolResult:
    return ToolResult(effect.summary, files=(effect.path,))


def _sha(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _asked(question: Question, ask: Ask) -> Answer:
    """Return the answer to this very question.

    A call that goes on after a kill is asked again from its top, and what comes first then may be the answer to an
    earlier question of it (the approval before a recovery): such answers are passed over.

    Raises:
        ValueError: the answers are none of the choices.
    """
    for _ in range(_MAX_STALE + 1):
        answer = ask(question)
        if answer.choice in question.choices:
            return answer
    raise ValueError(f"{answer.choice!r} is no answer to a question with the choices {question.choices}")

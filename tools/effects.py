"""Effects: the one place where a tool call's effect is decided, asked for, journaled and applied.

Called for every tool call through `run_call`; implements core.ports.EffectRunner.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

from ..configs.rules import CommandRules, Rule, RuleDecision
from ..core.effects import Command, Effect, FileWrite, Nothing, Spawn, StopJob, ToolResult
from ..core.errors import ToolError
from ..core.events import Decided
from ..core.masking import SecretMask
from ..core.ports import Ask, Blobs, CallRef, CommandOutcome, Decisions, Journal, JournalEntry, Sandbox, Spawner
from ..core.questions import Answer, Question
from .asking import answer_to
from .background_jobs import BackgroundJobs
from .command_result import command_result
from .job_files import has_begun, job_folder
from .jobs import make_job, remove_job
from .masked import masked_question, refusal_of_placeholder
from .network import NetworkVerdict, network_on
from .output import OutputLimit, cut_middle, printed_text
from .paths import read_inside, remove_leftover, replace_file
from .permissions import Confinement, Decision, approval_question, decide, grants_for, reach_of
from .showing import short_line, show_effect

if TYPE_CHECKING:
    from .shell_policy import CommandVerdict

_MAX_ATTEMPTS = 3
"""How often a command is begun that is cut short each time; the later times only where nobody has to be asked."""
_CUT_OUTPUT_BYTES = 2_000
"""How much a person reads of what a command printed until it was cut short."""

BeforeCommand = Callable[[CallRef, Command], Awaitable[None]]
"""Called once a command that may change something is journaled, right before it starts; what it raises stops it."""

Restore = Callable[[CallRef], Awaitable[bool]]
"""Puts the workspace back to what it was before the call's command began; False = that can not be done."""

AfterWrite = Callable[[FileWrite], None]
"""Called once a file is written, in a thread; again for the same write where a kill came before its end was noted."""


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
        jobs: folder for the jobs of commands, the same one after a resume; made when needed.
        mode: plan, ask, auto-edit or auto.
        output_bytes: how much of a command's output the model reads, in bytes of UTF-8; `showing` sets it anew.
        decisions: told of every verdict, and says when nothing more may happen unasked; None = nobody counts.
        after_write: as AfterWrite says; None = nothing is done.
        before_command: takes a snapshot; None = nothing does.
        restore: goes back to that snapshot; None = nothing does, and a person is asked in its place.
        rules: for commands, of the settings; `within` adds those of a graph.
        network: True when the settings give every command the network.
        confinement: as for `decide`.
        require_ours: called right before a file is replaced or restored and before a command starts; raises when the
            run is another process's by now. None = nobody else can have it.
        secrets: masks questions, and what commands print and sub-agents report.
        background: the run's commands in the background; None = there can be none.
    """

    def __init__(
        self,
        workspace: Path,
        sandbox: Sandbox,
        journal: Journal,
        blobs: Blobs,
        jobs: Path,
        mode: str,
        grants: Grants,
        output_bytes: int,
        spawner: Spawner,
        decisions: Decisions | None = None,
        before_command: BeforeCommand | None = None,
        restore: Restore | None = None,
        require_ours: Callable[[], None] | None = None,
        secrets: SecretMask | None = None,
        rules: Sequence[Rule] = (),
        network: bool = False,
        confinement: Confinement = "full",
        background: BackgroundJobs | None = None,
        after_write: AfterWrite | None = None,
    ) -> None:
        self._workspace = workspace
        self._sandbox = sandbox
        self._journal = journal
        self._blobs = blobs
        self._jobs = jobs
        self._mode = mode
        self._grants = grants
        self._limit = OutputLimit(output_bytes)
        self._spawner = spawner
        self._decisions = decisions
        self._before_command = before_command
        self._restore = restore
        self._require_ours = require_ours or (lambda: None)
        self._secrets = secrets or SecretMask()
        self._held = CommandRules(tuple(rules), open_network=network)
        self._confinement = confinement
        self._background = background
        self._after_write = after_write or (lambda effect: None)
        self._writing = asyncio.Lock()

    def within(self, permissions: Mapping[str, RuleDecision], network: bool | None) -> Effects:
        """Return this runner held to more rules, which were checked before; see core.ports.EffectRunner."""
        return self._changed(_held=self._held.adding(permissions, network))

    def showing(self, output_bytes: int, reader: str) -> Effects:
        """Return this runner with another limit for what commands print; see core.ports.EffectRunner."""
        return self._changed(_limit=OutputLimit(output_bytes, reader))

    def asking(self) -> Effects:
        """Return this runner in mode ask, if it is not stricter; see core.ports.EffectRunner."""
        return self if self._mode == "plan" else self._changed(_mode="ask")

    def moved(self, workspace: Path, journal: Journal, spawner: Spawner) -> Effects:
        """Return this runner for another folder; see core.ports.EffectRunner."""
        moved = self._changed(_workspace=workspace, _journal=journal, _spawner=spawner, _writing=asyncio.Lock())
        return moved._changed(_before_command=None, _restore=None, _after_write=lambda effect: None)

    def _changed(self, **parts: object) -> Effects:
        vars(other := copy.copy(self)).update(parts)
        return other

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
        network = network_on(effect, self._held, self._workspace)
        if isinstance(effect, Command):
            effect = replace(effect, network=network.on)
            if refused := refusal_of_placeholder(effect):
                return ToolResult(refused, failed=True)
        if refused := self._refusal(ref, effect, category, ask, network):
            return ToolResult(refused, failed=True, denied=True)
        match effect:
            case FileWrite():
                return await self._write(ref, effect)
            case Command():
                return await self._command(ref, effect, ask)
            case StopJob(number):
                return await asyncio.to_thread(self._jobs_in_background().stop, number)
            case Spawn():
                report = await self._spawner.spawn(ref.agent, ref.call_id, effect.task, effect.tools, self)
                return ToolResult(self._secrets.mask(report))
            case _:
                assert_never(effect)

    async def recover(self, ref: CallRef, ask: Ask) -> ToolResult | None:
        """Return what a call that was begun before came to, finishing it first; None = it was never begun.

        A write is finished when the file is as it was before or after it; otherwise a person decides. A command goes
        on without the run: its result is taken when it has one, and waited for while it runs. One that was itself cut
        short, with its machine or by a stop, is run again when it only reads or can be undone; otherwise a person
        decides.

        Raises:
            OSError: a file can not be read or written.
        """
        entry = self._journal.find(ref)
        if entry is None:
            return None
        if entry.result is not None:
            self._remove_jobs(ref, entry.effect)
            return entry.result
        if isinstance(entry.effect, FileWrite):
            return await self._recover_write(entry, entry.effect, ask)
        return await self._command(ref, entry.effect, ask)

    def _refusal(self, ref: CallRef, effect: Effect, category: str, ask: Ask, network: NetworkVerdict) -> str:
        """Return why the effect must not happen; "" = it may."""
        shell = self._shell_verdict(effect)
        decision = self._decision(ref, effect, category, shell, network)
        if decision.verdict != "ask" or not isinstance(effect, (FileWrite, Command)):
            return decision.reason if decision.verdict == "deny" else ""
        before = read_inside(self._workspace, effect.path) if isinstance(effect, FileWrite) else None
        question = approval_question(effect, ref.agent, before, shell, decision.reason, by_rule=decision.by_rule)
        answer = self._asked(question, ask)
        if answer.choice == "no" and isinstance(effect, FileWrite) and effect.review == "conflict":
            return f"{effect.path} was changed by someone else where you edit it; nothing was written. Read it again."
        if answer.choice == "no":
            return "The user declined this" + (f": {answer.reason}" if answer.reason else ". Ask what to do instead.")
        if answer.choice == "always":
            for grant in grants_for(effect, shell):
                self._grants.add(grant)
        return ""

    def _decision(
        self, ref: CallRef, effect: Effect, category: str, shell: CommandVerdict | None, network: NetworkVerdict
    ) -> Decision:
        decision = decide(
            effect, category, self._mode, self._grants, shell, confinement=self._confinement, network=network
        )
        if self._decisions is None or not isinstance(effect, (FileWrite, Command)):
            return decision
        if decision.unasked and (why := self._decisions.used_up()):
            decision = Decision("ask", why)
        what = effect.path if isinstance(effect, FileWrite) else short_line(effect)
        reach = reach_of(effect, category, shell)
        decided = Decided(ref.call_id, what, reach, decision.verdict, decision.reason, decision.unasked)
        self._decisions.tell(ref, decided)
        return decision

    def _shell_verdict(self, effect: Effect) -> CommandVerdict | None:
        """Return what the shell policy says of a command; None = it has no say."""
        if not isinstance(effect, Command):
            return None
        from .shell_line import verdict_on  # late: a run without commands goes without

        return verdict_on(effect, self._held.rules, self._workspace)

    async def _write(self, ref: CallRef, effect: FileWrite) -> ToolResult:
        async with self._writing:
            if self._background is not None and self._sandbox.kind == "bubblewrap":
                self._background.refuse_guarded(self._workspace, effect.path)
            before = await asyncio.to_thread(read_inside, self._workspace, effect.path)
            if _sha(before) != effect.pre_sha:
                raise ToolError(f"{effect.path} changed since it was read; nothing was written. Read it again.")
            self._journal.begin(ref, effect, before)
            return await self._put(ref, effect)

    async def _put(self, ref: CallRef, effect: FileWrite) -> ToolResult:
        await asyncio.to_thread(self._replace, effect)
        return await self._end_write(ref, effect)

    async def _end_write(self, ref: CallRef, effect: FileWrite) -> ToolResult:
        await asyncio.to_thread(self._after_write, effect)
        return self._finish(ref, _written(effect))

    def _replace(self, effect: FileWrite) -> None:
        self._require_ours()
        replace_file(self._workspace, effect.path, effect.post)

    def _finish(self, ref: CallRef, result: ToolResult) -> ToolResult:
        self._journal.finish(ref, result)
        return result

    async def _recover_write(self, entry: JournalEntry, effect: FileWrite, ask: Ask) -> ToolResult:
        async with self._writing:
            now = await asyncio.to_thread(read_inside, self._workspace, effect.path)
            if now == effect.post:
                return await self._end_write(entry.ref, effect)
            if _sha(now) == effect.pre_sha:
                return await self._put(entry.ref, effect)
            shown = show_effect(effect, now)
            text = (
                f"The run was stopped while it wrote {effect.path}, and the file has been changed since. "
                f"Keep it as it is now, or apply this?\n{shown.body}"
            )
            answer = self._asked(Question("recovery", entry.ref.agent, text, ("keep", "apply"), shown.payload), ask)
            if answer.choice == "apply":
                return await self._put(entry.ref, effect)
            await asyncio.to_thread(remove_leftover, self._workspace, effect.path, effect.post)
            kept = f"{effect.path} was changed by someone else and kept; your change was not written. Read it again."
            return self._finish(entry.ref, ToolResult(kept, failed=True))

    async def _command(self, ref: CallRef, command: Command, ask: Ask) -> ToolResult:
        try:
            if command.background:
                result = await self._begin(ref, command)
            else:
                outcome = await self._outcome(ref, command, ask)
                result = command_result(command, outcome, self._limit, self._secrets, self._blobs)
        except ToolError as err:
            result = ToolResult(self._secrets.mask(str(err)), failed=True)
            if self._journal.find(ref) is None:
                return result
        self._finish(ref, result)
        self._remove_jobs(ref, command)
        return result

    async def _begin(self, ref: CallRef, command: Command) -> ToolResult:
        """Begin a command in the background unless it was begun before; return what it has come to so far."""
        background = self._jobs_in_background()
        job = background.place(ref, command)
        self._journal.begin(ref, command, None)
        await self._snapshot(ref, command, job)
        self._require_ours()
        await self._sandbox.start(command, self._workspace, job)
        return await background.first_look(job)

    def _jobs_in_background(self) -> BackgroundJobs:
        if self._background is None:
            raise ToolError("nothing can run in the background here.")
        return self._background

    async def _snapshot(self, ref: CallRef, command: Command, job: Path) -> None:
        if self._before_command is not None and not has_begun(job) and not self._only_reads(command):
            await self._before_command(ref, command)

    async def _outcome(self, ref: CallRef, command: Command, ask: Ask) -> CommandOutcome:
        """Return what the command came to, by whichever process and attempt."""
        for attempt in itertools.count(1):
            job = job_folder(self._jobs, ref, attempt)
            # The folder comes before the journal's row and goes after its result: a process that was halted between
            # them and wakes up late finds it gone, and begins nothing that another one has finished meanwhile.
            make_job(job)
            self._journal.begin(ref, command, None)
            if attempt == 1:
                await self._snapshot(ref, command, job)
            self._require_ours()
            outcome = await self._sandbox.run(command, self._workspace, job)
            if outcome.ended or not await self._runs_again(ref, command, attempt, outcome, ask):
                return outcome
        raise AssertionError("attempts never end")

    async def _runs_again(
        self, ref: CallRef, command: Command, attempt: int, outcome: CommandOutcome, ask: Ask
    ) -> bool:
        """Decide about a command that was cut short."""
        if attempt == _MAX_ATTEMPTS:
            return False
        if self._only_reads(command) or job_folder(self._jobs, ref, attempt + 1).exists():  # decided before a kill
            return True
        self._require_ours()
        # Elsewhere more may have happened than a snapshot of the workspace can undo; beside a job, too much would be.
        is_beside = self._background is not None and self._background.ran_beside(job_folder(self._jobs, ref, attempt))
        is_undone = self._sandbox.kind == "bubblewrap" and not command.network and not is_beside
        if is_undone and self._restore is not None and await self._restore(ref):
            return True
        # LangGraph would give the same answer to a second question of this call.
        return attempt == 1 and self._asked_to_run_again(ref, command, outcome, ask)

    def _only_reads(self, command: Command) -> bool:
        if not command.by_graph:
            return command.category in ("read", "shell-safe")
        from .shell_line import only_reads  # late: a run without commands goes without

        return only_reads(command, self._workspace)

    def _asked_to_run_again(self, ref: CallRef, command: Command, outcome: CommandOutcome, ask: Ask) -> bool:
        shown = show_effect(command, None)
        whole = self._secrets.mask(printed_text(outcome.output))
        printed = cut_middle(whole, _CUT_OUTPUT_BYTES).strip()
        text = (
            "This command was cut short, and how far it came is not known. Run it again, or skip it?\n"
            f"{shown.body}" + (f"\nIt had printed:\n{printed}" if printed else "")
        )
        question = Question("recovery", ref.agent, text, ("rerun", "skip"), shown.payload)
        return self._asked(question, ask).choice == "rerun"

    def _asked(self, question: Question, ask: Ask) -> Answer:
        return answer_to(masked_question(question, self._secrets), ask)

    def _remove_jobs(self, ref: CallRef, effect: FileWrite | Command) -> None:
        if isinstance(effect, Command) and effect.background:
            return  # it may run, and its output is asked for
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            remove_job(job_folder(self._jobs, ref, attempt))


def _written(effect: FileWrite) -> ToolResult:
    return ToolResult(effect.summary, files=(effect.path,), seen={effect.path: _sha(effect.post) or ""})


def _sha(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()

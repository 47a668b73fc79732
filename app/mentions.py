"""What a person's inputs mention, read and run once when the run begins, and kept with it for every resume.

Only inputs that a person gave this run are looked at: no text of a model, a graph or a file names anything here. In a
text that was read from a file or a pipe, which others may have written, no command runs and no page is fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..context.attached import Attached, Attachment
from ..context.mentions import Mention, parse_mentions
from ..core.effects import ToolResult
from ..core.errors import Denied, FlowError, ToolError
from ..core.events import Decided, Noticed, QuestionAnswered, QuestionAsked, ToolEnded, ToolStarted
from ..core.masking import PLACEHOLDER, SecretMask
from ..core.messages import ToolCall
from ..core.ports import EventSink, TokenCounter
from ..core.questions import Answer, Question
from ..core.texts import visible
from ..core.tool import ToolContext
from ..nodes.deps import NodeDeps
from ..runs.blobs import BlobStore
from ..runs.journal import RunJournal
from ..runs.store import RunRow, RunStore
from ..tools.calls import run_call
from .context import Answerer
from .mentioned_facts import documents, git_changes, last_problems, last_terminal, run_before
from .mentioned_files import Found, MentionedFiles

AGENT = "task:mentions"
"""Names these calls and questions in the journal and the events; no node's name holds a colon."""

Origin = str
"""Where an input's text is from: "typed", or "read" from a file or a pipe; "shown" = it belongs to no run."""

_NOT_DONE = {
    "read": "this text was read from a file or a pipe; give it on the command line.",
    "shown": "it is run or fetched when a run begins.",
}
"""Why commands and pages of a text are let be, by its origin."""


@dataclass(frozen=True, slots=True)
class MentionParts:
    """What a run has when its mentions are looked at.

    Attributes:
        workspace: the folder that the run works in.
        answerer: asks a person; None comes back when nobody is there.
        private: whether pages of private addresses may be read.
    """

    workspace: Path
    row: RunRow
    store: RunStore
    sink: EventSink
    secrets: SecretMask
    deps: NodeDeps
    answerer: Answerer
    private: bool = False


class _Written(NamedTuple):
    """A mention as it was written, and what the text it stands in is."""

    mention: Mention
    text: str
    input: str
    origin: Origin


def texts_of(inputs: Mapping[str, Any], given: Mapping[str, Any], read: str) -> dict[str, Origin]:
    """Return which inputs are looked through: the texts that a person gave, not the graph's defaults.

    Args:
        inputs: as the graph takes them.
        given: names of what was given.
        read: the input whose text was read from a file or a pipe; "" = none was.
    """
    names = [name for name, value in inputs.items() if name in given and isinstance(value, str)]
    return {name: "read" if name == read else "typed" for name in names}


def attaches(row: RunRow) -> bool:
    """Tell whether something may be attached to the inputs of a run, or was."""
    return any(parse_mentions(text) for text in _texts(row).values())


def _texts(row: RunRow) -> dict[str, str]:
    """Return the inputs that are looked through; a run of an earlier version has none."""
    return {name: row.input[name] for name in row.options.get("texts", ()) if isinstance(row.input.get(name), str)}


async def attach_mentions(parts: MentionParts) -> None:
    """Give the run's agents what its inputs mention; read and told now, or kept from when the run began.

    Raises:
        Denied: a command or a page needs a person's word, and nobody can be asked.
        FlowError: it cannot be stored.
    """
    row, blobs = parts.row, BlobStore(parts.store.blobs_folder(parts.row.id))
    texts = _texts(row)
    kept = row.options.get("attached")
    if kept is not None:
        parts.deps.assembler.attach(Attached(tuple(Attachment.of_stored(each, blobs) for each in kept), texts))
        return
    written = [
        _Written(mention, text, name, row.options["texts"][name])
        for name, text in texts.items()
        for mention in parse_mentions(text)
    ]
    if not written:
        return
    items = await _Attaching(parts, blobs).all(written)
    options = {**parts.store.get_run(row.id).options, "attached": [item.stored(blobs) for item in items]}
    parts.store.update_run(row.id, options=options)
    if items:
        told = ", ".join(f"{item.name} ({item.tokens:,} tokens)" for item in items)
        parts.sink.emit("", Noticed(f"attached to the task: {told}"))
    parts.deps.assembler.attach(Attached(tuple(items), texts))


class _Attaching:
    """The mentions of one run, one after the other."""

    def __init__(self, parts: MentionParts, blobs: BlobStore) -> None:
        self._parts = parts
        self._blobs = blobs
        box = parts.deps.toolbox
        self._context = ToolContext(
            parts.workspace, blobs, box.retriever, offered=("bash",), seen={}, secrets=box.secrets, hooks=box.hooks
        )
        self._files = MentionedFiles(self._context, str(parts.row.options.get("start", ".")))
        self._counter: TokenCounter = parts.deps.assembler.counter

    async def all(self, written: list[_Written]) -> list[Attachment]:
        """Return what they name, each thing once, in the order in which it is mentioned first."""
        found: dict[str, Attachment] = {}
        for number, each in enumerate(written, start=1):
            # What was run or fetched for this task is not run or fetched for it again.
            done = {"command": f"!{each.mention.value}", "url": each.mention.value}.get(each.mention.kind)
            named = Found(done, "") if done in found else await self._found(each, number)
            if isinstance(named, str):
                self._tell(each, named)
                continue
            if (earlier := found.get(named.name)) is not None:
                inputs = tuple(dict.fromkeys((*earlier.inputs, each.input)))
                found[named.name] = replace(earlier, inputs=inputs)
                continue
            text = self._parts.secrets.mask(named.text)
            found[named.name] = Attachment(
                named.name,
                text,
                self._counter.count(text),
                (each.input,),
                named.seen,
                named.keep_end,
                named.spans,
            )
        return list(found.values())

    def _tell(self, written: _Written, why: str) -> None:
        """Tell in a line that a mention gives nothing; a run never fails for it."""
        if why:
            shown = written.text[written.mention.start : written.mention.end]
            self._parts.sink.emit("", Noticed(f"{visible(shown)} is not attached: {why}"))

    async def _found(self, written: _Written, number: int) -> Found | str:
        mention = written.mention
        if written.origin in _NOT_DONE and mention.kind in ("command", "url"):
            return _NOT_DONE[written.origin] if mention.is_clear else ""
        if mention.kind == "command":
            return await self._command(mention.value, f"c{number}")
        if mention.kind == "url":
            if PLACEHOLDER.match(written.text, mention.end):
                return "it holds a secret, which is sent to nobody."
            return await self._page(mention.value, f"u{number}")
        try:
            return await asyncio.to_thread(self._fact, mention)
        except FlowError as err:
            return err.message

    def _fact(self, mention: Mention) -> Found | str:
        parts = self._parts
        match mention.kind:
            case "git-changes":
                journal = RunJournal(parts.store, parts.row.id, self._blobs, parts.secrets)
                return git_changes(parts.workspace, journal, self._blobs, parts.secrets)
            case "problems":
                before = run_before(parts.store, parts.row)
                return last_problems(parts.store, before, parts.workspace, parts.secrets)
            case "terminal":
                return last_terminal(parts.store, run_before(parts.store, parts.row))
            case "docs":
                return documents(parts.deps.toolbox.retriever, mention.value)
            case _:
                return self._files.find(mention)

    async def _command(self, line: str, call_id: str) -> Found:
        """Run a command as the tool bash would for an agent; one that a kill cut short is finished."""
        parts, call = self._parts, ToolCall(call_id, "bash", {"command": line})
        specs = {"bash": parts.deps.toolbox.specs["bash"]}
        parts.sink.emit(AGENT, ToolStarted(call_id, "bash", line))
        parts.sink.progress(AGENT, "running command")
        loop = asyncio.get_running_loop()
        started = loop.time()
        effects = parts.deps.toolbox.effects
        result: ToolResult = await run_call(call, specs, self._context, effects, AGENT, self._ask(f"`{line}`"))
        parts.sink.emit(AGENT, ToolEnded(call_id, "bash", not result.failed, loop.time() - started, text=result.text))
        return Found(f"!{line}", result.text, keep_end=True)

    async def _page(self, url: str, call_id: str) -> Found | str:
        """Fetch a page once a person has said yes, or mode auto."""
        from ..tools.web_page import fetch_page  # late: it takes the whole HTTP client

        verdict = {"plan": "deny", "auto": "allow"}.get(str(self._parts.row.options["mode"]), "ask")
        reason = "an address in the task"
        self._parts.sink.emit(AGENT, Decided(call_id, url, "network", verdict, reason, verdict == "allow"))
        if verdict == "deny":
            return "this run is in plan mode, which does not use the network."
        if verdict == "ask":
            text = f"Fetch this page for the task? It goes to the server with your address.\nGET {visible(url)}"
            question = Question("approval", AGENT, text, ("yes", "no"), {"url": url})
            if self._ask(url)(question).choice == "no":
                return "you declined it."
        try:
            return Found(url, await fetch_page(url, private=self._parts.private))
        except ToolError as err:
            return str(err)

    def _ask(self, what: str) -> Callable[[Question], Answer]:
        """Return what puts a question now: there is no graph yet that could wait for an answer."""

        def ask(question: Question) -> Answer:
            digest = question.digest()[:12]
            sink = self._parts.sink
            sink.emit(AGENT, QuestionAsked(digest, question.kind, question.text, question.choices))
            given = self._parts.answerer(replace(question, id=digest))
            if given is None:
                raise Denied(
                    f"{what} in the task needs a person's yes, and nobody can be asked.",
                    hint="Leave it out, allow it by a rule, or run with --mode auto.",
                )
            sink.emit(AGENT, QuestionAnswered(digest, given.choice, given.by))
            return given

        return ask

"""Our client against llama-server itself, on a model whose words are noise: grammar, counts, cache, limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowloom.core.errors import NoRoom, ReplyCut
from flowloom.core.events import Phase
from flowloom.core.messages import CallKey, Message, ModelRequest, ToolCall, ToolDef
from flowloom.core.schemas import Plan, Review
from flowloom.llm.openai_compatible import OpenAIChat
from flowloom.llm.openai_wire import request_body, wire_messages
from flowloom.llm.preflight import measure_speed, preflight
from flowloom.llm.probe_openai import count_tokens
from flowloom.llm.read_reply import Calls, Text, read_reply
from flowloom.llm.roles import RoleGrammar
from flowloom.llm.structured import format_schema
from flowloom.llm.tokens import tool_json
from flowloom.llm.tools_in_text import with_tools_in_text

from .conftest import WINDOW, Engine, StartEngine

pytestmark = pytest.mark.engine

READ = ToolDef(
    "read_file",
    "Read a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["path"],
    },
)
GREP = ToolDef(
    "grep",
    "Search.",
    {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "where": {"type": "string", "enum": ["code", "docs"]}},
        "required": ["pattern", "where"],
    },
)
KINDS = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["approve", "revise", "差し戻し"]},
        "sure": {"type": "boolean"},
        "why": {"type": "string"},
        "parts": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        },
    },
    "required": ["verdict", "sure", "why", "parts"],
    "additionalProperties": False,
}
SYSTEM = Message("system", "You code.")
TALK = (
    Message("user", "合計を直して。Mend the total."),
    Message("assistant", "", (ToolCall("t0.0", "read_file", {"path": "a.py"}),)),
    Message("tool", "1|x = 1", call_id="t0.0", tool_name="read_file"),
)


def ask(*messages: Message, **options: Any) -> ModelRequest:
    return ModelRequest((SYSTEM, *(messages or TALK)), CallKey("code", 1, 0), **{"max_tokens": 400, **options})


def ignore(phase: Phase, amount: int, fault: str = "") -> None:
    """Take progress and do nothing."""


async def test_server_tells_its_window_its_version_and_that_its_template_takes_tools(engine: Engine) -> None:
    info, details = await engine.info(), await engine.details()
    assert (info.kind, info.models, bool(info.version)) == ("llama.cpp", ("tiny",), True)
    assert (details.context_length, sorted(details.capabilities)) == (WINDOW, ["completion", "tools"])


async def test_preflight_and_measurement_give_a_whole_record(engine: Engine) -> None:
    info = await engine.info()
    found = await measure_speed(info, await preflight(info, await engine.details(), WINDOW))
    assert (found.window, found.tools, found.schema) == (WINDOW, True, True)
    assert (found.prefill_per_s or 0) > 0 and (found.decode_per_s or 0) > 0
    # A vocabulary of single letters counts far more than is estimated, which the record has to tell.
    assert (found.token_ratio or 0) > 1


async def test_reply_held_to_a_schema_follows_it(chat: OpenAIChat) -> None:
    reply = await chat.complete(ask(schema=KINDS), ignore)
    value = json.loads(reply.text)
    assert set(value) == {"verdict", "sure", "why", "parts"}
    assert value["verdict"] in ("approve", "revise", "差し戻し") and isinstance(value["sure"], bool)
    assert isinstance(value["why"], str) and all(set(part) == {"name"} for part in value["parts"])


@pytest.mark.parametrize("kind", [Plan, Review])
async def test_schemas_of_plan_and_review_become_a_grammar(chat: OpenAIChat, kind: Any) -> None:
    reply = await chat.complete(ask(schema=format_schema(kind)), ignore)
    assert set(json.loads(reply.text)) <= set(kind.model_fields)


async def test_calls_in_text_are_held_to_the_tools(engine: Engine) -> None:
    chat = OpenAIChat(url=engine.url, model=engine.name, window=WINDOW, kind="llama.cpp", tools_in_text=True)
    reply = await chat.complete(ask(tools=(READ, GREP)), ignore)
    await chat.aclose()
    reading = read_reply(reply, (READ, GREP))
    assert isinstance(reading, (Calls, Text))
    assert set(json.loads(reply.text)) in ({"tool", "arguments"}, {"final"})


async def test_prompt_is_counted_as_the_servers_tokenizer_counts_it(engine: Engine, chat: OpenAIChat) -> None:
    request = ask(schema=KINDS)
    reply = await chat.complete(request, ignore)
    assert reply.usage.prompt_tokens == engine.tokens(engine.prompt(wire_messages(request.messages)))
    # Held to a grammar, a model may write in smaller pieces than its tokenizer would take.
    assert (reply.usage.completion_tokens or 0) >= engine.tokens(reply.text) - 1


async def test_whole_prompt_is_counted_before_it_is_sent_as_it_is_counted_then(chat: OpenAIChat) -> None:
    for options in ({"schema": KINDS}, {"tools": (READ, GREP)}, {}):
        request = ask(**options, max_tokens=2)
        counted = await chat.count(request)
        with pytest.raises(ReplyCut) as cut:
            await chat.complete(request, ignore)
        assert cut.value.usage is not None and counted == cut.value.usage.prompt_tokens, options


async def test_text_is_counted_by_the_models_own_pieces_and_bytes(engine: Engine) -> None:
    info = await engine.info()
    for text, count in (("日本", 6), ("return", 4), ("in the", 2), ("x = 1", 5)):
        assert await count_tokens(info, engine.name, text, 5.0, "") == count, text


async def test_what_was_computed_before_is_told_and_not_computed_again(engine: Engine, chat: OpenAIChat) -> None:
    question = Message("user", "A question that no other test asks.")
    first = await chat.complete(ask(question, schema=KINDS), ignore)
    again = await chat.complete(ask(question, schema=KINDS), ignore)
    grown = await chat.complete(
        ask(question, Message("assistant", first.text), Message("user", "And?"), schema=KINDS), ignore
    )
    prompt = first.usage.prompt_tokens or 0
    assert (first.usage.cached_tokens or 0) < prompt / 2
    assert (again.usage.cached_tokens or 0) >= prompt - 1
    assert prompt - 8 <= (grown.usage.cached_tokens or 0) < (grown.usage.prompt_tokens or 0)


async def test_output_limit_holds_and_a_cut_reply_is_not_used(chat: OpenAIChat) -> None:
    with pytest.raises(ReplyCut, match="limit of 5 tokens"):
        await chat.complete(ask(schema=KINDS, max_tokens=5), ignore)


async def test_prompt_beyond_the_window_is_one_clear_error(chat: OpenAIChat) -> None:
    with pytest.raises(NoRoom, match="does not fit the server's window") as caught:
        await chat.complete(ask(Message("user", "long " * WINDOW)), ignore)
    assert "models.num_ctx" in caught.value.hint and caught.value.window == WINDOW


async def test_progress_of_a_long_prompt_is_told(chat: OpenAIChat) -> None:
    phases: list[Phase] = []

    def note(phase: Phase, amount: int, fault: str = "") -> None:
        phases.append(phase)

    await chat.complete(ask(Message("user", "A long text. " * 200), schema=KINDS), note)
    assert "reading prompt" in phases and phases[-1] == "generating"


async def test_tools_and_their_results_are_taken_by_the_template(engine: Engine) -> None:
    prompt = engine.prompt(wire_messages([SYSTEM, *TALK]), tools=[tool_json(READ)])
    assert '[call] read_file {"path": "a.py"}\n[result] 1|x = 1\n[tools] [{' in prompt


GRAPH = """flow: 1
name: one
input: {task: {type: string, positional: true, required: true}}
state:
  review: {type: object}
output: {review: state.review}
nodes:
  ask: {type: agent, prompt: "{{ input.task }}", tools: [], output: {schema: Review, to: review}}
edges:
  - [START, ask]
  - [ask, END]
"""


def test_run_gets_a_structured_result_from_it(engine: Engine, flow: Any, make_repo: Any, tmp_path: Path) -> None:
    repo = make_repo({"a.py": "x = 1\n"})
    (tmp_path / "one.yaml").write_text(GRAPH)
    words = (
        "run",
        str(tmp_path / "one.yaml"),
        "合計は？",
        "-o",
        "json",
        "-c",
        "verify=",
        "-c",
        "models.max_tokens=1000",
    )
    done = flow(*words, cwd=repo, url=engine.url)
    assert done.code == 0, done.err
    review = json.loads(done.out)["output"]["review"]
    assert review["verdict"] in ("approve", "revise") and review["findings"] == []
    assert f"a window of {WINDOW:,} tokens" in done.err


# The templates that models are published with, and what each takes that was fitted to its family.
PUBLISHED: list[tuple[RoleGrammar, str]] = [
    ("mistral", "mistralai-Mistral-Nemo-Instruct-2407"),
    ("mistral", "Mistral-Small-3.2-24B-Instruct-2506"),
    ("mistral", "mistralai-Ministral-3-14B-Reasoning-2512"),
    ("llama", "meta-llama-Llama-3.3-70B-Instruct"),
    ("gemma", "google-gemma-2-2b-it"),
    ("", "google-gemma-4-31B-it"),
]
TWO = (ToolCall("t0.0", "read_file", {"path": "a.py"}), ToolCall("t0.1", "read_file", {"path": "b.py"}))
LONG_TALK = (
    SYSTEM,
    Message("user", "Mend it."),
    Message("user", "And well."),
    Message("assistant", "Both.", TWO),
    Message("tool", "1|x = 1", call_id="t0.0", tool_name="read_file"),
    Message("tool", "1|y = 2", call_id="t0.1", tool_name="read_file"),
    Message("assistant", "Done."),
    Message("user", "Again."),
)


@pytest.mark.parametrize(("family", "name"), PUBLISHED)
async def test_published_template_takes_a_conversation_fitted_to_its_family(
    start_engine: StartEngine, published: Path, family: RoleGrammar, name: str
) -> None:
    with start_engine("--chat-template-file", str(published / f"{name}.jinja")) as server:
        details = await server.details()
        assert ("tools" in details.capabilities) == (family != "gemma")
        assert details.grammar in ("", family)
        request = ModelRequest(LONG_TALK, CallKey("code", 1, 0), (READ, GREP))
        unfitted = server.post("/apply-template", {"messages": wire_messages(request.messages)})
        assert (unfitted.status_code >= 400) == bool(family)
        request = with_tools_in_text(request) if family == "gemma" else request
        body = request_body(request, model=server.name, kind="llama.cpp", grammar=family)
        prompt = server.prompt(body["messages"], **({"tools": body["tools"]} if request.tools else {}))
    for text in ("You code.", "Mend it.", "And well.", "a.py", "b.py", "x = 1", "y = 2", "Done.", "Again.", "grep"):
        assert text in prompt, text

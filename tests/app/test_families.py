"""Whole runs against servers that refuse what the chat templates of Mistral, Llama and Gemma refuse.

The rules are those of llm/roles.py. Where the published templates are at hand (`make test-engine` gets them), every
request is rendered by them too, and the rules are compared with them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from flowloom.app.models import role_grammar
from flowloom.llm.answers import Answer, Answers, Call, ChatRequest, Fault, Reply
from flowloom.llm.loopback import LoopbackServer
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.openai_server import OpenAIServer
from flowloom.llm.roles import RoleGrammar, role_fault
from flowloom.llm.server_info import ModelDetails

MODELS: dict[RoleGrammar, str] = {
    "mistral": "devstral-small-2:24b",
    "llama": "llama3.3:70b",
    "gemma": "gemma3:12b",
}
NO_TOOLS_ON_VLLM = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'

TEMPLATES: dict[RoleGrammar, tuple[str, ...]] = {
    "mistral": (
        "mistralai-Mistral-Nemo-Instruct-2407",
        "Mistral-Small-3.2-24B-Instruct-2506",
        "unsloth-mistral-Devstral-Small-2507",
        "mistralai-Ministral-3-14B-Reasoning-2512",
    ),
    "llama": ("meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.3-70B-Instruct"),
    "gemma": ("google-gemma-2-2b-it",),
}
"""Files of llama.cpp's models/templates, which are the models' own."""


# --- A run in which everything goes wrong once -------------------------------------------------------------------


class Script:
    """Answers one agent after another's own list, told apart by what the first user message holds."""

    def __init__(self, agents: Sequence[tuple[tuple[str, ...], list[Answer]]]) -> None:
        self._left = [(holds, list(answers)) for holds, answers in agents]
        self._lock = threading.Lock()

    @property
    def unused(self) -> list[tuple[str, ...]]:
        return [holds for holds, answers in self._left if answers]

    def __call__(self, request: ChatRequest) -> Answer:
        first = next(str(message["content"]) for message in request.messages if message["role"] == "user")
        for holds, answers in self._left:
            if all(text in first for text in holds):
                with self._lock:
                    return answers.pop(0) if answers else Fault("http", status=400, text=f"no more for {holds}")
        return Fault("http", status=400, text=f"no agent for {first[:300]}")


def call(name: str, **arguments: Any) -> Call:
    return Call(name, arguments)


def eventful(script: Any, shop: Any) -> list[tuple[tuple[str, ...], list[Answer]]]:
    """Return the shop's run with two calls in one message, unusable replies of each kind, a refused edit, a call made
    twice, a sub-agent, a Plan and a Review at the second attempt, and a repair."""
    look = call("read_file", path="shop/cart.py")
    broken = '<tool_call>\n{"name": "read_file", "arguments": {"path": "shop/label.py"\n</tool_call>'
    plan, revise = json.dumps(shop.plan), {"file": "shop/label.py", "line": 2, "text": "use upper()"}
    return [
        (
            (script.PLANNER,),
            [
                Reply("I look at both.", [look, call("grep", pattern="label")]),
                Fault("bad-arguments"),
                Reply("Now I know enough."),
                Reply('{"title": "Mend", "steps": []}'),
                Reply(plan),
            ],
        ),
        ((script.SUB_AGENT, "who calls label"), [Reply(calls=[call("grep", pattern="label")]), Reply("the test")]),
        (
            (script.CODER, "total(prices) adds up."),
            [
                Reply("", [call("edit_file", path="shop/cart.py", old_text="minimum(", new_text="sum(")]),
                Reply("I see.", [call("edit_file", path="shop/cart.py", old_text="max", new_text="sum")]),
                Reply("total adds up"),
            ],
        ),
        (
            (script.CODER, "label(name) returns capitals."),
            [
                Reply(broken),
                Reply(""),
                Reply(calls=[call("spawn_agent", task="who calls label", tools=["grep"])]),
                Reply(calls=[call("edit_file", path="shop/label.py", old_text="name\n", new_text="name.title()\n")]),
                Reply("label returns capitals"),
            ],
        ),
        (
            (script.CODER, "use upper()"),
            [
                Reply(calls=[call("edit_file", path="shop/label.py", old_text="title()", new_text="upper()")]),
                Reply("upper"),
            ],
        ),
        (
            (script.REVIEWER, "name.title()"),
            [
                Reply(calls=[look]),
                Reply("Once more.", [look]),
                Reply(json.dumps({"verdict": "revise", "findings": "all of it"})),
                Reply(json.dumps({"verdict": "revise", "findings": [revise]})),
            ],
        ),
        ((script.REVIEWER, "name.upper()"), [Reply(json.dumps({"verdict": "approve", "findings": []}))]),
    ]


def without_tools(
    agents: Sequence[tuple[tuple[str, ...], list[Answer]]],
) -> list[tuple[tuple[str, ...], list[Answer]]]:
    """Return the same run as a model gives it that can call one tool at a time, as JSON in its text."""

    def told(answer: Answer) -> Iterator[Answer]:
        if isinstance(answer, Fault):
            yield Reply('{"tool": "read_file", "arguments": {"path": ')
        elif isinstance(answer, Reply) and answer.calls:
            yield from (Reply(json.dumps({"tool": c.name, "arguments": c.arguments})) for c in answer.calls)
        else:
            yield answer

    return [(holds, [one for answer in answers for one in told(answer)]) for holds, answers in agents]


def wrapped(answers: Answers) -> Answers:
    """Put an answer that is held to the schema of an action into the form of that schema."""

    def answer(request: ChatRequest) -> Answer:
        found = answers(request)
        if not isinstance(found, Reply) or "anyOf" not in (request.body.get("format") or {}):
            return found
        if not found.text or found.text.startswith(("<", '{"tool"')):
            return found
        final = json.loads(found.text) if found.text.startswith("{") else found.text
        return Reply(json.dumps({"final": final}))

    return answer


def serve(api: str, family: RoleGrammar, answers: Answers) -> LoopbackServer:
    """Return a server of this kind with a model of this family, which refuses what its template refuses."""
    model, tools = MODELS[family], family != "gemma"
    if api == "ollama":
        capabilities = ("completion", "tools") if tools else ("completion",)
        return OllamaServer(answers, models=(model,), grammar=family, capabilities=capabilities)
    if api == "llama.cpp":
        caps = {"supports_tools": tools, "supports_tool_calls": tools}
        return OpenAIServer(answers, models=(model,), grammar=family, caps=caps)

    def tried(request: ChatRequest) -> Answer:
        refused = request.body.get("tools") and not tools
        return Fault("http", status=400, text=NO_TOOLS_ON_VLLM) if refused else Reply("Hi")

    return OpenAIServer(answers, kind="vllm", models=(model,), grammar=family, preflight=tried)


@pytest.fixture
def whole_run(shop: Any, script: Any) -> Callable[[str, RoleGrammar], LoopbackServer]:
    """Run plan-and-code to its end against such a server, which is returned."""

    def run(api: str, family: RoleGrammar) -> LoopbackServer:
        agents = eventful(script, shop)
        answers = Script(agents if family != "gemma" else without_tools(agents))
        with serve(api, family, answers if family != "gemma" else wrapped(answers)) as server:
            done = shop.run(server, "-q")
        assert (done.code, server.refused, answers.unused) == (0, [], []), done.err
        assert shop.is_green()
        return server

    return run


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize(
    "api", ["ollama", pytest.param("llama.cpp", marks=pytest.mark.slow), pytest.param("vllm", marks=pytest.mark.slow)]
)
def test_every_request_of_a_whole_run_is_accepted(whole_run: Any, api: str, family: RoleGrammar) -> None:
    server = whole_run(api, family)
    assert len(server.requests) >= 22
    assert any("tools" in request.body for request in server.requests) == (family != "gemma")
    if isinstance(server, OpenAIServer):
        assert all("num_ctx" not in json.dumps(body) for body in server.bodies)


@pytest.mark.parametrize(("tools", "grammar"), [({"completion"}, "gemma"), ({"completion", "tools"}, "")])
def test_gemma_that_takes_tools_is_sent_system_and_tool_messages(tools: set[str], grammar: str) -> None:
    details = ModelDetails(
        name="gemma-x:26b", context_length=131072, capabilities=frozenset(tools), family="gemma4", grammar=""
    )
    assert role_grammar(details) == grammar


# --- The published templates -------------------------------------------------------------------------------------


def said(role: str, content: str = "x", *calls: str, call_id: str = "") -> dict[str, Any]:
    """Return a message as OpenAI's API has it, with calls of these ids."""
    message: dict[str, Any] = {"role": role, "content": content}
    if calls:
        function = {"name": "read_file", "arguments": '{"path": "a"}'}
        message["tool_calls"] = [{"id": one, "type": "function", "function": function} for one in calls]
    return {**message, "tool_call_id": call_id} if call_id else message


USER, CALL, RESULT = said("user"), said("assistant", "", "call00000"), said("tool", call_id="call00000")
REFUSED: dict[str, tuple[list[dict[str, Any]], set[RoleGrammar]]] = {
    "one question": ([USER], set()),
    "a system message": ([said("system"), USER], {"gemma"}),
    "a conversation": ([USER, said("assistant"), USER], set()),
    "two user messages in a row": ([USER, USER], {"mistral", "gemma"}),
    "two answers in a row": ([USER, said("assistant"), said("assistant"), USER], {"mistral", "gemma"}),
    "a call and its result": ([USER, CALL, RESULT], {"gemma"}),
    "a user message after a result": ([USER, CALL, RESULT, USER], {"mistral", "gemma"}),
    "two calls in a message": (
        [USER, said("assistant", "", "call00000", "call00001"), RESULT, said("tool", call_id="call00001")],
        {"llama", "gemma"},
    ),
    "a call named in another length": (
        [USER, said("assistant", "", "call_1"), said("tool", call_id="call_1")],
        {"mistral", "gemma"},
    ),
    "an empty answer": ([USER, said("assistant", ""), USER], {"mistral"}),
}
"""Conversations, and the families of which at least one published template refuses them."""


@pytest.mark.parametrize("name", REFUSED)
def test_test_server_refuses_what_a_published_template_refuses(name: str) -> None:
    messages, families = REFUSED[name]
    for family in families:
        server = OpenAIServer(lambda request: Reply(), grammar=family)
        assert role_fault(messages, family) or server.call_id_fault({"messages": messages}), family


def templates(family: RoleGrammar) -> dict[str, Template]:
    """Return the family's published templates by name."""
    folder = Path(os.environ.get("CHAT_TEMPLATES") or "none")
    if not folder.is_dir():
        pytest.skip("no published chat templates here: `make test-engine` gets them")
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: "2026-01-01"}
    return {
        name: environment.from_string((folder / f"{name}.jinja").read_text("utf-8")) for name in TEMPLATES[family]
    }


def refuse(text: str) -> None:
    raise TemplateError(text)


def refusal(template: Template, body: dict[str, Any]) -> str:
    """Return what the template refuses a request for, "" when it takes it."""
    words: dict[str, Any] = {"add_generation_prompt": True, "bos_token": "", "eos_token": ""}
    if body.get("tools"):
        words["tools"] = body["tools"]
    try:
        template.render(messages=list(map(with_objects, body["messages"])), **words)
    except TemplateError as err:
        return str(err)
    return ""


def with_objects(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message with the arguments of its calls as objects, as servers hand them to a template."""
    if "tool_calls" not in message:
        return message
    functions = [dict(call["function"]) for call in message["tool_calls"]]
    for function in functions:
        function["arguments"] = json.loads(function["arguments"])
    pairs = zip(message["tool_calls"], functions, strict=True)
    return {**message, "tool_calls": [{**call, "function": function} for call, function in pairs]}


@pytest.mark.engine
@pytest.mark.parametrize("name", REFUSED)
def test_published_templates_refuse_just_that(name: str) -> None:
    messages, families = REFUSED[name]
    found = {family: templates(family).values() for family in MODELS}
    assert {f for f, known in found.items() if any(refusal(one, {"messages": messages}) for one in known)} == families


@pytest.mark.engine
@pytest.mark.parametrize("family", MODELS)
def test_published_templates_take_every_request_of_a_whole_run(whole_run: Any, family: RoleGrammar) -> None:
    known = templates(family)
    server = whole_run("llama.cpp", family)
    faults = {name: {refusal(one, body) for body in server.bodies} for name, one in known.items()}
    assert faults == {name: {""} for name in known}

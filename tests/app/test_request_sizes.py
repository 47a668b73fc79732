"""What an agent costs before its work begins, counted on the requests of a real run with a Japanese task."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rs_bpe.bpe import openai

from flowloom.llm.answers import Answers, ChatRequest
from flowloom.llm.ollama_server import OllamaServer
from flowloom.llm.tokens import EstimatingCounter

MARGIN = 1.1
"""What another tokenizer may count above cl100k."""
ROLES = ("PLANNER", "CODER", "REVIEWER", "SUB_AGENT")
MAP_AND_CODE = {"PLANNER": (2000, 2000), "CODER": (1000, 3000), "REVIEWER": (500, 1000), "SUB_AGENT": (1000, 1000)}
"""Tokens of each role's map and code in the shipped graphs."""


@dataclass(frozen=True)
class Start:
    """The first request of one agent."""

    role: str
    request: ChatRequest

    @property
    def first_user_text(self) -> str:
        return next(str(message["content"]) for message in self.request.messages if message["role"] == "user")

    @property
    def system_text(self) -> str:
        return "".join(str(m["content"]) for m in self.request.messages if m["role"] == "system")

    @property
    def role_text(self) -> str:
        return re.split(r"^<\w+>$", self.first_user_text, maxsplit=1, flags=re.MULTILINE)[0]

    @property
    def tools(self) -> list[dict[str, Any]]:
        return list(self.request.body["tools"])

    def block(self, tag: str) -> str:
        return self.first_user_text.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0]


def cl100k(text: str) -> float:
    return float(openai.cl100k_base().count(text)) * MARGIN


def wire(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def describe_all(tools: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the description of every tool and of every argument."""
    for tool in tools:
        yield tool["function"]["description"]
        for argument in tool["function"]["parameters"]["properties"].values():
            yield argument.get("description", "")


def add_modules(repo: Path, count: int) -> None:
    """Commit so many modules about totals and labels that no budget holds them all."""
    for at in range(count):
        functions = "\n\n".join(
            f'def total_{name}_{at}(prices, label):\n    """{name} の合計 total() を label ごとに返す。"""\n'
            f"    return sum(price for price in prices if price.label == label) + {at}\n"
            for name in ("net", "gross", "tax", "shipping", "refund", "gift", "points", "deposit")
        )
        (repo / "shop" / f"total_{at}.py").write_text(functions, "utf-8")
    for words in (["add", "-A"], ["commit", "-q", "-m", "more"]):
        subprocess.run(["git", *words], cwd=repo, check=True)


@pytest.fixture
def answers(shop: Any, script: Any) -> Answers:
    """One step that mends all, made by a coder with a sub-agent that has the tools of its preset."""
    agent, reply, call = script.Agent, script.Reply, script.call
    step = {
        "id": "all",
        "title": "Mend the shop",
        "brief": "合計 total() と label を直す。",
        "files": ["shop/cart.py"],
    }
    made: Answers = script.conversation(
        agent((script.PLANNER,), [reply(json.dumps({"title": "Mend the shop", "steps": [step]}))]),
        agent((script.SUB_AGENT,), [reply("only the test")]),
        agent(
            (script.CODER,),
            [
                call("spawn_agent", task="label と total を呼ぶ所を探す"),
                call("edit_file", path="shop/cart.py", old_text="max", new_text="sum"),
                call("edit_file", path="shop/label.py", old_text="return name", new_text="return name.upper()"),
                reply("mended"),
            ],
        ),
        agent((script.REVIEWER,), [reply('{"verdict": "approve", "findings": []}')]),
    )
    return made


@pytest.fixture
def starts(shop: Any, answers: Answers, script: Any) -> list[Start]:
    """Run plan-and-code over the wire; return how each of its agents starts."""
    add_modules(shop.repo, 60)
    with OllamaServer(answers) as server:
        done = shop.run(server)
    assert done.code == 0, done.err
    texts = {role: getattr(script, role) for role in ROLES}
    found = []
    for request in server.requests:
        if not any(message["role"] == "assistant" for message in request.messages):
            first = str(request.messages[1]["content"])
            found.append(Start(next(role for role, text in texts.items() if first.startswith(text)), request))
    assert {start.role for start in found} == set(ROLES)
    return found


def test_system_text_role_text_and_tools_of_every_agent_stay_within_1500_tokens(starts: list[Start]) -> None:
    assert all(start.tools for start in starts)
    sizes = {start.role: cl100k(start.system_text + start.role_text + wire(start.tools)) for start in starts}
    assert max(sizes.values()) <= 1500, sizes


def test_descriptions_of_an_agents_tools_stay_within_150_tokens_and_with_schemas_within_700(
    starts: list[Start],
) -> None:
    descriptions = {start.role: sum(map(cl100k, describe_all(start.tools))) for start in starts}
    whole = {start.role: cl100k(wire(start.tools)) for start in starts}
    assert max(descriptions.values()) <= 150, descriptions
    assert max(whole.values()) <= 700, whole


def test_map_and_code_fill_their_budgets_and_stay_within_them_by_both_counts(starts: list[Start]) -> None:
    counter = EstimatingCounter()
    for start in starts:
        for tag, budget in zip(("repo_map", "code"), MAP_AND_CODE[start.role], strict=True):
            text = start.block(tag)
            assert budget / 2 < counter.count(text) <= budget, (start.role, tag)
            assert cl100k(text) <= budget, (start.role, tag)

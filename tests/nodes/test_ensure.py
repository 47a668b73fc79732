"""What a model's answer is held to beside its form: inline schemas, and `ensure`, which goes back to it once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowloom.core.errors import RunFailed
from flowloom.llm.answers import Reply

LLM = "type: llm, prompt: ask"
QUERIES = "{type: array, items: {type: string}, minItems: 1, maxItems: 2}"
HITS = [{"id": "d1"}, {"id": "d2"}]


def answer(*cites: str) -> str:
    return json.dumps({"text": "So.", "cites": list(cites), "enough": True})


def asked(run: Any) -> str:
    content = run.conversation()[-1]["content"]
    assert isinstance(content, str)
    return content


def node(schema: str, more: str = "") -> str:
    saved = ("", "") if "on_error" not in more else (", z: {type: set, value: {out: saved}}", ", [z, END]")
    return (
        "flow: 1\nname: g\ninput: {hits: {type: any}}\nstate: {out: {type: any}}\noutput: state.out\n"
        f"nodes: {{a: {{{LLM}, output: {{to: out, schema: {schema}}}{more}}}{saved[0]}}}\n"
        f"edges: [[START, a, END]{saved[1]}]\n"
    )


async def test_an_inline_schema_goes_to_the_server_and_holds_the_answer(bench: Any) -> None:
    run = bench(Reply('["a", "b"]'))
    assert await run.run(node(QUERIES)) == ["a", "b"]
    body = run.server.requests[0].body
    assert body["format"] == {"type": "array", "items": {"type": "string"}, "minItems": 1}
    assert "Answer with one JSON array that follows this schema" in str(body["messages"])


async def test_an_answer_that_misses_an_inline_schema_goes_back_once(bench: Any) -> None:
    run = bench(Reply("[]"), Reply('["a"]'))
    assert await run.run(node(QUERIES)) == ["a"]
    assert "the whole: [] should be non-empty" in asked(run)
    assert "Reply again with the corrected JSON array only." in asked(run)


async def test_an_answer_that_misses_its_ensure_goes_back_with_the_expression(bench: Any) -> None:
    run = bench(Reply(answer("d9")), Reply(answer("d2")))
    ensure = ", ensure: 'output.cites | cites_only(input.hits)'"
    assert (await run.run(node("Answer", ensure), hits=HITS))["cites"] == ["d2"]
    assert "it must hold that output.cites | cites_only(input.hits), but output.cites is ['d9']." in asked(run)
    assert run.kinds("model_retry") == ["model_retry a#1"]


async def test_a_second_answer_that_misses_it_fails_the_node(bench: Any) -> None:
    run = bench(Reply(answer("d9")), Reply(answer("d8")), Reply("never asked"))
    ensure = ", ensure: 'output.cites | cites_only(input.hits)'"
    with pytest.raises(RunFailed, match=r"a#1: two answers of 'scripted' would not do: it must hold that .*\['d8'\]"):
        await run.run(node("Answer", ensure), hits=HITS)
    assert len(run.server.requests) == 2


async def test_the_node_that_follows_an_error_follows_a_missed_ensure(bench: Any) -> None:
    run = bench(Reply(answer("d9")), Reply(answer("d9")))
    ensure = ", ensure: 'output.cites | cites_only(input.hits)', on_error: z"
    assert await run.run(node("Answer", ensure), hits=HITS) == "saved"


async def test_a_free_text_is_held_to_an_ensure(bench: Any) -> None:
    run = bench(Reply("no"), Reply("a longer answer"))
    assert await run.node(f"{LLM}, ensure: output | length > 5") == "a longer answer"


async def test_a_coder_is_told_what_its_change_misses(bench: Any, script: Any) -> None:
    run = bench(Reply("I did nothing."), script.call("write_file", path="new.py", content="z = 3\n"), Reply("Done."))
    change = await run.node("type: coder, prompt: add, ensure: output.files | length > 0")
    assert (change["files"], change["summary"]) == (["new.py"], "Done.")
    told = next(m["content"] for m in run.conversation() if "it must hold" in str(m["content"]))
    assert "output.files | length > 0, but output.files is []" in told


async def test_an_agent_that_only_reads_is_not_offered_what_writes(bench: Any) -> None:
    run = bench(Reply("Read."))
    await run.node("type: coder, prompt: look, workspace: readonly")
    names = [tool["function"]["name"] for tool in run.server.requests[0].body["tools"]]
    assert "read_file" in names and "bash" in names
    assert not {"edit_file", "write_file"} & set(names)


async def test_a_command_of_an_agent_that_only_reads_is_refused(bench: Any, script: Any) -> None:
    run = bench(script.call("bash", command="touch x"), script.call("bash", command="ls"), Reply("Done."))
    await run.node("type: coder, prompt: look, workspace: readonly")
    refused, listed = run.results()
    assert refused.startswith("This node only reads")
    assert "a.py" in listed
    assert not (run.repo / "x").exists()


async def test_approve_tools_asks_for_each_change_of_an_agent(bench: Any, script: Any) -> None:
    run = bench(script.call("write_file", path="new.py", content="z = 3\n"), Reply("Done."))
    assert await run.node("type: coder, prompt: add, approve: tools") is None
    assert not (run.repo / "new.py").exists()
    assert (await run.answer("yes"))["files"] == ["new.py"]


async def test_a_value_of_an_agent_is_approved_without_asking_the_model_again(bench: Any) -> None:
    run = bench(Reply("a long answer"))
    assert await run.node(f"{LLM}, approve: after") is None
    run.process()
    assert await run.answer("yes") == "a long answer"
    assert len(run.server.requests) == 1


async def test_a_model_is_not_asked_before_its_node_is_approved(bench: Any) -> None:
    run = bench(Reply("an answer"))
    assert await run.node(f"{LLM}, approve: before") is None
    assert run.server.requests == []
    assert "prompt: ask" in run.question.text
    assert await run.answer("yes") == "an answer"


@pytest.mark.parametrize(("room", "kept"), [("100k", "012"), ("700", "2"), ("0", "")])
async def test_a_visit_that_goes_on_takes_as_much_of_the_conversation_as_its_budget_holds(
    bench: Any, room: str, kept: str
) -> None:
    loop = (
        "flow: 1\nname: g\nstate: {out: {type: any}}\noutput: state.out\nnodes:\n"
        f"  a: {{type: agent, tools: [], prompt: next, history: continue, budget: {{history: {room}}}, "
        "output: {to: out}, max_visits: 4, on_limit: z}\n  z: {type: set, value: {}}\n"
        "edges: [[START, a], {from: a, when: 'false', to: END, else: a}, [z, END]]\n"
    )
    run = bench(*(Reply(f"answer {number} " + "long " * 200) for number in range(8)))
    await run.run(loop)
    said = [str(message["content"]) for message in run.conversation()]
    assert "".join(text[7] for text in said if text.startswith("answer ")) == kept
    # What the conversation began with stays.
    assert [message["role"] for message in run.conversation()[:2]] == ["system", "user"]

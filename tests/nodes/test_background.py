from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flowloom.core.background import BackgroundJob
from flowloom.core.messages import Message, ToolCall
from flowloom.llm.answers import Answer, ChatRequest, Reply
from flowloom.nodes.job_news import job_news

AGENT = "type: agent, prompt: Look, tools: [background, bash]"


class Jobs:
    def __init__(self, *jobs: BackgroundJob) -> None:
        self._jobs = list(jobs)

    def all(self) -> list[BackgroundJob]:
        return self._jobs

    def told(self, number: int) -> str:
        raise NotImplementedError


def job(number: int, state: Any = "ended", agent: str = "a#1", code: int | None = 1) -> BackgroundJob:
    return BackgroundJob(number, agent, f"c{number}", "npm run dev", 0, 0.0, state, 2.0, code)


def call(**args: Any) -> ToolCall:
    return ToolCall("c9", "background", args)


def test_an_ended_job_is_news_once() -> None:
    first = job_news(Jobs(job(1)), "a#1", [ToolCall("c9", "bash", {})], ())
    assert first.text == "[job 1 in the background, npm run dev: ended with exit code 1]"
    assert job_news(Jobs(job(1)), "a#1", [], first.told).text == ""


def test_running_jobs_and_those_of_others_are_no_news() -> None:
    assert job_news(Jobs(job(1, "running", code=None), job(2, agent="b#1")), "a#1", [], ()) == ("", [])
    assert job_news(None, "a#1", [], ()) == ("", [])


@pytest.mark.parametrize("args", [{"action": "list"}, {"action": "stop", "job": 1}, {"action": "output", "job": "1"}])
def test_what_a_call_has_shown_is_not_told_again(args: dict[str, Any]) -> None:
    assert job_news(Jobs(job(1)), "a#1", [call(**args)], ()) == ("", [1])


def test_the_call_that_began_a_job_has_told_its_end() -> None:
    began = ToolCall("c1", "background", {"action": "start", "command": "npm run dev"})
    assert job_news(Jobs(job(1)), "a#1", [began], ()) == ("", [1])


def test_another_job_s_output_does_not_hide_the_news() -> None:
    assert job_news(Jobs(job(1)), "a#1", [call(action="output", job=2)], ()).text.startswith("[job 1 ")


def test_news_stand_below_the_last_result() -> None:
    stored = job_news(Jobs(job(1)), "a#1", [], ()).under([Message("tool", "x"), Message("tool", "y")])
    assert [message["content"].splitlines()[0] for message in stored] == ["x", "y"]
    assert stored[1]["content"].endswith("exit code 1]")


async def test_an_agent_is_told_that_its_job_has_ended_at_its_next_call(bench: Any, script: Any) -> None:
    run = bench(
        script.call("background", action="start", command="while [ ! -e go ]; do sleep 0.02; done; exit 3"),
        script.call("bash", command="touch go; sleep 1"),
        script.call("bash", command="echo more"),
        Reply("done"),
    )
    assert await run.node(AGENT) == "done"
    started, next_call, later = run.results()
    assert started.startswith("job 1: running")
    assert next_call.endswith(": ended with exit code 3]")
    assert later == "more"


async def test_looking_at_a_job_again_and_again_is_no_loop(bench: Any, script: Any) -> None:
    look = script.call("background", action="output", job=1)
    run = bench(
        script.call("background", action="start", command="echo up; sleep 60"), look, look, look, look, Reply("done")
    )
    assert await run.node(AGENT) == "done"
    assert all(text.startswith("job 1: running") and text.endswith("\nup") for text in run.results()[1:])


async def test_a_declined_start_begins_nothing(bench: Any, script: Any) -> None:
    run = bench(script.call("background", action="start", command="touch made; sleep 60"), Reply("done"), mode="ask")
    assert await run.node(AGENT) is None
    assert run.question.text.startswith("Run this command in the background, until the run ends?\n")
    assert await run.answer("no", reason="no server") == "done"
    assert run.results() == ["The user declined this: no server"]
    assert run.background.all() == []


async def test_a_node_that_runs_again_after_an_answer_begins_its_job_once(bench: Any, script: Any) -> None:
    answers: Iterator[Answer] = iter(
        [
            script.call("background", action="start", command="echo x >> log; sleep 60"),
            Reply("done"),
        ]
    )

    def serve(request: ChatRequest) -> Answer:
        return next(answers)

    run = bench(serve=serve, mode="ask")
    assert await run.node(AGENT) is None
    run.process()
    assert await run.answer("yes") == "done"
    assert run.read("log") == "x\n"
    assert [job.number for job in run.background.all()] == [1]

from __future__ import annotations

from flowloom.context.assemble import Budget
from flowloom.context.blocks import Block
from flowloom.context.request_parts import Part, request_parts
from flowloom.core.messages import CallKey, Message, ModelRequest, ToolDef
from flowloom.llm.tokens import EstimatingCounter, count_request


class Words:
    def count(self, text: str) -> int:
        return len(text.split())


def parts(text: str) -> dict[str, int]:
    request = ModelRequest((Message("system", "be good"), Message("user", text)), CallKey("plan", 1, 0))
    return {part.name: part.tokens for part in request_parts(request, Budget(), Words()) if part.tokens}


def test_every_frame_is_a_part_and_what_stands_before_them_is_the_role() -> None:
    blocks = [Block("repo_map", "a b"), Block("mentioned", "c", "x.py"), Block("mentioned", "d", "y.py")]
    text = "\n\n".join(["You plan.", *(each.render() for each in (*blocks, Block("task", "e f g")))])
    assert parts(text) == {
        "system": 2,
        "role": 2,
        "repo_map": 4,
        "mentions": 8,
        "task": 5,
        "chat template": 16,
    }


def test_marks_in_a_role_or_in_what_was_read_are_no_parts() -> None:
    inside = "see <code>\n\n<code>\nx\n\n<task>\nnot this"
    text = f"Work on <task>.\n\n<div>\nmine\n</div>\n\nMore of the role.\n\n{Block('documents', inside).render()}"
    assert [*parts(text)] == ["system", "role", "docs", "chat template"]


def test_task_without_frames_is_all_role() -> None:
    assert parts("just do it")["role"] == 3


def test_parts_are_about_what_is_counted_of_the_whole() -> None:
    tool = ToolDef("grep", "Search.", {"type": "object", "properties": {}})
    text = f"You plan.\n\n{Block('code', 'def total(prices): return sum(prices)').render()}"
    request = ModelRequest((Message("system", "be good"), Message("user", text)), CallKey("plan", 1, 0), (tool,))
    counter = EstimatingCounter()
    found = request_parts(request, Budget(code=700), counter)
    assert sum(part.tokens for part in found) >= count_request(request.messages, request.tools, counter)
    assert Part("code", found[3].tokens, 700) == found[3]

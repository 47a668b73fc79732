from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from flowloom.context.assemble import Budget, TurnAssembler
from flowloom.context.attached import Attached, Attachment
from flowloom.context.blocks import Block
from flowloom.core.hits import Hit, Source
from flowloom.runs.blobs import BlobStore


class Words:
    def count(self, text: str) -> int:
        return len(text.split())


class Code:
    """Code retrieval that finds a passage of each of two files."""

    def retrieve(
        self, query: str, budget: int, sources: Sequence[Source], *, within: Sequence[str] = ()
    ) -> list[Hit]:
        paths = ("a.py", "b.py") if sources == ("code",) else ()
        return [Hit(path, path, 1, 1, None, "", f"code of {path}", 1.0, "code", f"sha-{path}") for path in paths]


def lines(count: int) -> str:
    return "\n".join(f"line {number}" for number in range(1, count + 1))


def item(name: str, text: str, *inputs: str, keep_end: bool = False, seen: str = "") -> Attachment:
    return Attachment(name, text, 0, inputs or ("task",), {seen: "sha"} if seen else {}, keep_end)


def shown(attached: Attached, budget: int, prompt: str = "do it") -> list[tuple[str, str]]:
    return [(block.name, block.text) for block in attached.fit(prompt, budget, Words()).blocks]


TASK = {"task": "do it"}


def test_a_prompt_gets_what_the_inputs_in_it_mention() -> None:
    texts = {"task": "do it", "notes": "read\r\n  this"}
    attached = Attached((item("a", "A"), item("b", "B", "notes"), item("c", "C", "task", "notes")), texts)
    assert shown(attached, 100) == [("a", "A"), ("c", "C")]
    assert shown(attached, 100, "First\n read this\n please") == [("b", "B"), ("c", "C")]
    assert shown(attached, 100, "something else") == []


def test_an_empty_input_is_in_no_prompt() -> None:
    assert shown(Attached((item("a", "A"),), {"task": " \n"}), 100, "anything") == []


def test_the_small_ones_stay_whole_and_the_large_ones_share_the_rest() -> None:
    attached = Attached((item("big", lines(500)), item("small", "one two"), item("large", lines(300))), TASK)
    fitted = attached.fit("do it", 200, Words())
    texts = {block.name: block.text for block in fitted.blocks}
    assert texts["small"] == "one two"
    assert "[" in texts["big"] and "[" in texts["large"]
    assert abs(Words().count(texts["big"]) - Words().count(texts["large"])) < 10
    assert Words().count("".join(block.render() for block in fitted.blocks)) <= 200
    assert fitted.whole == {"small"}


@pytest.mark.parametrize("budget", [0, 5, 40, 41, 77, 150, 10_000])
def test_no_budget_is_ever_passed(budget: int) -> None:
    attached = Attached(tuple(item(f"n{n}", lines(n * 20)) for n in range(6)), TASK)
    blocks = attached.fit("do it", budget, Words()).blocks
    assert Words().count("\n\n".join(block.render() for block in blocks)) <= budget


def test_what_a_command_printed_is_cut_at_its_beginning() -> None:
    ((_, text),) = shown(Attached((item("!x", lines(100), keep_end=True),), TASK), 60)
    assert text.startswith("[") and text.endswith("line 100")


def test_what_has_no_room_is_left_out_and_counts_as_unseen() -> None:
    attached = Attached((item("a.py", lines(100), seen="a.py"), item("b.py", "B", seen="b.py")), TASK)
    fitted = attached.fit("do it", 12, Words())
    assert [block.name for block in fitted.blocks] == ["b.py"]
    assert fitted.seen == {"b.py": "sha"}


def test_a_stored_attachment_comes_back_as_it_was(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    shows = {"a.py": ((1, 3), (7, 9))}
    before = Attachment("!x", "出力\n" * 10, 7, ("task", "notes"), {"a.py": "0" * 64}, keep_end=True, spans=shows)
    data = before.stored(blobs)
    assert "出力" not in str(data)
    assert Attachment.of_stored(data, blobs) == before


def test_they_stand_before_the_task_and_code_of_a_whole_file_is_not_repeated() -> None:
    assembler = TurnAssembler(Code(), Words(), [], lambda: "Today.")
    assembler.attach(Attached((item("a.py", "1|all of it", seen="a.py"),), TASK))
    message = assembler.first_message("ROLE", "do it", Budget(), [Block("diff", "+1")])
    assert message.content.index('<mentioned name="a.py">') < message.content.index("<diff>")
    assert "code of a.py" not in message.content and "code of b.py" in message.content
    assert message.seen == {"a.py": "sha", "b.py": "sha-b.py"}


def test_a_part_of_a_file_leaves_the_code_that_was_found_in_it() -> None:
    assembler = TurnAssembler(Code(), Words(), [], lambda: "Today.")
    assembler.attach(Attached((item("a.py#L1-2", "1|some", seen="a.py"),), TASK))
    assert "code of a.py" in assembler.first_message("ROLE", "do it", Budget()).content


def test_a_name_cannot_leave_its_quotes_and_a_text_not_its_frame() -> None:
    rendered = Block("mentioned", "x</mentioned>y", 'a" evil="<b>\n').render()
    assert rendered == '<mentioned name="a&quot; evil=&quot;&lt;b&gt;">\nx&lt;/mentioned>y\n</mentioned>'


def test_only_what_is_not_cut_tells_which_lines_it_shows() -> None:
    part = Attachment("a.py#f", "1|x", 1, ("task",), {"a.py": "s"}, spans={"a.py": ((1, 1),)})
    other = Attachment("a.py#g", "9|y", 1, ("task",), {"a.py": "s"}, spans={"a.py": ((9, 9),)})
    large = Attachment("b.py", lines(100), 1, ("task",), {"b.py": "s"}, spans={"b.py": ((1, 100),)})
    fitted = Attached((part, other, large), TASK).fit("do it", 80, Words())
    assert fitted.spans == {"a.py": ((1, 1), (9, 9))}
    assert fitted.seen == {"a.py": "s", "b.py": "s"}

from __future__ import annotations

from collections.abc import Iterable

from flowloom.cli.board import NodeBoard
from flowloom.core.events import (
    Event,
    EventRecord,
    ModelCalled,
    NodeEnded,
    NodeFailed,
    NodeStarted,
    QuestionAnswered,
    QuestionAsked,
    RunStarted,
    event_data,
)

NODES = {"plan": "planner", "ask": "human", "implement": "graph", "verify": "shell", "rejected": "fail"}
START = RunStarted("g", {}, "m", nodes=NODES)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def board(events: Iterable[tuple[float, Event, str]] = ()) -> tuple[NodeBoard, Clock]:
    clock = Clock()
    made = NodeBoard(clock)
    for at, event, node in ((0.0, START, ""), *events):
        clock.now = at
        made.record(EventRecord("r", 1, "2026-01-01T00:00:00+00:00", node, event.type, event_data(event)))
    return made, clock


def texts(made: NodeBoard, most: int = 20) -> list[str]:
    return [line.text for line in made.lines(most)]


def test_before_anything_began_every_node_waits() -> None:
    assert texts(board()[0]) == [
        "· plan       planner",
        "· ask        human",
        "· implement  graph",
        "· verify     shell",
    ]


def test_a_run_of_an_older_version_shows_the_nodes_that_began() -> None:
    made = NodeBoard(Clock())
    made.record(EventRecord("r", 1, "", "plan#1", "node_start", {"kind": "planner", "visit": 1}))
    assert texts(made) == ["▶ plan  planner    running  0 s"]


def test_states_visits_tokens_and_seconds_are_told() -> None:
    made, clock = board(
        [
            (0, NodeStarted("planner", 1), "plan#1"),
            (9, ModelCalled("k", "m", 1.0, 1000, 200), "plan#1"),
            (10, NodeEnded(1, 10.0), "plan#1"),
            (10, NodeEnded(1, 0.0, skipped=True), "ask#1"),
            (10, NodeStarted("shell", 1), "verify#1"),
            (12, NodeEnded(1, 2.0), "verify#1"),
            (12, NodeStarted("shell", 2), "verify#2"),
            (13, NodeFailed(2, "no"), "verify#2"),
            (13, NodeStarted("graph", 1), "implement#1"),
        ]
    )
    clock.now = 20
    assert texts(made) == [
        "✓ plan       planner    1.2k tokens  10 s",
        "- ask        human      skipped",
        "▶ implement  graph      running  7 s",
        "✗ verify     shell      failed  2 visits  3 s",
    ]


def test_what_runs_inside_a_graph_stands_below_its_node_and_counts_there() -> None:
    made, _ = board(
        [
            (0, NodeStarted("graph", 1), "implement[s1]#1"),
            (0, NodeStarted("coder", 1), "implement[s1]/code#1"),
            (5, ModelCalled("k", "m", 1.0, 500, 0), "implement[s1]/code#1"),
        ]
    )
    assert texts(made)[2:4] == [
        "▶ implement             graph      running  500 tokens  5 s",
        "  ▶ implement[s1]/code  coder      running  500 tokens  5 s",
    ]
    made.record(EventRecord("r", 9, "", "implement[s1]/code#1", "node_end", event_data(NodeEnded(1, 5.0))))
    assert texts(made)[2:3] == ["▶ implement  graph      running  500 tokens  5 s"]


def test_items_that_run_at_once_are_one_node_until_the_last_one_ended() -> None:
    made, clock = board([(0, NodeStarted("llm", 1), f"plan[{name}]#1") for name in "ab"])
    clock.now = 4
    made.record(EventRecord("r", 9, "", "plan[a]#1", "node_end", event_data(NodeEnded(1, 4.0))))
    assert texts(made)[0] == "▶ plan       llm        running  2 visits  8 s"


def test_a_question_is_told_at_its_node_until_it_is_answered() -> None:
    made, _ = board([(0, NodeStarted("human", 1), "ask#1"), (0, QuestionAsked("q", "human", "?", ("a",)), "ask#1")])
    assert texts(made)[1] == "? ask        human      asking  0 s"
    answered = event_data(QuestionAnswered("q", "a", "person"))
    made.record(EventRecord("r", 9, "", "ask#1", "answer", answered))
    assert texts(made)[1].startswith("▶ ask")


def test_a_visit_that_began_again_after_a_kill_is_counted_once() -> None:
    made, _ = board([(0, NodeStarted("planner", 1), "plan#1"), (3, NodeStarted("planner", 1), "plan#1")])
    assert "visits" not in texts(made)[0]


def test_a_low_terminal_shows_what_goes_on_and_counts_the_rest() -> None:
    made, _ = board([(0, NodeStarted("shell", 1), "verify#1")])
    assert texts(made, 3) == ["· implement  graph", "▶ verify     shell      running  0 s", "  … 2 more"]
    assert texts(made, 0) == []

from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.core.errors import Denied, GraphInvalid, UsageError
from flowloom.graphs.find import SHIPPED_FOLDER, IsTrusted, Loaded, find_graph, list_graphs

TOOLS = (
    "read_file",
    "edit_file",
    "write_file",
    "bash",
    "grep",
    "glob",
    "spawn_agent",
    "git",
    "search_code",
    "search_docs",
)
SETTINGS = ("verify", "check")


def simple(name: str, node: str = "{type: set, value: {}}", description: str = "") -> str:
    return f"flow: 1\nname: {name}\ndescription: {description!r}\nnodes: {{a: {node}}}\nedges: [[START, a, END]]\n"


def runs(name: str) -> str:
    return f"{{type: graph, graph: {name}}}"


class Place:
    """A workspace with a project folder, and a user's folder beside it."""

    def __init__(self, root: Path) -> None:
        self.workspace = root / "repo"
        self.project = self.workspace / ".flow" / "graphs"
        self.user = root / "user"
        self.project.mkdir(parents=True)
        self.user.mkdir()

    def find(self, name: str, is_trusted: IsTrusted = lambda path, content: True) -> Loaded:
        return find_graph(name, workspace=self.workspace, user_dir=self.user, is_trusted=is_trusted)

    def names(self, is_trusted: IsTrusted = lambda path, content: True) -> list[str]:
        entries = list_graphs(workspace=self.workspace, user_dir=self.user, is_trusted=is_trusted)
        return [f"{entry.origin}:{entry.name}" for entry in entries]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def untrusting(path: Path, content: bytes) -> bool:
    return False


@pytest.mark.parametrize("path", sorted(SHIPPED_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_graph_can_run(path: Path, place: Place) -> None:
    loaded = find_graph(
        path.stem,
        workspace=place.workspace,
        user_dir=place.user,
        is_trusted=untrusting,
        tools=TOOLS,
        settings=SETTINGS,
    )
    assert loaded.spec.name == path.stem
    assert loaded.spec.description


def test_plan_and_code_brings_its_subgraph(place: Place) -> None:
    loaded = place.find("plan-and-code")
    assert list(loaded.library) == ["implement-step"]
    assert loaded.spec.entry == "plan"


def test_a_project_graph_hides_the_users_which_hides_the_shipped(place: Place) -> None:
    (place.user / "mine.yaml").write_text(simple("plan-and-code", description="user"))
    assert place.find("plan-and-code").spec.description == "user"
    (place.project / "ours.yml").write_text(simple("plan-and-code", description="project"))
    assert place.find("plan-and-code").spec.description == "project"
    named = [name for name in place.names() if name.endswith(":plan-and-code")]
    assert named == ["project:plan-and-code"] and "shipped:implement-step" in place.names()


def test_an_untrusted_project_graph_is_denied_by_name_with_the_command(place: Place) -> None:
    (place.project / "my graph.yaml").write_text(simple("ours"))
    with pytest.raises(Denied) as caught:
        place.find("ours", untrusting)
    assert caught.value.exit_code == 7
    assert str(caught.value) == (
        ".flow/graphs/my graph.yaml belongs to this repository and is not trusted. "
        f"Look at it, then run `flow trust '{place.workspace.resolve()}/.flow/graphs/my graph.yaml'`."
    )


def test_untrusted_project_graphs_are_listed_by_their_file_unread(place: Place) -> None:
    (place.project / "ours.yaml").write_text(simple("theirs"))
    assert place.names(untrusting)[-1] == "project:ours"
    assert "project:theirs" not in place.names(untrusting)
    with pytest.raises(UsageError, match=r"1 more in \.flow/graphs are not trusted; see `flow trust`"):
        place.find("other", untrusting)


def test_an_untrusted_graph_does_not_stand_in_the_way_of_others(place: Place) -> None:
    (place.project / "ours.yaml").write_text(simple("ours", runs("plan-and-code")))
    assert place.find("plan-and-code", untrusting).spec.source.path.endswith("builtin/plan-and-code.yaml")


def test_a_graph_that_uses_flow_style_is_found_by_its_name(place: Place) -> None:
    (place.project / "x.yaml").write_text(
        '{"flow": 1, "name": "ours", nodes: {a: {type: set, value: {}}}, edges: [[START, a, END]]}'
    )
    assert place.find("ours").spec.name == "ours"


def test_an_unknown_name_is_refused_with_the_near_one(place: Place) -> None:
    with pytest.raises(UsageError) as caught:
        place.find("plan-and-cod")
    assert caught.value.exit_code == 2
    assert "'plan-and-cod' (did you mean 'plan-and-code'?)" in str(caught.value)
    assert "Known graphs: " in str(caught.value) and "implement-step, plan-and-code" in str(caught.value)


def test_a_file_outside_of_the_workspace_needs_no_trust(place: Place, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(simple("first") + "---\n" + simple("second"))
    assert place.find(str(tmp_path / "far.yaml"), untrusting).spec.name == "first"


def test_a_file_of_the_workspace_needs_trust_even_by_its_path(place: Place) -> None:
    (place.workspace / "x.yaml").write_text(simple("x"))
    with pytest.raises(Denied, match=r"flow trust .*x\.yaml"):
        place.find("x.yaml", untrusting)
    assert place.find("./x.yaml").spec.name == "x"


def test_a_link_does_not_carry_a_file_of_the_workspace_out_of_it(place: Place, tmp_path: Path) -> None:
    (place.workspace / "x.yaml").write_text(simple("x"))
    (tmp_path / "link.yaml").symlink_to(place.workspace / "x.yaml")
    with pytest.raises(Denied):
        place.find(str(tmp_path / "link.yaml"), untrusting)


def test_a_missing_file_is_refused(place: Place) -> None:
    with pytest.raises(UsageError, match=r"There is no graph file 'gone\.yaml'"):
        place.find("gone.yaml")


def test_a_broken_graph_names_its_file_within_the_workspace(place: Place) -> None:
    (place.project / "ours.yaml").write_text(simple("ours").replace("type: set", "type: sett"))
    with pytest.raises(GraphInvalid, match=r"^\.flow/graphs/ours\.yaml:4:19: 'type' must be one of"):
        place.find("ours")


def test_a_broken_file_of_another_name_harms_nobody(place: Place) -> None:
    (place.user / "broken.yaml").write_text("flow: 1\nname: other\nnodes: [\n")
    assert place.find("plan-and-code").spec.name == "plan-and-code"
    entries = list_graphs(workspace=place.workspace, user_dir=place.user, is_trusted=untrusting)
    assert [entry.name for entry in entries if entry.fault] == ["broken"]


def test_a_subgraph_is_sought_in_the_file_then_the_folder_then_the_shipped(place: Place) -> None:
    (place.user / "sub.yaml").write_text(simple("implement-step", description="folder"))
    (place.user / "one.yaml").write_text(simple("one", runs("implement-step")))
    (place.user / "two.yaml").write_text(
        simple("two", runs("implement-step")) + "---\n" + simple("implement-step", description="file")
    )
    assert place.find("one").library["implement-step"].description == "folder"
    assert place.find("two").library["implement-step"].description == "file"
    (place.project / "three.yaml").write_text(
        simple("three", "{type: graph, graph: implement-step, with: {step: {}}}")
    )
    assert place.find("three").library["implement-step"].source.path.endswith("builtin/implement-step.yaml")


def test_an_untrusted_subgraph_is_denied(place: Place) -> None:
    (place.project / "one.yaml").write_text(simple("one", runs("two")))
    (place.project / "two.yaml").write_text(simple("two"))
    with pytest.raises(Denied, match=r"two\.yaml"):
        place.find("one", lambda path, content: path.name == "one.yaml")


def test_a_missing_subgraph_is_a_fault_with_the_near_name(place: Place) -> None:
    (place.user / "one.yaml").write_text(simple("one", runs("implement-stp")))
    with pytest.raises(GraphInvalid, match=r"one\.yaml:4:33: there is no graph 'implement-stp' here \(did you mean"):
        place.find("one")


def test_one_name_for_two_graphs_in_one_run_is_refused(place: Place) -> None:
    (place.user / "implement-step.yaml").write_text(simple("implement-step"))
    text = "flow: 1\nname: one\nnodes:\n  a: {type: graph, graph: implement-step}\n"
    text += "  b: {type: graph, graph: plan-and-code, with: {task: x}}\nedges: [[START, a, b, END]]\n"
    (place.user / "one.yaml").write_text(text)
    with pytest.raises(GraphInvalid, match="'implement-step' means two graphs in one run"):
        place.find("one")


def test_a_project_without_graphs_lists_the_shipped_ones(tmp_path: Path) -> None:
    entries = list_graphs(workspace=tmp_path, user_dir=tmp_path / "none", is_trusted=untrusting)
    assert {entry.origin for entry in entries} == {"shipped"}


def test_what_runs_is_what_was_checked_even_when_the_file_changes_meanwhile(place: Place) -> None:
    path = place.project / "ours.yaml"
    path.write_text(simple("ours", description="looked at"))

    def changing(file: Path, content: bytes) -> bool:
        path.write_text(simple("ours", "{type: shell, run: [touch, pwned]}", "other"))
        return b"looked at" in content

    assert place.find("ours", changing).spec.description == "looked at"

"""Files that a graph names: prompts, presets, Python code: where they are looked for, trust, faults, what is kept."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

from flowloom.core.errors import Denied, GraphInvalid
from flowloom.graphs.beside import MODULE, FilesOnDisk, KeptFiles, NotBeside, key_of
from flowloom.graphs.difference import differences
from flowloom.graphs.find import SHIPPED_AGENTS, IsTrusted, Loaded, find_graph
from flowloom.graphs.fingerprint import fingerprint
from flowloom.graphs.read import read_text
from flowloom.tools.registry import TOOLS

HEAD = "flow: 1\nname: g\ninput: {task: {type: string}}\nstate: {plan: {schema: Plan}, notes: {type: list}}\n"


class Place:
    """A workspace with a graph `g` in its project folder, and the user's folders beside it."""

    def __init__(self, root: Path) -> None:
        self.workspace = root / "repo"
        self.graphs = self.workspace / ".flow" / "graphs"
        self.agents = self.workspace / ".flow" / "agents"
        self.user = root / "config"
        for folder in (self.graphs, self.agents, self.user / "graphs", self.user / "agents"):
            folder.mkdir(parents=True)

    def graph(self, *nodes: str, folder: Path | None = None) -> Path:
        names = [f"n{place}" for place in range(len(nodes))]
        lines = "".join(f"  {name}: {{{node}}}\n" for name, node in zip(names, nodes, strict=True))
        path = (folder or self.graphs) / "g.yaml"
        path.write_text(f"{HEAD}nodes:\n{lines}edges: [[START, {', '.join(names)}, END]]\n", "utf-8")
        return path

    def find(self, is_trusted: IsTrusted = lambda path, content: True, name: str = "g") -> Loaded:
        return find_graph(
            name, workspace=self.workspace, user_dir=self.user / "graphs", is_trusted=is_trusted, tools=tuple(TOOLS)
        )

    def faults(self) -> list[str]:
        with pytest.raises(GraphInvalid) as caught:
            self.find()
        return str(caught.value).splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


# Prompts


def test_a_prompt_stands_in_a_file_beside_the_graph(place: Place) -> None:
    write(place.graphs / "prompts/見る.md", "Look at {{ input.task }}\n")
    place.graph("type: llm, prompt: {file: prompts/見る.md}")
    assert place.find().spec.nodes["n0"].fields["prompt"] == "Look at {{ input.task }}\n"


def test_a_prompt_of_a_missing_file_is_a_fault_at_its_name(place: Place) -> None:
    place.graph("type: llm, prompt: {file: prompts/x.md}")
    assert place.faults() == [".flow/graphs/g.yaml:6:34: there is no file '.flow/graphs/prompts/x.md'"]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{file: /etc/passwd}", "'/etc/passwd' is no path relative to the file that names it"),
        ("{file: '~/x.md'}", "'~/x.md' is no path relative to the file that names it"),
        ("{fil: x.md}", "unknown key 'fil' in 'prompt' (did you mean 'file'?)"),
        ("{}", "'prompt' needs 'file'"),
        ("[x]", "'prompt' must be a text that is not empty, or {file: NAME}, not a list"),
    ],
)
def test_a_prompt_that_names_no_file_is_refused(place: Place, prompt: str, message: str) -> None:
    place.graph(f"type: llm, prompt: {prompt}")
    assert any(message in line for line in place.faults())


def test_a_fault_in_a_prompt_file_is_told_with_that_file(place: Place) -> None:
    write(place.graphs / "x.md", "First line.\nDo {{ input.task }} and\nthen {{ state.pln.title }}.\n")
    place.graph("type: llm, prompt: {file: x.md}")
    assert place.faults() == [
        ".flow/graphs/x.md:3:6: state 'pln' is not declared (did you mean 'plan'?); declared: notes, plan"
    ]


def test_an_empty_prompt_file_and_one_that_is_no_text_are_refused(place: Place) -> None:
    write(place.graphs / "x.md", " \n")
    (place.graphs / "y.md").write_bytes(b"\xff\xfe\x00")
    place.graph("type: llm, prompt: {file: x.md}", "type: llm, prompt: {file: y.md}")
    assert place.faults() == [
        ".flow/graphs/g.yaml:7:34: '.flow/graphs/y.md' is not UTF-8 text",
        ".flow/graphs/x.md:1:1: the file is empty",
    ]


# Trust


def test_a_prompt_of_the_repository_needs_trust_of_its_own(place: Place) -> None:
    write(place.graphs / "x.md", "Do it.")
    place.graph("type: llm, prompt: {file: x.md}")
    with pytest.raises(Denied, match=r"\.flow/graphs/x\.md belongs to this repository and is not trusted"):
        place.find(lambda path, content: path.name == "g.yaml")


def test_what_was_trusted_of_a_file_is_what_runs(place: Place) -> None:
    write(place.graphs / "t.py", "def f(): pass\n")
    place.graph("type: python, call: 't.py:f'")
    seen: dict[str, bytes] = {}
    spec = place.find(lambda path, content: seen.setdefault(path.name, content) == content).spec
    assert spec.beside["t.py"].text.encode() == seen["t.py"]


def test_a_graph_cannot_reach_files_outside_of_the_repository_without_trust(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "far.md", "secret")
    place.graph("type: llm, prompt: {file: ../../../far.md}")
    with pytest.raises(Denied, match=r"far\.md"):
        place.find(lambda path, content: path.is_relative_to(place.workspace))


def test_a_users_own_graph_needs_no_trust_for_its_files(place: Place) -> None:
    write(place.user / "graphs/x.md", "Do it.")
    place.graph("type: llm, prompt: {file: x.md}", folder=place.user / "graphs")
    assert place.find(lambda path, content: False).spec.nodes["n0"].fields["prompt"] == "Do it."


# Presets


def test_a_node_takes_what_it_does_not_say_itself_from_its_preset(place: Place) -> None:
    write(
        place.agents / "careful.yaml",
        "description: Looks twice\ntype: agent\nprompt: Look.\nmodel: light\ntools: []\n",
    )
    place.graph("use: careful, model: main, prompt: Look twice.")
    node = place.find().spec.nodes["n0"]
    assert (node.type, node.model, node.tools, node.fields) == ("agent", "main", (), {"prompt": "Look twice."})


def test_presets_are_looked_for_beside_the_graph_then_in_the_project_then_with_the_user(place: Place) -> None:
    place.graph("use: a, prompt: p", "use: b, prompt: p", "use: c, prompt: p")
    for folder, names in ((place.user / "agents", "abc"), (place.agents, "ab"), (place.graphs / "agents", "a")):
        for name in names:
            write(folder / f"{name}.yaml", f"type: llm\nmodel: {folder.parent.name}\n")
    models = [node.model for node in place.find().spec.nodes.values()]
    assert models == ["graphs", ".flow", "config"]


@pytest.mark.parametrize("path", sorted(SHIPPED_AGENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_preset_makes_a_node(place: Place, path: Path) -> None:
    place.graph(f"use: {path.stem}, prompt: '{{{{ input.task }}}}'")
    assert place.find().spec.nodes["n0"].type


def test_a_file_that_a_preset_names_lies_beside_the_preset(place: Place) -> None:
    write(place.agents / "careful.yaml", "type: llm\nprompt: {file: texts/x.md}\n")
    write(place.agents / "texts/x.md", "From the preset.")
    place.graph("use: careful")
    assert place.find().spec.nodes["n0"].fields["prompt"] == "From the preset."


@pytest.mark.parametrize(
    ("preset", "fault"),
    [
        (
            "type: llm\nmodl: light\n",
            ".flow/agents/p.yaml:2:1: unknown key 'modl' in a preset (did you mean 'model'?)",
        ),
        ("type: llm\nbudget: {code: x}\n", ".flow/agents/p.yaml:2:16: 'code' must be a number of at least 0"),
        ("type: llm\nrun: [ls]\n", ".flow/agents/p.yaml:2:1: 'run' does not belong to a node of type 'llm' ('n0')"),
        ("type: llm\nif: state.pln\n", ".flow/agents/p.yaml:2:5: state 'pln' is not declared (did you mean 'plan'?)"),
        ("type: lm\n", ".flow/agents/p.yaml:1:7: 'type' must be one of agent, coder"),
        ("use: other\n", ".flow/agents/p.yaml:1:1: unknown key 'use' in a preset"),
        ("- type: llm\n", ".flow/agents/p.yaml:1:1: a preset must be a mapping (name: value), not a list"),
        ("type: [\n", ".flow/agents/p.yaml:2:1: not readable as YAML"),
        ("", ".flow/agents/p.yaml:1:1: a preset is one mapping of a node's keys"),
    ],
)
def test_a_fault_of_a_preset_is_told_at_its_place_in_that_file(place: Place, preset: str, fault: str) -> None:
    write(place.agents / "p.yaml", preset)
    place.graph("use: p, prompt: p")
    assert any(line.startswith(fault) for line in place.faults()), place.faults()


def test_an_unknown_preset_is_told_with_the_near_one(place: Place) -> None:
    write(place.agents / "careful.yaml", "type: llm\n")
    place.graph("use: carful, prompt: p")
    (fault, *_) = place.faults()
    assert fault.startswith(".flow/graphs/g.yaml:6:13: there is no preset 'carful' (did you mean 'careful'?); there")


def test_a_preset_of_the_repository_needs_trust(place: Place) -> None:
    write(place.agents / "careful.yaml", "type: llm\n")
    place.graph("use: careful, prompt: p")
    with pytest.raises(Denied, match=r"\.flow/agents/careful\.yaml"):
        place.find(lambda path, content: path.name == "g.yaml")


# What counts


def test_another_text_of_a_file_is_another_graph(place: Place) -> None:
    write(place.agents / "p.yaml", "type: llm\nprompt: {file: x.md}\n")
    write(place.agents / "x.md", "One.\n")
    write(place.graphs / "t.py", "def f(): return 1\n")
    place.graph("use: p", "type: python, call: 't.py:f'")
    before = place.find()
    write(place.agents / "x.md", "Two.\n")
    write(place.graphs / "t.py", "def f(): return 2\n")
    now = place.find()
    assert fingerprint(before.spec, {}) != fingerprint(now.spec, {})
    assert differences("g", {"g": before.spec}, {"g": now.spec}) == [
        "node 'n0', prompt: 'One.' -> 'Two.'",
        "file 't.py': 'def f(): return 1' -> 'def f(): return 2'",
    ]


def test_a_graph_is_read_again_from_what_was_kept_of_its_files(place: Place) -> None:
    write(place.agents / "p.yaml", "type: llm\nprompt: {file: x.md}\n")
    write(place.agents / "x.md", "One.\n")
    write(place.graphs / "t.py", "def f(n: int): return 1\n")
    place.graph(
        "use: p", "type: python, call: 't.py:f', with: {n: 1}", "type: python, call: 'json:dumps', with: {obj: 1}"
    )
    spec = place.find().spec
    kept = KeptFiles({key: file.text for key, file in spec.beside.items()})
    again = read_text(spec.source.text, "g.yaml", kept)["g"]
    assert fingerprint(again, {}) == fingerprint(spec, {})


def test_a_key_is_the_same_however_the_path_is_written() -> None:
    assert [key_of("./a//b.md"), key_of("../a.md", "agent:p")] == ["a/b.md", "agent:p/../a.md"]
    with pytest.raises(NotBeside):
        key_of("C:\\x.md")


def test_faults_of_files_are_told_beside_those_of_the_form(place: Place) -> None:
    write(place.graphs / "x.md", "{{ state.pln }}")
    write(place.agents / "p.yaml", "type: llm\nprompt: p\nmodl: x\n")
    place.graph("type: llm, prompt: {file: x.md}", "use: p", "type: llm, prompt: p, nope: 1")
    assert [line.partition(": ")[0] for line in place.faults()] == [
        ".flow/agents/p.yaml:3:1",
        ".flow/graphs/g.yaml:8:30",
        ".flow/graphs/x.md:1:1",
    ]


def test_a_module_of_an_editable_install_is_found_by_its_finder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "src" / "mine.py"
    path.parent.mkdir()
    path.write_text("raise SystemExit('it was imported')\n")

    class Finder:
        def find_spec(self, name: str, where: object = None, target: object = None) -> ModuleSpec | None:
            return spec_from_file_location(name, path) if name == "mine_here" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    files = FilesOnDisk((tmp_path, "file"), [], open=opened, open_module=lambda each: opened(each, "file"))
    assert files.read(f"{MODULE}mine_here").path == path
    with pytest.raises(NotBeside, match="no module 'mine_there' is installed here"):
        files.read(f"{MODULE}mine_there")


def opened(path: Path, origin: str) -> tuple[str, str]:
    return str(path), path.read_text("utf-8")

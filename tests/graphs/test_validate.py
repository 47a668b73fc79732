from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.core.errors import GraphInvalid
from flowloom.graphs.beside import KeptFiles
from flowloom.graphs.faults import Fault
from flowloom.graphs.find import find_graph
from flowloom.graphs.read import read_text
from flowloom.graphs.validate import check, require_valid
from flowloom.tools.registry import TOOLS as REGISTRY

TOOLS = ("read_file", "grep", "git")
ALL_TOOLS = tuple(REGISTRY)
SETTINGS = ("verify", "check")

GRAPH = """\
flow: 1
name: g
input: {task: {type: string, required: true}, n: {type: int, default: 1}}
state: {plan: {schema: Plan}, x: {type: any}, xs: {type: list, reduce: append}, verdict: {schema: Review}}
nodes:
  a: A
  b: {type: set, value: {}}
  z: {type: fail, message: no}
edges:
  - [START, a]
  - E
  - F
"""
INNER = """\
---
flow: 1
name: inner
input: {p: {type: int, required: true}, q: {type: string}}
nodes: {s: {type: set, value: {}}}
edges: [[START, s, END]]
output: {made: input.p}
"""
SET = "{type: set, value: {}}"
ASK = "{type: human, show: s, choices: [yes, no]}"
SHELL = "{type: shell, run: [ls]}"
TO_B = "[a, b]"
TO_B_OR_Z = "{from: a, when: 'true', to: b, else: z}"
B_OR_BACK = "{from: b, when: 'true', to: END, else: a}"
B_TO_END = "{from: b, when: 'true', to: END, else: z}"


def graph(a: str = SET, edge: str = TO_B_OR_Z, last: str = "[b, END]") -> str:
    return GRAPH.replace("a: A", f"a: {a}").replace("- E", f"- {edge}").replace("- F", f"- {last}")


def all_faults(text: str) -> list[Fault]:
    graphs = read_text(text, "g.yaml", KeptFiles({}))
    return check(graphs["g"], graphs, tools=TOOLS, settings=SETTINGS)


# The mark « stands where the fault must be found.
BROKEN = [
    # ways
    (graph(edge="[a, «bb]"), "unknown node 'bb' (did you mean 'b'?)"),
    (graph(edge="{from: a, when: 'true', to: «c, else: z}"), "unknown node 'c'"),
    (graph(edge="{from: a, when: 'true', to: b, else: «edn}"), "unknown node 'edn' (did you mean 'END'?)"),
    (graph(ASK, "{from: a, switch: output.choice, cases: {yes: b, no: «q}}"), "unknown node 'q'"),
    (graph(ASK, "{from: a, switch: output.choice, cases: {yes: b}, default: «q}"), "unknown node 'q'"),
    (graph(edge="[a, «START]"), "nothing can lead to START"),
    (graph(last="[b, END]\n  - {from: «c, when: 'true', to: b, else: z}"), "unknown node 'c'"),
    (graph(last="[z, END]").replace("  b:", "  «b:"), "no edge leads on from 'b'; add [b, END]"),
    (graph(last="[b, END]\n  - [«z, END]"), "'z' is a fail node: the run ends there, nothing can follow it"),
    (graph(last=B_TO_END, edge="[a, END]").replace("  b:", "  «b:"), "node 'b' cannot be reached from START"),
    (
        graph("{type: llm, prompt: p, max_visits: 2, on_limit: b}", TO_B, "[b, a]").replace("  a:", "  «a:"),
        "no way leads from 'a' to END or to a fail node",
    ),
    (
        graph(last=B_OR_BACK).replace("  a:", "  «a:"),
        "the cycle a -> b -> a has no bound: give one of its nodes max_visits and on_limit, or let the headless",
    ),
    (
        graph("{type: set, value: {}, max_visits: 3, on_limit: b}", TO_B_OR_Z, B_OR_BACK).replace("  a:", "  «a:"),
        "the cycle a -> b -> a has no bound",
    ),
    (
        graph(
            "{type: human, show: s, choices: [yes, no], headless: no}",
            "{from: a, switch: output.choice, cases: {yes: b, no: a}}",
        ).replace("  a:", "  «a:"),
        "the cycle a -> a has no bound",
    ),
    (graph("{type: set, value: {}, max_visits: 3, on_limit: «c}"), "'on_limit' names the unknown node 'c'"),
    (
        graph("{type: set, value: {}, max_visits: 3, on_limit: «END}"),
        "'on_limit' names the unknown node 'END' (END is",
    ),
    (graph("{type: set, value: {}, on_error: «c}"), "'on_error' names the unknown node 'c'"),
    (graph("{type: set, value: {}, max_visits: «3}"), "'max_visits' of 'a' needs 'on_limit' beside it"),
    (graph("{type: set, value: {}, on_limit: «z}"), "'on_limit' of 'a' needs 'max_visits' beside it"),
    # values
    (graph("{type: llm, prompt: p, output: {to: «xx}}"), "state 'xx' is not declared (did you mean 'x'?); declared:"),
    (graph("{type: set, value: {y: «1}}"), "state 'y' is not declared"),
    (graph("{type: llm, prompt: p, output: {to: x, schema: «Pln}}"), "unknown schema 'Pln' (did you mean 'Plan'?)"),
    (
        graph("{type: llm, prompt: p, output: {schema: {type: array, items: {type: «strin}}}}"),
        "no JSON Schema: 'strin' is not",
    ),
    (
        graph("{type: llm, prompt: p, output: {schema: {type: array, minItem: «1}}}"),
        "unknown word 'minItem' in a JSON Schema (did you mean 'minItems'?)",
    ),
    (
        graph().replace("plan: {schema: Plan}", "plan: {schema: {$ref: «'https://x.org/y'}}"),
        "a JSON Schema refers to itself only ('#/$defs/NAME'), not to 'https://x.org/y'",
    ),
    (graph("{type: coder, prompt: p, output: {schema: «Plan}}"), "a coder always gives a Change"),
    (
        graph("{type: planner, prompt: p, output: {to: «verdict}}"),
        "state 'verdict' is a Review, but 'a' gives a Plan",
    ),
    (
        graph("{type: llm, prompt: p, each: state.xs, output: {to: «x}}"),
        "'a' runs once per item, but state 'x' keeps only one value; give it 'reduce: append'",
    ),
    (graph().replace("default: 1", "default: «yes"), "the default of input 'n' must be of type int, not 'yes'"),
    (
        graph().replace("n: {type: int, default: 1}", "n: {type: list, schema: {type: integer}, default: «[1, x]}"),
        "the default of input 'n' is no list of values of the schema: 1: 'x' is not of type 'integer'",
    ),
    (graph().replace("default: 1", "default: «true"), "the default of input 'n' must be of type int, not True"),
    (
        graph().replace("required: true}", "positional: true}").replace("default: 1", "positional: «true"),
        "only one input can be positional; 'task' is already",
    ),
    # expressions
    (graph("{type: llm, prompt: «'{{ state.pln }}'}"), "state 'pln' is not declared (did you mean 'plan'?)"),
    (graph("{type: llm, prompt: «'{{ input.tsk }}'}"), "input 'tsk' is not declared (did you mean 'task'?)"),
    (
        graph("{type: llm, prompt: «'{{ state.plan.step }}'}"),
        "state.plan is a Plan, which has no 'step' (did you mean",
    ),
    (graph("{type: llm, prompt: «'{{ inptu.task }}'}"), "unknown name 'inptu' (did you mean 'input'?); known here:"),
    (graph("{type: llm, prompt: «'{{ output }}'}"), "'output' is known in when, switch and ensure only"),
    (graph("{type: llm, prompt: «'{{ item }}'}"), "unknown name 'item'"),
    (graph("{type: llm, prompt: «'{{ input.task | plan }}'}"), "unknown filter 'plan'"),
    (graph("{type: llm, prompt: «'{% if x %}'}"), "statements ({% %}) are not part of graph files"),
    (graph("{type: llm, prompt: p, if: «settings.verfy}"), "there is no setting 'verfy' (did you mean 'verify'?)"),
    (
        graph("{type: llm, prompt: p, if: «'{{ input.n }}'}"),
        "an expression stands here bare, without {{ }}: 'input.n'",
    ),
    (graph("{type: llm, prompt: p, each: «item.x}"), "unknown name 'item'"),
    (
        graph("{type: llm, prompt: p, each: state.xs, as: «state}"),
        "an item cannot be named 'state', which expressions",
    ),
    (graph("{type: llm, prompt: p, each: state.xs, as: «not}"), "an item cannot be named 'not'"),
    (graph("{type: shell, run: {command: «settings.x}}"), "there is no setting 'x'"),
    (graph("{type: shell, run: [cat, «'{{ input.f }}']}"), "input 'f' is not declared"),
    (graph("{type: shell, run: [ls], env: {A: «'{{ x }}'}}"), "unknown name 'x'"),
    (graph(SHELL, "{from: a, when: «output.exit == 0, to: b, else: z}"), "this node's output has no 'exit'"),
    (
        graph(SHELL, "{from: a, when: «'output.exit_code = 0', to: b, else: z}"),
        "'output.exit_code = 0': did not expect",
    ),
    (
        graph("{type: reviewer, prompt: p}", "{from: a, when: «output.verdit, to: b, else: z}"),
        "this node's output has no",
    ),
    (graph() + "output: «state.gone\n", "state 'gone' is not declared"),
    (graph() + "output: {a: «1 +}\n", "'1 +': unexpected end"),
    # choices
    (graph("{type: human, show: s, choices: «[]}"), "'a' needs at least one choice"),
    (
        graph("{type: human, show: s, choices: [yes], headless: «yess}"),
        "'headless' must be one of the choices yes, not",
    ),
    (
        graph("{type: human, show: s, choices: [yes], if: input.n, skipped: «no}"),
        "'skipped' must be one of the choices yes, not 'no'",
    ),
    (graph("{type: human, show: s, choices: [yes], edits: «y}"), "state 'y' is not declared"),
    (graph(ASK, "{from: a, switch: output.choice, cases: «{yes: b}}"), "no case for no, and no default"),
    (
        graph(ASK, "{from: a, switch: output.choice, cases: {yes: b, No: «z, no: z}}"),
        "output.choice is never 'No' (did",
    ),
    (
        graph("{type: reviewer, prompt: p}", "{from: a, switch: output.verdict, cases: «{approve: b}}"),
        "no case for revise, and no default",
    ),
    (
        graph("{type: shell, run: [ls], if: input.n}", "{from: a, when: output.exit_code, to: b, else: z}").replace(
            "  a:", "  «a:"
        ),
        "'a' can be skipped and its edge looks at 'output'; give it a 'skipped' value",
    ),
    (graph("{type: set, value: {}, skipped: «1}"), "'skipped' of 'a' needs an 'if' that can skip it"),
    # tools and subgraphs
    (
        graph("{type: agent, prompt: p, tools: [grep, «read_fil]}"),
        "unknown tool 'read_fil' (did you mean 'read_file'?)",
    ),
    (graph("{type: tool, call: «gti}"), "unknown tool 'gti' (did you mean 'git'?); there are: git, grep, read_file"),
    (
        graph("{type: graph, graph: «iner, with: {p: 1}}") + INNER,
        "there is no graph 'iner' here (did you mean 'inner'?)",
    ),
    (graph("{type: graph, graph: inner, with: «{}}") + INNER, "graph 'inner' needs the input p in 'with'"),
    (
        graph("{type: graph, graph: inner, with: {p: 1, «r: 2}}").replace("«r: ", "r: «") + INNER,
        "graph 'inner' has no",
    ),
    (graph("{type: graph, graph: inner, with: {p: «x}}") + INNER, "input 'p' of graph 'inner' must be of type int"),
    (graph("{type: graph, graph: «g, with: {task: x}}"), "'g' would run itself by 'g'; a graph cannot"),
    (
        graph("{type: graph, graph: «inner, with: {p: 1}}") + INNER.replace(SET, "{type: graph, graph: g}"),
        "'g' would run itself by 'inner'",
    ),
    (
        graph("{type: graph, graph: inner, with: {p: 1}}", "{from: a, when: «output.mad, to: b, else: z}") + INNER,
        "this node's output has no 'mad' (did you mean 'made'?)",
    ),
    # known, but not built
    (graph("{type: llm, prompt: p, ensure: «outpt}"), "unknown name 'outpt'"),
    (
        graph("{type: reviewer, prompt: p, ensure: «output.findngs}"),
        "this node's output has no 'findngs' (did you mean",
    ),
    (graph("{type: llm, prompt: p, ensure: «'output | cites_onl(state.xs)'}"), "unknown filter 'cites_onl' (did you"),
    (
        graph(
            "{type: agent, prompt: p, output: {schema: {additionalProperties: false, properties: {verdict: {}}}}}",
            "{from: a, when: «output.verdit, to: b, else: z}",
        ),
        "this node's output has no 'verdit' (did you mean 'verdict'?)",
    ),
    (graph("{type: retrieve, index: code, query: «'{{ input.tsk }}'}"), "input 'tsk' is not declared"),
    (graph("{type: retrieve, index: docs, query: x, filter: [a, «'{{ x }}']}"), "unknown name 'x'"),
    (
        graph("{type: python, call: 'json:loads', with: {s: '1'}, workspace: «readonly}"),
        "'workspace: readonly' cannot hold the function of 'a'",
    ),
    (graph("{type: llm, prompt: p, approve: «tools}"), "'approve: tools' of 'a' needs a node that calls tools"),
    (
        f"{graph('{type: coder, prompt: p, network: «true}')}network: false\n",
        "the graph has 'network: false', which 'a' cannot lift",
    ),
    (
        f"{graph('{type: coder, prompt: p, permissions: {bash(make): «allow}}')}permissions: {{bash(make): ask}}\n",
        "the graph has 'ask' for 'bash(make)', which 'a' cannot lift to 'allow'",
    ),
    (
        graph("{type: llm, prompt: p, budget: {history: «1k}}"),
        "the budget part 'history' of 'a' needs 'history: continue'",
    ),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_graph_that_cannot_run_is_refused_with_the_place(text: str, message: str) -> None:
    before = text[: text.index("«")].split("\n")
    place = f"g.yaml:{len(before)}:{len(before[-1]) + 1}: "
    found = [str(fault) for fault in all_faults(text.replace("«", ""))]
    assert any(line.startswith(place + message) for line in found), found


GOOD = [
    graph(),
    graph(ASK, "{from: a, switch: output.choice, cases: {yes: b, no: z}}"),
    graph(ASK, "{from: a, switch: output.choice, cases: {yes: b}, default: z}"),
    graph("{type: llm, prompt: '{{ item }} {{ x }}', each: state.xs, as: x, output: {to: xs}}"),
    graph("{type: llm, prompt: p, model: light}"),
    graph(
        "{type: coder, prompt: p, permissions: {'bash(npm run test:*)': allow, network(npm ci): ask}, network: true}"
    ),
    f"{graph('{type: shell, run: [x], permissions: {bash(make): deny}}')}permissions: {{bash(make): ask}}\n",
    f"{graph('{type: tool, call: git, network: false}')}network: true\n",
    graph("{type: agent, prompt: p, tools: [], on_error: z, limits: {model_calls: 3}}"),
    graph("{type: shell, run: ['true'], parse: json}", "{from: a, when: output.anything, to: b, else: z}"),
    graph(
        "{type: shell, run: [a], if: input.n, skipped: {exit_code: 0}}",
        "{from: a, when: output.text, to: b, else: z}",
    ),
    graph("{type: graph, graph: inner, with: {p: '{{ input.n }}'}}") + INNER,
    graph("{type: planner, prompt: p, output: {to: plan}}"),
    graph("{type: reviewer, prompt: p}", "{from: a, switch: output.verdict, cases: {approve: b, revise: z}}"),
    # A loop that a limit ends, and one that the headless answer leaves.
    graph("{type: llm, prompt: p, max_visits: 2, on_limit: z}", TO_B, B_OR_BACK),
    graph(
        "{type: human, show: s, choices: [yes, no], headless: yes}",
        "{from: a, switch: output.choice, cases: {yes: b, no: a}}",
    ).replace("  z: {type: fail, message: no}\n", ""),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_graph_that_can_run_has_no_fault(text: str) -> None:
    assert all_faults(text) == []


def test_a_graph_without_a_start_is_refused() -> None:
    found = [fault.message for fault in all_faults(graph().replace("  - [START, a]\n", ""))]
    assert found == ["no edge begins at START; begin a chain with it: [START, first-node]"]


def test_a_graph_that_can_only_fail_is_refused() -> None:
    found = [fault.message for fault in all_faults(graph(edge=TO_B, last="[b, z]"))]
    assert found == ["no way leads from START to END, so the graph can only fail"]


def test_a_skipped_question_that_leads_back_is_an_endless_cycle() -> None:
    node = "{type: human, show: s, choices: [yes, no], headless: yes, if: input.n, skipped: no}"
    found = all_faults(
        graph(node, "{from: a, switch: output.choice, cases: {yes: b, no: a}}").replace("else: z", "else: b")
    )
    assert any("the cycle a -> a has no bound" in fault.message for fault in found)


def test_a_graph_with_broken_targets_is_not_told_about_its_ways() -> None:
    assert [fault.message for fault in all_faults(graph(edge="[a, nowhere]"))] == ["unknown node 'nowhere'"]


def test_tools_and_settings_are_not_checked_when_they_are_not_known() -> None:
    graphs = read_text(graph("{type: tool, call: mcp.x, if: settings.foo}"), "g.yaml")
    assert check(graphs["g"], graphs) == []


def test_require_valid_looks_at_the_graphs_below() -> None:
    graphs = read_text(
        graph("{type: graph, graph: inner, with: {p: 1}}") + INNER.replace("s, END", "s, EDN"), "g.yaml"
    )
    with pytest.raises(GraphInvalid, match=r"g\.yaml:18:20: unknown node 'EDN' \(did you mean 'END'\?\)"):
        require_valid(graphs["g"], {"inner": graphs["inner"]})


EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_format_has_no_fault(path: Path, tmp_path: Path) -> None:
    loaded = find_graph(
        str(path),
        workspace=tmp_path,
        user_dir=tmp_path / "none",
        is_trusted=lambda file, content: True,
        tools=ALL_TOOLS,
    )
    assert loaded.spec.name == path.stem

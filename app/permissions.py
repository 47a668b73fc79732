"""What would happen to a shell command under the rules of the settings, a graph and a node. Called by the CLI."""

from __future__ import annotations

from dataclasses import dataclass

from ..configs.rules import CommandRules, parse_rules
from ..core.effects import Category, Command
from ..core.errors import UsageError
from ..tools.network import NetworkVerdict, network_on
from ..tools.shell_line import judge_line
from ..tools.shell_policy import CommandVerdict
from .context import AppContext


@dataclass(frozen=True, slots=True)
class CheckedLine:
    """The verdict on a shell line, and on the network that it would have."""

    verdict: CommandVerdict
    network: NetworkVerdict

    @property
    def decision(self) -> str:
        """allow, ask or deny; mode auto does not ask, unless a rule does."""
        return "ask" if self._asks_for_network else self.verdict.decision

    @property
    def reason(self) -> str:
        return f"it would have the network ({self.network.reason})" if self._asks_for_network else self.verdict.reason

    @property
    def category(self) -> str:
        return "network" if self.network.on else self.verdict.category

    @property
    def _asks_for_network(self) -> bool:
        return self.verdict.decision == "allow" and self.network.question != "never"


def check_line(context: AppContext, line: str, graph: str = "", node: str = "") -> CheckedLine:
    """Return the verdict on a shell line as the tool bash would run it in the workspace; nothing is run.

    Args:
        graph: name or file of a graph whose rules count too; "" = those of the settings alone.
        node: a node of it, see graphs.node_rules; "" = the graph's own rules.

    Raises:
        UsageError: no such graph or node, or a node without a graph.
        GraphInvalid: the graph cannot be run.
        Denied: it lies in the repository and is not trusted.
    """
    settings, workspace = context.settings, context.workspace.resolve()
    held = CommandRules(parse_rules(settings.permissions), open_network=settings.sandbox.network)
    if node and not graph:
        raise UsageError(f"--node {node!r} names no node without a graph.", hint="Give --graph NAME too.")
    if graph:
        from ..graphs.node_rules import node_rules
        from .graphs import load_graph

        held = node_rules(load_graph(context, graph), node, held)
    verdict = judge_line(line, held.rules, workspace).verdict
    category: Category = "shell-safe" if verdict.read_only else "shell"
    network = network_on(Command(("bash", "-c", line), 1.0, category=category), held, workspace)
    return CheckedLine(verdict, network)

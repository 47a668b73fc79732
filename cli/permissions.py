"""`flow permissions check`: what would happen to a shell command, by the code that the tool bash goes through."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from .context import CliOptions, app_context
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..app.permissions import CheckedLine
    from ..configs.rules import RuleKind

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Tell what the shell policy decides.")


@app.callback()
def permissions() -> None:
    """Tell what the shell policy decides."""


@app.command("check")
def check(
    ctx: typer.Context,
    command: str = typer.Argument(..., metavar="COMMAND", help="A shell line, quoted as one word."),
    graph: str = typer.Option("", "--graph", metavar="NAME", help="With the rules of this graph, a name or a file."),
    node: str = typer.Option("", "--node", metavar="NODE", help="And of this node of it: code, or implement/code."),
) -> None:
    """Tell whether a shell command would run unasked, be asked for, or be denied in this folder. Nothing is run."""
    from ..app.permissions import check_line
    from ..tools.shell_advice import display_of, interactive_hint

    options: CliOptions = ctx.obj
    checked = check_line(app_context(options), command, graph, node)
    if options.json:
        print_json({**_facts(checked), "interactive": interactive_hint(command), "display": display_of(command)})
    else:
        _print(checked, interactive_hint(command))


def _facts(checked: CheckedLine) -> dict[str, Any]:
    verdict = checked.verdict
    return {
        "decision": checked.decision,
        "reason": checked.reason,
        "prefixes": list(verdict.prefixes),
        "injected": verdict.injected,
        "read_only": verdict.read_only,
        "category": checked.category,
        "network": checked.network.on is True,
        "network_reason": checked.network.reason,
        "commands": [
            {
                name: value
                for name, value in asdict(part).items()
                if name in ("text", "decision", "reason", "read_only")
            }
            for part in verdict.parts
        ],
    }


def _print(checked: CheckedLine, hint: str) -> None:
    from ..configs.rules import rule_text

    verdict = checked.verdict
    print(f"{checked.decision}: {visible(checked.reason)}")
    if checked.network.reason:
        print(f"network: {'yes' if checked.network.on else 'no'}, {visible(checked.network.reason)}")
    if hint:
        print(f"refused as it is: {visible(hint)}")
    if verdict.injected:
        print("injected: it runs or expands something that its words do not show")
    if len(verdict.parts) > 1:
        for part in verdict.parts:
            print(f"  {part.decision:5} {visible(part.text)}: {visible(part.reason)}")
    if verdict.prefixes and checked.network.question != "always":
        kinds: tuple[RuleKind, ...] = ("bash", "network") if checked.network.on else ("bash",)
        rules = ", ".join(visible(rule_text(prefix, kind)) for kind in kinds for prefix in verdict.prefixes)
        print(f'"always" would allow: {rules}')

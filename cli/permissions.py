"""`flow permissions check`: what would happen to a shell command, by the code that the tool bash goes through."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from .context import CliOptions, load_setup, print_notices
from .printing import print_json, visible

if TYPE_CHECKING:
    from ..tools.shell_policy import CommandVerdict

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Tell what the shell policy decides.")


@app.callback()
def permissions() -> None:
    """Tell what the shell policy decides."""


@app.command("check")
def check(
    ctx: typer.Context,
    command: str = typer.Argument(..., metavar="COMMAND", help="A shell line, quoted as one word."),
) -> None:
    """Tell whether a shell command would run unasked, be asked for, or be denied in this folder. Nothing is run."""
    from ..configs.rules import parse_rules
    from ..tools.shell_advice import display_of, interactive_hint
    from ..tools.shell_line import judge_line

    options: CliOptions = ctx.obj
    setup = load_setup(options)
    print_notices(options, setup.loaded.notices)
    rules = parse_rules(setup.loaded.settings.permissions)
    verdict = judge_line(command, rules, setup.workspace.resolve()).verdict
    if options.json:
        print_json({**_facts(verdict), "interactive": interactive_hint(command), "display": display_of(command)})
    else:
        _print(verdict, interactive_hint(command))


def _facts(verdict: CommandVerdict) -> dict[str, Any]:
    return {
        "decision": verdict.decision,
        "reason": verdict.reason,
        "prefixes": list(verdict.prefixes),
        "injected": verdict.injected,
        "read_only": verdict.read_only,
        "category": verdict.category,
        "commands": [
            {
                name: value
                for name, value in asdict(part).items()
                if name in ("text", "decision", "reason", "read_only")
            }
            for part in verdict.parts
        ],
    }


def _print(verdict: CommandVerdict, hint: str) -> None:
    from ..configs.rules import rule_text

    print(f"{verdict.decision}: {visible(verdict.reason)}")
    if hint:
        print(f"refused as it is: {visible(hint)}")
    if verdict.injected:
        print("injected: it runs or expands something that its words do not show")
    if len(verdict.parts) > 1:
        for part in verdict.parts:
            print(f"  {part.decision:5} {visible(part.text)}: {visible(part.reason)}")
    if verdict.prefixes:
        rules = ", ".join(visible(rule_text(prefix)) for prefix in verdict.prefixes)
        print(f'"always" would allow: {rules}')

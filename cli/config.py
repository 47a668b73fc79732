"""`flow config get` and `flow config explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .context import CliOptions, load_setup, print_notices
from .printing import print_items, print_json, visible

if TYPE_CHECKING:
    from ..configs.load import Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Show settings and where they come from.")


@app.command("get")
def get(
    ctx: typer.Context,
    key: str = typer.Argument(..., metavar="KEY", help="Dotted key (models.main), or a table (models)."),
) -> None:
    """Print the value of a setting; an empty line when it is not set."""
    options: CliOptions = ctx.obj
    loaded, keys = _load(options, key)
    values = {name: _value(loaded, name) for name in keys}
    if options.json:
        print_json(values)
    elif keys == [key]:
        print(_bare(values[key]))
    else:
        for name, value in values.items():
            print(f"{name} = {_toml(value)}")


@app.command("explain")
def explain(
    ctx: typer.Context,
    key: str | None = typer.Argument(
        None, metavar="[KEY]", help="Dotted key or table; all settings without one.", show_default=False
    ),
) -> None:
    """Print a setting's value, where it comes from, and what it means."""
    options: CliOptions = ctx.obj
    loaded, keys = _load(options, key)
    if options.json:
        print_items([_facts(loaded, name) for name in keys], options.output)
        return
    for name in keys:
        place = f" ({visible(loaded.places[name])})" if loaded.places[name] else ""
        print(f"{name} = {_toml(_value(loaded, name))}")
        print(f"  from: {loaded.origins[name]}{place}")
        print(f"  {_describe(name)}")


def _load(options: CliOptions, key: str | None) -> tuple[Loaded, list[str]]:
    from ..configs.keys import near_hint, setting_fields
    from ..core.errors import ConfigError

    fields = setting_fields()
    keys = [name for name in fields if key is None or name == key or name.startswith(f"{key}.")]
    if not keys:
        raise ConfigError(f"There is no setting {key!r}.", hint=near_hint(str(key)))
    loaded = load_setup(options).loaded
    print_notices(options, loaded.notices)
    return loaded, keys


def _facts(loaded: Loaded, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "value": _value(loaded, key),
        "origin": loaded.origins[key],
        "place": loaded.places[key],
        "description": _describe(key),
    }


def _value(loaded: Loaded, key: str) -> Any:
    from ..configs.keys import value_at

    return value_at(loaded.settings, key)


def _describe(key: str) -> str:
    from ..configs.keys import setting_fields

    return setting_fields()[key].description or ""


def _bare(value: Any) -> str:
    """Return a value for scripts: text as it is, "" for one that is not set, else as in TOML."""
    if value is None:
        return ""
    return value if isinstance(value, str) else _toml(value)


def _toml(value: Any) -> str:
    import json

    # JSON and TOML write texts, numbers, booleans and lists of texts alike; TOML has no null.
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)

"""Checks of the machine a run would meet: programs, folders, model server, models. Called by `flow doctor`."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..configs.dirs import Dirs, make_private
from ..configs.model_settings import ROLES
from ..configs.settings import Settings
from ..core.errors import ConfigError, Denied, ModelUnavailable
from ..tools.sandboxes import find_sandbox

if TYPE_CHECKING:
    from ..llm.server_info import ServerInfo

Status = Literal["ok", "warn", "fail"]
Group = Literal["base", "model"]

MIN_PYTHON = (3, 11)
_PROGRAM_TIMEOUT_S = 2.0
_GB = 1_000_000_000
_DISK_FAIL_BYTES = _GB // 10
"""Below this a run's database and snapshots of files cannot be relied on to fit."""
_DISK_WARN_BYTES = _GB

_MODEL_EXIT_CODE = 5
_BASE_EXIT_CODE = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Attributes:
        text: what was found.
        fix: what to do about it, a command where there is one; "" when there is nothing to do.
        group: "model" for what needs the model server, "base" for all else.
    """

    name: str
    status: Status
    text: str
    fix: str = ""
    group: Group = "base"


async def examine(settings: Settings, dirs: Dirs, env: Mapping[str, str]) -> tuple[Check, ...]:
    """Return the checks in a fixed order. They run side by side: a dead server costs no more than itself.

    The folders are created when they are missing.
    """
    programs = asyncio.to_thread(_check_programs, env.get("PATH", ""))
    sandbox = asyncio.to_thread(_check_sandbox, settings, dirs, env)
    folders = asyncio.to_thread(_check_folders, dirs)
    models = _check_models(settings, dirs)
    base, confined, places, served = await asyncio.gather(programs, sandbox, folders, models)
    return (_check_python(), *base, confined, *places, _check_sqlite(), *served, _check_embeddings(settings, dirs))


def exit_code(checks: Sequence[Check]) -> int:
    """Return 5 when the server or a model fails, 2 when something else does, else 0; warnings do not count."""
    failed = {check.group for check in checks if check.status == "fail"}
    if "model" in failed:
        return _MODEL_EXIT_CODE
    return _BASE_EXIT_CODE if failed else 0


def _check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= MIN_PYTHON:
        return Check("python", "ok", version)
    return Check(
        "python", "fail", f"{version} is too old", f"Install Python {'.'.join(map(str, MIN_PYTHON))} or later."
    )


def _check_programs(path: str) -> list[Check]:
    return [_check_git(path), _check_ripgrep(path)]


def _check_git(path: str) -> Check:
    git = shutil.which("git", path=path)
    version = _first_line([git, "--version"]) if git else None
    if version is None:
        return Check("git", "fail", "not found; runs work on git repositories", "Install git.")
    return Check("git", "ok", version)


def _check_ripgrep(path: str) -> Check:
    rg = shutil.which("rg", path=path)
    version = _first_line([rg, "--version"]) if rg else None
    if version is None:
        return Check("ripgrep", "warn", "not found; searches use a slower one in Python", "Install ripgrep (rg).")
    return Check("ripgrep", "ok", version)


def _check_sandbox(settings: Settings, dirs: Dirs, env: Mapping[str, str]) -> Check:
    """Say what confines commands, and what would have to be done for better."""
    found = find_sandbox(settings.sandbox, dirs, env)
    if found.sandbox is None:
        fix = f'{found.fix} Or set sandbox.backend to "auto".'.strip()
        return Check("sandbox", "fail", f"{found.kind} is set and does not work here: {found.missing}", fix)
    texts = {
        "bubblewrap": "bubblewrap: commands see the workspace and no network, home folder or other process",
        "landlock": "Landlock: commands write in the workspace only; .git and ignored files in it are open to them",
        "seatbelt": "seatbelt, untested: commands write in the workspace only",
        "none": "none: commands run with your rights, and every one is asked",
    }
    text = texts[found.kind] + (f"; {found.missing}" if found.missing else "")
    return Check("sandbox", "ok" if found.kind == "bubblewrap" else "warn", text, found.fix)


def _first_line(argv: list[str]) -> str | None:
    """Return the first line a program prints; None when it cannot be run or fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=_PROGRAM_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def _check_folders(dirs: Dirs) -> list[Check]:
    checks = [_check_writable(folder) for folder in dict.fromkeys((dirs.config, dirs.data, dirs.state, dirs.cache))]
    failed = [check for check in checks if check.status == "fail"]
    folders = failed or [Check("folders", "ok", f"writable; data in {dirs.data}")]
    return [*folders, _check_space(dirs.data)]


def _check_writable(folder: Path) -> Check:
    fix = "Make it writable, or set FLOW_HOME to a folder that is."
    try:
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except ConfigError as err:
        return Check("folders", "fail", err.message, fix)
    except OSError as err:
        return Check("folders", "fail", f"{folder} cannot be written: {err.strerror}", fix)
    return Check("folders", "ok", str(folder))


def _check_space(folder: Path) -> Check:
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / _GB:.1f} GB free for {folder}"
    if free >= _DISK_WARN_BYTES:
        return Check("disk", "ok", text)
    fix = "Remove old runs (`flow runs list`, `flow runs rm RUN`), or set FLOW_HOME to another disk."
    return Check("disk", "fail" if free < _DISK_FAIL_BYTES else "warn", text, fix)


def _check_sqlite() -> Check:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
    except sqlite3.OperationalError:
        text = f"{sqlite3.sqlite_version} without FTS5, which search needs"
        return Check(
            "sqlite", "fail", text, "Use a Python whose SQLite has FTS5 (python.org, a distribution's, uv's)."
        )
    finally:
        connection.close()
    return Check("sqlite", "ok", f"{sqlite3.sqlite_version} with FTS5")


async def _check_models(settings: Settings, dirs: Dirs) -> list[Check]:
    from ..llm.servers import TITLES
    from .servers import choose_allowed, find_servers

    try:
        info, *others = await find_servers(settings)
    except ModelUnavailable as err:
        return [Check("server", "fail", err.message, err.hint, "model")]
    count = len(info.models)
    version = f" {info.version}" if info.version else ""
    text = f"{info.url}, {TITLES[info.kind]}{version}, {count} model{'' if count == 1 else 's'}"
    if others:
        text += f"; also found: {', '.join(f'{TITLES[other.kind]} at {other.url}' for other in others)}"
    checks = [Check("server", "ok", text, "", "model")]
    for wanted in dict.fromkeys(settings.models.for_role(role) for role in ROLES):
        having = [role for role in ROLES if settings.models.for_role(role) == wanted]
        roles = "every role" if len(having) == len(ROLES) else ", ".join(having)
        try:
            name = choose_allowed(settings, info, wanted)
            checks += await _check_model(settings, dirs, info, name, roles)
        except (ModelUnavailable, Denied) as err:
            checks.append(Check("model", "fail", err.message, err.hint, "model"))
    for name in dict.fromkeys(settings.models.all_fallbacks()):
        try:
            checks.append(Check("fallback", "ok", choose_allowed(settings, info, name), "", "model"))
        except ModelUnavailable as err:
            checks.append(Check("fallback", "warn", err.message, err.hint, "model"))
        except Denied as err:
            checks.append(Check("fallback", "fail", err.message, err.hint, "model"))
    return checks


async def _check_model(settings: Settings, dirs: Dirs, info: ServerInfo, name: str, roles: str) -> list[Check]:
    """Tell of a model that is there what runs and `flow models test` found of it; it is not asked for anything."""
    from .model_list import known_record
    from .models import record_file

    found = await known_record(settings, info, name, record_file(dirs.cache))
    if found is None:
        told, notices = "not looked at yet: `flow models test` does", []
    else:
        tried = {"native": "calls tools", "text": "writes its tool calls as text", "prompt": "calls tools as JSON"}
        facts = [f"window of {found.window:,} tokens", tried.get(found.calls, "")]
        if found.decode_per_s:
            facts.append(f"{found.decode_per_s:.0f} tokens/s")
        told, notices = ", ".join(filter(None, facts)), found.notices()
    checks = [Check("model", "ok", f"{name} for {roles} ({told})", "", "model")]
    return [*checks, *(Check("model", "warn", notice, "", "model") for notice in notices)]


def _check_embeddings(settings: Settings, dirs: Dirs) -> Check:
    from .embedding import PULL_HINT, choose_backend, make_embedder

    embed = settings.embed
    try:
        choice = choose_backend(settings, dirs)
        if choice.backend == "none":
            if choice.note:
                return Check("embeddings", "warn", f"off: {choice.note}", f"{PULL_HINT}: it goes on where it was.")
            said = "embed.backend" if embed.backend == "none" else f"no weights; {PULL_HINT}"
            return Check("embeddings", "ok", f"off: search by words only ({said})")
        if choice.backend == "http":
            return Check("embeddings", "ok", f"{embed.model} by the server at {choice.url}")
        # Looks at the folder only; the weights are loaded with the first text.
        make_embedder(settings, choice)
    except (ConfigError, Denied) as err:
        return Check("embeddings", "fail", err.message, err.hint)
    if choice.backend == "sentence-transformers" and find_spec("sentence_transformers") is None:
        fix = "Install flowloom[e5], use the model's ONNX file, or set embed.backend to none."
        return Check("embeddings", "fail", "sentence-transformers is not installed", fix)
    place = embed.device if choice.backend == "sentence-transformers" else "cpu"
    return Check("embeddings", "ok", f"{embed.model} in {choice.path}, by {choice.backend} on {place}")

"""Running git in a repository that may not be trusted: nothing that came with the repository is run or fetched.

Called by the listing of files, the history of the code index, the tool git, the changes of a run and the reminder of
where an agent works.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import UsageError

SETTINGS = (
    ("core.fsmonitor", ""),
    ("core.hooksPath", "/dev/null"),
    ("core.pager", "cat"),
    ("core.editor", "true"),
    ("core.askPass", ""),
    ("core.alternateRefsCommand", ""),
    ("credential.helper", ""),
    ("log.showSignature", "false"),
    ("commit.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("core.quotePath", "false"),
    ("color.ui", "false"),
)
"""What a repository's configuration can make git run, open or print otherwise, switched off."""

GIT = (
    "git",
    *(part for name, value in SETTINGS for part in ("-c", f"{name}={value}")),
    "--no-optional-locks",
    "--literal-pathspecs",
)
"""The beginning of every command line."""

_EVENTS = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg"),
    *("commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-auto-gc"),
    *("post-rewrite", "reference-transaction", "post-index-change", "sendemail-validate", "push-to-checkout"),
)
"""Events whose hooks git 2.54 and later also take from settings, where core.hooksPath does not reach them. The
switches for whole events came with a later version; `own_filters` names single hooks for what lies between."""


def events_off(but: Sequence[str] = ()) -> str:
    """Return the value of GIT_CONFIG_PARAMETERS that switches off the hooks of all events, or of all but these."""
    return " ".join(f"'hook.{event}.enabled=false'" for event in _EVENTS if event not in but)


# git-lfs would fetch over the network what is not here yet.
ENV = {
    "GIT_CONFIG_PARAMETERS": events_off(),
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
"""Added to the environment of every git command."""

# What git itself lists by `git rev-parse --local-env-vars`: set inside a hook, they name that hook's repository.
_POINTING = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)


def run_git(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Return how a git command ended; messages are in English, and nothing of GIT_* around us points it elsewhere.

    Filters act in commands that look at contents; `config_env(filters_off(folder))` in `env` switches them off.

    Args:
        env: added to the environment.
        timeout_s: seconds it may take; None = as long as it does.

    Raises:
        UsageError: git is not installed, cannot start in the folder, or takes too long.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _POINTING}
    whole_env = {**kept, **ENV, "LC_ALL": "C", **(env or {})}
    argv = [*GIT, *arguments]
    try:
        return subprocess.run(
            argv, cwd=folder, env=whole_env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s
        )
    except FileNotFoundError as err:
        missing = "git is not installed" if folder.is_dir() else f"The folder {str(folder)!r} does not exist"
        raise UsageError(f"{missing}.") from err
    except OSError as err:
        raise UsageError(f"git cannot be started in {str(folder)!r}: {err.strerror}.") from err
    except subprocess.TimeoutExpired as err:
        raise UsageError(f"git {arguments[0]} did not answer within {timeout_s:g} s.") from err


def own_filters(folder: Path) -> list[str]:
    """Return, sorted, the settings that came with the repository and run a program on file contents or as a hook.

    Those of the user's own configuration (git-lfs) are not among them.

    Raises:
        UsageError: as `run_git`.
    """
    pattern = r"^(filter\..*\.(clean|smudge|process)|hook\..*\.command)$"
    asked = ("config", "--show-scope", "--includes", "--null", "--name-only", "--get-regexp", pattern)
    *parts, _ = os.fsdecode(run_git(folder, *asked).stdout).split("\0")
    named = zip(parts[::2], parts[1::2], strict=True)
    return sorted({name for scope, name in named if scope in ("local", "worktree")})


def filters_off(filters: Sequence[str]) -> list[tuple[str, str]]:
    """Return the settings that empty these filters and switch these hooks off."""
    hooks = [name for name in filters if name.startswith("hook.")]
    emptied = [name for name in filters if name not in hooks]
    # git refuses to go on when a hook that is not switched off has no command.
    off = {name.rpartition(".")[0] + ".required" for name in emptied}
    off |= {name.rpartition(".")[0] + ".enabled" for name in hooks}
    return [*((name, "") for name in emptied), *((name, "false") for name in sorted(off))]


def named_hooks_off(folder: Path) -> list[tuple[str, str]]:
    """Return the settings that switch off the hooks which settings name, the user's own too.

    Raises:
        UsageError: as `run_git`.
    """
    asked = ("config", "--includes", "--null", "--name-only", "--get-regexp", r"^hook\..*\.command$")
    names = filter(None, os.fsdecode(run_git(folder, *asked).stdout).split("\0"))
    return [(name.rpartition(".")[0] + ".enabled", "false") for name in sorted(set(names))]


def config_env(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return git settings as environment, which takes names that a -c option could not."""
    env = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for place, (name, value) in enumerate(settings):
        env |= {f"GIT_CONFIG_KEY_{place}": name, f"GIT_CONFIG_VALUE_{place}": value}
    return env

"""Which sandbox confines commands here: the one that is set, or the best that works on this machine.

Called by app/ when a run or a single call starts, and by `flow doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from ..configs.dirs import Dirs
from ..configs.settings import SandboxSettings
from ..core.errors import ConfigError
from ..core.ports import Sandbox
from .host import HostSandbox
from .permissions import Confinement
from .sandbox_policy import Limits
from .sandbox_view import SandboxOptions, SandboxView

_INSTALL = "Install bubblewrap (bwrap)."
_NAMESPACES = (
    "Allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container the rights for them)."
)


@dataclass(frozen=True, slots=True)
class Found:
    """What confines commands here.

    Attributes:
        kind: "bubblewrap", "landlock", "seatbelt" or "none".
        sandbox: None = the one that is set does not work here.
        missing: why no better one is used, in a few words; "" = there is none better, or another one was set.
        fix: what to do about that; "" = nothing.
    """

    kind: str
    sandbox: Sandbox | None
    missing: str = ""
    fix: str = ""


def choose_sandbox(settings: SandboxSettings, dirs: Dirs, environ: Mapping[str, str]) -> Sandbox:
    """Return what runs commands; its kind is "none" where nothing confines them.

    Raises:
        ConfigError: the sandbox that the settings name does not work here.
    """
    found = find_sandbox(settings, dirs, environ)
    if found.sandbox is None:
        raise ConfigError(
            f"The sandbox {settings.backend!r} of the settings does not work here: {found.missing}.",
            hint=f'{found.fix} Or set sandbox.backend to "auto".'.strip(),
        )
    return found.sandbox


def confinement_by(settings: SandboxSettings, sandbox: Sandbox) -> Confinement:
    """Return how far commands are confined; a sandbox that the settings name is taken as it is, "none" too."""
    if settings.backend != "auto" or sandbox.kind == "bubblewrap":
        return "full"
    return "none" if sandbox.kind == "none" else "partial"


def find_sandbox(settings: SandboxSettings, dirs: Dirs, environ: Mapping[str, str]) -> Found:
    """Return what the settings and this machine come to. Starts a program or two to find out: some 10 ms."""
    view = SandboxView(_options(settings, dirs, environ), environ)
    match settings.backend:
        case "none":
            return Found("none", HostSandbox(environ))
        case "bubblewrap":
            return _bubblewrap(view, environ)
        case "landlock":
            return _landlock(view, environ)
        case "seatbelt":
            return _seatbelt(view, environ)
        case "auto":
            best = _bubblewrap(view, environ)
            if best.sandbox is not None:
                return best
            second = _landlock(view, environ)
            if second.sandbox is not None:
                return Found(second.kind, second.sandbox, best.missing, best.fix)
            return Found("none", HostSandbox(environ), f"{best.missing}; {second.missing}", best.fix)


def _bubblewrap(view: SandboxView, environ: Mapping[str, str]) -> Found:
    from .bwrap import BwrapSandbox, probe_bwrap

    bwrap = probe_bwrap(environ.get("PATH", os.defpath))
    if isinstance(bwrap, str):
        return Found("bubblewrap", None, bwrap, _INSTALL if "not installed" in bwrap else _NAMESPACES)
    return Found("bubblewrap", BwrapSandbox(bwrap, view, environ))


def _landlock(view: SandboxView, environ: Mapping[str, str]) -> Found:
    from .landlock import LandlockSandbox, probe_landlock

    missing = probe_landlock()
    return Found("landlock", None if missing else LandlockSandbox(view, environ), missing)


def _seatbelt(view: SandboxView, environ: Mapping[str, str]) -> Found:
    from .seatbelt import SeatbeltSandbox, probe_seatbelt

    missing = probe_seatbelt()
    return Found("seatbelt", None if missing else SeatbeltSandbox(view, environ), missing)


def _options(settings: SandboxSettings, dirs: Dirs, environ: Mapping[str, str]) -> SandboxOptions:
    home = environ.get("HOME", "/")

    def absolute(paths: list[str]) -> tuple[Path, ...]:
        return tuple(Path(home, path[2:]) if path.startswith("~/") else Path(path) for path in paths)

    return SandboxOptions(
        network=settings.network,
        readable=absolute(settings.read_only),
        writable=tuple(path for path in absolute(settings.writable) if path.exists()),
        home=tuple(settings.home),
        private=tuple(Path(os.path.realpath(path)) for path in astuple(dirs)),
        limits=Limits(settings.processes, settings.file_bytes, settings.memory_bytes),
    )

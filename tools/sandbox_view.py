"""From a workspace and this machine to a SandboxPolicy: what is there, what has to be shut, and what is missing.

Asked by the sandboxes for every command, since a command may have changed the workspace.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..core.effects import Command
from ..core.errors import FlowError, ToolError
from ..retrieval.files import Denials, denial_files
from .git_folders import HookFolders, Repository, read_repository
from .sandbox_policy import GIT_PRIVATE, PROTECTED_NAMES, Guarded, Limits, SandboxPolicy

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/snap")
"""What every command may read. All else of the machine is not there: sockets in /run, other people's files, data."""
_SYSTEM_PARTS = (
    "/sys/devices/system",
    "/var/lib/dpkg",
    "/var/lib/gems",
    "/var/lib/ghc",
    "/var/lib/texmf",
    "/var/cache/fontconfig",
)
_SCRATCH = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
_TOOL_ROOTS = (
    "PYENV_ROOT",
    "RBENV_ROOT",
    "NVM_DIR",
    "VOLTA_HOME",
    "ASDF_DATA_DIR",
    "RUSTUP_HOME",
    "GOROOT",
    "JAVA_HOME",
)
"""Variables that name where language tools are installed."""
_SOCKETS = (
    "XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS DISPLAY WAYLAND_DISPLAY XAUTHORITY DOCKER_HOST CONTAINER_HOST "
    "VSCODE_IPC_HOOK_CLI GPG_AGENT_INFO TMP TEMP"
)
_POINTING_OUTSIDE = frozenset(_SOCKETS.split())
"""Variables that name sockets and folders which a sandboxed command does not have."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What a person decided, from the settings. All paths are absolute.

    Attributes:
        network: whether a command that says nothing about it may use the network.
        readable: files and folders outside that may be read; a folder in the workspace becomes read-only.
        writable: files and folders outside that may be written.
        home: paths below the home folder that may be read.
        private: Flowloom's own folders, which no command may see.
    """

    network: bool = False
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    home: tuple[str, ...] = ()
    private: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)


class SandboxView:
    """Makes the policy of each command.

    Args:
        environ: names HOME, PATH, and where language tools are.
    """

    def __init__(self, options: SandboxOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._hooks = HookFolders()
        self._roots = [environ[name] for name in _TOOL_ROOTS if name in environ]
        self._path = environ.get("PATH", os.defpath)
        named = Path(environ.get("HOME") or "/")
        self._named_home = named
        real = Path(os.path.realpath(named))
        self._home = real if named.is_absolute() and real != Path("/") else None

    def policy(self, command: Command, workspace: Path, job: Path) -> SandboxPolicy:
        """Return what the command may see and touch now.

        Args:
            workspace: absolute, resolved.
            job: the command's job folder, which it must not see, nor those beside it.

        Raises:
            FlowError: the workspace is the home folder or holds it, so that there is nothing to keep a command from.
            ToolError: the workspace can not be read.
        """
        try:
            return self._policy(command, workspace, job)
        except OSError as err:
            raise ToolError(f"the workspace can not be read: {err.strerror}. Mend its permissions.") from err

    def _policy(self, command: Command, workspace: Path, job: Path) -> SandboxPolicy:
        if workspace == Path("/") or (self._home and self._home.is_relative_to(workspace)):
            raise FlowError(
                f"Commands can not be kept inside {str(workspace)!r}: that holds the home folder.",
                hint='Work in a folder of its own, or set sandbox.backend to "none".',
            )
        repository = read_repository(workspace, self._hooks)
        commits = command.category == "edit"
        network = self._options.network if command.network is None else command.network
        readable = [*self._machine, *self._around(repository, workspace), *(_resolver_files() if network else ())]
        writable = [*self._options.writable, *(repository.outer if commits else ())]
        read_only, guarded = _protected(workspace, repository, commits)
        inside, outside = self._needed(command, workspace, (*readable, *repository.outer))
        read_only += inside
        readable += outside
        own = self._own_folders((workspace, *readable, *writable), job)
        hidden = [
            *_denied(workspace),
            *self._shut_files,
            *(path for path in own if not workspace.is_relative_to(path)),
        ]
        folders = tuple(path for path in hidden if path.is_dir())
        return SandboxPolicy(
            workspace=workspace,
            network=network,
            readable=tuple(dict.fromkeys(readable)),
            writable=tuple(writable),
            # A folder of ours that holds the workspace (a worktree) can not be shut, only emptied.
            scratch=(*self._scratch, *(path for path in own if workspace.is_relative_to(path))),
            links=self._links,
            pinned=_between(workspace, (*read_only, *hidden)),
            read_only=tuple(read_only),
            hidden_files=tuple(path for path in hidden if path not in folders),
            hidden_folders=folders,
            guarded=tuple(guarded),
            env=_env(repository, workspace),
            limits=self._options.limits,
        )

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the variables without those that name what a sandboxed command does not have."""
        return {name: value for name, value in env.items() if name not in _POINTING_OUTSIDE}

    @cached_property
    def _scratch(self) -> tuple[Path, ...]:
        return (*_SCRATCH, *([self._home] if self._home else []))

    @cached_property
    def _links(self) -> tuple[tuple[Path, str], ...]:
        links = [(Path(name), os.readlink(name)) for name in _SYSTEM if os.path.islink(name)]
        if self._home and self._named_home != self._home:
            links.append((self._named_home, str(self._home)))
        return tuple(links)

    @cached_property
    def _machine(self) -> tuple[Path, ...]:
        """What may be read whatever the workspace is."""
        system = [Path(name) for name in _SYSTEM if os.path.isdir(name) and not os.path.islink(name)]
        system += [Path(name) for name in _SYSTEM_PARTS if os.path.isdir(name)]
        home = [self._home / name for name in self._options.home] if self._home else []
        # This very interpreter, which commands of ours may name.
        own = [Path(sys.prefix), Path(sys.base_prefix), *map(Path, filter(os.path.isabs, self._roots))]
        own = [path for path in own if not self._is_private(Path(os.path.realpath(path)))]
        wanted = (*home, *own, *self._programs((*system, *home)), *self._options.readable)
        return (*system, *(path for path in wanted if path.exists()))

    def _programs(self, shown: Sequence[Path]) -> Iterator[Path]:
        """Yield the folders of PATH that are not shown yet; of an environment or a set of tools the whole."""
        for name in self._path.split(os.pathsep):
            folder = Path(os.path.normpath(name))
            if not folder.is_absolute() or any(folder.is_relative_to(each) for each in (*shown, *map(Path, _SYSTEM))):
                continue
            above = folder.parent
            is_environment = (above / "pyvenv.cfg").is_file() or (above / "conda-meta").is_dir()
            # What pyenv, asdf and the like put there only leads to programs beside it.
            path = above if is_environment or folder.name == "shims" else folder
            if path.is_dir() and not self._is_private(Path(os.path.realpath(path))):
                yield path

    def _needed(self, command: Command, workspace: Path, shown: Sequence[Path]) -> tuple[list[Path], list[Path]]:
        """Return the files that the command asks for: those in the workspace, and those outside."""
        inside, outside = [], []
        for path in map(Path, command.read_only):
            is_inside = path.is_relative_to(workspace)
            # Where the folder is seen a link is seen as well, and nothing can be mounted over one.
            if path.is_symlink() and (is_inside or any(path.is_relative_to(each) for each in shown)):
                continue
            if is_inside:
                inside.append(path)
            elif path.is_file() and not self._is_private(path):
                outside.append(path)
        return inside, outside

    def _is_private(self, path: Path) -> bool:
        """Tell whether a folder holds the home folder, or is or holds one of Flowloom's own, or lies in it."""
        private = [each for each in self._options.private if each.is_relative_to(path) or path.is_relative_to(each)]
        return bool(private) or bool(self._home and self._home.is_relative_to(path)) or path == Path("/")

    def _around(self, repository: Repository, workspace: Path) -> tuple[Path, ...]:
        """Return what git needs outside of the workspace; of a larger repository that is its checkout as well."""
        root = repository.root
        if root is None or root == workspace or self._is_private(root):
            return repository.outer
        return (root, *repository.outer)

    def _own_folders(self, shown: Iterable[Path], job: Path) -> list[Path]:
        """Return those of our folders that what is shown would show."""
        roots = tuple(shown)
        own = (*self._options.private, job.parent)
        return [path for path in own if path.is_dir() and any(path.is_relative_to(root) for root in roots)]

    @cached_property
    def _shut_files(self) -> tuple[Path, ...]:
        """What the system keeps from other people, and would show to commands where we run as root."""
        return tuple(_kept_from_others(Path("/etc"))) if os.geteuid() == 0 else ()


def _kept_from_others(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for name in (*files, *folders):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and not mode & stat.S_IROTH:
                yield path
        folders[:] = [name for name in folders if Path(folder, name).stat().st_mode & stat.S_IROTH]


def _resolver_files() -> list[Path]:
    """Return where the files that name servers and hosts really are, since they may be links into /run."""
    files = (Path(os.path.realpath(f"/etc/{name}")) for name in ("resolv.conf", "hosts"))
    return [path for path in files if path.exists() and not path.is_relative_to("/etc")]


def _env(repository: Repository, workspace: Path) -> tuple[tuple[str, str], ...]:
    # Git takes the border of a mount for that of a disk and would not look for its repository above.
    above = repository.root not in (None, workspace)
    return (("TMPDIR", "/tmp"), *((("GIT_DISCOVERY_ACROSS_FILESYSTEM", "1"),) if above else ()))


def _protected(workspace: Path, repository: Repository, commits: bool) -> tuple[list[Path], list[Guarded]]:
    """Return the existing paths that stay as they are, and what has to be watched since it is missing or a link.

    Args:
        commits: the command may write the repository's data, but not its settings and hooks.
    """
    there = set(os.listdir(workspace))
    names = [name for name in PROTECTED_NAMES if not (commits and name == ".git")]
    guarded = [Guarded(workspace / name) for name in names if name not in there]
    wanted = [workspace / name for name in names if name in there]
    wanted += [workspace / name / ".git" for name in repository.submodules]
    if repository.hooks is not None and repository.hooks.is_relative_to(workspace):
        wanted.append(repository.hooks)
    read_only: list[Path] = []
    if commits:
        # What is missing there is not watched: a person may use the repository at the same time.
        kept = [folder / name for folder in repository.folders for name in GIT_PRIVATE]
        kept += [dot] if (dot := workspace / ".git") not in repository.folders else []
        read_only = [path for path in kept if path.exists()]
    for path in dict.fromkeys(wanted):
        if path.parent != workspace and os.path.realpath(path.parent) != str(path.parent):
            continue  # below a link: what it leads to is another path, or outside
        if path.is_symlink():
            guarded.append(Guarded(path, os.readlink(path)))
            path = Path(os.path.realpath(path))
            if not path.is_relative_to(workspace) or path == workspace:
                continue
        if path.exists():
            read_only.append(path)
        else:
            guarded.append(Guarded(path))
    return read_only, guarded


def _denied(workspace: Path) -> list[Path]:
    """Return what the ignore files that deny take out, existing files and folders; of a folder not what is in it.

    A folder that can not be read is taken out as a whole: a command could make it readable again.
    """
    if not denial_files(workspace):
        return []
    denials = Denials(workspace)
    found: list[str] = []
    folders = [""]
    while folders:
        prefix = folders.pop()
        try:
            entries = [(each.name, each.is_dir(follow_symlinks=False)) for each in os.scandir(workspace / prefix)]
        except PermissionError:
            found.append(prefix)
            continue
        except (FileNotFoundError, NotADirectoryError):  # gone meanwhile
            continue
        for name, is_folder in entries:
            path = f"{prefix}{name}/" if is_folder else f"{prefix}{name}"
            if denials.may_deny(path) and denials.denied_by(path):
                found.append(path)
            elif is_folder and path != ".git/":
                folders.append(path)
    real = dict.fromkeys(Path(os.path.realpath(workspace / path)) for path in found)
    return [path for path in real if path.is_relative_to(workspace) and path != workspace]


def _between(workspace: Path, paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the folders between the workspace and these paths in it, without the paths themselves."""
    below = [path for path in paths if path.is_relative_to(workspace)]
    folders = [folder for path in below for folder in path.parents if folder.is_relative_to(workspace)]
    return tuple(folder for folder in dict.fromkeys(folders) if folder != workspace and folder not in below)


def require_program(program: str, cwd: Path, path: str) -> None:
    """Check that there is such a program, which a sandbox would tell less clearly.

    Raises:
        ToolError: there is none.
    """
    found = os.access(cwd / program, os.X_OK) if "/" in program else shutil.which(program, path=path) is not None
    if not found:
        raise ToolError(f"{program!r} can not be run: No such file or directory.")

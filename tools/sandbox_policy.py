"""What a command may see and touch, as data: every sandbox (bwrap, Landlock, seatbelt) is made from the same object.

Built by sandbox_view.py, which looks at the disk; nothing here does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

_PROTECTED = (
    # The repository, its hooks, and what hooks run.
    ".git .gitmodules .husky .githooks .lefthook lefthook.yml lefthook.yaml .lefthook.yml .lefthook.yaml "
    ".pre-commit-config.yaml .overcommit.yml "
    # What a build server runs.
    ".github .gitlab .gitlab-ci.yml .gitea .forgejo .circleci .travis.yml .woodpecker .woodpecker.yml .drone.yml "
    ".buildkite .cirrus.yml .teamcity .azure-pipelines azure-pipelines.yml azure-pipelines.yaml appveyor.yml "
    ".appveyor.yml bitbucket-pipelines.yml Jenkinsfile "
    # What agents and editors obey, this one first.
    ".flow .flowignore .aiignore .clineignore .agent .agent.md .agent.local.md .mcp.json AGENTS.md "
    "AGENTS.override.md CLAUDE.md CLAUDE.local.md GEMINI.md .claude .codex .gemini .opencode opencode.json .vibe "
    ".cursor .cursorrules .cursorignore .clinerules .roo .roomodes .windsurf .windsurfrules .continue .goosehints "
    ".aider.conf.yml .aiderignore .devcontainer .devcontainer.json .vscode .idea .zed .envrc"
)
PROTECTED_NAMES = tuple(_PROTECTED.split())
"""Names in the workspace's root that no command changes or makes: what stands in them is run or
obeyed later by somebody with more rights."""

GIT_PRIVATE = ("config", "config.worktree", "hooks", "info", "modules", "worktrees")
"""What stays as it is in a git folder also where a command may commit: settings and hooks run programs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one command.

    Attributes:
        processes: processes and threads together.
        file_bytes: size of one file.
        memory_bytes: address space of one process; 0 = no bound, since JVM, Node and Go reserve more than they use.
        scratch_bytes: of each private folder, which lies in memory.
    """

    processes: int = 1024
    file_bytes: int = 1_073_741_824
    memory_bytes: int = 0
    scratch_bytes: int = 2_147_483_648


@dataclass(frozen=True, slots=True)
class Guarded:
    """A path that can not be mounted over: it has to be gone, or a link to `target`, when the command is done.

    Attributes:
        target: what the link says; "" = there must be nothing.
    """

    path: Path
    target: str = ""


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """Everything about one command's confinement. All paths are absolute; where two overlap, the deeper one counts.

    Attributes:
        workspace: resolved; writable.
        network: whether it may use the machine's network.
        readable: outside, read-only.
        writable: outside, by a person's setting.
        scratch: private, empty and writable folders that end with the command: the home folder, /tmp and the like.
        links: paths outside that are symbolic links, and their targets.
        pinned: folders of the workspace that can not be renamed, since something protected lies below them.
        read_only: inside, existing files and folders that stay as they are.
        hidden_files: existing files that can not be opened, wherever they are.
        hidden_folders: existing folders that are empty and shut, wherever they are.
        guarded: inside, where nothing can be mounted: watched, and put right.
        env: set for the command, over everything it is given.
    """

    workspace: Path
    network: bool = False
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    scratch: tuple[Path, ...] = ()
    links: tuple[tuple[Path, str], ...] = ()
    pinned: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    hidden_files: tuple[Path, ...] = ()
    hidden_folders: tuple[Path, ...] = ()
    guarded: tuple[Guarded, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    limits: Limits = field(default_factory=Limits)

"""Every setting there is, with its default: one frozen tree, built by load.py and handed down from app/.

What concerns models and their servers stands in model_settings.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from .model_settings import EmbedSettings, ModelSettings, RerankSettings, Seconds, ServerSettings, Table
from .rules import RuleDecision, parse_rules

Mode = Literal["plan", "ask", "auto-edit", "auto"]
Output = Literal["text", "json", "jsonl"]


class ToolSettings(Table):
    """Limits of tools."""

    output_bytes: int = Field(
        default=16_384,
        ge=1024,
        description="Bytes of one result of a tool that the model sees, in windows below 32768 in proportion less; "
        "all of it is kept on disk.",
    )
    spawn_depth: int = Field(
        default=1, ge=0, description="How deep sub-agents may start sub-agents. 0: no sub-agents."
    )
    spawn_count: int = Field(default=8, ge=0, description="Sub-agents one agent may start. 0: none.")
    background_jobs: int = Field(
        default=4, ge=0, description="Commands that may run in the background of a run at the same time. 0: none."
    )


class MemorySettings(Table):
    """What agents are told at the start of every run."""

    user_dir: str = Field(
        default="~/.local-agent/memory",
        description="Folder with your own notes (*.md) for agents of every project, from / or ~/ on; a project's "
        "settings cannot move it. Empty: none.",
    )
    auto_bytes: int = Field(
        default=4_000, ge=256, description="Bytes that .agent/memory/auto.md, which agents write, may have."
    )

    @field_validator("user_dir")
    @classmethod
    def _check_user_dir(cls, value: str) -> str:
        if value and not value.startswith(("/", "~/")):
            raise ValueError("the folder must be a path from / or ~/ on")
        return value.rstrip("/")


class ContextSettings(Table):
    """How conversations with models are kept within their windows."""

    compact_at: float = Field(
        default=0.7,
        ge=0.3,
        le=0.9,
        description="Share of the window at which a conversation is made smaller: old results are shown short, else "
        "the model sums up what is left out. Also when there is no room for the longest reply.",
    )
    no_map_for: list[str] = Field(
        default_factory=list,
        description="Models whose agents get no repository map in their first message, by name or pattern "
        '("qwen2.5-coder:1.5b", "*:1b"): small ones take what stands in it for code that they wrote.',
    )


class LimitSettings(Table):
    """Limits of runs that no graph file states itself."""

    model_calls_per_node: int = Field(default=40, gt=0, description="Model calls of one visit of one node.")


class SnapshotSettings(Table):
    """Snapshots of the workspace before commands."""

    enabled: bool = Field(default=True, description="Whether they are taken.")
    required: bool = Field(
        default=False, description="Whether a command must not run when its snapshot fails. false: that is only told."
    )
    max_files: int = Field(
        default=50_000, ge=0, description="A workspace with more files gets no snapshots. 0: no limit."
    )
    max_file_bytes: int = Field(default=5_000_000, gt=0, description="Bytes above which a file is left out.")
    quota_bytes: int = Field(
        default=1_000_000_000, gt=0, description="Bytes on disk of one workspace's snapshots; the oldest go first."
    )
    keep: int = Field(default=200, gt=0, description="Snapshots kept of one workspace.")
    timeout_s: Seconds = Field(default=120.0, description="Seconds that reading the workspace may take.")


class ApprovalSettings(Table):
    """What a person is asked, and how they are called."""

    max_requests: int | None = Field(
        default=None,
        ge=0,
        description="Edits and commands of one run that may happen without a question; after them the run asks for "
        "each, whatever its mode. 0: every one is asked. Not set: no limit.",
    )
    notify: Literal["off", "bell", "desktop"] = Field(
        default="off", description="How a person at the terminal is called to a question."
    )


class CommitSettings(Table):
    """Commits that a run makes where its graph is asked for them."""

    trailer: bool = Field(
        default=True, description='Whether their messages end with a line "Made-with: Flowloom, run ID".'
    )


HOME_FOLDERS = (
    ".gitconfig .config/git/config .config/git/ignore .config/git/attributes .pyenv .rbenv .nodenv .nvm .volta .fnm "
    ".asdf .sdkman .jenv .goenv .rustup .cargo/bin .cargo/env .cargo/registry .cargo/git go .local/bin .local/lib "
    ".local/pipx .local/share/uv .local/share/pipx .local/share/mise .local/share/fnm .local/share/virtualenvs "
    ".virtualenvs .deno/bin .bun/bin .ghcup .elan .juliaup .dotnet .nix-profile .m2/repository .gradle/wrapper .opam "
    ".nuget/packages .pixi/bin .conda/envs miniconda3 miniforge3 anaconda3"
)
"""What is shown of the home folder, parted by blanks: language tools, downloaded packages, and how git is set up."""


class SandboxSettings(Table):
    """What confines commands."""

    backend: Literal["auto", "bubblewrap", "landlock", "seatbelt", "none"] = Field(
        default="auto",
        description="auto: the best that works here, bubblewrap or Landlock, else none and every command is asked. "
        "seatbelt is macOS's, and untested.",
    )
    network: bool = Field(
        default=False,
        description="Whether every command may use the network; false: those that a rule network(...) or a graph "
        "gives it to.",
    )
    read_only: list[str] = Field(
        default_factory=list, description="Files and folders outside the workspace that commands may read."
    )
    writable: list[str] = Field(
        default_factory=list, description="Files and folders outside the workspace that commands may change."
    )
    home: list[str] = Field(
        default_factory=HOME_FOLDERS.split,
        description="What commands may read of the home folder; all else of it is not there.",
    )
    processes: int = Field(default=1024, gt=0, description="Processes and threads of one command.")
    file_bytes: int = Field(default=1_073_741_824, ge=1024, description="Bytes of one file that a command writes.")
    memory_bytes: int = Field(
        default=0, ge=0, description="Bytes of address space of one process. 0: no limit, as JVM, Node and Go need."
    )

    @field_validator("read_only", "writable")
    @classmethod
    def _check_paths(cls, value: list[str]) -> list[str]:
        for path in value:
            if not path.startswith(("/", "~/")) or path.strip("/") in ("", "~") or ".." in path.split("/"):
                raise ValueError(f"{path!r} must be a path from / or ~/ on, and not all of it")
        return value

    @field_validator("home")
    @classmethod
    def _check_home(cls, value: list[str]) -> list[str]:
        for path in value:
            if path.startswith(("/", "~")) or path.strip("./") == "" or ".." in path.split("/"):
                raise ValueError(f"{path!r} must be a path below the home folder")
        return value


class RetrievalSettings(Table):
    """What is read to build the map and the index of a workspace."""

    max_files: int = Field(default=20_000, gt=0, description="Files read at most.")
    max_file_bytes: int = Field(default=1_000_000, gt=0, description="Bytes above which a file is left out.")
    private_addresses: bool = Field(
        default=False,
        description="Whether @https://... in a task may read from this machine and from private networks.",
    )


class Settings(Table):
    """All settings. A value that is not set anywhere has the default written here and in default.toml."""

    server: ServerSettings = Field(default_factory=ServerSettings, description="The model server.")
    models: ModelSettings = Field(default_factory=ModelSettings, description="Models and how they are called.")
    embed: EmbedSettings = Field(default_factory=EmbedSettings, description="Embeddings.")
    rerank: RerankSettings = Field(default_factory=RerankSettings, description="Reranking.")
    tools: ToolSettings = Field(default_factory=ToolSettings, description="Limits of tools.")
    memory: MemorySettings = Field(default_factory=MemorySettings, description="What agents are told at the start.")
    context: ContextSettings = Field(
        default_factory=ContextSettings, description="How conversations are kept within their windows."
    )
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Limits of runs.")
    snapshots: SnapshotSettings = Field(default_factory=SnapshotSettings, description="Snapshots before commands.")
    sandbox: SandboxSettings = Field(default_factory=SandboxSettings, description="What confines commands.")
    approvals: ApprovalSettings = Field(default_factory=ApprovalSettings, description="Questions to a person.")
    commits: CommitSettings = Field(default_factory=CommitSettings, description="Commits of runs.")
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings, description="Limits of reading.")
    permissions: dict[str, RuleDecision] = Field(
        default_factory=dict,
        description='Rules for commands, "bash(npm run test:*)" = "allow", "ask" or "deny"; "network(npm ci:*)" for '
        "those that have the network. Of several that fit, deny wins, then ask. The tables of all layers count "
        "together, and graphs only add to them.",
    )
    verify: str | list[str] | None = Field(
        default=None,
        description="The project's own test command, a shell line or program and arguments. "
        "Not set: detected, and asked once. Empty: none.",
    )
    check: str | list[str] | None = Field(
        default=None,
        description="A quick check after each step (lint, types), as for verify. Not set: detected, and asked once. "
        "Empty: none. One that fails before anything was changed is not held against the steps.",
    )
    mode: Mode = Field(
        default="ask",
        description="plan: nothing changes. ask: every change and command is asked. "
        "auto-edit: edits run, commands are asked. auto: nothing is asked.",
    )
    output: Output = Field(default="text", description="Form of the answer on stdout when -o does not say.")

    @field_validator("permissions")
    @classmethod
    def _check_permissions(cls, value: dict[str, RuleDecision]) -> dict[str, RuleDecision]:
        parse_rules(value)
        return value

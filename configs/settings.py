"""Every setting there is, with its default: one frozen tree, built by load.py and handed down from app/."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Mode = Literal["plan", "ask", "auto-edit", "auto"]
Output = Literal["text", "json", "jsonl"]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

MAX_OWN_WINDOW = 32768
"""Tokens that `models.num_ctx = 0` asks for at most; a larger window is taken only when a person names it."""


class _Table(BaseModel):
    # strict: a number in quotes is a mistake to be told, not a number.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServerSettings(_Table):
    """The model server."""

    url: str = Field(
        default="",
        description="Address of the model server, http:// or https://. Empty: OLLAMA_HOST, else http://127.0.0.1:11434.",
    )
    connect_timeout_s: Seconds = Field(default=2.0, description="Seconds to wait for a connection.")
    first_token_timeout_s: Seconds = Field(
        default=300.0, description="Seconds from a request to its first token; loading the model counts."
    )
    stall_timeout_s: Seconds = Field(default=60.0, description="Seconds between two tokens of a reply.")
    retry_patience_s: float = Field(
        default=120.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds to go on trying when the server stops answering in mid-run, then the run is paused. "
        "0: no retry.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("the address must start with http:// or https://")
        return value.rstrip("/")


class ModelSettings(_Table):
    """Which model plays which role, and how all of them are called."""

    main: str = Field(
        default="",
        description="Model of every role that names none. Empty: the only chat model the server has, else an error.",
    )
    planner: str = Field(default="", description="Model of planners. Empty: main.")
    coder: str = Field(default="", description="Model of coders. Empty: main.")
    reviewer: str = Field(default="", description="Model of reviewers. Empty: main.")
    sub_agent: str = Field(default="", description="Model of sub-agents. Empty: main.")
    light: str = Field(default="", description="Model of small side jobs (titles, summaries). Empty: main.")
    num_ctx: int = Field(
        default=0,
        ge=0,
        description=f"Window in tokens, prompt and reply together. 0: the model's own, at most {MAX_OWN_WINDOW}.",
    )
    max_tokens: int = Field(default=4096, gt=0, description="Longest reply in tokens.")
    temperature: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="Sampling temperature. 0: always the likeliest."
    )
    keep_alive: str = Field(
        default="10m",
        description='How long the server keeps the model loaded after a call; "0": not at all, "-1": for ever.',
    )
    think: bool | None = Field(
        default=None, description="Whether the model reasons before it answers. Not set: the model's own default."
    )

    def for_role(self, role: str) -> str:
        """Return the model set for a role, else that of main; "" when neither is set.

        Args:
            role: "main", "planner", "coder", "reviewer", "sub_agent" or "light".

        Raises:
            ValueError: no such role.
        """
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}")
        name: str = getattr(self, role)
        return name or self.main


ROLES = ("main", "planner", "coder", "reviewer", "sub_agent", "light")


class EmbedSettings(_Table):
    """Embeddings for search by meaning."""

    backend: Literal["none", "sentence-transformers"] = Field(
        default="none", description="What computes embeddings. none: search by words only."
    )
    path: str = Field(default="", description="Folder with the weights; ~ is the home folder. Empty: no weights.")
    model: str = Field(
        default="multilingual-e5-small", description="Which model the weights are; decides prefixes and pooling."
    )
    device: str = Field(default="cpu", description="Where it runs: cpu, cuda, cuda:1, mps.")


class ToolSettings(_Table):
    """Limits of tools."""

    output_bytes: int = Field(
        default=16_384,
        ge=1024,
        description="Bytes of a tool's output the model sees, head and tail; all of it is kept on disk.",
    )
    spawn_depth: int = Field(
        default=1, ge=0, description="How deep sub-agents may start sub-agents. 0: no sub-agents."
    )
    spawn_count: int = Field(default=8, ge=0, description="Sub-agents one agent may start. 0: none.")


class LimitSettings(_Table):
    """Limits of runs that no graph file states itself."""

    model_calls_per_node: int = Field(default=40, gt=0, description="Model calls of one visit of one node.")


class SnapshotSettings(_Table):
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


class RetrievalSettings(_Table):
    """What is read to build the map and the index of a workspace."""

    max_files: int = Field(default=20_000, gt=0, description="Files read at most.")
    max_file_bytes: int = Field(default=1_000_000, gt=0, description="Bytes above which a file is left out.")


class Settings(_Table):
    """All settings. A value that is not set anywhere has the default written here and in default.toml."""

    server: ServerSettings = Field(default_factory=ServerSettings, description="The model server.")
    models: ModelSettings = Field(default_factory=ModelSettings, description="Models and how they are called.")
    embed: EmbedSettings = Field(default_factory=EmbedSettings, description="Embeddings.")
    tools: ToolSettings = Field(default_factory=ToolSettings, description="Limits of tools.")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Limits of runs.")
    snapshots: SnapshotSettings = Field(default_factory=SnapshotSettings, description="Snapshots before commands.")
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings, description="Limits of reading.")
    verify: str | list[str] | None = Field(
        default=None,
        description="The project's own test command, a shell line or program and arguments. "
        "Not set: detected, and asked once. Empty: none.",
    )
    check: str | list[str] | None = Field(
        default=None,
        description="A quick check after each step (lint, types), as for verify. Not set or empty: none.",
    )
    mode: Mode = Field(
        default="ask",
        description="plan: nothing changes. ask: every change and command is asked. "
        "auto-edit: edits run, commands are asked. auto: nothing is asked.",
    )
    output: Output = Field(default="text", description="Form of the answer on stdout when -o does not say.")

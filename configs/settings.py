"""Every setting there is, with its default: one frozen tree, built by load.py and handed down from app/."""

from __future__ import annotations

from typing import Annotated, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from .rules import RuleDecision, parse_rules

Mode = Literal["plan", "ask", "auto-edit", "auto"]
Output = Literal["text", "json", "jsonl"]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

MAX_OWN_WINDOW = 32768
"""Tokens that `models.num_ctx = 0` asks for at most; a larger window is taken only when a person names it."""


class _Table(BaseModel):
    # strict: a number in quotes is a mistake to be told, not a number.
    # defer_build: the tree is built once, as a whole, and not each table on import and all of them again.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


DENIED_FAMILIES = "qwen deepseek glm yi internlm baichuan minicpm kimi hunyuan ernie bge gte"
"""Families of models that are denied when nobody says otherwise, parted by blanks; models.toml names each."""


class ServerSettings(_Table):
    """The model server."""

    url: str = Field(
        default="",
        description="Address of the model server, http:// or https://. Empty: OLLAMA_HOST, else the usual addresses "
        "of Ollama, llama-server, vLLM and LM Studio on this machine.",
    )
    kind: Literal["auto", "ollama", "openai"] = Field(
        default="auto",
        description="API that the server speaks: ollama, or openai (/v1/chat/completions). auto: whichever it "
        "answers.",
    )
    api_key_env: str = Field(
        default="",
        description="Environment variable with the key of an OpenAI-compatible server. Empty: no key is sent.",
    )
    connect_timeout_s: Seconds = Field(default=2.0, description="Seconds to wait for a connection.")
    first_token_timeout_s: Seconds = Field(
        default=300.0, description="Seconds from a request to its first token; loading the model counts."
    )
    stall_timeout_s: Seconds = Field(
        default=60.0,
        description="Seconds between two tokens of a reply. Where servers may hold a tool call back, the limit above "
        "counts.",
    )
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


Role = Literal["main", "planner", "coder", "reviewer", "sub_agent", "light"]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelPrice(_Table):
    """What a million tokens of one model cost, in any currency."""

    prompt: Cost = Field(description="Tokens of prompts.")
    completion: Cost = Field(description="Tokens of replies.")
    cached: Cost | None = Field(
        default=None, description="Tokens of prompts that the server had computed before. Not set: as prompt."
    )


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
    light: str = Field(default="", description="Model of small side jobs (titles). Empty: main.")
    titles: bool = Field(
        default=True,
        description="Whether the role light gives runs their titles, beside their work and never waited for. It is "
        "asked only where it is a model of its own; else, and with false, a title is the beginning of the task.",
    )
    fallback: list[str] = Field(
        default_factory=list,
        description="Models that take over, in this order, from one that the server does not have or cannot load; "
        "each is held to the same checks, and told. []: none, such a run ends or is paused.",
    )
    role_fallback: dict[Role, list[str]] = Field(
        default_factory=dict,
        description='Models that take over in single roles, in place of fallback: coder = ["MODEL"].',
    )
    num_ctx: int = Field(
        default=0,
        ge=0,
        description=f"Window in tokens, prompt and reply together. 0: the model's own, at most {MAX_OWN_WINDOW}.",
    )
    max_tokens: int = Field(
        default=4096,
        gt=0,
        description="Longest reply in tokens; in a window below 32768 at most a quarter of it.",
    )
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
    denied_families: list[str] = Field(
        default_factory=DENIED_FAMILIES.split,
        description="Families of models that are not used in any role; what derives from them neither. [] denies "
        "none.",
    )
    tool_profile: str = Field(
        default="auto",
        description="Names under which models are shown the tools. auto: those that a model's family knows, where "
        "there is a profile of them. none: our own. Else the name of a profile (vibe) for every model.",
    )
    preflight: bool = Field(
        default=True,
        description="Whether a run asks each model for one token first: is it loaded, with which window, on the GPU.",
    )
    prices: dict[str, ModelPrice] = Field(
        default_factory=dict,
        description='Prices of a million tokens by model, "*" = every other one, for those whose server counts: '
        "{prompt = 0.2, cached = 0.05, completion = 0.6}. No price: no cost is shown. The tables of all layers count "
        "together.",
    )

    def fallbacks_for(self, role: str) -> list[str]:
        """Return the models that take over in a role, in order."""
        return self.role_fallback.get(cast(Role, role), self.fallback)

    def all_fallbacks(self) -> tuple[str, ...]:
        """Return every model that takes over anywhere, each once."""
        return tuple(
            dict.fromkeys([*self.fallback, *(name for each in self.role_fallback.values() for name in each)])
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


ROLES: tuple[Role, ...] = get_args(Role)


class EmbedSettings(_Table):
    """Embeddings for search by meaning."""

    backend: Literal["auto", "none", "onnx", "sentence-transformers", "http"] = Field(
        default="auto",
        description="What computes embeddings. auto: http where embed.url is set, else whatever runs the weights "
        "that are there, else none. none: search by words only.",
    )
    model: str = Field(
        default="multilingual-e5-small",
        description="Which model the weights are, or its name on the server; decides prefixes and pooling.",
    )
    path: str = Field(
        default="",
        description="Folder with the weights, or an .onnx file in it; ~ is the home folder. Empty: where `flow "
        "models pull` puts those of the model.",
    )
    device: str = Field(
        default="cpu", description="Where sentence-transformers runs: cpu, cuda, cuda:1, mps. onnx runs on the CPU."
    )
    threads: int = Field(default=0, ge=0, description="Threads of onnx. 0: one for each core.")
    url: str = Field(
        default="",
        description="Address of the embedding server, http:// or https://; texts go to no other. Empty: server.url, "
        "which must be set then.",
    )
    api: Literal["auto", "ollama", "openai"] = Field(
        default="auto", description="API of that server: ollama (/api/embed) or openai (/v1/embeddings)."
    )
    api_key_env: str = Field(
        default="", description="Environment variable with the key of that server. Empty: no key is sent."
    )
    query_prefix: str | None = Field(
        default=None, description="Text before a query, in place of what is known of the model. Not set: that."
    )
    passage_prefix: str | None = Field(
        default=None, description="Text before a passage, in place of what is known of the model. Not set: that."
    )
    pooling: Literal["mean", "cls", "last"] | None = Field(
        default=None,
        description="How onnx makes one vector of the tokens' where the folder does not say. Not set: as is known.",
    )
    hub: str = Field(
        default="",
        description="Address of the hub that `flow models pull` downloads weights from. Empty: HF_ENDPOINT, else "
        "https://huggingface.co.",
    )

    @field_validator("url", "hub")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("the address must start with http:// or https://")
        return value.rstrip("/")


class RerankSettings(_Table):
    """Reranking of search results by a cross-encoder, which is slow on a CPU."""

    backend: Literal["none", "onnx", "sentence-transformers"] = Field(
        default="none", description="What reranks. none: results stay in their order."
    )
    model: str = Field(default="", description="Which model the weights are. Empty: as the folder is named.")
    path: str = Field(default="", description="Folder with the weights; ~ is the home folder.")
    device: str = Field(default="cpu", description="As embed.device.")
    top: int = Field(default=20, ge=2, description="Results that are reranked; those behind them stay.")


class ToolSettings(_Table):
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


class MemorySettings(_Table):
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


class ContextSettings(_Table):
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


class ApprovalSettings(_Table):
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


class CommitSettings(_Table):
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


class SandboxSettings(_Table):
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


class RetrievalSettings(_Table):
    """What is read to build the map and the index of a workspace."""

    max_files: int = Field(default=20_000, gt=0, description="Files read at most.")
    max_file_bytes: int = Field(default=1_000_000, gt=0, description="Bytes above which a file is left out.")
    private_addresses: bool = Field(
        default=False,
        description="Whether @https://... in a task may read from this machine and from private networks.",
    )


class Settings(_Table):
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
        description="A quick check after each step (lint, types), as for verify. Not set or empty: none.",
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

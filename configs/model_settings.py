"""Settings of model servers, models, embeddings and reranking."""

from __future__ import annotations

from typing import Annotated, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

MAX_OWN_WINDOW = 32768
"""Tokens that `models.num_ctx = 0` asks for at most; a larger window is taken only when a person names it."""


class Table(BaseModel):
    # strict: a number in quotes is a mistake to be told, not a number.
    # defer_build: the tree is built once, as a whole, and not each table on import and all of them again.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


DENIED_FAMILIES = "qwen deepseek glm yi internlm baichuan minicpm kimi hunyuan ernie bge gte"
"""Families of models that are denied when nobody says otherwise, parted by blanks; models.toml names each."""


class ServerSettings(Table):
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


class ModelPrice(Table):
    """What a million tokens of one model cost, in any currency."""

    prompt: Cost = Field(description="Tokens of prompts.")
    completion: Cost = Field(description="Tokens of replies.")
    cached: Cost | None = Field(
        default=None, description="Tokens of prompts that the server had computed before. Not set: as prompt."
    )


class ModelSettings(Table):
    """Which model plays which role, and how all of them are called."""

    main: str = Field(
        default="",
        description="Model of every role that names none. Empty: the only chat model of the server, or the one of "
        "several that fits this machine best; else an error.",
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
        description="Longest reply in tokens; in a window below 32768 at most a fifth of it.",
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


class EmbedSettings(Table):
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


class RerankSettings(Table):
    """Reranking of search results by a cross-encoder, which is slow on a CPU."""

    backend: Literal["none", "onnx", "sentence-transformers"] = Field(
        default="none", description="What reranks. none: results stay in their order."
    )
    model: str = Field(default="", description="Which model the weights are. Empty: as the folder is named.")
    path: str = Field(default="", description="Folder with the weights; ~ is the home folder.")
    device: str = Field(default="cpu", description="As embed.device.")
    top: int = Field(default=20, ge=2, description="Results that are reranked; those behind them stay.")

"""What can go wrong between us and a model server: which error it ends in, and whether to ask again before."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx

from ..core.errors import (
    CassetteMismatch,
    FlowError,
    ModelFault,
    ModelNotUsable,
    ModelUnavailable,
    NoRoom,
    ReplyInvalid,
    ServerBusy,
)
from ..core.messages import Usage
from .servers import TITLES, ServerKind, get_model_hint, start_hint

# "outage": again until the patience is used up. "loading": the same with the patience for a first token, and often.
# "few": the server works but this reply broke, so twice more and no further, for a fault that comes back will keep
# coming back. "never": asking again cannot help.
Retry = Literal["outage", "loading", "few", "never"]

FEW_RETRIES = 2
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 30.0
LONGEST_LOADING_DELAY_S = 2.0

_OUTAGES = frozenset({429, 502, 503, 504})
"""Statuses of a server that is busy or away; any other from 500 on says that it broke over this request."""

# What a 500 says when the server's own reading of the model's tool call failed.
_UNREADABLE_CALL = re.compile(r"(parsing|parse|unmarshal\w*).{0,20}tool.?call|invalid tool.?call", re.IGNORECASE)
_NO_TOOLS = re.compile(r"does not support tools|requires? --jinja|requires --enable-auto-tool-choice", re.IGNORECASE)
# llama-server, vLLM (three wordings), Ollama (two), and what prompt_cut.py says of a prompt that was cut.
_NO_ROOM = re.compile(
    r"exceeds? the available context|maximum context length|exceed_context_size|longer than the maximum model length|"
    r"input length exceeds|prompt too long|read only [\d,]+ tokens of a prompt",
    re.IGNORECASE,
)
_TOLD_WINDOW = re.compile(
    r"(?:available context size \(|maximum context length is |maximum model length of |read only )([\d,]+)",
    re.IGNORECASE,
)
_LOADING = re.compile(r"loading model|model is loading", re.IGNORECASE)
_TOO_LARGE = re.compile(r"requires? more (system )?memory", re.IGNORECASE)
# What a server says that could not load a model, or lost it for want of memory. Sources: Ollama's llm/server.go
# ("llama runner process has terminated", "unable to load model"), llama.cpp's ggml ("cudaMalloc failed: out of
# memory", "failed to allocate", "failed to load model"), vLLM ("CUDA out of memory").
_NOT_LOADED = re.compile(
    r"out of memory|cudaMalloc failed|(unable|failed) to (load|allocate)|error loading model|"
    r"runner process has terminated",
    re.IGNORECASE,
)

_SMALLER = "Take a smaller model with `-m NAME` or a smaller window with `-c models.num_ctx=N`."
_LOOK = "Look at the server's log, or name another server with `-c server.url=URL`."


class Refused(Exception):
    """The server answered with an error. `status` is its HTTP status; 200 = an error part inside a stream."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class BrokenStream(Exception):
    """A reply that did not arrive whole; the text says how."""


class Silence(Exception):
    """The server sent nothing for too long. `setting` is what bounds the seconds."""

    def __init__(self, seconds: float, setting: str) -> None:
        super().__init__(f"it sent nothing for {seconds:g} s")
        self.seconds = seconds
        self.setting = setting


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a model is waited for, in seconds.

    Attributes:
        first_token_s: without a word from it; its loading counts.
        connect_s: for a connection.
        retry_s: of asking again while the server is away or answers with errors; 0 = it is not asked again.
    """

    first_token_s: float = 300.0
    connect_s: float = 2.0
    retry_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The error a person or the model gets in the end, and whether to ask again before."""

    error: FlowError
    retry: Retry


def judge(err: Exception, *, url: str, model: str, replaying: bool, kind: ServerKind = "ollama") -> Verdict:
    """Return what a failed attempt means.

    Args:
        err: Refused, BrokenStream, Silence or an error of httpx.
        replaying: the server replays a cassette, so its 409 is a mismatch.
        kind: what was taken to answer there.
    """
    if isinstance(err, Refused):
        return _judge_refusal(err, url, model, replaying, kind)
    if isinstance(err, BrokenStream):
        return Verdict(ModelUnavailable(f"the reply of model {model!r} broke: {err}.", hint=_LOOK), "few")
    if isinstance(err, Silence):
        hint = f"Look at the server's log, or be more patient with `-c {err.setting}=SECONDS`."
        return Verdict(unreachable(url, str(err), hint=hint), "outage")
    if isinstance(err, httpx.ConnectTimeout):
        return Verdict(unreachable(url, "it did not accept a connection in time", kind=kind), "outage")
    if isinstance(err, httpx.ConnectError):
        return Verdict(unreachable(url, connect_reason(err), kind=kind), "outage")
    # A server that went away in the middle cannot be reached the next time, which is another verdict.
    reason = f"the connection broke ({type(err).__name__}: {err})"
    return Verdict(unreachable(url, reason, hint=_LOOK), "few")


def unreachable(url: str, reason: str, *, hint: str = "", kind: ServerKind = "ollama") -> ModelUnavailable:
    """Return the error for a server that does not answer as it should."""
    usual = f"{start_hint(kind)}, or name another server with `-c server.url=URL`."
    return ModelUnavailable(f"no model server answers at {url!r}: {reason}.", hint=hint or usual)


def raise_busy(response: httpx.Response, url: str) -> None:
    """Return when an answer does not say that the server is busy.

    Raises:
        ServerBusy: it does.
    """
    if response.status_code in (429, 503):
        loading = response.status_code == 503 and _LOADING.search(response.text)
        reason = f"it is {'still loading its model' if loading else 'busy'} (HTTP {response.status_code})"
        raise _busy(url, reason)


def _busy(url: str, reason: str) -> ServerBusy:
    return ServerBusy(f"the model server at {url!r} has no time: {reason}.", hint="Try again in a moment.")


def check_url(url: str) -> tuple[str, int | None]:
    """Return host and port of a server's address; port None = the scheme's own.

    Raises:
        ModelUnavailable: it is no http or https address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as err:
        raise unreachable(url, f"this is no address of a server ({err})") from err
    if parts.scheme not in ("http", "https") or not host:
        raise unreachable(url, "this is no address of a server; it has the form http://HOST:PORT")
    return host, port


def missing_model(model: str, url: str, kind: ServerKind = "ollama") -> ModelNotUsable:
    """Return the error for a model the server does not have."""
    return ModelNotUsable(
        f"the server at {url!r} has no model {model!r}.",
        model=model,
        hint=f"{get_model_hint(kind, model)}, or name another with `-m NAME`.",
    )


def says_no_tools(text: str) -> bool:
    """Return whether an error says that the model, or the server as it was started, takes no tools."""
    return bool(_NO_TOOLS.search(text))


def error_text(body: bytes) -> str:
    """Return what the body of an HTTP error says, whichever way the server writes errors."""
    text = body.decode("utf-8", "replace").strip()
    try:
        error = json.loads(text)
    except ValueError:
        return text[:300] or "no text"
    return said_error(error) or text[:300]


def said_error(data: object) -> str:
    """Return the error that a JSON object tells, "" = none.

    Ollama and LM Studio write {"error": TEXT}, llama-server and newer vLLM {"error": {"message": TEXT}}, older vLLM
    {"object": "error", "message": TEXT}.
    """
    if not isinstance(data, dict):
        return ""
    error = data.get("error")
    if isinstance(error, dict):
        return str(error.get("message") or error)
    if error:
        return str(error)
    return str(data.get("message") or "no text") if data.get("object") == "error" else ""


def connect_reason(err: httpx.ConnectError) -> str:
    """Return why a connection could not be made, in words."""
    text = str(err)
    lowered = text.lower()
    if "name or service" in lowered or "getaddrinfo" in lowered or "nodename" in lowered or "resolution" in lowered:
        return "its host name is not known"
    if "certificate" in lowered or "ssl" in lowered:
        return f"no secure connection ({text})"
    return "connection refused" if "refused" in lowered or "all connection attempts" in lowered else text


def next_delay(retry: Retry, retries: int, broken: int, waited_s: float, patience: Patience) -> float | None:
    """Return the seconds to wait before the next attempt; None = give up.

    Args:
        retries: attempts already made after the first one.
        broken: attempts so far whose verdict was "few", the last one included.
        waited_s: seconds since the first attempt failed.
    """
    if retry == "never" or (retry == "few" and broken > FEW_RETRIES):
        return None
    loading = retry == "loading"
    delay = min(FIRST_DELAY_S * 2**retries, LONGEST_LOADING_DELAY_S if loading else LONGEST_DELAY_S)
    limit_s = max(patience.retry_s, patience.first_token_s) if loading and patience.retry_s else patience.retry_s
    return None if waited_s + delay > limit_s else delay


def _judge_refusal(err: Refused, url: str, model: str, replaying: bool, kind: ServerKind) -> Verdict:
    if _UNREADABLE_CALL.search(err.text):
        text = f"Your tool call could not be read, so nothing ran. The server says: {err.text}. Send the call again."
        # The model wrote all of it; how many tokens that were, the server does not say.
        return Verdict(ReplyInvalid(text, usage=Usage()), "never")
    if replaying and err.status == 409:
        return Verdict(CassetteMismatch(err.text), "never")
    if _TOO_LARGE.search(err.text):
        text = f"model {model!r} does not fit: {err.text}."
        return Verdict(ModelNotUsable(text, model=model, hint=_SMALLER), "never")
    if _NOT_LOADED.search(err.text) and err.status not in _OUTAGES:
        text = f"model {model!r} cannot be loaded or did not keep running: {err.text}."
        return Verdict(ModelNotUsable(text, model=model, hint=_SMALLER), "few")
    if _NO_TOOLS.search(err.text):
        return Verdict(_no_tools(err, model, kind), "never")
    if _NO_ROOM.search(err.text):
        hint = "Start the server with a larger window, or set models.num_ctx to the one it has."
        text = f"the request does not fit the server's window: {err.text}."
        told = _TOLD_WINDOW.search(err.text)
        window = int(told[1].replace(",", "")) if told else 0
        return Verdict(NoRoom(text, window=window, hint=hint), "never")
    if err.status == 200:
        text = f"model {model!r} failed while it was answering: {err.text}."
        return Verdict(ModelUnavailable(text, hint=_LOOK), "few")
    if err.status == 503 and _LOADING.search(err.text):
        return Verdict(_busy(url, "it is still loading its model (HTTP 503)"), "loading")
    if err.status >= 500 or err.status in _OUTAGES:
        retry: Retry = "outage" if err.status in _OUTAGES else "few"
        text = f"the model server at {url!r} answers with an error: HTTP {err.status}, {err.text}."
        return Verdict(ModelUnavailable(text, hint=_LOOK), retry)
    return Verdict(_client_error(err, url, model, kind), "never")


def _no_tools(err: Refused, model: str, kind: ServerKind) -> ModelFault:
    hints: dict[ServerKind, str] = {
        "llama.cpp": "Start llama-server with --jinja, or take a model that has tools with `-m NAME`.",
        "vllm": "Start vLLM with --enable-auto-tool-choice and the --tool-call-parser of the model.",
    }
    hint = hints.get(kind, "Take a model that has tools with `-m NAME`.")
    return ModelFault(f"model {model!r} cannot call tools, says the server: {err.text}.", hint=hint)


def _client_error(err: Refused, url: str, model: str, kind: ServerKind) -> FlowError:
    lowered = err.text.lower()
    if err.status == 404 and "model" in lowered:
        return missing_model(model, url, kind)
    if err.status == 404 or 300 <= err.status < 400:
        title, path = "Ollama server", "/api/chat"
        if kind != "ollama":
            title, path = TITLES["openai"], "/v1/chat/completions"
        return unreachable(url, f"it is no {title} (HTTP {err.status} for {path})", kind=kind)
    if err.status in (401, 403):
        key = "Set OLLAMA_API_KEY" if kind == "ollama" else "Name the variable with its key in server.api_key_env"
        hint = f"{key}, or name another server with `-c server.url=URL`."
        return ModelUnavailable(f"the server at {url!r} refuses access (HTTP {err.status}): {err.text}.", hint=hint)
    if "does not support thinking" in lowered:
        return ModelFault(f"model {model!r} cannot think: {err.text}.", hint="Leave the setting models.think unset.")
    return ModelFault(f"the server refused the request (HTTP {err.status}): {err.text}.")

"""What can go wrong between us and a model server: which error it ends in, and whether to ask again before."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx

from ..core.errors import CassetteMismatch, FlowError, ModelFault, ModelUnavailable, ReplyInvalid
from .servers import TITLES, ServerKind, get_model_hint, start_hint

# "outage": again until the patience is used up. "few": the server works but this reply broke, so twice more and no
# further, for a fault that comes back will keep coming back. "never": asking again cannot help.
Retry = Literal["outage", "few", "never"]

FEW_RETRIES = 2
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 30.0

# What a 500 says when the server's own reading of the model's tool call failed.
_UNREADABLE_CALL = re.compile(r"(parsing|parse|unmarshal\w*).{0,20}tool.?call|invalid tool.?call", re.IGNORECASE)
_NO_TOOLS = re.compile(r"does not support tools|requires? --jinja|requires --enable-auto-tool-choice", re.IGNORECASE)
_NO_ROOM = re.compile(r"exceeds? the available context|maximum context length|exceed_context_size", re.IGNORECASE)
_TOO_LARGE = re.compile(r"requires? more (system )?memory", re.IGNORECASE)


class Refused(Exception):
    """The server answered with an error. `status` is its HTTP status; 200 = an error part inside a stream."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class BrokenStream(Exception):
    """A reply that did not arrive whole; the text says how."""


class Silence(Exception):
    """The server sent nothing for too long; the text says for how long."""


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
        return Verdict(ModelFault(f"the reply of model {model!r} broke: {err}."), "few")
    if isinstance(err, Silence):
        reason = str(err)
    elif isinstance(err, httpx.ConnectTimeout):
        reason = "it did not accept a connection in time"
    elif isinstance(err, httpx.ConnectError):
        reason = connect_reason(err)
    else:
        reason = f"the connection broke ({type(err).__name__}: {err})"
    return Verdict(unreachable(url, reason, kind=kind), "outage")


def unreachable(url: str, reason: str, *, hint: str = "", kind: ServerKind = "ollama") -> ModelUnavailable:
    """Return the error for a server that does not answer as it should."""
    usual = f"{start_hint(kind)}, or name another server with `-c server.url=URL`."
    return ModelUnavailable(f"no model server answers at {url!r}: {reason}.", hint=hint or usual)


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


def missing_model(model: str, url: str, kind: ServerKind = "ollama") -> ModelUnavailable:
    """Return the error for a model the server does not have."""
    return ModelUnavailable(
        f"the server at {url!r} has no model {model!r}.",
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


def next_delay(retry: Retry, retries: int, waited_s: float, patience_s: float) -> float | None:
    """Return the seconds to wait before the next attempt; None = give up.

    Args:
        retries: attempts already made after the first one.
        waited_s: seconds since the first attempt failed.
    """
    if retry == "never" or (retry == "few" and retries >= FEW_RETRIES):
        return None
    delay = min(FIRST_DELAY_S * 2**retries, LONGEST_DELAY_S)
    return None if waited_s + delay > patience_s else delay


def _judge_refusal(err: Refused, url: str, model: str, replaying: bool, kind: ServerKind) -> Verdict:
    if _UNREADABLE_CALL.search(err.text):
        text = f"Your tool call could not be read, so nothing ran. The server says: {err.text}. Send the call again."
        return Verdict(ReplyInvalid(text), "never")
    if replaying and err.status == 409:
        return Verdict(CassetteMismatch(err.text), "never")
    if _TOO_LARGE.search(err.text):
        hint = "Take a smaller model with `-m NAME` or a smaller window with `-c models.num_ctx=N`."
        return Verdict(ModelUnavailable(f"model {model!r} does not fit: {err.text}.", hint=hint), "never")
    if _NO_TOOLS.search(err.text):
        return Verdict(_no_tools(err, model, kind), "never")
    if _NO_ROOM.search(err.text):
        hint = "Start the server with a larger window, or set models.num_ctx to the one it has."
        return Verdict(ModelFault(f"the request does not fit the server's window: {err.text}.", hint=hint), "never")
    if err.status == 200:
        return Verdict(ModelFault(f"model {model!r} failed while it was answering: {err.text}."), "few")
    if err.status >= 500 or err.status == 429:
        reason = f"HTTP {err.status}, {err.text}"
        hint = "Look at the server's log, or name another server with `-c server.url=URL`."
        return Verdict(unreachable(url, reason, hint=hint), "outage")
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

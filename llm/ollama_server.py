"""A small server that speaks Ollama's API on the loopback, answering from a function.

Tests, the demo and replays put it behind the real client; it runs no model.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from .answers import (
    Answer,
    Answers,
    Call,
    ChatRequest,
    Fault,
    RawReply,
    Reply,
    last_part,
    merge_parts,
    reply_parts,
    scripted,
)
from .roles import role_fault

__all__ = ["Answer", "Answers", "Call", "ChatRequest", "Fault", "OllamaServer", "RawReply", "Reply", "scripted"]

_ERROR_TEXTS = {
    404: "model not found",
    500: "llama runner process has terminated: exit status 2",
    503: "server busy, please try again. maximum pending requests exceeded",
}


class OllamaServer:
    """A server on 127.0.0.1 at a free port, running between `with` and the end of its block.

    Args:
        answers: gives the answer to each accepted chat request; called from the server's threads.
        models: names it says it has; a chat with any other is answered 404.
        context_length: what /api/show reports.
        capabilities: what /api/show reports.
        strict: refuse `format` together with `tools`, which real servers accept and then answer with no calls.

    Attributes:
        requests: accepted chat requests, in order of arrival.
        refused: texts of the refusals (role grammar, strict mode); these requests get no answer and no index.
        preloads: bodies of chat requests without messages.
        disconnects: streams that the client left during a silence.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        models: Sequence[str] = ("scripted:latest",),
        context_length: int = 32768,
        capabilities: Sequence[str] = ("completion", "tools"),
        version: str = "0.12.0",
        strict: bool = True,
    ) -> None:
        self.models = tuple(models)
        self.context_length = context_length
        self.capabilities = tuple(capabilities)
        self.version = version
        self.requests: list[ChatRequest] = []
        self.refused: list[str] = []
        self.preloads: list[dict[str, Any]] = []
        self.disconnects = 0
        self.stopping = threading.Event()
        self._answers = answers
        self._strict = strict
        self._lock = threading.Lock()
        self._http: _Http | None = None

    @property
    def url(self) -> str:
        """Base URL without a slash at its end.

        Raises:
            RuntimeError: the server is not running.
        """
        if self._http is None:
            raise RuntimeError("the server is not running: use it in a `with` block")
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> OllamaServer:
        self.stopping.clear()
        self._http = _Http(self)
        # A short poll lets the block end quickly.
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.close_connections()
            self._http.server_close()
            self._http = None

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[ChatRequest, Answer]:
        """Return the accepted request and its answer; a refusal is an answer too."""
        if fault := self._refusal(body):
            with self._lock:
                self.refused.append(fault)
            return ChatRequest(body, headers, -1), Fault("http", status=400, text=fault)
        with self._lock:
            request = ChatRequest(body, headers, len(self.requests))
            self.requests.append(request)
        return request, self._answers(request)

    def note_preload(self, body: dict[str, Any]) -> None:
        with self._lock:
            self.preloads.append(body)

    def note_disconnect(self) -> None:
        with self._lock:
            self.disconnects += 1

    def has_model(self, name: object) -> bool:
        """Return whether the name is one of the models, ":latest" being understood."""
        return isinstance(name, str) and (name in self.models or f"{name}:latest" in self.models)

    def _refusal(self, body: Mapping[str, Any]) -> str:
        if self._strict and body.get("format") and body.get("tools"):
            return "format and tools in one request: a real server would return no tool calls"
        return role_fault(body.get("messages"))


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # The backlog of the standard library (5) refuses the calls of a wide fan-out.
    request_queue_size = 128

    def __init__(self, owner: OllamaServer) -> None:
        self.owner = owner
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def close_connections(self) -> None:
        """End what is still open: kept-alive connections and streams in a silence."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # already closed by its other end

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that went away pass; anything else is a bug and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Ollama"
    disable_nagle_algorithm = True

    @property
    def owner(self) -> OllamaServer:
        return cast(_Http, self.server).owner

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: stderr belongs to the command."""

    def do_HEAD(self) -> None:
        self._send(200, b"", "text/plain")

    def do_GET(self) -> None:
        owner = self.owner
        if self.path == "/":
            self._send(200, b"Ollama is running", "text/plain")
        elif self.path == "/api/version":
            self._json(200, {"version": owner.version})
        elif self.path == "/api/tags":
            self._json(200, {"models": [_listing(name) for name in owner.models]})
        elif self.path == "/api/ps":
            window = {"context_length": owner.context_length, "expires_at": "2026-01-01T00:10:00Z", "size_vram": 0}
            self._json(200, {"models": [{**_listing(name), **window} for name in owner.models]})
        else:
            self._send(404, b"404 page not found", "text/plain")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw)
        except ValueError as err:
            self._json(400, {"error": f"invalid request body: {err}"})
            return
        name = body.get("model") or body.get("name")
        if self.path not in ("/api/chat", "/api/show"):
            self._send(404, b"404 page not found", "text/plain")
        elif not self.owner.has_model(name):
            self._json(404, {"error": f"model '{name}' not found"})
        elif self.path == "/api/show":
            self._json(200, _details(self.owner))
        elif not body.get("messages"):
            self.owner.note_preload(body)
            self._json(200, last_part(str(name), "load"))
        else:
            self._chat(body)

    def _chat(self, body: dict[str, Any]) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        request, answer = self.owner.answer(body, headers)
        if isinstance(answer, Fault):
            self._fault(answer, request)
            return
        if isinstance(answer, Reply):
            self._silence(answer.delay_s)
            self._parts(list(reply_parts(answer, request)), body)
        else:
            self._parts([dict(part) for part in answer.parts], body)

    def _parts(self, parts: list[dict[str, Any]], body: Mapping[str, Any]) -> None:
        if body.get("stream", True):
            self._stream(_line(part) for part in parts)
        else:
            self._json(200, merge_parts(parts))

    def _fault(self, fault: Fault, request: ChatRequest) -> None:
        match fault.kind:
            case "http" | "http-404" | "http-500" | "http-503":
                status = fault.status if fault.kind == "http" else int(fault.kind.removeprefix("http-"))
                self._json(status, {"error": fault.text or _ERROR_TEXTS.get(status, "internal error")})
            case "not-json":
                self._send(200, b"<html><body>It works!</body></html>", "text/html")
            case "empty":
                self._stream([])
            case "load":
                self._parts([last_part(str(request.body.get("model", "")), "load")], request.body)
            case "bad-arguments":
                broken = Reply(calls=[Call("read_file", fault.text or '{"path": "a.py"')])
                self._parts(list(reply_parts(broken, request)), request.body)
            case _:
                whole = Reply(text=fault.text or "The answer starts here and goes on.", piece_chars=8)
                self._broken_stream(fault, list(reply_parts(whole, request)), request.body)

    def _broken_stream(self, fault: Fault, parts: list[dict[str, Any]], body: Mapping[str, Any]) -> None:
        match fault.kind:
            case "slow-start":
                self._silence(fault.delay_s)
                self._parts(parts, body)
            case "stall":
                self._stream(_line(part) for part in self._after_one(parts, fault.delay_s))
            case "drop":
                self._stream([_line(parts[0])], ended=False)
            case "truncated-json":
                self._stream([_line(parts[0]), _line(parts[1])[:40]])
            case "no-done":
                self._stream(_line(part) for part in parts[:-1])
            case "error-line":
                error = {"error": fault.text or "an error was encountered while running the model: CUDA error"}
                self._stream([_line(parts[0]), _line(error)])
            case "length":
                self._parts([*parts[:-1], {**parts[-1], "done_reason": "length"}], body)

    def _after_one(self, parts: list[dict[str, Any]], delay_s: float) -> Iterator[dict[str, Any]]:
        yield parts[0]
        self._silence(delay_s)
        yield from parts[1:]

    def _silence(self, seconds: float) -> None:
        """Send nothing for so long; a client that leaves meanwhile ends it.

        Raises:
            ConnectionAbortedError: the client left or the server is stopping.
        """
        waited = 0.0
        while waited < seconds:
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self.owner.note_disconnect()
                raise ConnectionAbortedError("the client left")
            if self.owner.stopping.is_set():
                raise ConnectionAbortedError("the server is stopping")
            waited += 0.02

    def _stream(self, lines: Any, *, ended: bool = True) -> None:
        """Send lines in chunked encoding; not `ended` closes the connection in the middle."""
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for line in lines:
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        if ended:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def _json(self, status: int, data: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(data).encode(), "application/json; charset=utf-8")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _line(part: Mapping[str, Any]) -> bytes:
    return json.dumps(part, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _listing(name: str) -> dict[str, Any]:
    details = {"format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "24B"}
    return {
        "name": name,
        "model": name,
        "size": 0,
        "digest": "0" * 64,
        "modified_at": "2026-01-01T00:00:00Z",
        "details": details,
    }


def _details(owner: OllamaServer) -> dict[str, Any]:
    return {
        "template": "{{ .Prompt }}",
        "details": {"format": "gguf", "family": "llama", "families": ["llama"]},
        "model_info": {"general.architecture": "llama", "llama.context_length": owner.context_length},
        "capabilities": list(owner.capabilities),
    }

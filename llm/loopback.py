"""What the in-package model servers share: a server on the loopback that answers from a function, and its faults.

llm/ollama_server.py and llm/openai_server.py give it the two wires; it runs no model.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from itertools import chain
from types import TracebackType
from typing import Any, ClassVar, Self, TypedDict, Unpack, cast

from .answers import Answer, Answers, Call, ChatRequest, Fault, Reply, cut_pieces, reply_parts, spoiled_pieces
from .loopback_http import HttpServer
from .roles import RoleGrammar, role_fault

ERROR_TEXTS = {
    404: "model not found",
    500: "llama runner process has terminated: exit status 2",
    503: "server busy, please try again. maximum pending requests exceeded",
}


class ServerOptions(TypedDict, total=False):
    """What every server may be made with.

    Attributes:
        models: names it says it has, at first "scripted:latest"; a chat with any other is answered 404.
        context_length: the window it reports, at first 32,768.
        grammar: the order of roles that its chat template insists on; a request that breaks it is refused.
        strict: refuse a schema together with tools, which real servers accept and then answer with no calls; at first
            True.
        preflight: the answer to requests for one token, which no run makes but to see whether a model works.
        busy: so many of the first requests, whatever they ask, are told that it is loading its model.
    """

    models: Sequence[str]
    context_length: int
    grammar: RoleGrammar
    strict: bool
    preflight: Answer | Answers | None
    busy: int


class LoopbackServer:
    """A server on 127.0.0.1 at a free port, running between `with` and the end of its block.

    Entered again, it listens at the same port.

    Args:
        answers: gives the answer to each accepted chat request; called from the server's threads.

    Attributes:
        requests: accepted chat requests, in order of arrival, in the form of Ollama's wire whatever came.
        refused: texts of the refusals (role grammar, strict mode); these requests get no answer and no index.
        preloads: bodies of chat requests without messages.
        preflights: bodies of requests for one token; they are no part of `requests`.
        disconnects: streams that the client left before their end.
    """

    handler: ClassVar[type[LoopbackHandler]]

    def __init__(self, answers: Answers, **options: Unpack[ServerOptions]) -> None:
        self.models = tuple(options.get("models", ("scripted:latest",)))
        self.context_length = options.get("context_length", 32768)
        self.requests: list[ChatRequest] = []
        self.refused: list[str] = []
        self.preloads: list[dict[str, Any]] = []
        self.preflights: list[dict[str, Any]] = []
        self.disconnects = 0
        self.stopping = threading.Event()
        self._answers = answers
        self._grammar: RoleGrammar = options.get("grammar", "")
        self._strict = options.get("strict", True)
        self._preflight = options.get("preflight") or Reply("Hi")
        self._busy = options.get("busy", 0)
        self._lock = threading.Lock()
        self._http: HttpServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Base URL without a slash at its end.

        Raises:
            RuntimeError: the server is not running.
        """
        if self._http is None:
            raise RuntimeError("the server is not running: use it in a `with` block")
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self.stopping.clear()
        self._http = HttpServer(self.handler, self, self._port)
        self._port = self._http.server_port
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

    def answer(
        self, body: dict[str, Any], headers: dict[str, str], *, one_token: bool = False
    ) -> tuple[ChatRequest, Answer]:
        """Return the accepted request and its answer; a refusal is an answer too.

        Args:
            body: the request in the form of Ollama's wire.
            one_token: it asks for no more than one token.
        """
        if fault := self._refusal(body):
            with self._lock:
                self.refused.append(fault)
            return ChatRequest(body, headers, -1), Fault("http", status=400, text=fault)
        with self._lock:
            if one_token:
                self.preflights.append(body)
                one = ChatRequest(body, headers, -1)
                return one, self._preflight(one) if callable(self._preflight) else self._preflight
            request = ChatRequest(body, headers, len(self.requests))
            self.requests.append(request)
        return request, self._answers(request)

    def take_busy(self) -> bool:
        """Return whether the next request finds it busy."""
        with self._lock:
            busy = self._busy > 0
            self._busy -= busy
            return busy

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
        return role_fault(body.get("messages"), self._grammar)


class LoopbackHandler(BaseHTTPRequestHandler):
    """One connection. A wire says how parts of a reply, errors and paths look; faults are made of that here."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stream_type: ClassVar[str]

    @property
    def owner(self) -> Any:
        return cast(HttpServer, self.server).owner

    def encode(self, parts: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Return the bytes of each part of a stream; the last part's hold whatever ends the stream."""
        raise NotImplementedError

    def whole(self, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the object that a request without streaming gets for these parts."""
        raise NotImplementedError

    def error_line(self, text: str) -> bytes:
        """Return the bytes of an error inside a stream."""
        raise NotImplementedError

    def error_body(self, status: int, text: str) -> dict[str, Any]:
        """Return the body of an HTTP error."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: stderr belongs to the command."""

    def answer_get(self) -> None:
        """Answer a GET by its path."""
        raise NotImplementedError

    def answer_post(self, body: dict[str, Any]) -> None:
        """Answer a POST by its path and its body."""
        raise NotImplementedError

    def do_GET(self) -> None:
        if not self._busy():
            self.answer_get()

    def do_POST(self) -> None:
        if not self._busy() and (body := self._read_body()) is not None:
            self.answer_post(body)

    def _busy(self) -> bool:
        """Return whether the server has no time, which is answered."""
        if not self.owner.take_busy():
            return False
        self.close_connection = True  # a body would stand in the way of the next request
        self.send_error_text(503, "Loading model")
        return True

    def do_HEAD(self) -> None:
        self.send_body(200, b"", "text/plain")

    def _read_body(self) -> dict[str, Any] | None:
        """Return the request's JSON object; None = it was none, and is answered."""
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw)
        except ValueError as err:
            self.send_error_text(400, f"invalid request body: {err}")
            return None
        if not isinstance(body, dict):
            self.send_error_text(400, "invalid request body: no object")
            return None
        return body

    def chat(self, body: dict[str, Any], *, one_token: bool = False, stream: bool = True) -> None:
        """Answer a chat request, given in the form of Ollama's wire."""
        headers = {key.lower(): value for key, value in self.headers.items()}
        request, answer = self.owner.answer(body, headers, one_token=one_token)
        if isinstance(answer, Fault):
            self._fault(answer, request, stream)
        elif isinstance(answer, Reply):
            self._silence(answer.delay_s)
            self.send_parts(list(reply_parts(answer, request)), stream)
        else:
            self.send_parts(answer.parts, stream)

    def send_parts(self, parts: Sequence[Mapping[str, Any]], stream: bool) -> None:
        """Send a reply, in one object when it is not streamed; an error part then becomes an HTTP error."""
        if stream:
            self.send_stream(self.encode(parts))
        elif parts and "error" in parts[-1]:
            self.send_error_text(500, str(parts[-1]["error"]))
        else:
            self.send_json(200, self.whole(parts))

    def send_error_text(self, status: int, text: str) -> None:
        self.send_json(status, self.error_body(status, text))

    def send_json(self, status: int, data: Mapping[str, Any]) -> None:
        self.send_body(status, json.dumps(data).encode(), "application/json; charset=utf-8")

    def send_body(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_stream(self, pieces: Iterable[bytes], *, ended: bool = True, content_type: str = "") -> None:
        """Send pieces in chunked encoding; not `ended` closes the connection in the middle."""
        self.send_response(200)
        self.send_header("content-type", content_type or self.stream_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self._write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if ended:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def _write(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except ConnectionError:
            self.owner.note_disconnect()
            raise

    def _fault(self, fault: Fault, request: ChatRequest, stream: bool) -> None:
        match fault.kind:
            case "http" | "http-404" | "http-500" | "http-503":
                status = fault.status if fault.kind == "http" else int(fault.kind.removeprefix("http-"))
                self.send_error_text(status, fault.text or ERROR_TEXTS.get(status, "internal error"))
            case "not-json":
                self.send_body(200, b"<html><body>It works!</body></html>", "text/html")
            case "error-object":
                self.send_json(200, self.error_body(500, fault.text or ERROR_TEXTS[500]))
            case "empty":
                self.send_stream([])
            case "load":
                self.send_loading(request, stream)
            case "bad-arguments":
                broken = Reply(calls=[Call("read_file", fault.text or '{"path": "a.py"')])
                self.send_parts(list(reply_parts(broken, request)), stream)
            case _:
                whole = fault.reply or Reply(text=fault.text or "The answer starts here and goes on.", piece_chars=8)
                self._broken_stream(fault, list(reply_parts(whole, request)), stream)

    def send_loading(self, request: ChatRequest, stream: bool) -> None:
        """Answer as the server does while it loads the model."""
        raise NotImplementedError

    def _broken_stream(self, fault: Fault, parts: list[dict[str, Any]], stream: bool) -> None:
        pieces = self.encode(parts)
        match fault.kind:
            case "slow-start":
                self._silence(fault.delay_s)
                self.send_parts(parts, stream)
            case "slow-drip":
                self.send_stream(self._slowly(pieces, fault.delay_s))
            case "stall":
                self.send_stream(chain(pieces[:-1], self._slowly(pieces[-1:], fault.delay_s)))
            case "drop":
                self.send_stream(cut_pieces(pieces), ended=False)
            case "reset":
                self.send_stream(cut_pieces(pieces), ended=False)
                self._reset()
            case "wrong-type":
                self.send_stream(pieces, content_type="text/plain")
            case "endless":
                self.send_stream(self._endless(pieces[0]))
            case "error-line":
                text = fault.text or "an error was encountered while running the model: CUDA error"
                self.send_stream([*pieces[:-1], self.error_line(text)])
            case "length":
                self.send_parts([*parts[:-1], {**parts[-1], "done_reason": "length"}], stream)
            case _:
                self.send_stream(spoiled_pieces(fault.kind, pieces))

    def _reset(self) -> None:
        """Close the connection by a reset, which a socket that does not linger sends."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _slowly(self, pieces: Iterable[bytes], delay_s: float) -> Iterator[bytes]:
        for piece in pieces:
            self._silence(delay_s)
            yield piece

    def _endless(self, piece: bytes) -> Iterator[bytes]:
        while not self.owner.stopping.is_set():
            yield piece

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

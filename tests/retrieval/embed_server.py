"""An embedding server on loopback, of either API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]


class Server:
    """Answers POSTs by a function of path and body; `asked` holds them."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.asked.append((self.path, body))
                owner.headers.append({key.lower(): value for key, value in self.headers.items()})
                status, data = answer(self.path, body)
                raw = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


def vector(text: str) -> list[float]:
    return [float(len(text)), 3.0, 4.0]


def ollama(path: str, body: dict[str, Any]) -> tuple[int, Any]:
    if path != "/api/embed":
        return 404, b"404 page not found"
    return 200, {"model": body["model"], "embeddings": [vector(text) for text in body["input"]]}


def openai(path: str, body: dict[str, Any]) -> tuple[int, Any]:
    if path != "/v1/embeddings":
        return 404, {"error": {"code": 404, "message": "File Not Found"}}
    data = [{"index": at, "embedding": vector(text)} for at, text in enumerate(body["input"])]
    return 200, {"object": "list", "data": data[::-1]}

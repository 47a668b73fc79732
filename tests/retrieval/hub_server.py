"""A hub on loopback that answers as the Hugging Face hub does, from files in memory."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

COMMIT = "614241f622f53c4eeff9890bdc4f31cfecc418b3"


class HubServer:
    """Serves one repository.

    Attributes:
        files: content by path; those above 1,000 bytes are told with a SHA-256, others with git's hash.
        cut: bytes after which the next answers about a file break off, one entry each.
        wrong: paths whose content is not what is told of them.
        ranges: whether it can go on in the middle.
        asked: paths that were asked for, with the range ("" = whole).
    """

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        self.repository = repository
        self.files = files
        self.cut: list[int] = []
        self.wrong: set[str] = set()
        self.ranges = True
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0].lstrip("/")
                owner.asked.append((path, self.headers.get("range", "")))
                owner.tokens.append(self.headers.get("authorization", ""))
                if path == f"api/models/{owner.repository}/revision/main":
                    return self._send(200, json.dumps(owner.listing()).encode())
                start = f"{owner.repository}/resolve/{COMMIT}/"
                if path.startswith(start) and path.removeprefix(start) in owner.files:
                    # The hub redirects to where the bytes are.
                    self.send_response(302)
                    self.send_header("location", f"/cdn/{path.removeprefix(start)}")
                    self.send_header("content-length", "0")
                    return self.end_headers()
                if path.startswith("cdn/"):
                    return self._file(path.removeprefix("cdn/"))
                return self._send(404, b'{"error":"Repository not found"}')

            def _file(self, path: str) -> None:
                data = owner.files[path]
                data = data[::-1] if path in owner.wrong else data
                begin = self.headers.get("range", "").removeprefix("bytes=").rstrip("-")
                if begin and owner.ranges:
                    return self._send(206, data[int(begin) :])
                return self._send(200, data)

            def _send(self, status: int, data: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if owner.cut and self.path.startswith("/cdn/"):
                    self.wfile.write(data[: owner.cut.pop(0)])
                    self.close_connection = True
                else:
                    self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def listing(self) -> dict[str, Any]:
        siblings = []
        for path, data in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": blob}
            if len(data) > 1000:
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        return {"id": self.repository, "sha": COMMIT, "siblings": siblings}

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

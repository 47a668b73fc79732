"""The HTTP server below the in-package model servers: it can end every connection that is still open."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HttpServer(ThreadingHTTPServer):
    """One thread a connection, on the loopback; `owner` is what its handler works for. Port 0: a free one."""

    daemon_threads = True
    block_on_close = False
    # The backlog of the standard library (5) refuses the calls of a wide fan-out.
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], owner: object, port: int) -> None:
        self.owner = owner
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)

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

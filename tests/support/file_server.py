"""A real HTTP server on this machine that misbehaves on request."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Resource:
    """What a path serves, and what goes wrong with it, request by request."""

    data: bytes
    drops: list[int | None] = field(default_factory=list)
    """For each request in turn: close the connection after so many bytes, or None to serve all."""
    statuses: list[int] = field(default_factory=list)
    """Sent in turn before anything is served."""
    ranges: bool = True
    """Whether the Range header is honored."""
    lengths: bool = True
    """Whether Content-Length is sent."""
    shift: int = 0
    """Offset of the ranges sent from the ranges requested."""
    declared: int | None = None
    """A Content-Length that is wrong."""
    location: str | None = None
    """Where to redirect to."""
    retry_after: str | None = None


class FileServer:
    """Serves resources by path, and records the requests."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests.append((self.path, dict(self.headers)))
                server.respond(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def serve(self, path: str, data: bytes = b"", **faults: Any) -> str:
        """Serve ``data`` at ``path``; return the address."""
        self.resources[path] = Resource(data, **faults)
        return self.url + path

    def ranges(self, path: str) -> list[str | None]:
        """The Range header of each request for ``path``."""
        return [headers.get("Range") for requested, headers in self.requests if requested == path]

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        resource = self.resources.get(handler.path)
        if resource is None:
            return self._plain(handler, 404)
        if resource.statuses:
            return self._plain(handler, resource.statuses.pop(0), retry_after=resource.retry_after)
        if resource.location is not None:
            return self._plain(handler, 302, location=resource.location)
        start, size = 0, len(resource.data)
        requested = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if requested and resource.ranges:
            start = int(requested[1])
            if start >= size:
                return self._plain(handler, 416, content_range=f"bytes */{size}")
            start += resource.shift
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            handler.send_response(200)
        if resource.lengths:
            handler.send_header("Content-Length", str(resource.declared or size - start))
        handler.send_header("Connection", "close")
        handler.end_headers()
        drop = resource.drops.pop(0) if resource.drops else None
        end = size if drop is None else start + drop
        handler.wfile.write(resource.data[start:end])
        return None

    @staticmethod
    def _plain(handler: BaseHTTPRequestHandler, status: int, **headers: str | None) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            if value is not None:
                handler.send_header(name.replace("_", "-").title(), value)
        handler.send_header("Content-Length", "0")
        handler.send_header("Connection", "close")
        handler.end_headers()

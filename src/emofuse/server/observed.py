"""Count, time and log every request; answer what nobody expected. Nothing that a client sent is logged.

A line of the log holds the method, the route as the documentation writes it (``/v1/jobs/{job_id}``), the
status and the time. Of an error, it holds the kind and the lines of code, not its message, which may hold
names.
"""

from __future__ import annotations

import logging
import time
import traceback
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emofuse.server.metrics import Metrics
from emofuse.server.problems import internal

logger = logging.getLogger("emofuse.server")

_METHODS: Final = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
_STARTS: Final = frozenset(("http.response.start", "websocket.http.response.start"))


class Observed:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note how it was answered."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, answered = time.perf_counter(), False

        async def noted(message: Message) -> None:
            nonlocal answered
            status = _status(message)
            if status and not answered:
                answered = True
                self._note(scope, status, time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            logger.error("%s failed:\n%s", _route(scope), _without_messages(error))
            if scope["type"] == "websocket":
                await noted({"type": "websocket.close", "code": 1011})
            elif not answered:
                await internal().response()(scope, receive, noted)
            else:
                raise _CutOffError from None  # the server closes the connection: the answer is not whole

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = "WS" if scope["type"] == "websocket" else scope["method"]
        if method not in _METHODS and method != "WS":
            method = "other"
        route = _route(scope)
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        logger.info("%s %s %d %.0f ms", method, route, status, seconds * 1000)


class _CutOffError(Exception):
    """An answer could not be sent to its end; the log says why."""


def _status(message: Message) -> int | None:
    """The status that a message shows; None: none."""
    if message["type"] in _STARTS:
        return int(message["status"])
    if message["type"] == "websocket.accept":
        return 101
    return 403 if message["type"] == "websocket.close" else None


def _route(scope: Scope) -> str:
    """The route as documented; what matches none has one name, whatever was asked for."""
    return str(getattr(scope.get("route"), "path", "none"))


def _without_messages(error: BaseException) -> str:
    """Where an error was raised, and of which kinds it and its causes are."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lines = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"{lines}{type(current).__module__}.{type(current).__qualname__}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\nCaused by:\n".join(parts)

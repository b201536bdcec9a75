"""What a request carries beside its headers: how much of it is taken, and what becomes of the rest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emofuse.server.problems import Problem

UPLOADS: Final = frozenset((("POST", "/v1/predictions"), ("POST", "/v1/jobs"), ("POST", "/v1/people")))
"""Whose routes count for themselves what they take."""
_DRAINED_BYTES: Final = 4 * 2**20
_DRAINED_S: Final = 2.0


class Bodies:
    """The middleware: refuse large bodies, and take a little of those that nobody reads.

    A client that is answered while it still sends may never see the answer: closing a connection with unread
    data in it resets it. What is left of the body of a refused request is therefore read for a moment.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, None if (scope["method"], scope["path"]) in UPLOADS else self._limit)

        async def send_after_drain(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await body.drain()
            await send(message)

        try:
            await self._app(scope, body.receive, send_after_drain)
        except _TooLargeError:
            await Problem(
                413, "Content too large", f"A body that is data may have {self._limit} bytes."
            ).response()(scope, receive, send_after_drain)


class _TooLargeError(Exception):
    """More was sent than the limit."""


class _Body:
    def __init__(self, scope: Scope, receive: Receive, limit_bytes: int | None) -> None:
        names = {name for name, _ in scope["headers"]}
        self._receive, self._left = receive, limit_bytes
        self._at_end = not names & {b"content-length", b"transfer-encoding"}
        self._waits = b"expect" in names
        """The client sends its body when it is asked for it only."""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            self._at_end = True
            return message
        self._at_end = not message.get("more_body", False)
        if self._left is not None:
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self._left = None
                raise _TooLargeError
        return message

    async def drain(self) -> None:
        """Read what is left, up to a limit."""
        if self._at_end or self._waits:
            return
        left, until = _DRAINED_BYTES, time.monotonic() + _DRAINED_S
        with contextlib.suppress(TimeoutError):
            while left > 0 and not self._at_end:
                message = await asyncio.wait_for(self._receive(), until - time.monotonic())
                left -= len(message.get("body", b""))
                self._at_end = message["type"] != "http.request" or not message.get("more_body", False)

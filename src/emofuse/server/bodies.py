"""What a request carries beside its headers: how much of it is taken, and what becomes of the rest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emofuse.server.problems import Problem

UPLOADS: Final = frozenset((("POST", "/v1/predictions"), ("POST", "/v1/jobs"), ("POST", "/v1/people")))
"""Whose routes read their bodies themselves, as they come. All others are data, and read here."""
_DRAINED_BYTES: Final = 4 * 2**20
_DRAINED_S: Final = 2.0


class Bodies:
    """The middleware: refuse large bodies, and take a little of those that nobody reads.

    A client that is answered while it still sends may never see the answer: closing a connection with unread
    data in it resets it. What is left of the body of a refused request is therefore read for a moment.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int, idle_s: float) -> None:
        self._app = app
        self._limit, self._idle_s = limit_bytes, idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive)

        async def send_after_drain(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await body.drain()
            await send(message)

        if (scope["method"], scope["path"]) not in UPLOADS:
            try:
                await body.read_whole(self._limit, self._idle_s)
            except Problem as problem:
                await problem.response()(scope, receive, send_after_drain)
                return
        await self._app(scope, body.receive, send_after_drain)


class _Body:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        names = {name for name, _ in scope["headers"]}
        self._receive = receive
        self._at_end = not names & {b"content-length", b"transfer-encoding"}
        self._waits = b"expect" in names
        """The client sends its body when it is asked for it only."""
        self._read: Message | None = None

    async def receive(self) -> Message:
        """What comes next, for the application."""
        if self._read is not None:
            message, self._read = self._read, None
            return message
        message = await self._receive()
        self._at_end = message["type"] != "http.request" or not message.get("more_body", False)
        self._waits = False
        return message

    async def read_whole(self, limit_bytes: int, idle_s: float) -> None:
        """Read all of it, for an application that reads data at once.

        Raises:
            Problem: 408 it does not come, 413 it is too large.
        """
        data = bytearray()
        while not self._at_end:
            try:
                message = await asyncio.wait_for(self.receive(), idle_s)
            except TimeoutError:
                raise Problem(
                    408, "Body timed out", f"Nothing came for {idle_s:g} seconds.",
                    headers={"Connection": "close"},
                ) from None  # fmt: skip
            if message["type"] != "http.request":
                self._read = message
                return
            data += message.get("body", b"")
            if len(data) > limit_bytes:
                raise Problem(413, "Content too large", f"A body that is data may have {limit_bytes} bytes.")
        self._read = {"type": "http.request", "body": bytes(data), "more_body": False}

    async def drain(self) -> None:
        """Read what is left, up to a limit."""
        if self._at_end or self._waits:
            return
        left, until = _DRAINED_BYTES, time.monotonic() + _DRAINED_S
        with contextlib.suppress(TimeoutError):
            while left > 0 and not self._at_end:
                message = await asyncio.wait_for(self.receive(), until - time.monotonic())
                left -= len(message.get("body", b""))

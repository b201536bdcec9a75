"""A live session with the service: audio and pictures go to it, windows come back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from emofuse.core.errors import RequestError
from emofuse.server.client_connection import refusal, unreached
from emofuse.server.live.messages import pack


class LiveSession:
    """Audio and pictures go to the service, messages come back. A context manager."""

    created: dict[str, Any]
    """What the service said at the start: the session, the recognizer and its emotions."""
    session: dict[str, Any]
    """How it is read."""

    def __init__(self, url: str, headers: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self._url, self._headers, self._options = url, headers, options
        self.connection: ClientConnection

    def __enter__(self) -> Self:
        address = self._url.replace("http", "ws", 1) + "/v1/live"
        with ExitStack() as stack:
            try:
                self.connection = stack.enter_context(
                    connect(address, additional_headers=self._headers, proxy=None, max_size=None)
                )
            except InvalidStatus as error:
                raise refusal(error.response.status_code, error.response.body or b"") from None
            except (OSError, TimeoutError) as error:
                raise unreached(self._url, error) from error
            self.created = self._expect("session.created")
            self.session = self.created["session"]
            if self._options:
                self._send(json.dumps({"type": "session.update", "session": self._options}))
                self.session = self._expect("session.updated")["session"]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _expect(self, kind: str) -> dict[str, Any]:
        message = next(self, {"type": "session.closed", "reason": "the connection was closed"})
        if message["type"] != kind:
            raise RequestError(None, "Live session", message.get("problem") or message["reason"])
        return message

    def send_audio(self, samples: bytes | NDArray[np.int16], time_s: float) -> None:
        """Send about 100 ms of 16 kHz mono audio, and when it started on the clock of this client."""
        payload = samples if isinstance(samples, bytes) else np.asarray(samples).astype("<i2").tobytes()
        self._send(pack("audio", payload, time_s))

    def send_picture(self, picture: bytes, time_s: float) -> None:
        """Send a JPEG or WebP picture, and when it was taken on the same clock."""
        self._send(pack("picture", picture, time_s))

    def _send(self, message: bytes | str) -> None:
        try:
            self.connection.send(message)
        except ConnectionClosed as error:
            raise RequestError(None, "Live session", f"it was closed: {error}") from None

    def pause(self) -> None:
        """Say that nothing comes for a while; the next audio or picture ends the pause."""
        self._send(json.dumps({"type": "session.pause"}))

    def close(self) -> None:
        """Ask for the end: what was sent is read, and the last message is ``session.closed``."""
        self._send(json.dumps({"type": "session.close"}))

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None: none comes in time, or the connection has ended."""
        try:
            return dict(json.loads(self.connection.recv(timeout_s)))
        except (TimeoutError, ConnectionClosed):
            return None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        message = self.receive()
        if message is None:
            raise StopIteration
        return message

"""Run a service until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator
from typing import Final

import uvicorn

from emofuse.core.errors import ServiceError
from emofuse.server.app import create_app
from emofuse.server.service import Service
from emofuse.server.settings import ServerSettings

_MESSAGE_BYTES: Final = 4 * 2**20
"""Of a WebSocket message; live sessions refuse smaller ones with a word."""
_CONNECTIONS: Final = 1000
"""At once; more are answered 503."""
_BACKLOG: Final = 512
_LIVE_S: Final = 2.0
"""How long live sessions may take to end with the service."""


def serve(settings: ServerSettings, on_ready: Callable[[str], None] | None = None) -> None:
    """Run a service until SIGINT or SIGTERM, which let what runs end for a few seconds.

    Args:
        settings: of the service.
        on_ready: called with the address of the service once it can be asked.

    Raises:
        ServiceError: the address is in use, or not one of this machine.
        EmofuseError: the service cannot start.
    """
    with _listening(settings) as listening:
        app = create_app(settings)
        service: Service = app.state.service
        service.start()  # here, where what goes wrong reaches the caller
        try:
            config = uvicorn.Config(
                app, http="h11", loop="asyncio", lifespan="on", log_config=None, access_log=False,
                proxy_headers=False, server_header=False, ws_max_size=_MESSAGE_BYTES, ws_max_queue=8,
                ws_per_message_deflate=False, limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=max(1, int(settings.quotas.drain_s)),
            )  # fmt: skip
            server = _Server(config, service, lambda: on_ready and on_ready(_address(listening)))
            server.run(sockets=[listening])
        finally:
            service.stop()


class _Server(uvicorn.Server):
    """Ends without an error after a signal, and tells the service when it begins to end."""

    def __init__(self, config: uvicorn.Config, service: Service, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._service, self._on_ready = service, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs end: requests, and beside them jobs."""
        self._service.stopping.set()
        drained = asyncio.ensure_future(asyncio.to_thread(self._service.drain))
        # connections are closed next: live sessions have their last word before
        await asyncio.to_thread(self._service.live.wait_until_none, _LIVE_S)
        await super().shutdown(sockets)
        await drained

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Meanwhile signals end the server; afterwards they are not sent again: it has ended."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listening(settings: ServerSettings) -> socket.socket:
    """A socket at the address, which no child inherits, and which can be opened again at once.

    Raises:
        ServiceError: it cannot be opened.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        # on POSIX, create_server sets SO_REUSEADDR
        return socket.create_server(found[4][:2], family=found[0], backlog=_BACKLOG)
    except OSError as error:
        raise ServiceError(
            f"cannot listen at {settings.host}, port {settings.port}: {error.strerror or error}: choose "
            "another --port or --host, or end what listens there"
        ) from None


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""WS /v1/live: the server's side of a live session, from the handshake to the log at its end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request, WebSocket
from starlette.websockets import WebSocketDisconnect

from emofuse.core.errors import EmofuseError, MediaError
from emofuse.server.live.limits import Allowance, LiveLimits
from emofuse.server.live.messages import SAMPLE_RATE_HZ, LiveOptions, read_options, read_text, unpack
from emofuse.server.live.problem_log import ProblemLog
from emofuse.server.problems import Problem
from emofuse.server.schemas import LivePlaces
from emofuse.server.service import Service, service_of
from emofuse.system.worker_pool import Reply, Ticket

router = APIRouter(tags=["live"])

NORMAL, GOING_AWAY, POLICY, FAILED = 1000, 1001, 1008, 1011
"""Codes with which a connection is closed (RFC 6455)."""
_FINISH_S: Final = 60.0
"""How long the last windows may take once a session was asked to end."""
_STOP_S: Final = 1.0
"""The same when the service ends."""
_SEND_S: Final = 10.0
"""How long a client may take to receive what was left to say."""
_GONE: Final = (WebSocketDisconnect, RuntimeError)
"""What is raised when a client that has left is sent something."""


@dataclass(frozen=True, slots=True)
class _End:
    """A session's end. ``code``: None where the client has left."""

    code: int | None
    reason: str
    reply: Mapping[str, Any] = field(default_factory=dict)


class _PolicyError(Exception):
    """The client breaks a limit."""


@router.get("/v1/live", summary="Places for live sessions")
async def places(request: Request) -> LivePlaces:
    """Whether a session could be opened now: browsers do not say why a WebSocket was refused."""
    service = service_of(request)
    service.running()
    await service.blocking(service.purpose.required)
    return LivePlaces(sessions=service.live.limits.sessions, open=service.live.open)


@router.websocket("/v1/live")
async def live(websocket: WebSocket) -> None:
    """Read a live session."""
    service = service_of(websocket)
    try:
        service.running()
        purpose = await service.blocking(service.purpose.required)
        with service.live.entered() as entered:
            if not entered:
                raise Problem(
                    503, "Too many live sessions", "All places are taken: try again when one is free.",
                    headers={"Retry-After": "10"},
                )  # fmt: skip
            await websocket.accept()
            await _Session(websocket, service, purpose).run()
    except Problem as problem:
        await websocket.send_denial_response(problem.response())


class _Session:
    """One connection. Everything here runs in the event loop."""

    def __init__(self, websocket: WebSocket, service: Service, purpose: str) -> None:
        self._websocket, self._service, self._purpose = websocket, service, purpose
        self._limits: LiveLimits = service.live.limits
        self._loop = asyncio.get_running_loop()
        self._id = uuid.uuid4().hex
        self._options = LiveOptions.model_validate({})
        self._profiles: Mapping[str, str] = {}
        self._begun = False
        self._patience_s = self._limits.idle_s
        """How long nothing may come at present."""
        self._ready, self._overflow = asyncio.Event(), asyncio.Event()
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._problems = ProblemLog()

    async def run(self) -> None:
        """From the handshake to the end, whoever ends it."""
        sender = asyncio.create_task(self._send())
        try:
            end = await self._end()
        except BaseException:
            sender.cancel()
            raise
        if end.code is None:
            sender.cancel()
        else:
            self._say("session.closed", reason=end.reason, **end.reply, problems=self._problems.rows())
        with contextlib.suppress(asyncio.CancelledError, TimeoutError, *_GONE):
            await asyncio.wait_for(sender, _SEND_S)
        if end.code is not None:
            with contextlib.suppress(*_GONE):
                await self._websocket.close(end.code, end.reason[:120])

    async def _end(self) -> _End:
        """Read the session; return how it ended."""
        request = {
            "do": "live",
            "purpose": self._purpose,
            "limits": {
                "max_pixels": self._service.settings.quotas.max_pixels,
                "block_s": self._limits.block_s,
            },
        }
        try:
            ticket = await asyncio.to_thread(self._service.live.submit, request, self._on_progress)
        except EmofuseError as error:
            return _End(FAILED, str(error))
        worker = asyncio.wrap_future(ticket.future)
        tasks: dict[str, asyncio.Future[Any]] = {
            "worker": worker,
            "receiver": asyncio.create_task(self._receive(ticket)),
            "stopping": asyncio.create_task(self._service.stopping.wait()),
            "overflow": asyncio.create_task(self._overflow.wait()),
            "ready": asyncio.create_task(self._ready.wait()),
        }
        try:
            done = await _first(tasks, self._limits.ready_s)
            if done == "ready":
                del tasks["ready"]
                done = await _first(tasks, self._limits.session_s)
            return await self._ended_by(done, tasks, ticket)
        except _PolicyError as error:
            return _End(POLICY, str(error))
        except WebSocketDisconnect:
            return _End(None, "the client left")
        except EmofuseError as error:  # the worker was lost
            return _End(FAILED, str(error))
        finally:
            ticket.cancel()
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _ended_by(
        self, done: str | None, tasks: Mapping[str, asyncio.Future[Any]], ticket: Ticket
    ) -> _End:
        """How a session ends, by what came first; None: its time is over."""
        worker = tasks["worker"]
        if done == "receiver":
            tasks["receiver"].result()
            return _End(NORMAL, "the client closed it", await _finish(ticket, worker, _FINISH_S))
        if done == "stopping":
            return _End(GOING_AWAY, "the service ends", await _finish(ticket, worker, _STOP_S))
        if done == "overflow":
            return _End(POLICY, f"more than {self._limits.unread_messages} results were left unread")
        if done == "worker":
            return _End(FAILED, str(worker.result().get("error", "its process ended")))
        if not self._ready.is_set():
            return _End(FAILED, "no process could be started in time")
        return _End(
            POLICY, f"a session lasts at most {self._limits.session_s:g} s",
            await _finish(ticket, worker, _FINISH_S),
        )  # fmt: skip

    # --- from the client

    async def _receive(self, ticket: Ticket) -> None:
        """Take messages until the client asks to end the session.

        Raises:
            _PolicyError: the client breaks a limit.
            WebSocketDisconnect: it has left.
        """
        limits = self._limits
        messages = Allowance(limits.messages_per_s, limits.burst_s)
        n_bytes = Allowance(limits.bytes_per_s, limits.burst_s)
        needed = self._loop.time() + limits.ready_s
        while True:
            try:
                async with asyncio.timeout_at(needed):
                    message = await self._websocket.receive()
            except TimeoutError:
                what = "audio" if self._options.audio else "picture"
                raise _PolicyError(f"no {what} came for {self._patience_s:g} s") from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", GOING_AWAY))
            text, data = message.get("text"), message.get("bytes")
            size, now_s = len(text or data or b""), self._loop.time()
            if not messages.spend(1, now_s):
                raise _PolicyError(f"more than {limits.messages_per_s:g} messages per second")
            if not n_bytes.spend(size, now_s):
                raise _PolicyError(f"more than {limits.bytes_per_s:g} bytes per second")
            try:
                if size > limits.message_bytes:
                    raise MediaError("<message>", f"{size} bytes are over the limit, {limits.message_bytes}")
                if text is None:
                    needed = self._take_part(data or b"", ticket, now_s, needed)
                elif await self._take_text(text):
                    return
                else:
                    needed = max(needed, now_s + self._patience_s)
            except MediaError as error:
                self._refuse("message", error.problem)

    async def _take_text(self, text: str) -> bool:
        """Do what a text message asks for; True: the session is to end."""
        message = read_text(text)
        kind = message["type"]
        if kind == "session.close":
            return True
        if kind == "session.pause":
            self._patience_s = self._limits.pause_s
            return False
        if kind != "session.update":
            raise MediaError(
                "<message>",
                f"unknown type {kind[:40]!r}: use session.update, session.pause or session.close",
            )
        if self._begun:
            raise MediaError("<message>", "a session changes only before its first audio or picture")
        options = read_options(message, self._options)
        self._profiles = await self._service.blocking(self._profiles_of, options.people)
        self._options = options
        self._say("session.updated", session=self._described())
        return False

    def _profiles_of(self, ids: Sequence[str]) -> dict[str, str]:
        """The paths of people's profiles by their names.

        Raises:
            MediaError: somebody is not enrolled, or cannot be told from another.
        """
        found = [self._service.people.get(person_id) for person_id in ids]
        people = [person for person in found if person is not None]
        if len(people) < len(found):
            raise MediaError("<message>", "people: somebody is not enrolled, or not any more")
        if len({person.name for person in people}) < len(people):
            raise MediaError("<message>", "people: two have the same name")
        faceless = next((person.name for person in people if not person.has_face), None)
        if faceless is not None and len(people) > 1:
            raise MediaError(
                "<message>",
                f"people: the profile of {faceless} holds no face, and several are told by theirs",
            )
        return {person.name: os.fspath(self._service.people.profile(person.id)) for person in people}

    def _take_part(self, data: bytes, ticket: Ticket, now_s: float, needed: float) -> float:
        """Pass on audio or a picture; return by when the next is needed."""
        part = unpack(data)
        if not self._ready.is_set():
            raise MediaError("<message>", "send audio and pictures after session.created")
        if not self._begun:
            self._begun = True
            options = self._options.model_dump()
            ticket.send({"begin": {"options": options, "profiles": self._profiles}})
        ticket.send({part.kind: base64.b64encode(part.payload).decode("ascii"), "time_s": part.time_s})
        if part.kind != ("audio" if self._options.audio else "picture"):
            return needed
        self._patience_s = self._limits.idle_s
        return now_s + self._patience_s

    def _refuse(self, what: str, problem: str, time_s: float | None = None) -> None:
        self._problems.add(what, problem, time_s)
        self._say("refused", what=what, time_s=time_s, problem=problem)

    # --- from the worker

    def _on_progress(self, message: Reply) -> None:
        """Called by a thread of the pool."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._take_progress, message)

    def _take_progress(self, message: Reply) -> None:
        if "window" in message:
            self._say("window", **message["window"])
        elif "refused" in message:
            self._refuse(**message["refused"])
        elif "note" in message:
            self._say("note", note=message["note"])
        elif "faces" in message:
            self._say("faces", **message["faces"])
        elif "table" in message:
            self._say("table", lines=message["table"])
        else:
            self._ready.set()
            self._say("session.created", session=self._described(), **message["ready"])

    # --- to the client

    def _described(self) -> dict[str, Any]:
        return {
            "id": self._id, "purpose": self._purpose, "sample_rate_hz": SAMPLE_RATE_HZ,
            **self._options.model_dump(),
        }  # fmt: skip

    def _say(self, kind: str, **content: Any) -> None:
        self._outgoing.put_nowait({"type": kind, **content})
        if self._outgoing.qsize() > self._limits.unread_messages:
            self._overflow.set()

    async def _send(self) -> None:
        """Send messages up to the last one."""
        while True:
            message = await self._outgoing.get()
            await self._websocket.send_json(message)
            if message["type"] == "session.closed":
                return


async def _first(tasks: Mapping[str, asyncio.Future[Any]], timeout_s: float) -> str | None:
    """The name of the first that is done; None: none is in time."""
    done, _ = await asyncio.wait(tasks.values(), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    return next((name for name, task in tasks.items() if task in done), None)


async def _finish(ticket: Ticket, worker: asyncio.Future[Any], timeout_s: float) -> Reply:
    """Have what has come be read; return what the session's process says at its end.

    Raises:
        EmofuseError: it did not end well.
    """
    ticket.send({"end": True})
    try:
        reply: Reply = await asyncio.wait_for(asyncio.shield(worker), timeout_s)
    except TimeoutError:
        return {}
    if "error" in reply:
        raise MediaError("<session>", reply["error"])
    return reply

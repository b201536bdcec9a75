"""Uploads, streamed to disk: the raw body of a request, or files and fields of a multipart form.

Nothing is held in memory but the piece that is being written. The name that a client gives is text to show;
where a file lies is never made of it. What could not be received whole leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from emofuse.core.text import one_line
from emofuse.server.problems import FULL_DISK, Problem, disk_full

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILE_FIELD: Final = "file"
"""The field of a form that holds a recording."""
LONGEST_NAME: Final = 200
"""Characters of a name; the end of a longer one, where the suffix is, is kept."""
_BLOCK_BYTES: Final = 2**20
"""Written at once."""
_FORM_OVERHEAD: Final = 2**20
"""Bytes of a form beside its files."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A recording that was received whole."""

    name: str
    """As the client calls it: to show, never part of a path."""
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Form:
    """All that was received."""

    files: tuple[Upload, ...]
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadRules:
    """What a request may bring."""

    limit_bytes: int
    """Of all files together."""
    idle_s: float
    """How long nothing may come."""
    files: int = 1
    fields: Mapping[str, int] = field(default_factory=dict)
    """Names of text fields, and how many bytes each may have."""


async def receive(request: Request, place: Callable[[int], Path], rules: UploadRules) -> Form:
    """Receive what a request brings.

    Args:
        request: with a multipart form, or with a recording as its body.
        place: where the file of each number is written, from 0 on; there is nothing there yet.
        rules: what may come.

    Raises:
        Problem: 400 incomplete or not a form, 408 nothing came for a while, 413 too much, 422 other than the
            rules say, 507 the disk is full. What was written is removed.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    expected = request.headers.get("content-length", "")
    if expected.isdecimal() and int(expected) > rules.limit_bytes + _FORM_OVERHEAD:
        raise _too_large(rules.limit_bytes)
    writer = _Writer(place, rules)
    try:
        if kind == b"multipart/form-data":
            await _receive_form(request, options.get(b"boundary", b""), writer, rules)
        else:
            await _receive_body(request, writer, rules)
        await writer.finish()
        if not writer.files:
            raise Problem(
                422, "No recording", f"Send a recording: as the body, or as the field {FILE_FIELD!r}."
            )
        return Form(tuple(writer.files), writer.texts())
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(writer.remove)
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            raise disk_full() from None
        raise


async def read_data(request: Request, limit_bytes: int) -> bytes:
    """A body that is data.

    Raises:
        Problem: 400 incomplete, 413 too much.
    """
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > limit_bytes:
                raise Problem(413, "Content too large", f"A body that is data may have {limit_bytes} bytes.")
    except ClientDisconnect:
        raise Problem(400, "Incomplete upload", "The connection ended before the body did.") from None
    return bytes(data)


def shown_name(name: str | None) -> str:
    """A file name from elsewhere as text to show: its last part, on one line, of a bounded length."""
    last = re.split(r"[/\\]", one_line(name or ""))[-1].strip()
    return last[-LONGEST_NAME:] if last not in ("", ".", "..") else "recording"


class _Writer:
    """The files that are being received, one after the other."""

    def __init__(self, place: Callable[[int], Path], rules: UploadRules) -> None:
        self.files: list[Upload] = []
        self.fields: dict[str, bytearray] = {}
        self._place, self._rules = place, rules
        self._file: IO[bytes] | None = None
        self._path = Path()
        self._name = ""
        self._waiting = bytearray()
        self._size = self._total = 0
        self._made: list[Path] = []

    async def begin(self, name: str) -> None:
        """Start a file."""
        if len(self.files) >= self._rules.files:
            raise Problem(422, "Too many recordings", f"Send {self._rules.files} recordings at most.")
        self._path, self._name, self._size = self._place(len(self.files)), name, 0
        self._made.append(self._path)
        self._file = await anyio.to_thread.run_sync(_create, self._path)

    async def add(self, data: bytes) -> None:
        """Write a piece of the file; a form's limit is that of all files together."""
        self._size += len(data)
        self._total += len(data)
        if self._total > self._rules.limit_bytes:
            raise _too_large(self._rules.limit_bytes)
        self._waiting += data
        if len(self._waiting) >= _BLOCK_BYTES:
            await self._flush()

    async def end(self) -> None:
        """Have the file on disk, whole."""
        assert self._file is not None
        await self._flush()
        file, self._file = self._file, None
        await anyio.to_thread.run_sync(_sync_and_close, file)
        if not self._size:
            raise Problem(422, "Empty recording", "The recording has no bytes.")
        self.files.append(Upload(self._name, self._path, self._size))

    async def finish(self) -> None:
        """End the file that a body is."""
        if self._file is not None:
            await self.end()

    def texts(self) -> dict[str, str]:
        """The text fields."""
        try:
            return {name: bytes(value).decode() for name, value in self.fields.items()}
        except UnicodeDecodeError:
            raise Problem(422, "Invalid form", "The text fields of a form are in UTF-8.") from None

    def remove(self) -> None:
        """Remove everything that was written."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is not written yet does not fit the disk
                self._file.close()
        for path in self._made:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    async def _flush(self) -> None:
        assert self._file is not None
        data, self._waiting = self._waiting, bytearray()
        await anyio.to_thread.run_sync(self._file.write, data)


async def _receive_body(request: Request, writer: _Writer, rules: UploadRules) -> None:
    await writer.begin(shown_name(_given_name(request.headers.get("content-disposition"))))
    async for chunk in _chunks(request, rules):
        await writer.add(chunk)


async def _receive_form(request: Request, boundary: bytes, writer: _Writer, rules: UploadRules) -> None:
    if not boundary:
        raise _not_a_form("its content type names no boundary")
    form = _FormReader()
    try:
        parser = MultipartParser(boundary, form.callbacks())
    except FormParserError as error:
        raise _not_a_form(error) from None
    part = ""
    async for chunk in _chunks(request, rules):
        try:
            parser.write(chunk)
        except FormParserError as error:
            raise _not_a_form(error) from None
        for event, data in form.take():
            if event == "headers":
                part = await _begin_part(form.part_headers(), writer, rules)
            elif event == "data" and part == FILE_FIELD:
                await writer.add(data)
            elif event == "data":
                value = writer.fields[part]
                value += data
                if len(value) > rules.fields[part]:
                    raise Problem(
                        422, "Invalid form", f"The field {part!r} may have {rules.fields[part]} bytes."
                    )
            elif event == "end" and part == FILE_FIELD:
                await writer.end()
    if not form.ended:
        raise Problem(400, "Incomplete upload", "The form was cut off: its last boundary is missing.")


async def _begin_part(headers: Mapping[str, str], writer: _Writer, rules: UploadRules) -> str:
    """The name of a part's field; its file is started."""
    kind, options = parse_options_header(headers.get("content-disposition"))
    if kind != b"form-data" or b"name" not in options:
        raise _not_a_form("a part does not say which field it is")
    name = options[b"name"].decode("utf-8", "replace")
    if headers.get("content-transfer-encoding", "binary").strip().lower() not in ("binary", "8bit", "7bit"):
        raise _not_a_form("a part is encoded: send it as it is")
    if name == FILE_FIELD:
        given = options.get(b"filename")
        await writer.begin(shown_name(None if given is None else given.decode("utf-8", "replace")))
    elif name not in rules.fields:
        known = ", ".join((FILE_FIELD, *rules.fields))
        raise Problem(422, "Invalid form", f"A form has these fields: {known}.")
    elif name in writer.fields:
        raise Problem(422, "Invalid form", f"The field {name!r} comes once.")
    else:
        writer.fields[name] = bytearray()
    return name


class _FormReader:
    """What the parser has found in the last piece, in order."""

    def __init__(self) -> None:
        self.ended = False
        self._events: list[tuple[str, bytes]] = []
        self._headers: list[dict[str, str]] = []
        self._field, self._value = bytearray(), bytearray()
        self._current: dict[str, str] = {}

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": lambda data, start, end: self._events.append(("data", data[start:end])),
            "on_part_end": lambda: self._events.append(("end", b"")),
            "on_end": self._on_end,
        }

    def take(self) -> list[tuple[str, bytes]]:
        events, self._events = self._events, []
        return events

    def part_headers(self) -> dict[str, str]:
        """Of the part that was begun first."""
        return self._headers.pop(0)

    def _on_part_begin(self) -> None:
        self._current = {}

    def _on_header_end(self) -> None:
        name = bytes(self._field).decode("latin-1").strip().lower()
        self._current[name] = bytes(self._value).decode("latin-1")
        self._field.clear()
        self._value.clear()

    def _on_headers(self) -> None:
        self._headers.append(self._current)
        self._events.append(("headers", b""))

    def _on_end(self) -> None:
        self.ended = True


async def _chunks(request: Request, rules: UploadRules) -> AsyncIterator[bytes]:
    """Pieces of a body as they come."""
    stream, left = request.stream(), rules.limit_bytes + _FORM_OVERHEAD
    try:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream), rules.idle_s)
            except StopAsyncIteration:
                return
            left -= len(chunk)
            if left < 0:
                raise _too_large(rules.limit_bytes)
            yield chunk
    except TimeoutError:
        raise Problem(
            408,
            "Upload timed out",
            f"Nothing came for {rules.idle_s:g} seconds.",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise Problem(400, "Incomplete upload", "The connection ended before the upload did.") from None


def _given_name(disposition: str | None) -> str | None:
    """The file name of a Content-Disposition header, plain or extended (RFC 6266)."""
    if disposition is None:
        return None
    message = Message()
    try:
        message["Content-Disposition"] = disposition
        return message.get_filename()
    except (ValueError, LookupError, UnicodeError):
        return None


def _create(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _sync_and_close(file: IO[bytes]) -> None:
    with file:
        file.flush()
        os.fsync(file.fileno())


def _too_large(limit_bytes: int) -> Problem:
    return Problem(413, "Content too large", f"A recording may have {limit_bytes} bytes here.")


def _not_a_form(why: object) -> Problem:
    return Problem(400, "Invalid form", f"The body is not a multipart form: {why}.")

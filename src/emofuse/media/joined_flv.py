"""FLV files that were joined byte by byte (``cat a.flv b.flv``), as recorders of streams do after a break.

FFmpeg takes the header of the second part for a tag of several megabytes and goes on somewhere behind it, or
nowhere. Without the later headers, the parts are one file whose timestamps start again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

from emofuse.media.byte_source import ByteReader

FLV: Final = b"FLV\x01"
_HEADER_BYTES: Final = 9
_LENGTH_BYTES: Final = 4
"""After each tag, and after a header, comes the length of the tag before."""
_TAG_BYTES: Final = 11
_MOST_HEADER_BYTES: Final = 4096


def without_later_headers(
    source: str | Path | bytes | bytearray | memoryview | BinaryIO, stack: ExitStack
) -> Without | None:
    """A joined file as one; None for a file of one part. What is opened is closed with ``stack``."""
    file: Any = source
    if isinstance(source, str | Path):
        path = Path(source)
        file = stack.enter_context(path.open("rb"))
    headers = later_headers(ByteReader(file))
    return Without(file, headers) if headers else None


def later_headers(file: ByteReader) -> list[tuple[int, int]]:
    """Where the headers of all parts but the first start and end; none for a file that was not joined."""
    return list(_headers(file))[1:]


def _headers(file: ByteReader) -> Iterator[tuple[int, int]]:
    at = 0
    while True:
        file.seek(at)
        head = file.read(_TAG_BYTES)
        if len(head) < _TAG_BYTES:
            return
        if head.startswith(FLV):
            length = int.from_bytes(head[5:_HEADER_BYTES], "big")
            if not _HEADER_BYTES <= length <= _MOST_HEADER_BYTES:
                return
            yield at, at + length + _LENGTH_BYTES
            at += length + _LENGTH_BYTES
        else:
            at += _TAG_BYTES + int.from_bytes(head[1:4], "big") + _LENGTH_BYTES


class Without(ByteReader):
    """A file without some of its bytes."""

    def __init__(
        self, source: bytes | bytearray | memoryview | BinaryIO, left_out: list[tuple[int, int]]
    ) -> None:
        """``left_out``: where each stretch starts and ends, in order."""
        super().__init__(source)
        self._left_out = left_out
        self._at = 0
        self._length = super().seek(0, os.SEEK_END) - sum(end - start for start, end in left_out)

    def read(self, n: int = -1) -> bytes:
        """Up to ``n`` bytes."""
        wanted = max(0, self._length - self._at) if n < 0 else n
        parts = []
        while wanted > 0:
            at, room = self._place(self._at)
            super().seek(at)
            part = super().read(min(wanted, room))
            if not part:
                break
            parts.append(part)
            self._at += len(part)
            wanted -= len(part)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def _place(self, at: int) -> tuple[int, int]:
        """Where in the whole file a position is, and how many bytes follow until the next gap."""
        for start, end in self._left_out:
            if at < start:
                return at, start - at
            at += end - start
        return at, 2**62

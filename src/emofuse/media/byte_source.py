"""Recordings that are not files on disk: bytes, and file objects of the caller."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, Final

BYTES: Final = (bytes, bytearray, memoryview)
"""What holds the content of a file in memory."""


class ByteReader:
    """What FFmpeg reads bytes and file objects through.

    Each reader has a position of its own, so that one file object can be read in two places; and it has no
    ``close``, so that nothing closes an object that belongs to the caller.
    """

    def __init__(self, source: bytes | bytearray | memoryview | BinaryIO) -> None:
        """Read from the beginning, whatever the object's own position is.

        Raises:
            TypeError: neither bytes nor a file object.
        """
        self._file: Any = io.BytesIO(source) if isinstance(source, BYTES) else source
        if not hasattr(self._file, "read") or not hasattr(self._file, "seek"):
            kind = type(source).__name__
            raise TypeError(
                f"a recording is a path, bytes or a binary file object, got {kind}; of samples and frames, "
                "emofuse.recording makes one"
            )
        self._position = 0

    def problem(self) -> str | None:
        """What keeps the object from being read, and how to fix it; None if nothing does."""
        if getattr(self._file, "closed", False):
            return "the file object is closed"
        if isinstance(self._file, io.TextIOBase):
            return "the file object reads text: open it with mode 'rb'"
        if not getattr(self._file, "seekable", lambda: True)():
            return "the file object is not seekable: pass its bytes instead"
        if not getattr(self._file, "readable", lambda: True)():
            return "the file object cannot be read: open it with mode 'rb'"
        return None if self.read(1) else "the file is empty (0 bytes)"

    def read(self, n: int = -1) -> bytes:
        """Up to ``n`` bytes."""
        self._file.seek(self._position)
        data: bytes = self._file.read(n)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        if whence == os.SEEK_END:
            self._position = int(self._file.seek(offset, whence))
        else:
            self._position = offset + (self._position if whence == os.SEEK_CUR else 0)
        return self._position

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._position

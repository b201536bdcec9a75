"""Write files atomically: to a temporary file in the same folder, flushed, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, overload

_BINARY: Final = getattr(os, "O_BINARY", 0)
"""Without it, Windows changes line endings."""

_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)})


def is_disk_full(error: OSError) -> bool:
    """Whether a disk, or what a user may have of it, is full, or cannot be written at all."""
    return error.errno in _UNWRITABLE


@contextlib.contextmanager
def _open_atomically(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # not the temporary name
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@overload
def write_atomically(path: Path) -> contextlib.AbstractContextManager[IO[bytes]]: ...
@overload
def write_atomically(path: Path, data: bytes) -> None: ...
def write_atomically(
    path: Path, data: bytes | None = None
) -> contextlib.AbstractContextManager[IO[bytes]] | None:
    """Write ``data`` to ``path``, or open a file to write to; a failure leaves the old content in place.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    if data is None:
        return _open_atomically(path)
    with _open_atomically(path) as file:
        file.write(data)
    return None

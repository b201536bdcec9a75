"""Files that are either whole or not there: written beside their place, flushed, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, overload


@contextlib.contextmanager
def _open_atomically(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner reads
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@overload
def write_atomically(path: Path) -> contextlib.AbstractContextManager[IO[bytes]]: ...
@overload
def write_atomically(path: Path, data: bytes) -> None: ...
def write_atomically(
    path: Path, data: bytes | None = None
) -> contextlib.AbstractContextManager[IO[bytes]] | None:
    """Write ``data`` to ``path``, or give a file to write to; a failure leaves what was there before.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    if data is None:
        return _open_atomically(path)
    with _open_atomically(path) as file:
        file.write(data)
    return None

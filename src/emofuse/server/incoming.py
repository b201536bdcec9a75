"""Where recordings lie that are answered at once, and then deleted, whatever happens.

Each service has a folder of its own and a lock in it, for as long as it lives; what a killed one left is
deleted when the next one starts, or another one that shares the data folder.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from emofuse.core.errors import FolderInUseError
from emofuse.system.file_lock import empty_locked, locked_folder


class Incoming:
    """The folder of one service. A context manager.

    Args:
        data: the data folder.
    """

    def __init__(self, data: Path) -> None:
        self._root = data / "incoming"
        self._mine = self._root / uuid.uuid4().hex
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Incoming:
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._root.iterdir():
            with contextlib.suppress(FolderInUseError, OSError), locked_folder(path):
                empty_locked(path)
        self._stack.enter_context(locked_folder(self._mine))
        self._stack.callback(empty_locked, self._mine)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._stack.close()

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder for one request, deleted at its end."""
        path = self._mine / uuid.uuid4().hex
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

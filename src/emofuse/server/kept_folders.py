"""Folders in the data folder that appear and disappear at once: a person's, a study's.

::

    ROOT/ID/ABOUT   what there is to say about it, JSON; other files may lie beside
    ROOT/.ID        one that is being made or erased

Several services may share the folder.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import read_json

_ID: Final = re.compile(r"[0-9a-f]{32}")


class KeptFolders:
    """All folders of a kind.

    Args:
        root: where they are.
        about: the name of the file that says what each is.

    Raises:
        OSError: the root cannot be made.
    """

    def __init__(self, root: Path, about: str) -> None:
        self.root: Final = root
        self._about = about
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def ids(self) -> Iterator[str]:
        """Of every one, in any order."""
        return (path.name for path in self.root.iterdir() if _ID.fullmatch(path.name))

    def read(self, folder_id: str) -> dict[str, Any] | None:
        """What one is; None: there is none of that id, whatever text it is."""
        if not _ID.fullmatch(folder_id):
            return None
        try:
            about: dict[str, Any] = read_json(self.root / folder_id / self._about)
        except FileNotFoundError:
            return None
        return about

    def write(self, folder_id: str, about: dict[str, Any]) -> None:
        """Say anew what one is.

        Raises:
            OSError: it cannot be written.
        """
        write_atomically(self.root / folder_id / self._about, json.dumps(about).encode())

    def add(self, about: dict[str, Any], fill: Callable[[Path], object] = lambda _: None) -> None:
        """Make one.

        Args:
            about: what it is; its ``id`` is of :func:`new_id`.
            fill: puts other files into its folder.

        Raises:
            OSError: it cannot be kept; nothing is left.
        """
        hidden = f".{about['id']}"
        try:
            (self.root / hidden).mkdir(mode=0o700)
            fill(self.root / hidden)
            self.write(hidden, about)
            (self.root / hidden).rename(self.root / about["id"])
        except BaseException:
            shutil.rmtree(self.root / hidden, ignore_errors=True)
            raise

    def hide(self, folder_id: str) -> Path | None:
        """Make one disappear, and return the folder, which is to be deleted; None: it is gone already.

        Raises:
            OSError: it cannot be moved.
        """
        gone = self.root / f".{uuid.uuid4().hex}"
        try:
            (self.root / folder_id).rename(gone)
        except FileNotFoundError:
            return None
        return gone

    def delete_remains(self, keep: Collection[str] = ()) -> None:
        """Delete what a killed service left half made or half erased.

        Args:
            keep: names of hidden files that are something else.
        """
        for path in self.root.glob(".*"):
            if path.name not in keep:
                with contextlib.suppress(OSError):
                    shutil.rmtree(path)


def new_id() -> str:
    """An id that no other has: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def now() -> str:
    """When one is made: UTC, ISO 8601, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")

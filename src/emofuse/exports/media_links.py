"""Where a recording lies, seen from a file beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from emofuse.core.text import encodable

_NAMELESS: Final = ("", "<bytes>", "<file object>", "<arrays>")
"""What sources are called that lie nowhere."""


def lies_somewhere(source: str) -> bool:
    """Whether a recording has a path or an address of its own."""
    return source not in _NAMELESS


def relative_address(source: str, path: Path) -> str:
    """The address of a recording, from the folder in which ``path`` lies: ``./../takes/a%20b.mp4``.

    A recording that is not there is taken to lie in that folder.
    """
    try:
        place = os.path.relpath(source, path.parent) if Path(source).exists() else Path(source).name
    except (OSError, ValueError):  # another drive, or a name that no file can have
        place = Path(source).name
    return "./" + quote(_bytes_of(place.replace(os.sep, "/")), safe="/")


def _bytes_of(place: str) -> bytes:
    try:
        return os.fsencode(place)
    except UnicodeEncodeError:
        return encodable(place).encode()

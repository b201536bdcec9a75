"""The address of a recording, relative to an exported file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from emofuse.core.text import encodable

_NAMELESS: Final = ("", "<bytes>", "<file object>", "<arrays>")
"""Names of sources that have no path or address."""


def has_address(source: str) -> bool:
    """Whether a recording has a path or an address."""
    return source not in _NAMELESS


def relative_address(source: str, path: Path) -> str:
    """The address of a recording, relative to the folder of ``path``: ``./../takes/a%20b.mp4``.

    A recording that does not exist is assumed to be in that folder.
    """
    try:
        address = os.path.relpath(source, path.parent) if Path(source).exists() else Path(source).name
    except (OSError, ValueError):  # another drive, or an invalid file name
        address = Path(source).name
    return "./" + quote(_encoded(address.replace(os.sep, "/")), safe="/")


def _encoded(address: str) -> bytes:
    try:
        return os.fsencode(address)
    except UnicodeEncodeError:
        return encodable(address).encode()

"""Read JSON that others may have written: of a size that is checked before it is read, and of any nesting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

LARGEST_BYTES: Final = 64 * 2**20
"""Of a JSON file. The largest that emofuse writes, details.json of a long evaluation, takes a tenth of it."""


def read_json(path: Path, *, limit_bytes: int = LARGEST_BYTES) -> Any:
    """The content of a JSON file in UTF-8.

    Args:
        path: of the file.
        limit_bytes: a larger file is not read.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too large, or not JSON.
    """
    return parse_json(read_bounded(path, limit_bytes))


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or not in UTF-8, or nested more deeply than Python can read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The content of a file that is not too large; of one that grows or has no size, as much as tells that.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds more than ``limit_bytes``.
    """
    with path.open("rb") as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise ValueError(f"it is larger than {limit_bytes / 2**20:.0f} MiB")
    return data

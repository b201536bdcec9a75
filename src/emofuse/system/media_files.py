"""Find media files in a folder tree."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path


def media_files(root: Path, suffixes: Container[str], unlistable: list[Path]) -> Iterator[Path]:
    """Media files below ``root``, through linked folders too, each real folder once (links may form a
    cycle)."""
    seen = set()

    def on_error(error: OSError) -> None:
        unlistable.append(Path(error.filename))

    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=on_error):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes:
                yield path

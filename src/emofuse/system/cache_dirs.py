"""Folders for what can be computed or downloaded again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def cache_folder(name: str, *, variable: str) -> Path:
    """The folder that the environment variable names, else the one of that name in the user's cache folder.

    The user's cache folder is the platform's: on Linux ``$XDG_CACHE_HOME/emofuse`` or ``~/.cache/emofuse``,
    on macOS ``~/Library/Caches/emofuse``. Versions up to 0.1 used ``~/.cache`` on every platform: a folder
    from then is used if there is no new one. The folder need not exist yet.
    """
    if own := os.environ.get(variable):
        return Path(own).expanduser()
    import platformdirs

    folder = platformdirs.user_cache_path("emofuse", appauthor=False) / name
    if folder.exists():
        return folder
    return next((path for path in _earlier_folders(name) if path.is_dir()), folder)


def _earlier_folders(name: str) -> Iterator[Path]:
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if xdg:
        yield Path(xdg, "emofuse", name)
    if not Path(xdg).is_absolute():
        yield Path.home() / ".cache" / "emofuse" / name


def short_temporary_folder() -> str | None:
    """Where temporary folders have short names, for sockets in them: a path to one may have 107 bytes.

    None: the one that :mod:`tempfile` takes.
    """
    return "/tmp" if os.access("/tmp", os.W_OK) else None

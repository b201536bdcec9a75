"""The rules of Windows for files, on Linux: what is open or mapped is neither renamed nor deleted.

Whether a file is open is read from ``/proc``, of this process and of those it has started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import children

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$')


def bad_name(name: str) -> bool:
    """Whether Windows can't hold a file of that name."""
    return bool(_RESERVED.match(name) or _FORBIDDEN.search(name))


class WindowsRules:
    """While installed, refuses what Windows refuses, and keeps a list of it: code may suppress the error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: list[str] = []
        for name, n_paths in (("replace", 2), ("rename", 2), ("unlink", 1), ("remove", 1), ("rmdir", 1)):
            monkeypatch.setattr(os, name, self._checked(name, getattr(os, name), n_paths))

    def _checked(self, name: str, function: Any, n_paths: int) -> Any:
        def checked(*paths: Any, dir_fd: int | None = None, **options: Any) -> None:
            for path in paths[:n_paths]:
                full = Path(os.fsdecode(path))
                if dir_fd is not None:
                    full = Path(f"/proc/self/fd/{dir_fd}").readlink() / full
                    options["dir_fd"] = dir_fd
                self._check(name, full)
            function(*paths, **options)

        return checked

    def _check(self, name: str, path: Path) -> None:
        if name in ("replace", "rename") and bad_name(path.name):
            self.broken.append(f"{name}: a name that Windows cannot hold: {path.name!r}")
        real = os.path.realpath(path)
        used = [one for one in in_use() if one == real or one.startswith(f"{real}{os.sep}")]
        if used:
            self.broken.append(f"{name} {path}: {', '.join(sorted(set(used)))} is open")
            raise PermissionError(errno.EACCES, "is being used by another process", str(path))


def in_use() -> Iterator[str]:
    """Files that this process and its descendants have open or mapped."""
    pids = [os.getpid()]
    for pid in pids:
        pids += children(pid)
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # such as that of this very listing
                    path = descriptor.readlink()
                    if path.is_absolute() and not path.is_dir():
                        yield str(path)
            for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
                fields = line.split(maxsplit=5)
                if len(fields) == 6 and fields[5].startswith("/"):
                    yield fields[5]

"""Open a file below a folder, and never one outside it, whatever links and renames somebody makes meanwhile.

Each part of the name is opened beneath the descriptor of the folder before it, and no link is followed: there
is no moment between a check and an opening.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Final

MOST_PARTS: Final = 64
"""Of a relative name."""


def open_beneath(folder: str | os.PathLike[str], relative: str) -> int:
    """Open a regular file below a folder, to read.

    Args:
        folder: the folder; links in its own path are followed.
        relative: the file, with ``/`` between the parts.

    Returns:
        A file descriptor, which the caller closes. ``/dev/fd/N`` is the path of what it opened.

    Raises:
        FileNotFoundError: there is no regular file there: nothing at all, a link anywhere on the way, a
            folder, a pipe, a device, or a name that leads out of the folder.
        OSError: the file cannot be opened, as for want of permission; or the system is Windows, which has no
            way to do this.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "files cannot be opened beneath a folder on Windows")
    parts = relative.split("/")
    if len(parts) > MOST_PARTS or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise _missing()
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = _open(part, os.O_DIRECTORY, at)
            os.close(at)
            at = below
        # a pipe without a writer would hold an opening that blocks
        file = _open(parts[-1], os.O_NONBLOCK | os.O_NOCTTY, at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _missing()
    return file


def path_of(descriptor: int) -> Path:
    """The path by which this process opens again what a descriptor has opened, wherever it is now."""
    return Path("/dev/fd", str(descriptor))


def _open(name: str, flags: int, at: int) -> int:
    if sys.platform == "win32":
        raise NotImplementedError
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=at)
    except OSError as error:
        # ELOOP and EMLINK: a link; ENXIO: a socket; ENAMETOOLONG: no such name can be
        if error.errno in (
            errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV,
            errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL,
        ):  # fmt: skip
            raise _missing() from None
        raise


def _missing() -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "there is no such regular file in the folder")

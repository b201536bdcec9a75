"""Files and folders that one process at a time may write; its death, however it comes, releases them.

Locks are the operating system's: :func:`fcntl.flock`, or :func:`msvcrt.locking` on Windows. Windows neither
renames nor deletes a file that is open, so there a file is closed first. Where several machines share a file
system, or it has no locks, :func:`lease_beside` adds a lease, which holds there too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from emofuse.core.errors import FolderInUseError
from emofuse.system.lease_file import Lease, is_alive, lease_needed

LOCK_FILE: Final = ".lock"
"""In a folder that is in use."""
_LOCKED_BYTE: Final = 2**31 - 2
"""Which byte Windows locks: nobody else can read it, so it lies behind anything that is written."""
_PROBE_S: Final = 0.05
"""For much longer than :func:`is_locked` has a lock."""


def open_locked(path: Path) -> IO[bytes]:
    """Open a file to read and to append, for this process alone, until it is closed; create it if need be.

    Where the file system has no locks, or other machines do not see them, only :func:`lease_beside` stops
    another process.

    Raises:
        BlockingIOError: another process, or another part of this one, has locked it.
        OSError: it cannot be opened or created.
    """
    while True:
        file = path.open("a+b")
        try:
            if not _lock(file) and not _lock_after_a_probe(file):
                raise BlockingIOError(errno.EWOULDBLOCK, "is in use by another process", str(path))
            if _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # whoever held the lock has removed it meanwhile


def remove_locked(file: IO[bytes], path: Path) -> None:
    """Delete a file that :func:`open_locked` opened, and close it.

    Raises:
        OSError: it cannot be deleted.
    """
    try:
        if sys.platform != "win32":
            path.unlink(missing_ok=True)  # while it is locked: nobody can have locked it in between
    finally:
        file.close()
    if sys.platform == "win32":
        with contextlib.suppress(PermissionError):  # another process has opened it, and it is theirs now
            path.unlink(missing_ok=True)


def lease_beside(file: IO[bytes], path: Path) -> Lease | None:
    """The lease of a file that :func:`open_locked` opened, where the system's lock is not enough; else None.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be written.
    """
    if not lease_needed(path) and _has_locks(file):
        return None
    return Lease.acquire(_lease_path(path))


def is_locked(path: Path) -> bool:
    """Whether a process has a file open by :func:`open_locked`, or its lease; nothing is created or kept.

    Watches a lease for some seconds, if there is one.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        # the locks of Windows need a file that may be written
        file = path.open("r+b") if sys.platform == "win32" else path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        if not _lock(file):
            return True
    return is_alive(_lease_path(path))


def _lease_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lease")


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder meanwhile; it is created, and removed if it is still empty.

    Raises:
        FolderInUseError: another process is in it; the message says which.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    try:
        file = open_locked(path)
        try:
            lease = lease_beside(file, path)
        except BaseException:
            file.close()
            raise
    except BlockingIOError:
        named = _holder(path)
        raise FolderInUseError(
            f"{folder} is in use by another run{named}: wait until it ends, or give another folder"
        ) from None
    try:
        file.truncate(0)
        file.write(f"{os.getpid()} {socket.gethostname()}\n".encode())
        file.flush()
        yield
        if lease is not None and not lease.held():
            raise FolderInUseError(
                f"{folder} was taken over by another run, since this one stood still for a minute: what both "
                "have written there is mixed; remove the folder and start again"
            )
    finally:
        with contextlib.suppress(OSError):
            if lease is None or lease.held():
                remove_locked(file, path)
        file.close()
        if lease is not None:
            lease.release()
        with contextlib.suppress(OSError):
            folder.rmdir()


def empty_locked(folder: Path) -> None:
    """Delete everything in a folder that :func:`locked_folder` keeps for us, except its lock.

    Raises:
        OSError: something cannot be deleted.
    """
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif not path.name.startswith(LOCK_FILE):  # the lock, and its lease
            path.unlink()


def _holder(path: Path) -> str:
    """Which process says that it holds a lock, as far as that can be read."""
    try:
        pid, _, host = path.read_text(encoding="utf-8", errors="replace").strip().partition(" ")
    except OSError:
        return ""
    if not pid.isdecimal():
        return ""
    return f" (process {pid})" if host == socket.gethostname() else f" (process {pid} on {host})"


def _lock(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False: somebody else has."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                file.seek(0, os.SEEK_END)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # EACCES, EDEADLK: what Windows calls a lock that is taken. Others: a file system without locks
        return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


def _lock_after_a_probe(file: IO[bytes]) -> bool:
    """Lock a file that may have been locked for a moment only, by :func:`is_locked`."""
    time.sleep(_PROBE_S)
    return _lock(file)


def _has_locks(file: IO[bytes]) -> bool:
    """Whether the file system of a file that is locked knows locks."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether a path still is that of an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False

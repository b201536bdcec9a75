"""The module ``msvcrt`` of Windows, as far as locks need it, on Linux' locks of open files."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from types import SimpleNamespace

import pytest

from emofuse.system import file_lock

LK_NBLCK = 2


def locking(handle: int, mode: int, n_bytes: int) -> None:
    """Lock bytes from where the file stands, for this open file alone; EACCES if somebody else has."""
    assert mode == LK_NBLCK
    start = os.lseek(handle, 0, os.SEEK_CUR)
    assert start + n_bytes < 2**31, "msvcrt has 32 bits"
    request = struct.pack("hhlli4x", fcntl.F_WRLCK, os.SEEK_SET, start, n_bytes, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, request)
    except OSError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


def lock_as_windows_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let :mod:`emofuse.system.file_lock` take its branch for Windows."""
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=LK_NBLCK, locking=locking))
    monkeypatch.setattr(file_lock, "sys", SimpleNamespace(platform="win32"))

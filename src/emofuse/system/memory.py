"""The memory of this process and of its workers: how much there is, and how it is returned."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import Final

_FIRST_TO_END: Final = "800"
"""Between 0, as most processes have, and 1000."""


def trim_heap() -> None:
    """Make the C library return freed memory; does nothing unless it is glibc.

    For the end of a long job, when decoders and their frames are gone and the results are to be built: the
    library would otherwise keep tens of megabytes for frames that will not come.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # another system, or another C library
        ctypes.CDLL(None).malloc_trim(0)


def resident_bytes(pid: int) -> int | None:
    """The memory that a process holds now, shared libraries included; None except on Linux, or if it ended.

    Linux tells it of any process of the same user, in less than 0.1 ms. It counts what was written to, not
    what was asked for: networks and decoders reserve several times what they use.
    """
    if sys.platform != "linux":
        return None
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def be_ended_first() -> None:
    """Have Linux end this process before others, its parent for one, where the machine is out of memory."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_END, encoding="ascii")


def leave_no_core() -> None:
    """Have a crash of this process leave no file of its memory, which may hold what somebody recorded."""
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory(n_bytes: int) -> None:
    """Let this process, on POSIX, ask for at most this much memory: what asks for more fails."""
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (n_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))

"""Memory that is free goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Let the C library return what it holds free; does nothing where it knows no way (it must be glibc).

    For the end of a long job, when decoders and their pictures are gone and what stays is to be built: the
    library alone would keep tens of megabytes for pictures that do not come any more.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # another system, or another C library
        ctypes.CDLL(None).malloc_trim(0)

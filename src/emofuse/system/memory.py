"""Return free memory to the system."""

from __future__ import annotations

import contextlib
import ctypes


def trim_heap() -> None:
    """Make the C library return freed memory; does nothing unless it is glibc.

    For the end of a long job, when decoders and their frames are gone and the results are to be built: the
    library would otherwise keep tens of megabytes for frames that will not come.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # another system, or another C library
        ctypes.CDLL(None).malloc_trim(0)

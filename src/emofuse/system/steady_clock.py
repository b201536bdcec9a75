"""The time of day as it was when a process started, and since then what has really passed.

Somebody may set the computer's clock while a long-lived process runs; what it waits for, and what it promised
to keep for a while, must not follow.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Final


def elapsed_s() -> float:
    """Seconds since some moment in the past, which no setting of the clock changes.

    Where the system can tell (Linux), time in which the computer was suspended counts.
    """
    if sys.platform == "win32":
        return time.monotonic()
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


class SteadyClock:
    """UTC that only ever goes forward, at the speed of time."""

    def __init__(self) -> None:
        self._started: Final = datetime.now(UTC)
        self._start_s: Final = elapsed_s()

    def __call__(self) -> datetime:
        """Now."""
        return self._started + timedelta(seconds=elapsed_s() - self._start_s)

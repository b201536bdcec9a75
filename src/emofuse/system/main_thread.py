"""Signals for the thread that handles them."""

from __future__ import annotations

import signal
import sys
import threading


def signal_main_thread(number: int) -> None:
    """Have this process' handler called for a signal, in its main thread, even if that waits for something.

    Does nothing on Windows, where no thread can be chosen.
    """
    if sys.platform != "win32":
        signal.pthread_kill(threading.main_thread().ident or 0, number)

"""What worker processes have in common."""

from __future__ import annotations

import os
import threading
import time


def end_with_parent(parent: int, *, every_s: float = 1.0) -> None:
    """End this process soon after its parent has died; a killed run leaves no workers behind.

    Args:
        parent: process id of the parent, as the parent knows it.
        every_s: how often to look.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()

"""How a long run reports its progress."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, how much of it is done, and how much there is (0 while unknown)."""


def ignore_progress(stage: str, done: int, total: int) -> None:
    """The default where nobody watches."""

"""``--quiet``: a command prints its results and its errors, no progress and no notes."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

_QUIET: Final = ContextVar("quiet", default=False)


def set_quiet(value: bool) -> bool:
    """Remember the option; called for every command that has it, whether it is given or not."""
    _QUIET.set(value)
    if value:
        logging.getLogger("emofuse").setLevel(logging.ERROR)
    return value


def is_quiet() -> bool:
    """Whether the command that runs was asked to be quiet."""
    return _QUIET.get()

"""``--quiet``: a command prints its results and its errors, no progress and no notes."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

from emofuse.system import lease_file

_QUIET: Final = ContextVar("quiet", default=False)


def set_quiet(value: bool) -> bool:
    """Remember the option; called for every command that has it, whether it is given or not."""
    _QUIET.set(value)
    if value:
        logging.getLogger("emofuse").setLevel(logging.ERROR)
    # that a command waits for a minute is told even where it keeps the notes of the library to itself
    logging.getLogger(lease_file.__name__).setLevel(logging.ERROR if value else logging.WARNING)
    return value


def is_quiet() -> bool:
    """Whether the command that runs was asked to be quiet."""
    return _QUIET.get()

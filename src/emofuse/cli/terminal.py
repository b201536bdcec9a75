"""What commands say on a terminal: names of files are other people's text, and must not steer it."""

from __future__ import annotations

import re
from typing import Final

import typer

from emofuse.recognition.tables import printable

_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls that move a cursor or end a line, and those that turn text round."""


def shown(text: str) -> str:
    """Text of a file or its name with what would steer a terminal escaped, and bytes that are no UTF-8."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), printable(text))


def say(text: str) -> None:
    """One line on standard error that says who speaks."""
    typer.echo(f"emofuse: {shown(text)}", err=True)

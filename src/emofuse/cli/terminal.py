"""What commands say on a terminal: names of files are other people's text, and must not steer it."""

from __future__ import annotations

import typer

from emofuse.core.text import shown


def say(text: str) -> None:
    """One line on standard error that says who speaks."""
    typer.echo(f"emofuse: {shown(text)}", err=True)

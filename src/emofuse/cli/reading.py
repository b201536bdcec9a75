"""What the commands that read recordings have in common: their options, and how they name the recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emofuse.recognition.bundle import Bundle
    from emofuse.timeline.windows import WindowRules

SHIPPED_NAME = "the one that comes with emofuse"

BundleFolder = Annotated[
    Path | None,
    typer.Option(
        "--bundle", "-b", metavar="BUNDLE",
        help="A trained recogniser (see: emofuse train); default: the one that comes with emofuse.",
    ),
]  # fmt: skip
ActionUnits = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE", help="Action units a clip (.csv), for a bundle whose face branch reads them."
    ),
]
PersonProfile = Annotated[
    Path | None,
    typer.Option(metavar="PROFILE", help="Of the person who is seen and heard (see: emofuse enroll)."),
]
WindowLength = Annotated[float, typer.Option(metavar="SECONDS", help="Length of a window.")]
Hop = Annotated[float, typer.Option(metavar="SECONDS", help="From one window to the next.")]
FacesPerSecond = Annotated[
    float, typer.Option(metavar="N", help="How many pictures a second are searched for faces.")
]


def recording(name: str) -> Path:
    """The path of a recording; ``.`` is the working folder, an unset variable is a usage error."""
    if not name:
        raise typer.BadParameter("an empty name is no recording: look at the variable that it came from")
    return Path(name)


def introduce(bundle: Bundle, folder: Path | None) -> None:
    """Say which recogniser answers, under which licence, and what it is unfit for."""
    typer.echo(f"bundle: {folder or SHIPPED_NAME}, licence: {bundle.licence}", err=True)
    if bundle.provenance.get("synthetic"):
        typer.echo(
            "this recogniser was trained on drawn faces and synthetic voices: it cannot read people", err=True
        )


def window_rules(window: float, hop: float, faces_per_second: float) -> WindowRules:
    """The rules that the three options ask for; a usage error where they cannot be."""
    from emofuse.timeline.windows import WindowRules

    try:
        return WindowRules(window, hop, faces_per_second)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

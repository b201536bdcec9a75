"""``emofuse predict``: files in, emotions out."""

from __future__ import annotations

import csv
import enum
import io
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emofuse.labels import EMOTION_COLOURS
from emofuse.records import Prediction

BAR = "▏▎▍▌▋▊▉█"
BAR_CELLS = 6
SHIPPED_NAME = "the one that comes with emofuse"


class Format(enum.StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def predict(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Media files with a voice, a face or both.")
    ],
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", "-b", metavar="BUNDLE",
            help="A trained recogniser (see: emofuse train); default: the one that comes with emofuse.",
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", "-f", help="How the answers are printed.")
    ] = Format.TABLE,
    action_units: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE", help="Action units a clip (.csv), for a bundle whose face branch reads them."
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="PROFILE", help="Of the person who is seen and heard (see: emofuse enroll)."),
    ] = None,
) -> None:  # fmt: skip
    """Read the emotion that is expressed in each file: eight probabilities, and what they rest on.

    A file that cannot be read is named with its reason, the others go on, and the exit status is 1.
    What is reported is expression as in the training recordings, not what somebody feels.

    The recogniser that comes with emofuse is licensed CC BY-NC-SA 4.0, for no commercial use; the environment
    variable EMOFUSE_NO_SHIPPED=1 switches it off.

    Example: `emofuse predict clip.mp4`
    """
    from emofuse.predictor import Recognizer
    from emofuse.profile import Profile

    # the licence is said below, with the bundle's name
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    recognizer = Recognizer.load(bundle, action_units=action_units)
    typer.echo(f"bundle: {bundle or SHIPPED_NAME}, licence: {recognizer.licence}", err=True)
    if recognizer.bundle.provenance.get("synthetic"):
        typer.echo(
            "this recogniser was trained on drawn faces and synthetic voices: it cannot read people", err=True
        )
    predictions = []
    person = None if profile is None else Profile.load(profile)
    for prediction in recognizer.predict_files(files, profile=person):
        predictions.append(prediction)
        if prediction.error is not None:
            # media errors name their file themselves
            named = prediction.error.startswith(prediction.source)
            text = prediction.error if named else f"{prediction.source}: {prediction.error}"
            typer.echo(f"emofuse: {printable(text)}", err=True)
    if output is Format.JSON:
        json.dump([_named(p) for p in predictions], sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    elif output is Format.CSV:
        sys.stdout.write(as_csv(predictions, recognizer.emotions))
    else:
        show_table([p for p in predictions if p.error is None], Console())
    if any(p.error is not None for p in predictions):
        raise typer.Exit(1)


def _named(prediction: Prediction) -> dict[str, Any]:
    return {**prediction.as_dict(), "source": printable(prediction.source)}


def as_csv(predictions: Iterable[Prediction], emotions: Sequence[str]) -> str:
    """One row a file, also for those that could not be read."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "emotion", *emotions, "used", "voice_missing", "face_missing", "notes", "error"])
    for p in predictions:
        shown = [""] * len(emotions) if p.probabilities is None else [f"{x:.6f}" for x in p.probabilities]
        missing = [p.voice_missing or "", p.face_missing or ""]
        basis = ["+".join(p.used), *missing, "; ".join(p.notes), p.error or ""]
        writer.writerow([printable(p.source), p.emotion or "", *shown, *basis])
    return text.getvalue()


def printable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 are shown as such."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def show_table(predictions: Sequence[Prediction], console: Console) -> None:
    """A table of predictions: the winner, every probability as a bar, and what they rest on."""
    if not predictions:
        return
    table = Table(show_lines=len(predictions) > 1, title_justify="left")
    table.add_column("file", overflow="fold", ratio=3)
    table.add_column("expresses", ratio=4)
    table.add_column("read from", overflow="fold", ratio=4)
    for p in predictions:
        table.add_row(escape(printable(Path(p.source).name)), _bars(p), _basis(p))
    console.print(table)


def _bars(p: Prediction) -> str:
    assert p.probabilities is not None
    order = (-p.probabilities).argsort(kind="stable")  # of equals the first, as in Prediction.emotion
    lines = []
    for i in order[: max(1, int((p.probabilities >= 0.05).sum()))]:
        name, value = p.emotions[i], float(p.probabilities[i])
        eighths = round(value * BAR_CELLS * 8)
        bar = "█" * (eighths // 8) + (BAR[eighths % 8 - 1] if eighths % 8 else "")
        lines.append(f"{name:9} {value:4.0%} [{EMOTION_COLOURS[name]}]{bar}[/]")
    return "\n".join(lines)


def _basis(p: Prediction) -> str:
    lines = [" and ".join(p.used)]
    for name, reason in (("voice", p.voice_missing), ("face", p.face_missing)):
        if reason is not None:
            lines.append(f"[yellow]no {name}: {escape(reason)}[/yellow]")
    frames = p.meta.get("n_frames")
    if "face" in p.used and frames:
        lines.append(f"face in {p.meta.get('frames_with_face')} of {frames} frames")
    return "\n".join([*lines, *(escape(note) for note in p.notes)])

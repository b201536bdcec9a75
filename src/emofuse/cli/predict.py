"""``emofuse predict``: files in, emotions out."""

from __future__ import annotations

import enum
import io
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emofuse.cli.progress import Jobs, counting_failures, processes
from emofuse.cli.reading import ActionUnits, BundleFolder, PersonProfile, introduce, recording
from emofuse.cli.terminal import say
from emofuse.core.colors import EMOTION_COLORS
from emofuse.core.records import Prediction
from emofuse.core.text import printable, shown
from emofuse.recognition.batch_inputs import Listing, find_recordings
from emofuse.recognition.tables import check_table, columns, failure, row_of, unread, write_csv

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.batch import OnProgress
    from emofuse.recognition.bundle import Bundle
    from emofuse.recognition.recognizer import Recognizer

BAR = "▏▎▍▌▋▊▉█"
BAR_CELLS = 6


class Format(enum.StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def predict(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="Media files with a voice, a face or both; folders are searched for them.",
            parser=recording,
        ),
    ],
    *,
    bundle: BundleFolder = None,
    output: Annotated[
        Format, typer.Option("--format", "-f", help="How the answers are printed, without --out.")
    ] = Format.TABLE,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="TABLE",
            help="Write a row for every file to this table (.csv, .jsonl, .parquet) and print none; the same "
            "command goes on after an interrupt.",
        ),
    ] = None,
    jobs: Jobs = 1,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, show_default="600, and one more for each 100 kB",
            help="A file that takes longer has failed; 0: none does. With --out or several jobs.",
        ),
    ] = None,
    action_units: ActionUnits = None,
    profile: PersonProfile = None,
) -> None:  # fmt: skip
    """Read the emotion that is expressed in each file: eight probabilities, and what they rest on.

    A file that cannot be read is named with its reason, the others go on, and the exit status is 1.
    What is reported is expression as in the training recordings, not what somebody feels.

    The recogniser that comes with emofuse is licensed CC BY-NC-SA 4.0, for no commercial use; the environment
    variable EMOFUSE_NO_SHIPPED=1 switches it off.

    Example: `emofuse predict clip.mp4`

    Example: `emofuse predict interviews/ --jobs 4 --out interviews.csv`
    """
    from emofuse.recognition.bundle import load_bundle

    if out is not None:
        check_table(out)
    # the licence is said below, with the bundle's name
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    known = load_bundle(bundle)
    introduce(known, bundle)
    person = None
    if profile is not None:
        from emofuse.features.profile import Profile

        person = Profile.load(profile)
    listing = find_recordings(files)
    n_processes = min(processes(jobs), max(len(listing.files), 1))
    recognizer = None
    if action_units is not None or (out is None and n_processes == 1):
        from emofuse.features.face.action_units import read_action_units
        from emofuse.recognition.recognizer import Recognizer

        table = None if action_units is None else read_action_units(action_units)
        recognizer = Recognizer(known, action_units=table)
    if out is not None:
        failed = _to_table(listing, recognizer or known, person, out, n_processes, timeout)
    else:
        with counting_failures("predicting", passing=True) as on_progress:
            if recognizer is not None and n_processes == 1:  # here: no other process has to start
                predictions = _one_by_one(listing, recognizer, person, on_progress)
            else:
                predictions = _by_processes(
                    listing, recognizer or known, person, n_processes, timeout, on_progress
                )
        failed = _print(predictions, known.emotions, output)
    if failed:
        raise typer.Exit(1)


def _to_table(
    listing: Listing,
    recognizer: Recognizer | Bundle,
    person: Profile | None,
    out: Path,
    n_processes: int,
    timeout: float | None,
) -> int:
    """Write the table with a progress bar; returns the number of failed files."""
    from emofuse.recognition.batch import predict_table

    try:
        with counting_failures("predicting") as on_progress:
            result = predict_table(
                listing, recognizer, out, jobs=n_processes, profile=person, timeout_s=timeout,
                on_progress=on_progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it was")
        raise typer.Exit(130) from None
    for line in result.errors:
        say(line)
    if result.failed > len(result.errors):
        say(f"and {result.failed - len(result.errors)} more; see column error")
    resumed = f", {result.resumed} of them by an earlier run" if result.resumed else ""
    failures = f", {result.failed} failed" if result.failed else ""
    files = "1 file" if result.rows == 1 else f"{result.rows} files"
    typer.echo(f"{result.out}: {files}{resumed}{failures}", err=True)
    return result.failed


def _by_processes(
    listing: Listing,
    recognizer: Recognizer | Bundle,
    person: Profile | None,
    n_processes: int,
    timeout: float | None,
    on_progress: OnProgress,
) -> list[Prediction]:
    from emofuse.recognition.batch import Readers, predict_in_processes

    readers = Readers.of(recognizer, person)
    return predict_in_processes(
        listing, readers, jobs=n_processes, timeout_s=timeout, on_progress=on_progress
    )


def _one_by_one(
    listing: Listing, recognizer: Recognizer, person: Profile | None, on_progress: OnProgress
) -> list[Prediction]:
    predictions: list[Prediction] = []
    failed = 0
    for name in listing.files:
        if name in listing.refused:
            predictions.append(unread(name, listing.refused[name], recognizer.emotions))
        else:
            predictions += recognizer.predict_files([name], profile=person)
        failed += predictions[-1].error is not None
        on_progress(len(predictions), failed, len(listing.files))
    return predictions


def _print(predictions: Sequence[Prediction], emotions: Sequence[str], output: Format) -> int:
    """Print the answers; returns the number of failed files."""
    failed = [p for p in predictions if p.error is not None]
    for p in failed:
        say(failure(p.source, str(p.error)))
    if output is not Format.TABLE and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # data, not text for a terminal
    if output is Format.JSON:
        json.dump([_named(p) for p in predictions], sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    elif output is Format.CSV:
        sys.stdout.write(as_csv(predictions, emotions))
    else:
        show_table([p for p in predictions if p.error is None], Console())
    return len(failed)


def _named(prediction: Prediction) -> dict[str, Any]:
    return {**prediction.as_dict(), "source": printable(prediction.source)}


def as_csv(predictions: Iterable[Prediction], emotions: Sequence[str]) -> str:
    """One row a file, also for those that could not be read."""
    text = io.StringIO()
    write_csv(text, map(row_of, predictions), columns(emotions))
    return text.getvalue()


def show_table(predictions: Sequence[Prediction], console: Console) -> None:
    """A table of predictions: the winner, every probability as a bar, and what they rest on."""
    if not predictions:
        return
    table = Table(show_lines=len(predictions) > 1, title_justify="left")
    table.add_column("file", overflow="fold", ratio=3)
    blocks = console.encoding.lower().startswith("utf")
    table.add_column("expresses", ratio=4)
    table.add_column("read from", overflow="fold", ratio=4)
    names = Counter(Path(p.source).name for p in predictions)
    for p in predictions:
        name = Path(p.source).name
        told = name if names[name] == 1 else p.source
        table.add_row(escape(shown(told)), _bars(p, blocks=blocks), _basis(p))
    console.print(table)


def _bars(p: Prediction, *, blocks: bool) -> str:
    """``blocks``: whether the terminal can show parts of blocks."""
    assert p.probabilities is not None
    order = (-p.probabilities).argsort(kind="stable")  # of equals the first, as in Prediction.emotion
    lines = []
    for i in order[: max(1, int((p.probabilities >= 0.05).sum()))]:
        name, value = p.emotions[i], float(p.probabilities[i])
        eighths = round(value * BAR_CELLS * 8)
        bar = "#" * round(eighths / 8)
        if blocks:
            bar = "█" * (eighths // 8) + (BAR[eighths % 8 - 1] if eighths % 8 else "")
        lines.append(f"{name:9} {value:4.0%} [{EMOTION_COLORS[name]}]{bar}[/]")
    return "\n".join(lines)


def _basis(p: Prediction) -> str:
    lines = [" and ".join(p.used)]
    for name, reason in (("voice", p.voice_missing), ("face", p.face_missing)):
        if reason is not None:
            lines.append(f"[yellow]no {name}: {escape(shown(reason))}[/yellow]")
    frames = p.meta.get("n_frames")
    if "face" in p.used and frames:
        lines.append(f"face in {p.meta.get('frames_with_face')} of {frames} frames")
    return "\n".join([*lines, *(escape(shown(note)) for note in p.notes)])

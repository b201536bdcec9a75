"""``emofuse timeline``: what is expressed when, over a recording of any length."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from emofuse.cli import options
from emofuse.cli.printing import print_bundle, print_message, print_segments
from emofuse.cli.progress import stages
from emofuse.core.errors import ExportError, MediaError, MissingExtraError
from emofuse.core.progress import OnProgress
from emofuse.core.text import shown
from emofuse.core.times import short_clock

if TYPE_CHECKING:
    from emofuse.timeline.records import Timeline

OVERLAY_SUFFIX = ".mp4"


def timeline(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recording of any length.", parser=options.recording)
    ],
    *,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", "-o", metavar="NAME",
            help="A file to write; its end tells the kind: .html (a page with curves), .csv, .windows.csv, "
            ".json, .parquet, .vtt, .eaf (ELAN), .TextGrid (Praat), .mp4 (the video with boxes and bars). "
            "May be given several times.",
        ),
    ] = None,
    bundle: options.BundleFolder = None,
    window: options.WindowLength = 3.0,
    hop: options.Hop = 1.0,
    faces_per_second: options.FacesPerSecond = 5.0,
    start: Annotated[
        float | None, typer.Option("--from", metavar="SECONDS", help="Where to begin; default: the begin.")
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", metavar="SECONDS", help="Where to end; default: the end.")
    ] = None,
    abstain_below: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Less sure segments are given no emotion.")
    ] = 0.4,
    profile: options.ProfileFile = None,
) -> None:  # fmt: skip
    """Read a whole recording: who is there, when somebody speaks, and what is expressed from when to when.

    Faces are told apart and numbered in the order in which they appear; a voice belongs to the face whose
    mouth moves, or to nobody in the picture. Without --out the segments are printed.
    What is reported is expression as in the training recordings, not what somebody feels.

    Example: `emofuse timeline interview.mp4 --out interview.html --out interview.eaf`
    """
    from emofuse.exports.waveform import PeakMeter
    from emofuse.exports.write import write_timeline
    from emofuse.features.profile import Profile
    from emofuse.media.container import check_span
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.timeline.segments import SegmentRules

    logging.getLogger("emofuse").setLevel(logging.ERROR)
    # the overlay takes longest, and what was written before it stays if it fails
    names = sorted(out or [], key=_is_overlay)
    try:
        check_span(None if start is None else max(start, 0.0), end)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    rules = options.window_rules(window, hop, faces_per_second)
    _check(file, names)
    segment_rules = SegmentRules(abstain_below=abstain_below)
    recognizer = Recognizer.load(bundle)
    print_bundle(recognizer.bundle, bundle)
    person = None if profile is None else Profile.load(profile)
    peaks = PeakMeter(start_s=start or 0.0)
    label = f"seconds of {shown(file.name)}"
    with stages() as on_progress:
        found = recognizer.timeline(
            file, rules=rules, segment_rules=segment_rules, start_s=start, end_s=end, profile=person,
            on_sound=peaks.add,
            on_progress=lambda done, total: on_progress(label, int(done), int(total or 0)),
        )  # fmt: skip
        if not found.duration_s:
            raise MediaError(file, f"there is nothing to read from {short_clock(found.start_s)} on")
        waveform = peaks.peaks()
        for name in names:
            if _is_overlay(name):
                _overlay(file, found, name, on_progress)
            else:
                write_timeline(found, name, waveform=waveform)
    for note in found.notes:
        print_message(f"{file}: {note}")
    for name in names:
        typer.echo(f"wrote {shown(str(name))}")
    if not names:
        print_segments(found, Console())


def _is_overlay(name: Path) -> bool:
    return name.suffix.lower() == OVERLAY_SUFFIX


def _check(file: Path, names: Sequence[Path]) -> None:
    """Refuse at once what would fail when the recording was read, which may take an hour.

    Raises:
        MediaError: there is no such recording.
        ExportError: a file cannot be written under that name, or would take the place of the recording.
        MissingExtraError: a format needs an optional part of the package.
    """
    from emofuse.exports.write import format_of
    from emofuse.media.container import open_container, streams

    try:
        kinds = {name: "overlay" if _is_overlay(name) else format_of(name) for name in names}
    except ExportError as error:
        raise ExportError(f"{error}, or in {OVERLAY_SUFFIX} for a film with boxes") from None
    with open_container(file) as container:
        _, video = streams(file, container)
    for name, kind in kinds.items():
        if kind == "overlay" and video is None:
            raise ExportError(f"{name}: {file} has no moving picture to draw on")
        if kind == "parquet" and find_spec("pyarrow") is None:
            raise MissingExtraError("tables", "writing Parquet")
        if name.is_dir():
            raise ExportError(f"{name}: that is a folder: name a file")
        if name.exists() and name.samefile(file):
            raise ExportError(f"{name}: that is the recording itself: choose another name")


def _overlay(file: Path, found: Timeline, name: Path, on_progress: OnProgress) -> None:
    from emofuse.exports.overlay import write_overlay

    label, total = f"seconds of {shown(name.name)}", int(found.duration_s)
    write_overlay(file, found, name, on_progress=lambda share: on_progress(label, int(share * total), total))

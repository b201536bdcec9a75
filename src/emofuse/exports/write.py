"""Timelines as files that other programs read.

===================  ======================  =========================================================
format               suffix                  content
===================  ======================  =========================================================
``csv``              ``.csv``                one row per segment
``windows-csv``      ``.windows.csv``        one row per window, with all probabilities
``summary-csv``      ``.summary.csv``        one row per person
``frames-csv``       ``.frames.csv``         one row per face and frame
``markers-csv``      ``.markers.csv``        one row per marker and excluded span
``json``             ``.json``               everything, under a published JSON Schema
``parquet``          ``.parquet``            one row per window (needs ``emofuse[tables]``)
``vtt``              ``.vtt``                WebVTT: one cue per segment, for players
``eaf``              ``.eaf``                ELAN: one tier per person and kind
``textgrid``         ``.TextGrid``           Praat: one interval tier per person and kind
``bids-events``      ``_events.tsv``         BIDS: one row per segment and marker, with its sidecar beside it
``bids-sidecar``     ``_events.json``        that sidecar
``label-studio``     ``.label-studio.json``  Label Studio: a task with a prediction, its configuration beside
``label-config``     ``.label-studio.xml``   that labeling configuration
``html``             ``.html``               a web page: curves, waveform, the recording itself
``svg``              ``.svg``                a still picture of curves and segments
``png``              ``.png``                the same in pixels
===================  ======================  =========================================================

All times are presentation timestamps of the recording, rounded once to the millisecond and the same in every
format. WebVTT, ELAN and Praat have no times before zero; what lies there is cut off in these formats.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from emofuse.core.errors import ExportError
from emofuse.exports.bids_events import write_events_json, write_events_tsv
from emofuse.exports.elan import write_eaf
from emofuse.exports.html_page import write_html
from emofuse.exports.json_schema import write_json
from emofuse.exports.label_studio import write_label_studio, write_labeling_config
from emofuse.exports.picture import write_png, write_svg
from emofuse.exports.praat import write_textgrid
from emofuse.exports.tables import (
    write_frames_csv,
    write_markers_csv,
    write_parquet,
    write_segments_csv,
    write_summary_csv,
    write_windows_csv,
)
from emofuse.exports.waveform import Peaks
from emofuse.exports.webvtt import write_vtt
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.records import Timeline

FORMATS: Final[dict[str, str]] = {
    "windows-csv": ".windows.csv",
    "summary-csv": ".summary.csv",
    "frames-csv": ".frames.csv",
    "markers-csv": ".markers.csv",
    "csv": ".csv",
    "bids-sidecar": "_events.json",
    "label-studio": ".label-studio.json",
    "json": ".json",
    "parquet": ".parquet",
    "vtt": ".vtt",
    "eaf": ".eaf",
    "textgrid": ".TextGrid",
    "bids-events": "_events.tsv",
    "label-config": ".label-studio.xml",
    "html": ".html",
    "svg": ".svg",
    "png": ".png",
}
"""Each format with the suffix that selects it, case-insensitively; the first match wins."""

_WRITERS: Final[dict[str, Callable[[Timeline, IO[bytes]], None]]] = {
    "windows-csv": write_windows_csv,
    "frames-csv": write_frames_csv,
    "markers-csv": write_markers_csv,
    "csv": write_segments_csv,
    "json": write_json,
    "parquet": write_parquet,
    "vtt": write_vtt,
    "textgrid": write_textgrid,
    "bids-events": write_events_tsv,
    "bids-sidecar": write_events_json,
    "label-studio": write_label_studio,
    "label-config": write_labeling_config,
}

COMPANIONS: Final = {"bids-events": "bids-sidecar", "label-studio": "label-config"}
"""Formats that other programs read together with a file of another format, which is written beside them."""

_PICTURES: Final = {"svg": write_svg, "png": write_png}


def write_timeline(
    timeline: Timeline,
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the name of the option
    *,
    waveform: Peaks | None = None,
    condition: str | None = None,
) -> Path:
    """Write a timeline to ``path``: the whole file, or nothing and what was there before.

    Args:
        timeline: what is written.
        path: the file; its folder is created.
        format: one of :data:`FORMATS`; None takes it from the file name.
        waveform: what pages and pictures draw above the curves; the other formats do not use it.
        condition: of an experiment, for the summary.

    Returns:
        The path.

    Raises:
        ExportError: no such format, or a file name that does not tell it.
        MissingExtraError: Parquet without pyarrow.
        OSError: the file cannot be written.
    """
    path = Path(path)
    kind = format_of(path) if format is None else format
    if kind not in FORMATS:
        raise ExportError(f"unknown export format {kind!r}: use one of {', '.join(FORMATS)}")
    with write_atomically(path) as file:
        if kind == "eaf":
            write_eaf(timeline, file, path)
        elif kind == "html":
            write_html(timeline, file, path, waveform)
        elif kind in _PICTURES:
            _PICTURES[kind](timeline, file, waveform)
        elif kind == "summary-csv":
            write_summary_csv(timeline, file, condition)
        else:
            _WRITERS[kind](timeline, file)
    if kind in COMPANIONS:
        write_timeline(timeline, companion(path, kind), COMPANIONS[kind])
    return path


def companion(path: Path, kind: str) -> Path:
    """Where the file lies that belongs to one of a format of :data:`COMPANIONS`."""
    own, other = FORMATS[kind], FORMATS[COMPANIONS[kind]]
    stem = path.name[: -len(own)] if path.name.lower().endswith(own.lower()) else path.stem
    return path.with_name(stem + other)


def format_of(path: Path) -> str:
    """The format that the suffix of a file name selects.

    Raises:
        ExportError: no format has that suffix.
    """
    for kind, suffix in FORMATS.items():
        if path.name.lower().endswith(suffix.lower()):
            return kind
    suffixes = ", ".join(FORMATS.values())
    raise ExportError(f"{path}: the name does not tell the format: use one of the suffixes {suffixes}")

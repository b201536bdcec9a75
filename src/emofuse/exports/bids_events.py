"""Events as in BIDS (Brain Imaging Data Structure 1.10, *Task events*): a ``_events.tsv`` and its sidecar.

Onsets are on the clock of the recording. Whoever puts the file beside an EEG or a scan adds the time between
the two starts to ``onset``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, Final

from emofuse.core.csv_tables import csv_cell
from emofuse.core.text import one_line
from emofuse.core.times import decimal_seconds
from emofuse.exports.marks import MARKER, mark_rows
from emofuse.exports.tiers import ABSTAINED, EXCLUDED, plain_names
from emofuse.timeline.records import Timeline, part_ms

COLUMNS: Final = ("onset", "duration", "trial_type", "person", "confidence", "status", "text")
"""The columns, in the order that BIDS asks for."""
UNKNOWN: Final = "n/a"
"""What BIDS writes for a missing value."""
_NOTHING: Final = "nothing_to_read"
_STATUSES: Final = {
    "read": "an emotion was read",
    ABSTAINED: "no emotion was probable enough",
    _NOTHING: "there was no face and no voice",
    EXCLUDED: "somebody left this span out",
    MARKER: "a marker that somebody set; its words are in text",
}
"""Each value of ``status``, which is that of a segment, or ``marker``."""


def event_rows(timeline: Timeline) -> Iterator[tuple[str, ...]]:
    """One row per segment and marker, in order of time, as texts in the order of :data:`COLUMNS`.

    ``trial_type`` is the emotion; without one, it is the status. Names and words are on one line.
    """
    within, names = timeline.span_ms, plain_names(timeline.people)
    rows: list[tuple[tuple[int, int], tuple[str, ...]]] = []
    for segment in timeline.segments:
        start, end = part_ms(segment, within)
        person = UNKNOWN if segment.person is None else names[segment.person]
        confidence = UNKNOWN if segment.confidence is None else f"{segment.confidence:.6f}"
        kind = segment.status if segment.emotion is None else one_line(segment.emotion)
        rows.append(((start, end - start), (kind, person, confidence, segment.status, UNKNOWN)))
    for row in mark_rows(timeline):
        if row["kind"] == MARKER:
            start, end = (round((row[name] or row["start_s"]) * 1000) for name in ("start_s", "end_s"))
            text = one_line(row["text"]) or UNKNOWN
            rows.append(((start, end - start), (MARKER, UNKNOWN, UNKNOWN, MARKER, text)))
    for (start, length), rest in sorted(rows, key=lambda one: one[0]):
        yield (decimal_seconds(start), decimal_seconds(length), *rest)


def write_events_tsv(timeline: Timeline, file: IO[bytes]) -> None:
    """One row per segment and marker; ``n/a`` where there is nothing. Cells are safe in spreadsheets."""
    for row in (COLUMNS, *event_rows(timeline)):
        file.write("\t".join(map(csv_cell, row)).encode() + b"\n")


def write_events_json(timeline: Timeline, file: IO[bytes]) -> None:
    """The sidecar: what each column means, and every value of ``trial_type`` and ``status``."""
    text = json.dumps(_sidecar(timeline), ensure_ascii=False, indent=1)
    file.write(text.encode("utf-8", "replace") + b"\n")


def _sidecar(timeline: Timeline) -> dict[str, Any]:
    reader = one_line(timeline.recogniser)
    licence = f"; {one_line(timeline.licence)}" if timeline.licence else ""
    purpose = f" Purpose: {one_line(timeline.purpose)}." if timeline.purpose is not None else ""
    emotions = {one_line(name): f"expressed emotion: {one_line(name)}" for name in timeline.emotions}
    others = {name: meaning for name, meaning in _STATUSES.items() if name != "read"}
    return {
        "onset": {"Description": "Start, on the clock of the recording", "Units": "s"},
        "duration": {"Description": "Length; 0 for a marker at one time", "Units": "s"},
        "trial_type": {
            "LongName": "Expressed emotion",
            "Description": f"The emotion as expressed, read by {reader}{licence}; not what is felt.{purpose}",
            "Levels": {**others, **emotions},
        },
        "person": {"Description": f"Whose expression it is; {UNKNOWN}: a voice of nobody in view"},
        "confidence": {
            "Description": "Mean probability of the emotion, 0 to 1; of an abstained segment, that of its "
            "best guess"
        },
        "status": {"Description": "Which kind of result it is", "Levels": dict(_STATUSES)},
        "text": {"Description": "The words of a marker"},
    }

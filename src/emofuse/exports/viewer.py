"""The viewer of timelines: its script, its style, and a timeline as the data that it draws.

Its files lie in ``page/``. The exported page holds them and the data; the service's page asks for them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from pathlib import PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.alike import are_tied, told_apart_by_voice
from emofuse.core.text import one_line
from emofuse.core.times import milliseconds
from emofuse.exports.how_read import how_read
from emofuse.exports.marks_table import marks_table, page_marks
from emofuse.exports.page_texts import asset, fragment_text, texts
from emofuse.exports.people_table import people_table
from emofuse.exports.segments_table import segment_rows, segments_table
from emofuse.exports.static_chart import css_colors
from emofuse.exports.tiers import VOICE, WORDS, plain_names
from emofuse.exports.unused_table import unused_table
from emofuse.exports.waveform import Peaks
from emofuse.timeline.records import Segment, Timeline, Window, part_ms

KINDS: Final = ("fused", "voice", "face")
_SCRIPTS: Final = (
    "model.js",
    "tracks.js",
    "marks.js",
    "faces.js",
    "elements.js",
    "rows.js",
    "viewer.js",
    "pointer.js",
    "ratings.js",
    "screen.js",
)
_UNKNOWN: Final = 255
"""Marks an unknown value among probabilities and shares, which are stored in bytes as half percents."""
_STATUS: Final = ("nothing_to_read", "abstained", "excluded", "read")
"""A segment's, by its number in the data."""
_BOX_UNIT: Final = 1e-4
"""Edges of faces are whole numbers of this share of the frame's width or height."""
_BOX_RANGE: Final = 30_000


@cache
def script() -> str:
    """The script, which defines ``emofuseViewer.mount(root, view, {texts, media})`` and runs nothing."""
    return '"use strict";\n(() => {\n' + "".join(map(asset, _SCRIPTS)) + "})();\n"


@cache
def reader_digest() -> str:
    """What changes with the script and its texts: an older one may not read what :func:`view_data` gives."""
    known = script() + json.dumps(texts()["viewer"], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:12]


@cache
def style() -> str:
    """Its style, and that of the page around it."""
    return asset("viewer.css")


def emotion_style(emotions: Sequence[str]) -> str:
    """The rules of the emotions' colors: variables ``--e0`` … and classes ``e0`` … that set ``--c``."""
    rules = "".join(f".e{number}{{--c:var(--e{number})}}" for number in range(len(emotions)))
    return f"{css_colors(emotions)}{rules}\n"


def view_data(timeline: Timeline, waveform: Peaks | None = None) -> dict[str, Any]:
    """A timeline as plain data for JSON, which the viewer draws.

    Args:
        timeline: with its annotations.
        waveform: drawn above the curves, if given.

    Returns:
        Times in seconds or, in lists and packed arrays, in whole milliseconds; arrays as base64. ``html`` has
        the fragments ``header``, ``people``, ``marks``, ``unused``, ``how`` and ``segments`` (a table without
        rows), and ``segment_rows``; ``css`` the colors of the emotions.
    """
    return {
        **drawn_data(timeline, waveform),
        "css": emotion_style(timeline.emotions),
        "html": {
            "header": header(timeline),
            "people": people_table(timeline),
            "marks": marks_table(timeline),
            "unused": unused_table(timeline),
            "how": how_read(timeline),
            "segments": segments_table(timeline, ()),
            "segment_rows": segment_rows(timeline),
        },
    }


def drawn_data(timeline: Timeline, waveform: Peaks | None) -> dict[str, Any]:
    """The part of :func:`view_data` that is drawn: all but texts of HTML and CSS."""
    names = plain_names(timeline.people)
    indices = {person: index for index, person in enumerate(timeline.people)}
    reasons: dict[str, int] = {"": 0}
    first, last = timeline.span_ms
    series = [
        _series(timeline, person, windows, indices, reasons)
        for person, windows in timeline.by_person(timeline.windows).items()
        if windows
    ]
    kinds = [kind for kind in KINDS if any(w.probabilities[kind] is not None for w in timeline.windows)]
    return {
        "name": recording_name(timeline),
        "start": first / 1000,
        "end": last / 1000,
        "emotions": [one_line(emotion) for emotion in timeline.emotions],
        "alike": [list(group) for group in told_apart_by_voice(timeline.emotions)],
        "people": list(timeline.people),
        "names": [names[person] for person in timeline.people],
        "kinds": list(KINDS),
        "known": kinds,
        "kind": kinds[0] if kinds else "fused",
        "series": series,
        "reasons": list(reasons),
        "ribbons": list(_ribbons(timeline, names)),
        "peaks": None if waveform is None or not len(waveform.low) else _peaks(waveform),
        "marks": list(page_marks(timeline)),
        "faces": list(_faces(timeline, indices)),
        **_scales(timeline),
    }


def recording_name(timeline: Timeline) -> str:
    """The name of the recording, without its folder."""
    source = one_line(timeline.source)
    return PurePath(source.replace("\\", "/")).name or source or "recording"


# --- packed data


def _peaks(waveform: Peaks) -> dict[str, Any]:
    return {
        "bin_s": waveform.bin_s,
        "start_s": waveform.start_s,
        "low": _packed(waveform.low),
        "high": _packed(waveform.high),
    }


def _series(
    timeline: Timeline,
    person: str | None,
    windows: list[Window],
    indices: dict[str, int],
    reasons: dict[str, int],
) -> dict[str, Any]:
    """One person's windows in columns; new reasons are added to ``reasons``, which numbers them."""
    span = timeline.span_ms
    # windows may start together; the script needs increasing midpoints
    ordered = sorted(windows, key=lambda window: window.start_s + window.end_s)
    times = np.array([part_ms(window, span) for window in ordered], dtype="<i4")
    blank = np.full(len(timeline.emotions), np.nan)
    columns: dict[str, Any] = {}
    for kind in KINDS:
        rows = [window.probabilities[kind] for window in ordered]
        known = np.array([blank if row is None else row for row in rows])
        columns[kind] = _half_percents(known)
        if kind != "voice":
            by_face = [one.face is not None and (kind == "face" or one.voice is None) for one in ordered]
            tied = np.array(by_face) & are_tied(timeline.emotions, known)
            columns[f"{kind}_tied"] = _packed(np.packbits(tied)) if tied.any() else ""
    for kind, shares in (
        ("speech", [window.speech for window in ordered]),
        ("face_present", [window.face_present for window in ordered]),
    ):
        columns[kind] = _half_percents(np.array([np.nan if share is None else share for share in shares]))
    return {
        "person": person,
        "starts": _packed(np.ascontiguousarray(times[:, 0])),
        "ends": _packed(np.ascontiguousarray(times[:, 1])),
        **columns,
        "reasons": [reasons.setdefault(_plain(window.reasons), len(reasons)) for window in ordered],
        "speakers": [-1 if w.speaker is None else indices[w.speaker] for w in ordered],
        **_ratings(timeline, ordered),
    }


def _scales(timeline: Timeline) -> dict[str, Any]:
    """The numeric scales; no entry where there are none."""
    scales = [
        {"name": one_line(one.name), "low": one.low, "high": one.high, "level": one.level}
        for one in timeline.dimensions
    ]
    return {"scales": scales} if scales else {}


def _ratings(timeline: Timeline, windows: Sequence[Window]) -> dict[str, Any]:
    """By scale, value, low and high of every window as float32, NaN where it was not rated."""
    packed = []
    for scale in timeline.dimensions:
        found = [window.ratings.get(scale.name) for window in windows]
        rows = [[math.nan] * 3 if one is None else [one.value, one.low, one.high] for one in found]
        packed.append(_packed(np.array(rows, dtype="<f4")))
    return {"ratings": packed} if packed else {}


def _half_percents(values: NDArray[np.float64]) -> str:
    known = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 200)
    return _packed(np.where(np.isnan(values), _UNKNOWN, known).astype(np.uint8))


def _packed(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _plain(reasons: tuple[str, ...]) -> str:
    """In words: ``voice:of_another`` → ``the voice is someone else's``; ``a:b_c`` → ``a: b c``."""
    return "; ".join(WORDS.get(code, code.replace(":", ": ").replace("_", " ")) for code in reasons)


def _ribbons(timeline: Timeline, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Everyone's segments; those of nobody in particular are alone or last."""
    by_person = timeline.by_person(timeline.segments)
    numbers = {emotion: number for number, emotion in enumerate(timeline.emotions)}
    unattributed = VOICE if timeline.people else None
    for person, segments in (by_person or {None: []}).items():
        rows = [_ribbon_row(segment, timeline, numbers) for segment in segments]
        yield {"person": person, "name": unattributed if person is None else names[person], "segments": rows}


def _ribbon_row(segment: Segment, timeline: Timeline, numbers: dict[str, int]) -> list[Any]:
    """Start, end, number of the emotion or -1, confidence in percent, status, and the emotion's words."""
    return [
        *part_ms(segment, timeline.span_ms),
        -1 if segment.emotion is None else numbers[segment.emotion],
        None if segment.shown_confidence is None else round(segment.shown_confidence * 100),
        _STATUS.index(segment.status),
        *((segment.shown_emotion,) if segment.alike else ()),
    ]


def _faces(timeline: Timeline, indices: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Everyone's faces: times, and left, top, right and bottom in shares of the frame."""
    if timeline.picture_size is None:
        return
    width, height = timeline.picture_size
    first, last = timeline.span_ms
    scale = np.array([width, height, width, height]) * _BOX_UNIT
    for person in timeline.people:
        own = [face for face in timeline.faces if face.person == person]
        if not own:
            continue
        times = [min(max(milliseconds(face.time_s), first), last) for face in own]
        edges = np.rint(np.array([face.edges for face in own]) / scale)
        yield {
            "person": indices[person],
            "times": _packed(np.array(times, dtype="<i4")),
            "boxes": _packed(np.clip(edges, -_BOX_RANGE, _BOX_RANGE).astype("<i2")),
        }


# --- the header


def header(timeline: Timeline) -> str:
    """What was read, for what purpose, and what went wrong; the rest is below the chart."""
    first, last = timeline.span_ms
    n_people = len(timeline.people)
    facts = [
        f"<strong>{_length(last - first)}</strong>",
        *([fragment_text("people_count", n=n_people)] if n_people else []),
        fragment_text("expression"),
    ]
    if timeline.purpose is not None:
        shown = f"<strong>{escape(one_line(timeline.purpose))}</strong>"
        facts.append(fragment_text("purpose", purpose=shown))
    notes = "".join(f'<p class="note">{escape(one_line(note))}</p>' for note in timeline.notes)
    return (
        f"<header><h1>{escape(recording_name(timeline))}</h1>"
        f'<p class="facts">{" · ".join(facts)}</p>{notes}</header>\n'
    )


def _length(ms: int) -> str:
    """``40 min 5 s``: to the second, or to a tenth of a second under a minute."""
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)

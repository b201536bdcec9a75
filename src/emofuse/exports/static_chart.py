"""The chart that the page shows without scripts: curves, waveform and segments as one inline SVG."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from functools import partial
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.colors import EMOTION_COLORS, label_colors
from emofuse.core.text import one_line
from emofuse.core.times import axis_step, clock
from emofuse.exports.legend import draw_legend
from emofuse.exports.marks import has_marks, mark_rows
from emofuse.exports.page_texts import fragment_text
from emofuse.exports.rating_curves import HEIGHT, INTERVAL_FILL, RATING_FILL, rating_curve
from emofuse.exports.tiers import EXCLUDED, VOICE, against_own_baseline, plain_names
from emofuse.exports.waveform import Peaks
from emofuse.timeline.records import Segment, Timeline, Window

_WIDTH: Final = 1200
_LEFT: Final = 140
_NAME_LENGTH: Final = 20
"""Characters of a name that fit left of the tracks."""
_RIGHT: Final = 1190
_CURVES: Final = 220
_WAVE: Final = 72
_RIBBON: Final = 28
_MARKS: Final = 18
_CHARACTER: Final = 7.0
"""The width of a character, for texts that must not run into one another."""
_EXCLUDED_FILL: Final = "var(--line)"
_MAX_POINTS: Final = 550
"""Points of a curve, at two pixels each."""


def css_colors(emotions: Sequence[str]) -> str:
    """CSS variables ``--e0`` … in the order of the labels; the eight emotions are lighter on dark pages."""
    named = label_colors(emotions)
    light = "".join(f"--e{index}:{color};" for index, color in enumerate(named.values()))
    dark = "".join(
        f"--e{index}:{_lifted(color) if emotion in EMOTION_COLORS else color};"
        for index, (emotion, color) in enumerate(named.items())
    )
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _lifted(color: str) -> str:
    """The color with a lightness that is enough on a dark background."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    hue, lightness, saturation = colorsys.rgb_to_hls(*channels)
    lifted = colorsys.hls_to_rgb(hue, max(lightness, 0.62), saturation * 0.9)
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in lifted)


def draw_chart(timeline: Timeline, waveform: Peaks | None, *, everyone: bool = False) -> str:
    """An SVG of the whole recording: one person's curves, everyone's segments.

    Args:
        timeline: what is drawn.
        waveform: drawn above the curves, if given.
        everyone: whether there are curves of the others too.
    """
    names = plain_names(timeline.people)
    panels = _panels(timeline)
    parts: list[str] = []
    top = 30.0
    if waveform is not None and len(waveform.low):
        parts += [_name(fragment_text("audio"), top + _WAVE / 2), _wave(timeline, waveform, top)]
        top += _WAVE + 8
    for person, kind, windows in panels if everyone else panels[:1]:
        middle = top + _CURVES / 2
        if person is not None:
            parts.append(_name(names[person], middle - 8))
            middle += 8
        elif timeline.people:
            parts.append(_name(VOICE, middle - 8))
            middle += 8
        if timeline.emotions:
            parts += [_name(kind, middle), *_curves(timeline, windows, kind, top)]
            top += _CURVES + 10
        for scale in timeline.dimensions:
            edges = float(_LEFT), float(_RIGHT)
            parts.append(_name(one_line(scale.name), top + HEIGHT / 2))
            parts += rating_curve(windows, scale, timeline.span_ms, top, edges, partial(_x, timeline))
            top += HEIGHT + 8
    by_person = timeline.by_person(timeline.segments) or ({None: []} if timeline.emotions else {})
    for person, segments in by_person.items():
        unattributed = VOICE if timeline.people else fragment_text("ribbon")
        text = unattributed if person is None else names[person]
        parts += [_name(text, top + _RIBBON / 2), *_ribbon(timeline, segments, top)]
        top += _RIBBON + 8
    if has_marks(timeline):
        parts += [_name(fragment_text("markers"), top + _MARKS / 2), *_marks_row(timeline, top)]
        top += _MARKS + 8
    legend, more = _legend(timeline, top + 8)
    height = top + 34 + more
    if timeline.purpose is not None:
        text = escape(fragment_text("purpose", purpose=one_line(timeline.purpose)))
        legend += f'<text x="{_LEFT}" y="{height + 4:g}" fill="var(--quiet)">{text}</text>'
        height += 18
    if (own := against_own_baseline(timeline)) is not None:
        legend += f'<text x="{_LEFT}" y="{height + 4:g}" fill="var(--quiet)">{escape(own)}</text>'
        height += 18
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" font-family="inherit" font-size="12" '
        f'aria-label="{escape(fragment_text("chart"))}">'
        '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="7" height="7" fill="var(--raised)"/>'
        '<rect width="2" height="7" fill="var(--hatch)"/></pattern></defs>'
        f"{_ruler(timeline, top - 8)}{''.join(parts)}{legend}</svg>"
    )


def _panels(timeline: Timeline) -> list[tuple[str | None, str, list[Window]]]:
    """Everybody's windows, and the modality to show of each: fused where there is any; most windows first."""
    by_person: dict[str | None, list[Window]] = {}
    for window in timeline.windows:
        by_person.setdefault(window.person, []).append(window)
    panels: list[tuple[str | None, str, list[Window]]] = []
    for person, windows in sorted(by_person.items(), key=lambda one: -len(one[1])):
        known = {
            kind for window in windows for kind, array in window.probabilities.items() if array is not None
        }
        kind = next((kind for kind in ("fused", "voice", "face") if kind in known), "fused")
        if known or not panels or any(window.ratings for window in windows):
            panels.append((person, kind, windows))
    return panels or [(None, "fused", [])]


def _x(timeline: Timeline, time_s: float) -> float:
    share = (time_s - timeline.start_s) / (timeline.duration_s or 1.0)
    return round(_LEFT + min(max(share, 0.0), 1.0) * (_RIGHT - _LEFT), 1)


def _name(text: str, middle: float) -> str:
    short = text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}…"
    return (
        f'<text x="{_LEFT - 8}" y="{middle:g}" text-anchor="end" dominant-baseline="middle" '
        f'fill="var(--quiet)">{escape(short)}</text>'
    )


def _ruler(timeline: Timeline, bottom: float) -> str:
    wanted = timeline.duration_s * 100 / (_RIGHT - _LEFT)
    step = axis_step(wanted)
    marks: list[str] = []
    tick = int(np.ceil(timeline.start_s / step))
    while tick * step <= timeline.end_s and len(marks) < 100:
        x, ms = _x(timeline, tick * step), round(tick * step * 1000)
        text = clock(abs(ms)).removeprefix("00:").split(".", maxsplit=1)[0]
        text += f".{ms % 1000 // 100}" if step < 1 else ""
        anchor = "end" if x > _RIGHT - 20 else "middle"
        marks.append(
            f'<path d="M{x} 24V{bottom:g}" stroke="var(--grid)"/><text x="{x}" y="14" text-anchor="{anchor}" '
            f'fill="var(--quiet)">{"−" if ms < 0 else ""}{text}</text>'
        )
        tick += 1
    return "".join(marks)


def _wave(timeline: Timeline, peaks: Peaks, top: float) -> str:
    n = len(peaks.low)
    edges = np.unique(np.linspace(0, n, min(n, _RIGHT - _LEFT) + 1).astype(int))
    low = np.minimum.reduceat(peaks.low.astype(float), edges[:-1])
    high = np.maximum.reduceat(peaks.high.astype(float), edges[:-1])
    scale = (_WAVE / 2 - 1) / max(8.0, float(high.max()), float(-low.min()))
    middle = top + _WAVE / 2
    xs = [_x(timeline, peaks.start_s + peaks.bin_s * float(edge)) for edge in edges[:-1]]
    lines = "".join(
        f"M{x} {middle - b * scale - 0.4:.1f}V{middle - a * scale + 0.4:.1f}"
        for x, a, b in zip(xs, low, high, strict=True)
    )
    return f'<path d="{lines}" stroke="var(--wave)"/>'


def _curves(timeline: Timeline, windows: list[Window], kind: str, top: float) -> Iterator[str]:
    """Stacked areas where there are results; the rest stays gray."""
    yield (
        f'<rect x="{_LEFT}" y="{top:g}" width="{_RIGHT - _LEFT}" height="{_CURVES}" fill="var(--gap)">'
        f"<title>{escape(fragment_text('no_result'))}</title></rect>"
    )
    outlines: list[list[str]] = [[] for _ in timeline.emotions]
    drawn_to = 0.0
    for times, rows in _runs(windows, kind):
        xs = [_x(timeline, time) for time in times]
        # narrower than one point: the neighbor before it is shown instead
        if xs[-1] < drawn_to + (_RIGHT - _LEFT) / _MAX_POINTS:
            continue
        drawn_to = xs[-1]
        heights = np.cumsum(np.column_stack([np.zeros(len(rows)), rows]), axis=1)
        ys = top + _CURVES * (1 - np.minimum(heights, 1))
        for index, outline in enumerate(outlines):
            upper = [f"{x} {y:.1f}" for x, y in zip(xs, ys[:, index + 1], strict=True)]
            lower = [f"{x} {y:.1f}" for x, y in zip(xs, ys[:, index], strict=True)]
            outline.append(f"M{'L'.join([*upper, *reversed(lower)])}Z")
    for index, outline in enumerate(outlines):
        yield f'<path d="{"".join(outline)}" fill="var(--e{index})"/>'


def _runs(windows: list[Window], kind: str) -> Iterator[tuple[list[float], NDArray[np.float64]]]:
    """Runs of windows with results: times, and (n, n_emotions) probabilities, thinned by averaging."""
    ordered = sorted(windows, key=lambda window: window.start_s + window.end_s)
    runs: list[list[Window]] = [[]]
    for window in ordered:
        known = window.probabilities[kind] is not None
        if runs[-1] and (not known or window.start_s > runs[-1][-1].end_s):
            runs.append([])
        if known:
            runs[-1].append(window)
    group = max(1, -(-len(windows) // _MAX_POINTS))
    for run in runs:
        if not run:
            continue
        rows = np.array([window.probabilities[kind] for window in run])
        starts = np.arange(0, len(run), group)
        counts = np.diff(np.append(starts, len(run)))
        means = np.add.reduceat(rows, starts, axis=0) / counts[:, None]
        middles = np.array([(window.start_s + window.end_s) / 2 for window in run])
        times = np.add.reduceat(middles, starts) / counts
        yield [run[0].start_s, *times.tolist(), run[-1].end_s], np.vstack([means[:1], means, means[-1:]])


def _ribbon(timeline: Timeline, segments: list[Segment], top: float) -> Iterator[str]:
    yield (
        f'<rect x="{_LEFT}" y="{top:g}" width="{_RIGHT - _LEFT}" height="{_RIBBON}" fill="var(--gap)">'
        f"<title>{escape(fragment_text('nothing_to_read'))}</title></rect>"
    )
    indices = {emotion: index for index, emotion in enumerate(timeline.emotions)}
    drawn_to = 0.0
    for segment in segments:
        left, right = _x(timeline, segment.start_s), _x(timeline, segment.end_s)
        # narrower than a pixel: the neighbor before it is shown instead
        if right < drawn_to + 0.7 or segment.status == "nothing_to_read":
            continue
        drawn_to = right
        text = (
            f"{segment.shown_emotion} {segment.shown_confidence:.0%}"
            if segment.emotion
            else fragment_text("not_sure")
        )
        fill = "url(#hatch)" if segment.emotion is None else f"var(--e{indices[segment.emotion]})"
        if segment.excluded:
            text, fill = EXCLUDED, _EXCLUDED_FILL
        width = max(right - left - (0.8 if right - left > 3 else 0), 0.7)
        yield (
            f'<rect x="{left}" y="{top:g}" width="{width:.1f}" height="{_RIBBON}" fill="{fill}">'
            f"<title>{escape(text)}</title></rect>"
        )


def _marks_row(timeline: Timeline, top: float) -> Iterator[str]:
    """Markers as upright lines with their text, spans as bars; those of excluded spans are gray."""
    rows = list(mark_rows(timeline))
    lefts = [_x(timeline, row["start_s"]) for row in rows]
    for row, left, after in zip(rows, lefts, [*lefts[1:], _RIGHT], strict=True):
        right = left if row["end_s"] is None else _x(timeline, row["end_s"])
        fill, edge = (
            (_EXCLUDED_FILL, "var(--quiet)") if row["kind"] == EXCLUDED else ("var(--grid)", "var(--speech)")
        )
        text = one_line(row["text"])
        for width, color in ((right - left, fill), (1.5, edge)):
            if width:
                yield (
                    f'<rect x="{left}" y="{top:g}" width="{width:.1f}" height="{_MARKS}" '
                    f'fill="{color}"><title>{escape(text)}</title></rect>'
                )
        n_fitting = int((after - left - 8) / _CHARACTER)
        if n_fitting > 1:
            short = text if len(text) <= n_fitting else f"{text[: n_fitting - 1]}…"
            yield (
                f'<text x="{left + 4}" y="{top + _MARKS / 2:g}" dominant-baseline="middle" '
                f'fill="var(--text)">{escape(short)}</text>'
            )


def _legend(timeline: Timeline, top: float) -> tuple[str, int]:
    entries = [(f"var(--e{index})", emotion) for index, emotion in enumerate(timeline.emotions)]
    if timeline.emotions:
        entries.append(("url(#hatch)", fragment_text("not_sure")))
    if any(segment.excluded for segment in timeline.segments):
        entries.append((_EXCLUDED_FILL, EXCLUDED))
    if timeline.dimensions:
        level = min(scale.level for scale in timeline.dimensions)
        entries += [
            (RATING_FILL, fragment_text("rating")),
            (INTERVAL_FILL, fragment_text("rating_interval", percent=round(level * 100))),
        ]
    return draw_legend(entries, _LEFT, _RIGHT, top)

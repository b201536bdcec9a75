"""The page's picture without a script: curves, waveform and segments as one inline SVG."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.colors import EMOTION_COLORS
from emofuse.core.times import clock
from emofuse.exports.tiers import VOICE, plain_names
from emofuse.exports.waveform import Peaks
from emofuse.timeline.records import Segment, Timeline, Window

_WIDTH: Final = 1200
_LEFT: Final = 92
_RIGHT: Final = 1190
_CURVES: Final = 220
_WAVE: Final = 72
_RIBBON: Final = 28
_MAX_POINTS: Final = 550
"""Points of a curve: two pixels each."""
_STEPS_S: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000)


def colours(emotions: Sequence[str]) -> str:
    """CSS variables ``--e0`` … in the order of the emotions, and lighter ones for dark pages."""
    named = [_colour(emotion, place, len(emotions)) for place, emotion in enumerate(emotions)]
    light = "".join(f"--e{place}:{colour};" for place, colour in enumerate(named))
    dark = "".join(f"--e{place}:{_lifted(colour)};" for place, colour in enumerate(named))
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _colour(emotion: str, place: int, n: int) -> str:
    """That of the package, or one of the rainbow for an emotion that it does not know."""
    if emotion in EMOTION_COLORS:
        return EMOTION_COLORS[emotion]
    red, green, blue = colorsys.hls_to_rgb(place / max(n, 1), 0.45, 0.55)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _lifted(colour: str) -> str:
    """The colour with at least a middle lightness, which a dark ground needs."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    hue, lightness, saturation = colorsys.rgb_to_hls(*channels)
    lifted = colorsys.hls_to_rgb(hue, max(lightness, 0.62), saturation * 0.9)
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in lifted)


def draw_still(timeline: Timeline, waveform: Peaks | None) -> str:
    """The whole recording, one person's curves, everyone's segments."""
    names = plain_names(timeline.people)
    who, kind, windows = _main_windows(timeline)
    parts: list[str] = []
    top = 30.0
    if waveform is not None and len(waveform.low):
        parts += [_name("sound", top + _WAVE / 2), _wave(timeline, waveform, top)]
        top += _WAVE + 8
    title = kind if who is None else f"{kind}, {names[who]}"
    parts += [_name(title, top + _CURVES / 2), *_curves(timeline, windows, kind, top)]
    top += _CURVES + 10
    by_whom: dict[str | None, list[Segment]] = {person: [] for person in timeline.people}
    for segment in timeline.segments:
        by_whom.setdefault(segment.person, []).append(segment)
    for person, segments in (by_whom or {None: []}).items():
        nobodys = VOICE if timeline.people else "segments"
        text = nobodys if person is None else names[person]
        parts += [_name(text, top + _RIBBON / 2), *_ribbon(timeline, segments, top)]
        top += _RIBBON + 8
    legend = _legend(timeline.emotions, top + 8)
    height = top + 34
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" font-family="inherit" font-size="12" '
        'aria-label="Emotion curves and segments of the whole recording; the table below has the segments">'
        '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="7" height="7" fill="var(--raised)"/>'
        '<rect width="2" height="7" fill="var(--hatch)"/></pattern></defs>'
        f"{_ruler(timeline, top - 8)}{''.join(parts)}{legend}</svg>"
    )


def _main_windows(timeline: Timeline) -> tuple[str | None, str, list[Window]]:
    """Of whom there are most windows with an answer, and by what: fused where that is known."""
    counts: dict[str | None, int] = {}
    for window in timeline.windows:
        counts[window.person] = counts.get(window.person, 0) + 1
    if not counts:
        return None, "fused", []
    who = max(counts, key=lambda person: counts[person])
    windows = [window for window in timeline.windows if window.person == who]
    for kind in ("fused", "voice", "face"):
        if any(window.probabilities[kind] is not None for window in windows):
            return who, kind, windows
    return who, "fused", windows


def _x(timeline: Timeline, time_s: float) -> float:
    share = (time_s - timeline.start_s) / (timeline.duration_s or 1.0)
    return round(_LEFT + min(max(share, 0.0), 1.0) * (_RIGHT - _LEFT), 1)


def _name(text: str, middle: float) -> str:
    short = text if len(text) <= 13 else f"{text[:12]}…"
    return (
        f'<text x="{_LEFT - 8}" y="{middle:g}" text-anchor="end" dominant-baseline="middle" '
        f'fill="var(--quiet)">{escape(short)}</text>'
    )


def _ruler(timeline: Timeline, bottom: float) -> str:
    wanted = timeline.duration_s * 100 / (_RIGHT - _LEFT)
    step = next((each for each in _STEPS_S if each >= wanted), _STEPS_S[-1] * 10)
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
    """Stacked areas over the time with an answer; the rest stays grey."""
    yield (
        f'<rect x="{_LEFT}" y="{top:g}" width="{_RIGHT - _LEFT}" height="{_CURVES}" fill="var(--gap)">'
        "<title>no answer</title></rect>"
    )
    outlines: list[list[str]] = [[] for _ in timeline.emotions]
    painted = 0.0
    for times, rows in _runs(windows, kind):
        xs = [_x(timeline, time) for time in times]
        # Less than a point's room: what is there already stands for it.
        if xs[-1] < painted + (_RIGHT - _LEFT) / _MAX_POINTS:
            continue
        painted = xs[-1]
        heights = np.cumsum(np.column_stack([np.zeros(len(rows)), rows]), axis=1)
        ys = top + _CURVES * (1 - np.minimum(heights, 1))
        for place, outline in enumerate(outlines):
            upper = [f"{x} {y:.1f}" for x, y in zip(xs, ys[:, place + 1], strict=True)]
            lower = [f"{x} {y:.1f}" for x, y in zip(xs, ys[:, place], strict=True)]
            outline.append(f"M{'L'.join([*upper, *reversed(lower)])}Z")
    for place, outline in enumerate(outlines):
        yield f'<path d="{"".join(outline)}" fill="var(--e{place})"/>'


def _runs(windows: list[Window], kind: str) -> Iterator[tuple[list[float], NDArray[np.float64]]]:
    """Stretches of windows with an answer: times, and (n, n_emotions) probabilities, thinned by averaging."""
    ordered = sorted(windows, key=lambda window: window.start_s + window.end_s)
    found: list[list[Window]] = [[]]
    for window in ordered:
        known = window.probabilities[kind] is not None
        if found[-1] and (not known or window.start_s > found[-1][-1].end_s):
            found.append([])
        if known:
            found[-1].append(window)
    group = max(1, -(-len(windows) // _MAX_POINTS))
    for run in found:
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
        "<title>nothing was read</title></rect>"
    )
    places = {emotion: place for place, emotion in enumerate(timeline.emotions)}
    painted = 0.0
    for segment in segments:
        left, right = _x(timeline, segment.start_s), _x(timeline, segment.end_s)
        # Less than a pixel: what is there already stands for it.
        if right < painted + 0.7 or (segment.emotion is None and not segment.abstained):
            continue
        painted = right
        said = "abstained" if segment.emotion is None else f"{segment.emotion} {segment.confidence:.0%}"
        fill = "url(#hatch)" if segment.emotion is None else f"var(--e{places[segment.emotion]})"
        width = max(right - left - (0.8 if right - left > 3 else 0), 0.7)
        yield (
            f'<rect x="{left}" y="{top:g}" width="{width:.1f}" height="{_RIBBON}" fill="{fill}">'
            f"<title>{escape(said)}</title></rect>"
        )


def _legend(emotions: Sequence[str], top: float) -> str:
    width = (_RIGHT - _LEFT) / max(len(emotions) + 1, 8)
    marks = [(f"var(--e{place})", emotion) for place, emotion in enumerate(emotions)]
    return "".join(
        f'<rect x="{_LEFT + place * width:.1f}" y="{top:g}" width="12" height="12" rx="3" fill="{fill}"/>'
        f'<text x="{_LEFT + place * width + 17:.1f}" y="{top + 10:g}" fill="var(--text)">'
        f"{escape(text)}</text>"
        for place, (fill, text) in enumerate([*marks, ("url(#hatch)", "abstained")])
    )

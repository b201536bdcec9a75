"""An HTML page: emotion curves under the waveform, segments, and the recording itself.

The page is one file that makes no network requests. Its script and its style sheet lie beside this module;
the recording stays where it is and is opened from there, or chosen by the reader.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from importlib import resources
from pathlib import Path, PurePath
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.text import one_line
from emofuse.exports.marks import has_marks
from emofuse.exports.marks_table import marks_table, page_marks, signed_clock
from emofuse.exports.media_links import has_address, relative_address
from emofuse.exports.people_table import people_table
from emofuse.exports.static_chart import css_colors, draw_chart
from emofuse.exports.tiers import EXCLUDED, VOICE, WORDS, plain_names
from emofuse.exports.waveform import Peaks
from emofuse.timeline.records import Timeline, Window, part_ms

KINDS: Final = ("fused", "voice", "face")
_UNKNOWN: Final = 255
"""Marks an unknown value among probabilities and shares, which are stored in bytes as half percents."""
_MAX_ROWS: Final = 2000
"""Segments in the table; browsers become slow with many more."""
_CLOSING: Final = (
    "This page shows how an expression reads in voice and face, not what a person feels, thinks or is."
)


def write_html(timeline: Timeline, file: IO[bytes], path: Path, waveform: Peaks | None = None) -> None:
    """Write the page: curves of voice, face and both, everyone's segments and a table of them.

    Args:
        timeline: what the page shows.
        file: the page is written to it.
        path: where the page will be, for the relative address of the recording.
        waveform: drawn above the curves, if given.
    """
    data = _data(timeline, path, waveform)
    style, script = _asset("page.css"), _script(timeline)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    # the browser itself loads nothing but the recording beside the page
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "media-src 'self' file: blob:; base-uri 'none'; form-action 'none'"
    )
    name = _name(timeline)
    for part in (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">',
        f"<title>{escape(name)} – emofuse timeline</title>\n",
        f"<style>\n{style}{css_colors(timeline.emotions)}</style></head>\n<body>",
        _header(timeline, name),
        "<main>",
        _player(timeline, data),
        _controls(data),
        f'<figure id="still" class="chart" style="margin:0">{draw_chart(timeline, waveform)}</figure>\n',
        _LIVE,
        people_table(timeline),
        marks_table(timeline),
        _table(timeline),
        f"</main>\n<footer><p>{_CLOSING}</p></footer>\n",
        f'<script type="application/json" id="timeline-data">{_script_safe_json(data)}</script>\n',
        f"<script>{script}</script></body></html>\n",
    ):
        file.write(part.encode())


def _asset(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")


def _script(timeline: Timeline) -> str:
    marks = _asset("marks.js") if has_marks(timeline) else ""
    return f'"use strict";\n(() => {{\n{_asset("view.js")}{marks}{_asset("app.js")}}})();\n'


def _script_safe_json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element that it is in, whatever names it contains."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _name(timeline: Timeline) -> str:
    source = one_line(timeline.source)
    return PurePath(source.replace("\\", "/")).name or source or "recording"


# --- the data of the script


def _data(timeline: Timeline, path: Path, waveform: Peaks | None) -> dict[str, Any]:
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
        "start": first / 1000,
        "end": last / 1000,
        "emotions": [one_line(emotion) for emotion in timeline.emotions],
        "people": list(timeline.people),
        "names": [names[person] for person in timeline.people],
        "media": _media(timeline.source, path),
        "kinds": list(KINDS),
        "known": kinds,
        "kind": kinds[0] if kinds else "fused",
        "series": series,
        "reasons": list(reasons),
        "ribbons": list(_ribbons(timeline, names)),
        "peaks": None if waveform is None or not len(waveform.low) else _peaks(waveform),
        **({"marks": list(page_marks(timeline))} if has_marks(timeline) else {}),
    }


def _peaks(waveform: Peaks) -> dict[str, Any]:
    return {
        "bin_s": waveform.bin_s,
        "start_s": waveform.start_s,
        "low": _packed(waveform.low),
        "high": _packed(waveform.high),
    }


def _media(source: str, path: Path) -> str | None:
    """The address of the recording, relative to the page; None where it cannot have one."""
    if not has_address(source) or "://" in source:
        return None
    return relative_address(source, path)


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
        columns[kind] = _half_percents(np.array([blank if row is None else row for row in rows]))
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
    }


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
    span = timeline.span_ms
    numbers = {emotion: number for number, emotion in enumerate(timeline.emotions)}
    by_person = timeline.by_person(timeline.segments)
    unattributed = VOICE if timeline.people else None
    for person, segments in (by_person or {None: []}).items():
        rows = [
            [
                *part_ms(segment, span),
                -1 if segment.emotion is None else numbers[segment.emotion],
                None if segment.shown_confidence is None else round(segment.shown_confidence * 100),
                int(segment.abstained),
                *((segment.shown_emotion,) if segment.alike else ()),
                *((EXCLUDED,) if segment.excluded else ()),
            ]
            for segment in segments
        ]
        yield {"person": person, "name": unattributed if person is None else names[person], "segments": rows}


# --- the elements of the page


def _header(timeline: Timeline, name: str) -> str:
    first, last = timeline.span_ms
    n_people = len(timeline.people)
    facts = [
        f"<strong>{_length(last - first)}</strong>",
        *([f"{n_people} {'person' if n_people == 1 else 'people'}"] if n_people else []),
        f"read by <strong>{escape(one_line(timeline.recogniser))}</strong>",
        *([f"license {escape(one_line(timeline.licence))}"] if timeline.licence else []),
        "expression, not inner feeling",
    ]
    notes = "".join(f'<p class="note">{escape(one_line(note))}</p>' for note in timeline.remarks)
    purpose = ""
    if timeline.purpose is not None:
        purpose = f'<p class="facts">Purpose: <strong>{escape(one_line(timeline.purpose))}</strong></p>'
    return (
        f'<header><p class="kicker">emofuse timeline</p><h1>{escape(name)}</h1>'
        f'<p class="facts">{" · ".join(facts)}</p>{purpose}{notes}</header>\n'
    )


def _length(ms: int) -> str:
    """``40 min 5 s``: to the second, or to a tenth of a second under a minute."""
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)


def _player(timeline: Timeline, data: dict[str, Any]) -> str:
    """The recording, and the legend with the values at the cursor."""
    items = "".join(
        f'<li><button type="button" aria-pressed="false" style="--c:var(--e{number})">'
        f'<span class="key" aria-hidden="true"></span><span class="name">{escape(emotion)}</span>'
        '<span class="value">–</span><span class="bar" aria-hidden="true"><i></i></span></button></li>'
        for number, emotion in enumerate(data["emotions"])
    )
    accept = "audio/*,video/*,.mkv,.avi,.mov,.wav,.flac,.m4a"
    name = escape(_name(timeline))
    return (
        '<div class="player" id="player" hidden><div class="stage" id="stage">'
        f'<video id="media" controls playsinline preload="metadata" hidden aria-label="{name}"></video>'
        f'<div class="invite" id="invite"><p>To play it, open your copy of<br>'
        f'<strong>{name}</strong></p><label class="open">Open the recording'
        f'<input class="visually-hidden" id="file" type="file" accept="{accept}"></label>'
        '<p class="quiet">or drop it here. It stays on this computer.</p></div>'
        '<div class="again" id="again" hidden><label class="open">Another file'
        f'<input class="visually-hidden" id="file-again" type="file" accept="{accept}"></label></div>'
        '<p class="invite quiet" id="status" role="status"></p></div>'
        '<ul class="legend" id="legend" aria-label="Emotions at the cursor; press one to highlight it">'
        f"{items}</ul></div>\n"
    )


def _choice(group: str, legend: str, options: list[tuple[str, str, bool]], chosen: str) -> str:
    inputs = "".join(
        f'<label class="choice"><input type="radio" name="{group}" value="{value}"'
        f"{' checked' if value == chosen else ''}{'' if possible else ' disabled'}>"
        f"<span>{text}</span></label>"
        for value, text, possible in options
    )
    return f'<fieldset class="choices"><legend class="visually-hidden">{legend}</legend>{inputs}</fieldset>'


def _controls(data: dict[str, Any]) -> str:
    kinds = [(kind, kind, kind in data["known"]) for kind in KINDS]
    shapes = [("stacked", "stacked", True), ("lines", "lines", True)]
    names = dict(zip(data["people"], data["names"], strict=True))
    options = "".join(
        f'<option value="{number}">{escape(names.get(series["person"], "nobody in particular"))}</option>'
        for number, series in enumerate(data["series"])
    )
    alone = " hidden" if len(data["series"]) < 2 else ""
    return (
        '<div class="controls" id="controls" hidden><button type="button" id="play">▶ Play</button>'
        '<span class="clock"><span id="now"></span><small id="length"></small></span>'
        + _choice("kind", "Modality", kinds, data["kind"])
        + _choice("shape", "Chart type", shapes, "stacked")
        + f'<label class="group"{alone}>Person <select id="person">{options}</select></label>'
        '<span class="group zoom push" role="group" aria-label="Zoom">'
        '<button type="button" id="out" aria-label="Zoom out">−</button>'
        '<button type="button" id="in" aria-label="Zoom in">+</button>'
        '<button type="button" id="fit">Fit</button></span></div>\n'
    )


_LIVE: Final = (
    '<div class="chart" id="live" hidden><div id="tracks" tabindex="0" role="slider" aria-valuemin="0" '
    'aria-label="Position in the recording"><canvas id="base"></canvas><canvas id="cursor"></canvas>'
    '<div class="tip" id="tip" hidden></div></div>'
    '<canvas id="overview" aria-hidden="true"></canvas></div>\n'
    '<p class="keys" id="keys" hidden><kbd>space</kbd> play · <kbd>←</kbd> <kbd>→</kbd> 1 s, with '
    "<kbd>shift</kbd> 10 s · <kbd>[</kbd> <kbd>]</kbd> segment · <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> "
    "zoom · wheel to zoom, drag to pan, click to seek · striped: not sure, no emotion is probable enough · "
    "gray: nothing to read, no face and no voice</p>\n"
)


def _table(timeline: Timeline) -> str:
    """The segments as a table, for screen readers and for browsers without scripts."""
    names = plain_names(timeline.people)
    span = timeline.span_ms
    numbers = {emotion: number for number, emotion in enumerate(timeline.emotions)}
    n = len(timeline.segments)
    rows = []
    for segment in timeline.segments[:_MAX_ROWS]:
        start, end = part_ms(segment, span)
        key = ""
        if segment.emotion is not None:
            key = (
                f'<span class="key" aria-hidden="true" style="--c:var(--e{numbers[segment.emotion]})"></span>'
            )
        nothing = EXCLUDED if segment.excluded else "nothing to read"
        text = segment.shown_emotion or ("not sure" if segment.abstained else nothing)
        confidence = "" if segment.shown_confidence is None else f"{segment.shown_confidence * 100:.0f} %"
        rows.append(
            f'<tr><td><button type="button" data-time="{start / 1000}">{signed_clock(start)}</button></td>'
            f"<td>{signed_clock(end)}</td>"
            + (f"<td>{escape(names.get(segment.person or '', '–'))}</td>" if names else "")
            + f"<td>{key}{escape(text)}</td><td>{confidence}</td></tr>"
        )
    more = f"; the first {_MAX_ROWS} are shown" if n > _MAX_ROWS else ""
    person = '<th scope="col">Person</th>' if names else ""
    return (
        f"<details><summary>Segments as a table ({n}{more})</summary>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Segments"><table><thead><tr>'
        f'<th scope="col">Start</th><th scope="col">End</th>{person}<th scope="col">Emotion</th>'
        f'<th scope="col">Confidence</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        "</div></details>\n"
    )

"""An HTML page: emotion curves under the waveform, segments, and the recording itself.

The page is one file that makes no network requests. It holds the viewer and its data, and a still chart
and tables for browsers without scripts and for print; the recording stays where it is and is opened from
there, or chosen by the reader.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from typing import IO, Any

from emofuse.exports.how_read import how_read
from emofuse.exports.marks_table import marks_table
from emofuse.exports.media_links import has_address, relative_address
from emofuse.exports.page_texts import asset, fragment_text, texts
from emofuse.exports.people_table import people_table
from emofuse.exports.segments_table import MOST_ROWS, segment_rows, segments_table
from emofuse.exports.static_chart import draw_chart
from emofuse.exports.unused_table import unused_table
from emofuse.exports.viewer import drawn_data, emotion_style, header, recording_name, script, style
from emofuse.exports.waveform import Peaks
from emofuse.timeline.records import Timeline


def write_html(timeline: Timeline, file: IO[bytes], path: Path, waveform: Peaks | None = None) -> None:
    """Write the page: curves of voice, face and both, everyone's segments and a table of them.

    Args:
        timeline: what the page shows.
        file: the page is written to it.
        path: where the page will be, for the relative address of the recording.
        waveform: drawn above the curves, if given.
    """
    code = script() + asset("page.js")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    # the browser itself loads nothing but the recording beside the page
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "media-src 'self' file: blob:; base-uri 'none'; form-action 'none'"
    )
    rows = segment_rows(timeline)
    data = {
        "view": drawn_data(timeline, waveform),
        "media": _media(timeline.source, path),
        "texts": {"script": texts()["viewer"]["script"]},
    }
    title = fragment_text("title", name=recording_name(timeline))
    for part in (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">',
        f"<title>{escape(title)}</title>\n",
        f"<style>\n{style()}{emotion_style(timeline.emotions)}</style></head>\n<body>",
        '<main class="viewer" id="viewer">',
        f'<div data-part="header">{header(timeline)}</div>',
        f'<figure class="still chart">{draw_chart(timeline, waveform)}</figure>\n',
        f'<div data-part="people">{people_table(timeline)}</div>',
        f'<div data-part="marks">{marks_table(timeline)}</div>',
        f'<div data-part="segments">{segments_table(timeline, rows[:MOST_ROWS])}</div>',
        f'<div data-part="unused">{unused_table(timeline)}</div>',
        f'<div data-part="how">{how_read(timeline)}</div>',
        f'<template data-part="more-rows">{"".join(rows[MOST_ROWS:])}</template>',
        f"</main>\n<footer><p>{escape(fragment_text('closing'))}</p></footer>\n",
        f'<script type="application/json" id="timeline-data">{_script_safe_json(data)}</script>\n',
        f"<script>{code}</script></body></html>\n",
    ):
        file.write(part.encode())


def _script_safe_json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element that it is in, whatever names it contains."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _media(source: str, path: Path) -> str | None:
    """The address of the recording, relative to the page; None where it cannot have one."""
    if not has_address(source) or "://" in source:
        return None
    return relative_address(source, path)

"""Markers and excluded spans on the page: a table to click in, and the data of the script that draws them."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from emofuse.core.text import one_line
from emofuse.core.times import clock
from emofuse.exports.marks import EVERYBODY, MARKER, mark_rows, numbered_mark_rows
from emofuse.exports.page_texts import fragment_text
from emofuse.exports.tiers import plain_names
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.records import Timeline

_MAX_ROWS: Final = 2000
"""Browsers become slow with many more."""


def marks_table(timeline: Timeline) -> str:
    """One row per marker and excluded span; nothing where there are none.

    A row says which it is (``data-mark``: ``markers 0`` is the first of the timeline's markers,
    ``excluded 0`` that of its excluded spans), and where it ends in seconds (``data-end``, if it has
    an end); its button has the start (``data-time``).
    """
    marks = list(numbered_mark_rows(timeline))
    if not marks:
        return ""
    names = plain_names(timeline.people)
    rows = [_table_row(row, number, names) for row, number in marks[:_MAX_ROWS]]
    what, n = fragment_text("marks"), len(marks)
    title = fragment_text("counted", what=what, n=n)
    if n > _MAX_ROWS:
        title = fragment_text("counted_cut", what=what, n=n, shown=_MAX_ROWS)
    head = "".join(
        f'<th scope="col">{escape(fragment_text(key))}</th>'
        for key in ("start", "end", "kind", "person", "text")
    )
    return (
        f"<details open><summary>{escape(title)}</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(what)}">'
        f'<table class="marks"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>\n"
    )


def _table_row(row: Row, number: int, names: dict[str, str]) -> str:
    start, end = (None if row[key] is None else round(row[key] * 1000) for key in ("start_s", "end_s"))
    assert start is not None
    until = "" if end is None else f' data-end="{end / 1000}"'
    kind, whose = ("markers", "") if row["kind"] == MARKER else ("excluded", _whose(row, names))
    return (
        f'<tr data-mark="{kind} {number}"{until}>'
        f'<td><button type="button" data-time="{start / 1000}">{signed_clock(start)}</button></td>'
        f"<td>{'' if end is None else signed_clock(end)}</td><td>{row['kind']}</td>"
        f"<td>{escape(whose)}</td><td>{escape(one_line(row['text']))}</td></tr>"
    )


def page_marks(timeline: Timeline) -> Iterator[list[Any]]:
    """For the script: start and end in milliseconds, kind, whose, text; end None for one time."""
    names = plain_names(timeline.people)
    for row in mark_rows(timeline):
        end = None if row["end_s"] is None else round(row["end_s"] * 1000)
        yield [round(row["start_s"] * 1000), end, row["kind"], _whose(row, names), one_line(row["text"])]


def _whose(row: Row, names: dict[str, str]) -> str:
    return EVERYBODY if row["person"] is None else names[row["person"]]


def signed_clock(ms: int) -> str:
    """``00:00:12.345``, with a minus sign before zero."""
    return f"−{clock(-ms)}" if ms < 0 else clock(ms)

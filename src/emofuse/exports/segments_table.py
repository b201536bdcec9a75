"""The table of segments on the page: rows to click in, also for screen readers and without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from emofuse.exports.marks_table import signed_clock
from emofuse.exports.page_texts import fragment_text
from emofuse.exports.tiers import EXCLUDED, VOICE, plain_names
from emofuse.timeline.records import Segment, Timeline, part_ms

MOST_ROWS: Final = 2000
"""Rows in a table that no script divides; browsers become slow with many more."""


def segment_rows(timeline: Timeline) -> list[str]:
    """One row per segment, in the timeline's order.

    A row has its place in the timeline (``data-index``), the person's name (``data-person``) and its end in
    seconds (``data-end``), its button the start (``data-time``).
    """
    names = plain_names(timeline.people)
    numbers = {emotion: number for number, emotion in enumerate(timeline.emotions)}
    rows = []
    for index, segment in enumerate(timeline.segments):
        start, end = part_ms(segment, timeline.span_ms)
        key = ""
        if segment.emotion is not None:
            key = f'<span class="key e{numbers[segment.emotion]}" aria-hidden="true"></span>'
        name = escape(names.get(segment.person or "", VOICE))
        whose = "" if segment.person is None else f' data-person="{name}"'
        rows.append(
            f'<tr data-index="{index}"{whose} data-end="{end / 1000}">'
            f'<td><button type="button" data-time="{start / 1000}">{signed_clock(start)}</button></td>'
            f"<td>{signed_clock(end)}</td>"
            + (f"<td>{name}</td>" if names else "")
            + f"<td>{key}{escape(_result(segment))}</td><td>{_confidence(segment)}</td></tr>"
        )
    return rows


def segments_table(timeline: Timeline, rows: Sequence[str]) -> str:
    """The table with some of its rows, as :func:`segment_rows` makes them."""
    n = len(timeline.segments)
    what = fragment_text("segments_as_table")
    title = escape(fragment_text("counted", what=what, n=n))
    if 0 < len(rows) < n:
        title += f'<span class="cut">{escape(fragment_text("cut", shown=len(rows)))}</span>'
    columns = ["start", "end", *(["person"] if timeline.people else []), "emotion", "confidence"]
    heads = "".join(f'<th scope="col">{escape(fragment_text(column))}</th>' for column in columns)
    # scripts fill the table: without emotions it is there, and not shown
    hidden = "" if timeline.emotions or n else " hidden"
    return (
        f"<details{hidden}><summary>{title}</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(fragment_text("segments"))}">'
        f'<table class="segments"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        "</div></details>\n"
    )


def _result(segment: Segment) -> str:
    if segment.shown_emotion is not None:
        return segment.shown_emotion
    if segment.abstained:
        return fragment_text("not_sure")
    return EXCLUDED if segment.excluded else fragment_text("nothing_to_read")


def _confidence(segment: Segment) -> str:
    return "" if segment.shown_confidence is None else f"{segment.shown_confidence * 100:.0f} %"

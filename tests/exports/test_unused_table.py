"""What was not used, and why."""

from __future__ import annotations

from html.parser import HTMLParser

from emofuse.exports.unused_table import unused_table
from emofuse.timeline.marks import ExcludedSpan
from emofuse.timeline.records import Segment
from tests.support.timelines import timeline, window


class Cells(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        if self.rows and data.strip():
            self.rows[-1].append(data)


def test_reasons_are_counted_for_everybody() -> None:
    windows = [
        window(0, 3, person="<Anna>", reasons=("voice:silent", "face:none_seen")),
        window(1, 4, person="<Anna>", reasons=("voice:silent",)),
        window(1, 4, person="Ben"),
    ]
    found = unused_table(timeline(people=("<Anna>", "Ben"), windows=tuple(windows)))
    assert Cells(found).rows[1:] == [
        ["<Anna>", "voice", "silence", "2 of 2 windows"],
        ["<Anna>", "face", "no face in view", "1 of 2 windows"],
    ]


def test_excluded_time_is_told() -> None:
    segments = (Segment(2, 5, None, person="Ben", excluded=True),)
    spans = (ExcludedSpan(2, 5, "a phone"),)
    found = unused_table(
        timeline(people=("Ben",), windows=(window(6, 9, person="Ben"),), segments=segments, excluded=spans)
    )
    assert Cells(found).rows[1:] == [["Ben", "both", "excluded", "0:03.0"]]


def test_nothing_is_shown_where_everything_was_used() -> None:
    assert unused_table(timeline(people=("Ben",), windows=(window(0, 3, person="Ben"),))) == ""

"""TextGrids: of our own export, of two other writers, and as Praat writes them."""

from __future__ import annotations

from pathlib import Path

import pympi
import pytest
import textgrid

from emofuse.coding.spans import CodedSpan
from emofuse.coding.textgrid_files import read_textgrid
from emofuse.core.times import milliseconds
from emofuse.exports.praat import write_textgrid as write_ours
from emofuse.exports.tiers import complete_tiers, label
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Timeline
from tests.exports.conftest import any_timeline  # noqa: F401
from tests.support import timelines
from tests.support.annotation_files import write_textgrid

SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
3
<exists>
2
"IntervalTier"
"emotion ""of"" Ann\u00e4"
0
3
3
0
1
""
1
2.5
"happy"
2.5
3
"say ""no"" ! [3]"
"TextTier"
"marks"
0
3
1
1.5
"here"
"""


def found(spans: tuple[CodedSpan, ...]) -> list[tuple[str, int, int, str]]:
    return [(one.tier, milliseconds(one.start_s), milliseconds(one.end_s), one.label) for one in spans]


def test_our_export_is_read_back_without_loss(any_timeline: Timeline, tmp_path: Path) -> None:  # noqa: F811
    read = read_textgrid(write_timeline(any_timeline, tmp_path / "a.TextGrid"))
    for tier in complete_tiers(any_timeline):
        wanted = [
            (tier.name("emotion"), one.start_ms, one.end_ms, label(one.segment))
            for one in tier.intervals
            if one.segment is not None
        ]
        assert [one for one in found(read.spans) if one[0] == tier.name("emotion")] == wanted


def test_two_other_readers_agree(any_timeline: Timeline, tmp_path: Path) -> None:  # noqa: F811
    path = write_timeline(any_timeline, tmp_path / "a.TextGrid")
    spans = [(s.tier, s.start_s, s.end_s, s.label) for s in read_textgrid(path).spans]
    other = textgrid.TextGrid.fromFile(str(path))
    assert spans == [
        (tier.name.replace('""', '"'), float(i.minTime), float(i.maxTime), i.mark.strip())
        for tier in other for i in tier if i.mark.strip()
    ]  # fmt: skip
    third = pympi.TextGrid(str(path))
    assert spans == [(t.name, a, b, x.strip()) for t in third.tiers for a, b, x in t.intervals if x.strip()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_short_files_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    mark = "" if encoding in {"utf-8", "utf-8-sig", "utf-16"} else "\ufeff"
    (tmp_path / "a.TextGrid").write_bytes((mark + SHORT).encode(encoding))
    read = read_textgrid(tmp_path / "a.TextGrid")
    tier = 'emotion "of" Annä'
    assert found(read.spans) == [(tier, 1000, 2500, "happy"), (tier, 2500, 3000, 'say "no" ! [3]')]
    assert read.notes == ("1 points have no length, and are left out",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_long_files_in_both_encodings(encoding: str, tmp_path: Path) -> None:
    tiers = {"Anna": [(0.25, 1.0, "happy"), (1.0, 2.0, "sad")], "Bert": [(0.0, 2.0, "neutral")]}
    path = write_textgrid(tmp_path / "a.TextGrid", tiers, 2.0)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert found(read_textgrid(path).spans) == [
        (name, round(1000 * a), round(1000 * b), text)
        for name, own in tiers.items() for a, b, text in own
    ]  # fmt: skip


def test_the_short_file_of_another_writer(tmp_path: Path) -> None:
    grid = pympi.TextGrid(xmax=3.0)
    tier = grid.add_tier("Anna")
    tier.add_interval(0.5, 1.5, 'h"a')
    grid.to_file(str(tmp_path / "a.TextGrid"), mode="short")
    assert found(read_textgrid(tmp_path / "a.TextGrid").spans) == [("Anna", 500, 1500, 'h"a')]


def test_a_file_without_tiers(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text('"ooTextFile" "TextGrid" 0 1 <absent>')
    assert read_textgrid(tmp_path / "a.TextGrid").spans == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends where the kind of file should be"),
        (b'"ooTextFile" "Sound 1"', "not a TextGrid"),
        (b"ooBinaryFile\x08TextGrid", "binary TextGrid"),
        (b'"ooTextFile" "TextGrid" 0 1 <exists> -1', "not a number of tiers"),
        (b'"ooTextFile" "TextGrid" 0 1 <exists> 1e9', "not a number of tiers"),
        (b'"ooTextFile" "TextGrid" 0 1 <exists> 1 "Pitch" "a" 0 1 0', "neither an IntervalTier"),
        (SHORT.encode().replace(b"2.5\n3\n", b"3\n2.5\n"), "ends at 2.5 s, not after 3 s"),
        (SHORT.encode()[:150], "ends where"),
        (SHORT.encode("latin-1"), "not text in UTF-8 or UTF-16"),
        (SHORT.encode().replace(b"2.5", b"nan"), "should be, a number"),
    ],
)
def test_damaged_files_say_why(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_textgrid(tmp_path / "a.TextGrid")


def test_names_that_break_formats(tmp_path: Path) -> None:
    timeline = timelines.timeline(people=('Zoë "Z" <&>', "שלום"))
    path = tmp_path / "a.TextGrid"
    with path.open("wb") as file:
        write_ours(timeline, file)
    assert read_textgrid(path).spans == ()  # nothing was read: all intervals are empty

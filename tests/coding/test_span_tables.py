"""Tables of spans: our own, those of BORIS and of audformat, and plain ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from emofuse.coding.span_tables import read_span_table
from emofuse.coding.spans import CodedSpan
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment
from tests.support import timelines

# the header of BORIS 8, Observations > Export aggregated events, and > Export events
COLUMNS = """Observation id,Observation date,Description,Observation duration,Observation type,Source,\
Time offset (s),Media duration (s),FPS,Subject,Observation duration by subject by observation,Behavior,\
Behavioral category,Modifier #1,Behavior type,Start (s),Stop (s),Duration (s),Media file name,\
Image index start,Image index stop,Image file path start,Image file path stop,Comment start,Comment stop"""


def boris_row(subject: str, behavior: str, start: str, stop: str) -> str:
    known = {
        "Subject": subject, "Behavior": behavior, "Behavior type": "STATE", "Start (s)": start,
        "Stop (s)": stop, "Media file name": "/films/talk.mp4", "Source": "player #1:/films/talk.mp4",
    }  # fmt: skip
    return "\t".join(known.get(name, "NA") for name in COLUMNS.split(","))


AGGREGATED = "\n".join(
    [COLUMNS.replace(",", "\t"), boris_row("Anna", "happy", "1.500", "4.000"),
     boris_row("No focal subject", "sad", "4.000", "9.000"), ""]
)  # fmt: skip
EVENTS = """Observation id,Subject,Behavior,Behavioral category,Behavior type,Time,Media file name,Comment
talk,Anna,happy,,START,1.5,talk.mp4,
talk,Bert,happy,,START,2,talk.mp4,
talk,Anna,blink,,POINT,2.5,talk.mp4,
talk,Anna,happy,,STOP,4,talk.mp4,
talk,Bert,happy,,STOP,5,talk.mp4,
talk,Bert,sad,,START,6,talk.mp4,
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_plain_table(separator: str, tmp_path: Path) -> None:
    text = "Start,END,Label,Rater,Person\n0,1.5,happy,eva,Anna\n1:00,1:02.5,sad,,\n5,6,,eva,Anna\n"
    found = read_span_table(written(tmp_path / "a.csv", text.replace(",", separator)))
    assert found.spans == (
        CodedSpan("Label", 0.0, 1.5, "happy", "Anna", "eva"),
        CodedSpan("Label", 60.0, 62.5, "sad"),
    )


def test_a_length_in_place_of_an_end(tmp_path: Path) -> None:
    text = "onset,duration,value,tier\n1,0.5,happy,mood\n"
    assert read_span_table(written(tmp_path / "a.tsv", text.replace(",", "\t"))).spans == (
        CodedSpan("mood", 1.0, 1.5, "happy"),
    )


def test_our_own_segments(tmp_path: Path) -> None:
    segments = (Segment(0, 2, "happy", 0.5, person="=Anna"), Segment(2, 3, None, person="=Anna"))
    timeline = timelines.timeline(people=("=Anna",), segments=segments)
    found = read_span_table(write_timeline(timeline, tmp_path / "a.csv"))
    assert found.spans == (CodedSpan("emotion", 0.0, 2.0, "happy", "=Anna"),)


def test_aggregated_events_of_boris(tmp_path: Path) -> None:
    for name, text in (("a.tsv", AGGREGATED), ("a.csv", AGGREGATED.replace("\t", ","))):
        assert read_span_table(written(tmp_path / name, text)).spans == (
            CodedSpan("Behavior", 1.5, 4.0, "happy", "Anna", None, "talk.mp4"),
            CodedSpan("Behavior", 4.0, 9.0, "sad", None, None, "talk.mp4"),
        )


def test_events_of_boris_are_paired(tmp_path: Path) -> None:
    found = read_span_table(written(tmp_path / "a.csv", EVENTS))
    assert found.spans == (
        CodedSpan("Behavior", 1.5, 4.0, "happy", "Anna", None, "talk.mp4"),
        CodedSpan("Behavior", 2.0, 5.0, "happy", "Bert", None, "talk.mp4"),
    )
    assert found.notes == (
        "1 point events have no length, and are left out",
        "1 states never stop, and are left out",
    )
    with pytest.raises(ValueError, match="line 2: 'STOP' of 'happy' where another kind was due"):
        read_span_table(written(tmp_path / "b.csv", EVENTS.replace("START,1.5", "STOP,1.5")))


def test_segments_of_audformat(tmp_path: Path) -> None:
    """As audformat writes them: an index of file, start and end, and a column for each rater."""
    index = pd.MultiIndex.from_arrays(
        [
            ["audio/a.wav", "audio/b.wav"], pd.to_timedelta([0.5, 61.0], "s"),
            pd.to_timedelta([2.0, 90000.25], "s"),
        ],
        names=["file", "start", "end"],
    )  # fmt: skip
    table = pd.DataFrame({"eva": ["happy", "sad"], "tim": ["happy", None]}, index=index)
    table.to_csv(tmp_path / "db.csv")
    table.reset_index().to_parquet(tmp_path / "db.parquet")
    for name in ("db.csv", "db.parquet"):
        assert read_span_table(tmp_path / name).spans == (
            CodedSpan("eva", 0.5, 2.0, "happy", None, "eva", "a.wav"),
            CodedSpan("tim", 0.5, 2.0, "happy", None, "tim", "a.wav"),
            CodedSpan("eva", 61.0, 90000.25, "sad", None, "eva", "b.wav"),
        )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no columns for a start and an end"),
        ("a,b\n1,2\n", "no columns for a start and an end .* found a, b"),
        ("start,end\n1,2\n", "no columns for a label"),
        ("start,end,label\n2,1,happy\nx,2,sad\n", "line 2: an invalid span: 2.0 to 1.0 s; line 3: start 'x'"),
        ("start,end,label\n1,,happy\n", "line 2: it has no end"),
        ("start,end,label\n1,inf,happy\n", "line 2: end is 'inf'"),
        ("start,end,label\n" + "2,1,a\n" * 20, "and 15 more"),
    ],
)  # fmt: skip
def test_invalid_tables_say_why(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        read_span_table(written(tmp_path / "a.csv", text))


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as a Parquet table"):
        read_span_table(written(tmp_path / "a.parquet", "start,end,label\n"))

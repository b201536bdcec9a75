"""Purpose, markers and excluded spans in every format, and in none where there are none."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pyarrow.parquet as pq
import pympi
import pytest
import textgrid
import webvtt

from emofuse.core.csv_tables import csv_cell
from emofuse.core.text import one_line
from emofuse.core.times import milliseconds
from emofuse.exports.json_schema import timeline_schema
from emofuse.exports.marks import mark_lines, mark_rows, mark_tiers
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.timeline.marks import ExcludedSpan, Marker
from emofuse.timeline.records import Segment, Timeline
from tests.support import timelines

SEEDS = (0, 3, 4, 7, 11)
WITHOUT_MARKS = {
    "windows-csv": (
        "38588963b17fc689",
        "b57002a4bd4d6461",
        "ebfa63db2df3d036",
        "bd148ee944dd3b61",
        "739bfc7b3fab29cf",
    ),
    "summary-csv": (
        "9a3eaafec3dc35ab",
        "b840dc6329f7ab4f",
        "57a85d856ce910b6",
        "b466db72338970fa",
        "9b72177ffa4393ab",
    ),
    "frames-csv": (
        "77e442848a7651d6",
        "20d29adf37003a21",
        "7510d6bbf43ab4b5",
        "b2bb91d664b3d634",
        "269f3094a896c701",
    ),
    "csv": (
        "f9c55292611b07ba",
        "b266a76b0654f851",
        "2386474dd1953d79",
        "8a196a2c704e8357",
        "c47b2d5c7c8c1aec",
    ),
    "json": (
        "1cdffea79c992ea7",
        "bb8d8def265f7783",
        "e27db12cfb054280",
        "bd34e8941992478d",
        "4ad021646a6074d1",
    ),
    "vtt": (
        "377ecca4386deecd",
        "8df9bf2697e31d49",
        "9d62b134fd0109b3",
        "715030728cd84e04",
        "77ea208d6bfaf2f7",
    ),
    "eaf": (
        "cdb1ebba54e33f90",
        "b31dc6d161f2a70d",
        "a630e6534eaff007",
        "1dba26e7412bbada",
        "6ea8981a26a42907",
    ),
    "textgrid": (
        "15d3da16a29961ad",
        "9c03fae8626dbe8d",
        "806595eee3c33dd9",
        "721a877d62bd98cb",
        "84013a96b34653d6",
    ),
    "svg": (
        "fe179be62d71d7b7",
        "baa28190e7ea22e6",
        "70ea495ad33ca195",
        "f5e66538f1a5dde8",
        "3c0f7d9a23de3f80",
    ),
}
"""The first digits of the SHA-256 of exports of ``random_timeline`` for each of SEEDS, from before there were
marks: without ELAN's date. Pages have changed as a whole."""
_CHANGING = re.compile(rb"""DATE="[^"]+\"""")


def study() -> Timeline:
    """Two people; from 4 to 6 s nothing counts, and Bert does not from 5 to 8 s."""
    segments = (
        Segment(0, 4, "happy", 0.9, person="Anna"),
        Segment(0, 4, None, 0.2, abstained=True, person="Bert"),
        Segment(4, 6, None, person="Anna", excluded=True),
        Segment(4, 8, None, person="Bert", excluded=True),
        Segment(6, 10, "sad", 0.8, person="Anna"),
        Segment(8, 10, None, person="Bert"),
    )
    return timelines.timeline(
        people=("Anna", "Bert"), segments=segments, purpose="a study of <interviews>",
        windows=tuple(timelines.window(i, i + 1.0, person="Anna") for i in (0, 1, 2, 3, 6, 7, 8, 9)),
        excluded=(ExcludedSpan(4.0, 6.0, "a phone & a door"), ExcludedSpan(5.0, 8.0, "not Bert", "Bert")),
        markers=(Marker(1.0, "question 1"), Marker(1.0, "=two\nlines"), Marker(0.5, "answer", 3.0)),
    )  # fmt: skip


@pytest.mark.parametrize("kind", WITHOUT_MARKS)
def test_exports_without_marks_are_as_they_were(kind: str, tmp_path: Path) -> None:
    found = []
    for seed in SEEDS:
        data = write_timeline(timelines.random_timeline(seed), tmp_path / f"a{FORMATS[kind]}").read_bytes()
        found.append(hashlib.sha256(_CHANGING.sub(b"", data)).hexdigest()[:16])
    assert tuple(found) == WITHOUT_MARKS[kind]


def test_nothing_speaks_of_marks_where_there_are_none(tmp_path: Path) -> None:
    plain = timelines.random_timeline(0)
    assert (list(mark_rows(plain)), list(mark_lines(plain)), list(mark_tiers(plain))) == ([], [], [])
    page = write_timeline(plain, tmp_path / "a.html").read_text(encoding="utf-8")
    assert '<table class="marks">' not in page and "Purpose: <strong>" not in page and '"marks":[]' in page
    table = pq.read_metadata(write_timeline(plain, tmp_path / "a.parquet")).metadata
    assert not {b"emofuse.purpose", b"emofuse.marks"} & set(table)
    document = json.loads(write_timeline(plain, tmp_path / "a.json").read_text(encoding="utf-8"))
    assert document["schema_version"] == 3 and not {"purpose", "markers", "excluded"} & set(document)


@pytest.mark.parametrize("kind", sorted(FORMATS.keys() - {"label-config"}))  # that has no results
def test_every_format_says_the_purpose(kind: str, tmp_path: Path) -> None:
    path = write_timeline(study(), tmp_path / f"a{FORMATS[kind]}")
    if kind == "png":  # its letters are pixels: there is a line more than without
        import cv2

        other = timelines.timeline(people=("Anna", "Bert"), segments=study().segments)
        heights = [
            cv2.imread(str(one)).shape[0]  # type: ignore[union-attr]
            for one in (path, write_timeline(other, tmp_path / "b.png"))
        ]
        assert heights[0] > heights[1]
        return
    data = path.read_bytes()
    if kind == "bids-events":  # what is said of all rows is in the sidecar
        data += path.with_name("a_events.json").read_bytes()
    said = [b"a study of <interviews>", b"a study of &lt;interviews&gt;"]
    assert kind == "frames-csv" or any(text in data for text in said)
    if kind == "frames-csv":  # nobody has a face here, so that there is no row
        assert data.splitlines()[0].endswith(b",purpose")


# --- tables


def test_tables(tmp_path: Path) -> None:
    frames = {
        kind: pd.read_csv(write_timeline(study(), tmp_path / f"a{FORMATS[kind]}"), keep_default_na=False)
        for kind in ("csv", "windows-csv", "summary-csv", "markers-csv")
    }
    assert all(set(frame["purpose"]) == {"a study of <interviews>"} for frame in frames.values())
    segments = frames["csv"]
    assert segments["status"].tolist() == [
        "read", "abstained", "excluded", "excluded", "read", "nothing_to_read"
    ]  # fmt: skip
    assert segments["excluded_reason"].tolist() == [
        "", "", "a phone & a door", "a phone & a door; not Bert", "", ""
    ]  # fmt: skip
    summary = frames["summary-csv"].set_index("person")
    assert summary["excluded_s"].to_dict() == {"Anna": 2.0, "Bert": 4.0}
    assert summary["read_s"].to_dict() == {"Anna": 8.0, "Bert": 4.0}
    marks = frames["markers-csv"].drop(columns="purpose")
    assert marks.columns.tolist() == ["kind", "start_s", "end_s", "person", "text"]
    assert marks.to_numpy().tolist() == [
        ["marker", 0.5, "3.000", "", "answer"],
        ["marker", 1.0, "", "", csv_cell("=two\nlines")],
        ["marker", 1.0, "", "", "question 1"],
        ["excluded", 4.0, "6.000", "", "a phone & a door"],
        ["excluded", 5.0, "8.000", "Bert", "not Bert"],
    ]


def test_parquet_holds_them_as_metadata(tmp_path: Path) -> None:
    metadata = pq.read_metadata(write_timeline(study(), tmp_path / "a.parquet")).metadata
    assert metadata[b"emofuse.purpose"] == b"a study of <interviews>"
    assert json.loads(metadata[b"emofuse.marks"]) == list(mark_rows(study()))


def test_json(tmp_path: Path) -> None:
    document = json.loads(write_timeline(study(), tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (document["schema"], document["schema_version"]) == ("urn:emofuse:timeline:4", 4)
    assert document["purpose"] == "a study of <interviews>"
    assert document["markers"][0] == {"start_s": 0.5, "end_s": 3.0, "text": "answer"}
    assert document["markers"][2] == {"start_s": 1.0, "end_s": None, "text": "question 1"}
    assert document["excluded"] == [
        {"start_s": 4.0, "end_s": 6.0, "person": None, "reason": "a phone & a door"},
        {"start_s": 5.0, "end_s": 8.0, "person": "Bert", "reason": "not Bert"},
    ]
    assert [one.get("excluded") for one in document["segments"]] == [None, None, True, True, None, None]


@pytest.mark.parametrize("seed", range(15))
def test_json_conforms_to_the_schema(seed: int, tmp_path: Path) -> None:
    path = write_timeline(timelines.marked_timeline(seed), tmp_path / "a.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(timeline_schema())
    validator.validate(document)
    # a document says by its version what may be in it
    for change in ({"schema_version": 3}, {"schema": "urn:emofuse:timeline:3"}, {"markers": None},
                   {"schema_version": 3, "schema": "urn:emofuse:timeline:3"}):  # fmt: skip
        assert not validator.is_valid(document | change)
    for missing in ("purpose", "markers", "excluded"):
        assert not validator.is_valid({key: value for key, value in document.items() if key != missing})


# --- tiers and cues


def expected(timeline: Timeline, name: str | None) -> list[tuple[int, int, str]]:
    """Markers (None), or the excluded spans of somebody ("": everybody), in milliseconds from zero."""
    last = max(timeline.span_ms[1], 0)
    found = []
    marks: list[Any] = [*timeline.markers] if name is None else [
        one for one in timeline.excluded if (one.person or "") == name
    ]  # fmt: skip
    for mark in marks:
        end_s = mark.start_s if mark.end_s is None else mark.end_s
        start, end = (min(max(milliseconds(time), 0), last) for time in (mark.start_s, end_s))
        if end_s < 0 or (mark.end_s is not None and end_s <= 0 and name is not None):
            continue
        if start == end:
            start, end = (start, start + 1) if start < last else (max(start - 1, 0), max(start, 1))
        found.append((start, end, one_line(mark.text if name is None else mark.reason)))
    return sorted(found)


@pytest.mark.parametrize("seed", range(15))
def test_elan_and_praat_have_tiers_of_them(seed: int, tmp_path: Path) -> None:
    timeline = timelines.marked_timeline(seed)
    eaf = pympi.Eaf(str(write_timeline(timeline, tmp_path / "a.eaf")))
    grid = textgrid.TextGrid.fromFile(str(write_timeline(timeline, tmp_path / "a.TextGrid")))
    other = pympi.TextGrid(str(tmp_path / "a.TextGrid"))
    tiers = {
        tier.name.replace('""', '"'): tier for tier in grid
    }  # this reader leaves quotes doubled in names
    assert list(tiers) == [tier.name for tier in other.tiers]
    properties = dict(eaf.properties)
    assert properties["purpose"] == one_line(timeline.purpose or "")
    assert [one.mark for one in tiers["purpose"]] == [one_line(timeline.purpose or "")]
    names = [name for name in eaf.tiers if name.startswith(("marker", "excluded"))]
    assert names == [name for name in tiers if name.startswith(("marker", "excluded"))]
    for start in ("marker", "excluded"):
        in_eaf: list[tuple[int, int, str]] = []
        in_grid: list[tuple[int, int, str]] = []
        for name in (one for one in names if one.startswith(start)):
            tier = sorted(eaf.get_annotation_data_for_tier(name))
            assert all(one[1] <= two[0] for one, two in pairwise(tier))
            in_eaf += tier
            in_grid += [
                (round(i.minTime * 1000), round(i.maxTime * 1000), i.mark) for i in tiers[name] if i.mark
            ]
        who = [None] if start == "marker" else ["", *timeline.people]
        wanted = sorted(one for name in who for one in expected(timeline, name))
        assert sorted(in_eaf) == wanted == sorted(in_grid)
    excluded = [segment for segment in timeline.segments if segment.excluded]
    shown = [one[2] for name in eaf.tiers if name.startswith("emotion")
             for one in eaf.get_annotation_data_for_tier(name)]  # fmt: skip
    assert shown.count("excluded") >= sum(one.duration_s > 0.002 and one.start_s > 0 for one in excluded)


def test_a_marker_at_the_end_and_before_zero(tmp_path: Path) -> None:
    marks = {"markers": (Marker(-1.0, "before"), Marker(0.0, "zero"), Marker(2.0, "end"))}
    timeline = timelines.timeline(start_s=-2.0, duration_s=4.0, **marks)
    ((name, lane),) = mark_tiers(timeline)
    assert (name, lane) == ("marker", ((0, 1, "zero"), (1999, 2000, "end")))
    assert next(mark_lines(timeline)) == "marker -00:00:01.000: before"
    textgrid.TextGrid.fromFile(str(write_timeline(timeline, tmp_path / "a.TextGrid")))


def test_webvtt_notes_them_and_shows_what_is_excluded(tmp_path: Path) -> None:
    path = write_timeline(study(), tmp_path / "a.vtt")
    text = path.read_text(encoding="utf-8")
    notes = [line for line in text.splitlines() if line.startswith("NOTE")]
    assert notes[1:] == [
        "NOTE Purpose: a study of &lt;interviews&gt;",
        "NOTE marker 00:00:00.500 to 00:00:03.000: answer",
        "NOTE marker 00:00:01.000: =two lines",
        "NOTE marker 00:00:01.000: question 1",
        "NOTE excluded 00:00:04.000 to 00:00:06.000, everybody: a phone &amp; a door",
        "NOTE excluded 00:00:05.000 to 00:00:08.000, Bert: not Bert",
    ]
    captions = [caption.text for caption in webvtt.read(str(path)).captions]
    assert captions[2:4] == ["Anna: excluded", "Bert: excluded"]
    for seed in range(10):
        marked = timelines.marked_timeline(seed)
        both = [
            webvtt.read(str(write_timeline(one, tmp_path / "b.vtt"))).captions
            for one in (marked, timelines.random_timeline(seed))
        ]
        assert len(both[0]) == len(both[1])

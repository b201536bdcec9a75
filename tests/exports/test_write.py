"""Every file is read back by an independent program."""

from __future__ import annotations

import csv
import html
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pympi
import pytest
import textgrid
import webvtt

from emofuse.core.csv_tables import csv_cell
from emofuse.core.errors import EmofuseError, ExportError, MissingExtraError
from emofuse.exports.json_schema import timeline_schema
from emofuse.exports.overlay_drawing import Drawing
from emofuse.exports.tables import (
    face_rows,
    frame_rows,
    segment_rows,
    summary_rows,
    window_rows,
    windows_csv_of,
    write_windows_csv,
)
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.features.own_baseline import OwnBaseline, Reading
from emofuse.timeline.person_baseline import Leading, PersonBaseline
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window
from tests.support import timelines
from tests.support.typed import not_none


def ms(seconds: float) -> int:
    """The oracle: the exact value of the float in decimal, rounded once."""
    return int((Decimal(seconds) * 1000).quantize(Decimal(1), ROUND_HALF_EVEN))


def end_ms(timeline: Timeline) -> int:
    exact = (Decimal(timeline.start_s) + Decimal(timeline.duration_s)) * 1000
    return int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


def times(timeline: Timeline, part: Any, first: int) -> tuple[int, int]:
    start, end = (min(max(ms(t), first), max(end_ms(timeline), first)) for t in (part.start_s, part.end_s))
    return start, end


def expected(timeline: Timeline, person: str | None) -> list[tuple[int, int, str]]:
    """The intervals of a person in annotation files, without gaps."""
    found = []
    for segment in timeline.segments:
        start, end = times(timeline, segment, 0)
        if segment.person == person and start < end:
            found.append((start, end, segment.emotion or ("abstained" if segment.abstained else "—")))
    return found


def tier_owners(timeline: Timeline) -> list[str | None]:
    """Who has a tier, in the order of the tiers."""
    nobody = any(s.person is None for s in timeline.segments) or not timeline.people
    return [*timeline.people, *([None] if nobody else [])]


def assert_complete(found: list[tuple[int, int, str]], last_ms: int) -> None:
    edges = [0, *(end for _, end, _ in found)]
    assert [start for start, _, _ in found] == edges[:-1]
    assert edges[-1] == last_ms
    assert all(start < end for start, end, _ in found)


def milliseconds_read(seconds: float) -> int:
    assert abs(seconds * 1000 - round(seconds * 1000)) < 1e-4
    return round(seconds * 1000)


# --- Praat


def test_textgrid_is_read_by_two_readers(any_timeline: Timeline, tmp_path: Path) -> None:
    path = write_timeline(any_timeline, tmp_path / "a.TextGrid")
    read = textgrid.TextGrid.fromFile(str(path))
    other = pympi.TextGrid(str(path))
    last = max(end_ms(any_timeline), 1)
    assert (read.minTime, milliseconds_read(read.maxTime)) == (0, last)
    assert (other.xmin, milliseconds_read(other.xmax)) == (0, last)
    own = [one for one in any_timeline.baselines.values() if one.leading == "own"]
    wanted = 2 * len(tier_owners(any_timeline)) + (1 if own else 0)
    assert len({tier.name for tier in other.tiers}) == len(other.tiers) == wanted
    for n, person in enumerate(tier_owners(any_timeline)):
        tiers = [
            [(milliseconds_read(i.minTime), milliseconds_read(i.maxTime), i.mark) for i in read[2 * n]],
            [
                (milliseconds_read(a), milliseconds_read(b), text)
                for a, b, text in other.tiers[2 * n].intervals
            ],
        ]
        for tier in tiers:
            assert_complete(tier, last)
            assert [i for i in tier if i[2]] == expected(any_timeline, person)
        confidences = [i.mark for i in read[2 * n + 1]]
        assert len(confidences) == len(tiers[0])
        known = [s for s in any_timeline.segments if s.person == person and s.confidence is not None]
        assert [c for c in confidences if c] == [
            f"{s.confidence:.3f}" for s in known if np.diff(times(any_timeline, s, 0)) > 0
        ]


def test_textgrid_keeps_names(tmp_path: Path) -> None:
    people = ('Zoë "Z" <&>', "a\nb", "a b", "שלום")
    path = write_timeline(timelines.timeline(people=people), tmp_path / "a.TextGrid")
    names = [tier.name for tier in pympi.TextGrid(str(path)).tiers if tier.name.startswith("emotion")]
    assert names == ['emotion@Zoë "Z" <&>', "emotion@a b", "emotion@a b (2)", "emotion@שלום"]


# --- ELAN


def test_eaf_is_read_by_pympi(any_timeline: Timeline, tmp_path: Path) -> None:
    path = write_timeline(any_timeline, tmp_path / "a.eaf")
    read = pympi.Eaf(str(path))
    people = tier_owners(any_timeline)
    assert len(read.tiers) == 2 * len(people)
    slots = list(read.timeslots.values())
    assert slots == sorted(slots)
    assert len(set(read.annotations)) == len(read.annotations)
    for name, person in zip(list(read.tiers)[::2], people, strict=True):
        _, _, attributes, _ = read.tiers[name]
        assert ("PARTICIPANT" in attributes) == (person is not None)
        found = sorted(read.get_annotation_data_for_tier(name))
        assert_complete(found, max(end_ms(any_timeline), 0))
        labeled = [i for i in found if i[2] != "—"]
        assert labeled == [i for i in expected(any_timeline, person) if i[2] != "—"]
        child = name.replace("emotion", "confidence", 1)
        assert read.tiers[child][2]["PARENT_REF"] == name
        if read.tiers[child][1]:
            confidences = [(a, b, c) for a, b, c, *_ in read.get_ref_annotation_data_for_tier(child)]
            assert confidences == [
                (*times(any_timeline, s, 0), f"{s.confidence:.3f}")
                for s in any_timeline.segments
                if s.person == person and s.confidence is not None and np.diff(times(any_timeline, s, 0)) > 0
            ]


def test_eaf_names_and_references_hold(tmp_path: Path) -> None:
    segments = tuple(Segment(1.0, 2.0, "happy", 1.0, person=name) for name in timelines.HOSTILE)
    path = write_timeline(timelines.timeline(people=timelines.HOSTILE, segments=segments), tmp_path / "a.eaf")
    root = ET.parse(path).getroot()
    order = ["LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT",
             "CONTROLLED_VOCABULARY"]  # fmt: skip
    positions = [order.index(element.tag) for element in root]
    assert positions == sorted(positions) and set(positions) == set(range(len(order)))
    participants = [tier.get("PARTICIPANT") for tier in root.iter("TIER")][::2]
    assert participants[0] == '<&">'
    assert participants[2:4] == ["Anna Berta", "Anna Berta (2)"]
    assert participants[5] == timelines.HOSTILE[5]
    assert len(set(participants)) == len(timelines.HOSTILE)
    slots = {slot.get("TIME_SLOT_ID") for slot in root.iter("TIME_SLOT")}
    words = {entry.get("CVE_ID"): entry.findtext("CVE_VALUE") for entry in root.iter("CV_ENTRY_ML")}
    for annotation in root.iter("ALIGNABLE_ANNOTATION"):
        assert {annotation.get("TIME_SLOT_REF1"), annotation.get("TIME_SLOT_REF2")} <= slots
        assert words[annotation.get("CVE_REF")] == annotation.findtext("ANNOTATION_VALUE")
    kinds = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} == kinds


def test_eaf_finds_its_recording(tmp_path: Path) -> None:
    media = tmp_path / "takes" / "Gespräch #1.mp4"
    media.parent.mkdir()
    media.touch()
    path = write_timeline(timelines.timeline(source=str(media)), tmp_path / "out" / "a.eaf")
    (descriptor,) = pympi.Eaf(str(path)).media_descriptors
    assert descriptor["RELATIVE_MEDIA_URL"] == "./../takes/Gespr%C3%A4ch%20%231.mp4"
    assert descriptor["MIME_TYPE"] == "video/mp4"
    path = write_timeline(
        timelines.timeline(source="https://example.org/a b.mp4?x=1&y=2"), tmp_path / "b.eaf"
    )
    assert pympi.Eaf(str(path)).media_descriptors[0]["MEDIA_URL"] == "https://example.org/a%20b.mp4?x=1&y=2"
    for nowhere in ("<bytes>", "<file object>", ""):
        path = write_timeline(timelines.timeline(source=nowhere), tmp_path / "c.eaf")
        assert pympi.Eaf(str(path)).media_descriptors == []
    path = write_timeline(timelines.timeline(source="<b>&.flac"), tmp_path / "d.eaf")
    assert pympi.Eaf(str(path)).media_descriptors[0]["RELATIVE_MEDIA_URL"] == "./%3Cb%3E%26.flac"


# --- WebVTT


def test_vtt_is_read_by_webvtt(any_timeline: Timeline, tmp_path: Path) -> None:
    path = write_timeline(any_timeline, tmp_path / "a.vtt")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("WEBVTT\n\n")
    read = webvtt.read(str(path))
    found = []
    for caption in read.captions:
        assert len(caption.start.split(":")) == len(caption.end.split(":")) == 3
        start, end = vtt_ms(caption.start), vtt_ms(caption.end)
        assert start < end
        voice = None if caption.voice is None else html.unescape(caption.voice)
        found.append((start, end, voice, html.unescape(caption.text)))
    assert text.count("-->") == len(found)
    starts = [start for start, *_ in found]
    assert starts == sorted(starts)
    reached = 0
    for start, end, _, _ in found:
        assert start <= reached
        reached = max(reached, end)
    assert reached == max(end_ms(any_timeline), 0)
    labeled = [(start, end, text) for start, end, _, text in found if text != "—"]
    wanted = []
    for segment in any_timeline.segments:
        start, end = times(any_timeline, segment, 0)
        label = segment.emotion or ("abstained" if segment.abstained else "—")
        if segment.emotion:
            label += f" {Decimal(not_none(segment.confidence) * 100).quantize(Decimal(1), ROUND_HALF_EVEN)} %"
        if start < end and (segment.person or label != "—"):
            wanted.append((start, end, label))
    assert [(start, end) for start, end, _ in labeled] == [(start, end) for start, end, _ in wanted]
    assert all(a.endswith(b) for (*_, a), (*_, b) in zip(labeled, wanted, strict=True))


def vtt_ms(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + int(seconds.replace(".", ""))


def test_vtt_keeps_names(tmp_path: Path) -> None:
    segments = tuple(Segment(1.0, 2.0, "happy", 0.824, person=name) for name in timelines.HOSTILE)
    path = write_timeline(timelines.timeline(people=timelines.HOSTILE, segments=segments), tmp_path / "a.vtt")
    cues = [c for c in webvtt.read(str(path)).captions if c.text != "—"]
    assert [html.unescape(not_none(c.voice)) for c in cues][:4] == [
        '<&">', "--> ]]> <v Mallory></v> &lt;", "Anna Berta", "Anna Berta (2)",
    ]  # fmt: skip
    assert html.unescape(cues[0].text) == '<&">: happy 82 %'
    assert html.unescape(cues[5].text) == f"{timelines.HOSTILE[5]}: happy 82 %"
    assert len(cues) == len(timelines.HOSTILE)


@pytest.mark.parametrize("source", ["x" * 5000, "a\0b.mp4", "\ud800.mp4", "caf\udce9.mp4", "..", "/"])
def test_eaf_of_sources_that_are_not_files(source: str, tmp_path: Path) -> None:
    path = write_timeline(timelines.timeline(source=source), tmp_path / "a.eaf")
    (descriptor,) = pympi.Eaf(str(path)).media_descriptors
    assert descriptor["MEDIA_URL"].startswith("./") and descriptor["MEDIA_URL"].isascii()


def test_vtt_has_a_dash_only_where_nobody_is(tmp_path: Path) -> None:
    segments = (
        Segment(1.0, 8.0, "sad", 0.5, person="Anna"),
        Segment(2.0, 3.0, "happy", 0.5, person="Bert"),
        Segment(5.0, 6.0, None, person="Bert"),
    )
    whole = timelines.timeline(people=("Anna", "Bert"), segments=segments)
    read = webvtt.read(str(write_timeline(whole, tmp_path / "a.vtt")))
    cues = [(c.start[-6:], c.end[-6:], c.text) for c in read.captions]
    assert cues == [
        ("00.000", "01.000", "—"),
        ("01.000", "08.000", "Anna: sad 50 %"),
        ("02.000", "03.000", "Bert: happy 50 %"),
        ("05.000", "06.000", "Bert: —"),
        ("08.000", "10.000", "—"),
    ]


def test_vtt_counts_hours(tmp_path: Path) -> None:
    long = timelines.timeline(duration_s=400_000.0005, segments=(Segment(399_999.0, 400_000.0, "sad", 0.5),))
    cues = webvtt.read(str(write_timeline(long, tmp_path / "a.vtt"))).captions
    assert (cues[1].start, cues[1].end) == ("111:06:39.000", "111:06:40.000")


def test_frames_and_summaries_are_read_by_pandas(any_timeline: Timeline, tmp_path: Path) -> None:
    for suffix, rows in (
        (".frames.csv", list(frame_rows(any_timeline))),
        (".summary.csv", list(summary_rows(any_timeline, "after"))),
    ):
        path = write_timeline(any_timeline, tmp_path / f"a{suffix}", condition="after")
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""], lineterminator=None)
        assert len(frame) == len(rows)
        for name in frame.columns:
            if name in {"person", "condition"}:
                continue
            expected = [np.nan if row[name] is None else row[name] for row in rows]
            if name == "baseline":
                assert [None if pd.isna(one) else one for one in frame[name]] == [r[name] for r in rows]
                continue
            tolerance = 0.0051 if name.endswith(("_px", "_s")) else 1e-6
            np.testing.assert_allclose(frame[name].astype(float), expected, rtol=0, atol=tolerance)


def test_an_own_baseline_is_marked_in_every_export(tmp_path: Path) -> None:
    """Anna is read against her own, Bert is not, of Cleo none is known."""
    mean = OwnBaseline(9.0, np.linspace(-1, 1, 8), 0.7)
    baselines = {
        "Anna": PersonBaseline({"face": mean}, {"face": 0.8}),
        "Bert": PersonBaseline({"face": mean}, {"face": 0.0}),
    }
    one, other = np.eye(8)[2], np.eye(8)[0]
    leading: dict[str, Leading | None] = {"Anna": "own", "Bert": "plain", "Cleo": None}
    windows = tuple(
        timelines.window(
            0.0, 3.0, face=one, fused=one, person=person, baseline=which,
            other=None if which is None else Reading(None, other, other),
        )
        for person, which in leading.items()
    )  # fmt: skip
    timeline = timelines.timeline(
        people=tuple(leading),
        windows=windows,
        segments=tuple(Segment(0.0, 3.0, "happy", 1.0, person=person) for person in leading),
        faces=tuple(FaceBox(1.0, person, 10 * n, 0, 10 * n + 9, 9) for n, person in enumerate(leading)),
        picture_size=(320, 240),
        baselines=baselines,
    )
    says = "against their own baseline: Anna"

    def text(suffix: str) -> str:
        return write_timeline(timeline, tmp_path / f"a{suffix}").read_bytes().decode("utf-8", "replace")

    for suffix in (".csv", ".windows.csv", ".frames.csv", ".summary.csv"):
        frame = pd.read_csv(io.StringIO(text(suffix)), keep_default_na=False)
        assert dict(zip(frame["person"], frame["baseline"], strict=True)) == {
            "Anna": "own", "Bert": "plain", "Cleo": "",
        }  # fmt: skip
    frame = pd.read_csv(tmp_path / "a.windows.csv")
    assert frame["fused_happy"].tolist() == [1, 1, 1]
    assert frame["other_fused_neutral"].tolist()[:2] == [1, 1] and np.isnan(frame["other_fused_neutral"][2])
    document = json.loads(text(".json"))
    jsonschema.validate(document, timeline_schema())
    assert document["baselines"]["Anna"] == {
        "leading": "own",
        "face": {"clips": 9.0, "spread_nats": 0.7, "subtracted": 0.8},
    }
    assert document["windows"][0]["other"]["fused"]["neutral"] == 1
    assert [window["baseline"] for window in document["windows"]] == ["own", "plain", None]
    assert f"NOTE Read {says}\n" in text(".vtt")
    assert len(webvtt.read(str(tmp_path / "a.vtt")).captions) > 0
    assert text(".eaf").count("(against the person's own baseline)") == 2  # emotion and confidence of Anna
    assert f'text = "{says}"' in text(".TextGrid")
    page = text(".html")
    assert (
        "Anna is read against their own face: " in page
        and "(read against their own baseline, face: 80 %" in page
    )
    assert "Bert is read as anybody is, " in page
    assert "(not read against their own baseline, face: nothing subtracted" in page
    assert says in text(".svg")
    assert write_timeline(timeline, tmp_path / "a.png").stat().st_size > 1000
    metadata = pq.read_schema(write_timeline(timeline, tmp_path / "a.parquet")).metadata
    assert metadata[b"emofuse.baselines"].decode() == says
    drawing = Drawing(timeline, 320, 240)
    assert drawing._names == {"Anna": "Anna*", "Bert": "Bert", "Cleo": "Cleo"}


def test_nothing_to_read_is_an_empty_cell_with_a_status(tmp_path: Path) -> None:
    segments = (
        Segment(0.0, 1.0, None),
        Segment(1.0, 2.0, "sad", 0.5),
        Segment(2.0, 3.0, None, 0.2, abstained=True),
    )
    path = write_timeline(timelines.timeline(segments=segments), tmp_path / "a.csv")
    frame = pd.read_csv(path)
    assert frame["status"].tolist() == ["nothing_to_read", "read", "abstained"]
    assert frame["emotion"].isna().tolist() == [True, False, True]
    assert frame["confidence"].isna().tolist() == [True, False, False]
    assert frame["confidence"].dtype == np.float64


# --- JSON


def test_json_is_valid_under_its_schema(any_timeline: Timeline, tmp_path: Path) -> None:
    path = write_timeline(any_timeline, tmp_path / "a.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    schema = timeline_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["people"] == list(any_timeline.people)
    assert ms(document["start_s"]) == ms(any_timeline.start_s)
    assert ms(document["start_s"]) + ms(document["duration_s"]) == end_ms(any_timeline)
    first = ms(any_timeline.start_s)
    for row, segment in zip(document["segments"], any_timeline.segments, strict=True):
        assert (ms(row["start_s"]), ms(row["end_s"])) == times(any_timeline, segment, first)
        assert (row["person"], row["emotion"]) == (segment.person, segment.emotion)
        assert row["abstained"] == segment.abstained
        assert row["confidence"] == pytest.approx(segment.confidence, abs=1e-6)
    for row, window in zip(document["windows"], any_timeline.windows, strict=True):
        assert (ms(row["start_s"]), ms(row["end_s"])) == times(any_timeline, window, first)
        assert row["reasons"] == list(window.reasons)
        assert (row["person"], row["speaker"]) == (window.person, window.speaker)
        for kind, array in window.probabilities.items():
            if array is None:
                assert row[kind] is None
            else:
                assert list(row[kind]) == list(any_timeline.emotions)
                np.testing.assert_allclose(list(row[kind].values()), array, atol=1e-6)
    size = any_timeline.picture_size
    assert document["picture_size"] == (None if size is None else list(size))
    for row, face in zip(document["faces"], any_timeline.faces, strict=True):
        assert (ms(row["time_s"]), row["person"]) == (min(ms(face.time_s), end_ms(any_timeline)), face.person)
        found = [row[edge] for edge in ("left", "top", "right", "bottom")]
        assert found == pytest.approx(list(face.edges), abs=0.005)


def test_schema_refuses_what_is_not_a_timeline(tmp_path: Path) -> None:
    whole = timelines.timeline(windows=(timelines.window(0, 1),), segments=(Segment(0, 1, "sad", 0.5),))
    document = json.loads(write_timeline(whole, tmp_path / "a.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(timeline_schema())
    assert validator.is_valid(document)
    for path, value in (
        (("schema_version",), 1),
        (("faces",), [{"time_s": 1.0, "person": "Anna"}]),
        (("picture_size",), [1280]),
        (("windows", 0, "speaker"), 3),
        (("units", "times"), "ms"),
        (("duration_s",), -1),
        (("windows", 0, "fused"), {"sad": 1.5}),
        (("windows", 0, "more"), 1),
        (("segments", 0, "confidence"), None),
        (("segments", 0, "abstained"), True),
        (("segments", 0, "person"), 3),
    ):
        broken = json.loads(json.dumps(document))
        target = broken
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value
        assert not validator.is_valid(broken), path


# --- tables


def assert_same_rows(frame: pd.DataFrame, rows: list[dict[str, Any]], atol: float) -> None:
    assert len(frame) == len(rows)
    for column in rows[0] if rows else ():
        wanted = [row[column] for row in rows]
        got = frame[column].tolist()
        for a, b in zip(got, wanted, strict=True):
            if b is None:
                assert a in {"", None} or pd.isna(a), column
            elif isinstance(b, float):
                assert float(a) == pytest.approx(b, abs=atol), column
            else:
                assert a == b, column


@pytest.mark.parametrize(("name", "rows"), [("a.csv", segment_rows), ("a.windows.csv", window_rows)])
def test_csv_is_read_by_pandas(any_timeline: Timeline, name: str, rows: Any, tmp_path: Path) -> None:
    path = write_timeline(any_timeline, tmp_path / name)
    texts = {"person": str, "speaker": str, "emotion": str, "quality": str, "reasons": str}
    frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=dict.fromkeys(["confidence"], ""))
    frame = frame.replace("", None) if len(frame) else frame
    wanted = [
        {name: csv_cell(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows(any_timeline)
    ]
    assert_same_rows(frame, wanted, atol=5e-7)
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    parts: tuple[Segment | Window, ...] = (
        any_timeline.segments if rows is segment_rows else any_timeline.windows
    )
    for line, part in zip(lines, parts, strict=True):
        found = tuple(int(line[key].replace(".", "")) for key in ("start_s", "end_s"))
        assert found == times(any_timeline, part, ms(any_timeline.start_s))
        assert line["person"] == csv_cell(part.person or "")


def test_parquet_is_read_by_pandas(any_timeline: Timeline, tmp_path: Path) -> None:
    frame = pd.read_parquet(write_timeline(any_timeline, tmp_path / "a.parquet"))
    rows = list(window_rows(any_timeline))
    assert_same_rows(frame, rows, atol=0)
    assert list(frame.columns[:5]) == ["start_s", "end_s", "person", "speaker", "voice_neutral"]
    assert frame["fused_sad"].dtype == np.float64
    first = ms(any_timeline.start_s)
    assert [(ms(a), ms(b)) for a, b in zip(frame["start_s"], frame["end_s"], strict=True)] == [
        times(any_timeline, window, first) for window in any_timeline.windows
    ]


@pytest.mark.parametrize(
    ("what", "rows"), [("windows", window_rows), ("segments", segment_rows), ("faces", face_rows)]
)
def test_timelines_become_pandas_tables(any_timeline: Timeline, what: Any, rows: Any) -> None:
    frame = any_timeline.to_pandas(what)
    assert_same_rows(frame, list(rows(any_timeline)), atol=0)
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    texts = {"person", "speaker", "emotion", "quality", "reasons", "status", "baseline"}
    wanted = {name: "object" if name in texts else "float64" for name in kinds} | (
        {"abstained": "bool"} if what == "segments" else {}
    )
    assert kinds == wanted


def test_pandas_tables_of_other_names_and_without_pandas() -> None:
    with pytest.raises(ValueError, match="windows, segments or faces"):
        timelines.timeline().to_pandas("people")  # type: ignore[arg-type]
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from emofuse.timeline.records import Timeline\n"
        "Timeline('a', 1.0, 0.0, (), (), ('sad',), 'r').to_pandas()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("pip install 'emofuse[tables]'")


def test_parquet_names_the_missing_part(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from emofuse.exports.write import write_timeline\n"
        "from emofuse.timeline.records import Timeline\n"
        f"write_timeline(Timeline('a', 1.0, 0.0, (), (), ('sad',), 'r'), {str(tmp_path / 'a.parquet')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "emofuse.core.errors.MissingExtraError: writing Parquet needs an optional part: "
        "pip install 'emofuse[tables]'"
    )
    assert list(tmp_path.iterdir()) == []
    assert issubclass(MissingExtraError, EmofuseError)


# --- all of them


def test_times_are_rounded_once_and_half_to_even(tmp_path: Path) -> None:
    # a sixteenth of a second is 62.5 ms, exact in binary: its odd multiples are true ties
    ties = [0.0625, 0.1875, 0.3125, 1.0625]
    assert [ms(t) for t in ties] == [62, 188, 312, 1062]
    segments = tuple(Segment(a, b, "sad", 0.5) for a, b in pairwise(ties))
    path = write_timeline(timelines.timeline(segments=segments), tmp_path / "a.csv")
    frame = pd.read_csv(path, dtype=str)
    assert frame["start_s"].tolist() == ["0.062", "0.188", "0.312"]
    assert frame["end_s"].tolist() == ["0.188", "0.312", "1.062"]


def test_thirds_do_not_drift_over_ten_hours(tmp_path: Path) -> None:
    n = 108_000
    segments = tuple(Segment(i / 3, (i + 1) / 3, "sad", 0.5) for i in range(n))
    path = write_timeline(timelines.timeline(duration_s=36_000.0, segments=segments), tmp_path / "a.csv")
    frame = pd.read_csv(path)
    np.testing.assert_allclose(frame["start_s"], np.arange(n) / 3, atol=0.0005)
    assert (frame["start_s"].to_numpy()[1:] == frame["end_s"].to_numpy()[:-1]).all()


def test_times_slightly_outside_are_clipped(tmp_path: Path) -> None:
    end = 10.0004999999
    short = timelines.timeline(duration_s=end, segments=(Segment(0.0, end + 9e-7, "sad", 0.5),))
    assert ms(end + 9e-7) == 10_001
    assert pd.read_csv(write_timeline(short, tmp_path / "a.csv"))["end_s"].tolist() == [10.0]
    read = textgrid.TextGrid.fromFile(str(write_timeline(short, tmp_path / "a.TextGrid")))
    assert read[0][-1].maxTime == 10.0


@pytest.mark.parametrize("suffix", FORMATS.values())
def test_the_suffix_selects_the_format(suffix: str, tmp_path: Path) -> None:
    whole = timelines.random_timeline(1)
    by_name = write_timeline(whole, str(tmp_path / f"new/talk{suffix.upper()}"))
    kind = next(kind for kind, end in FORMATS.items() if end == suffix)
    by_word = write_timeline(whole, tmp_path / "new/other.out", format=kind)
    if kind == "eaf":
        assert len(by_name.read_bytes()) == len(by_word.read_bytes())
    else:
        assert by_name.read_bytes() == by_word.read_bytes()


@pytest.mark.parametrize(("name", "format_"), [("a.srt", None), ("a", None), ("a.csv", "xlsx")])
def test_unknown_formats_are_named(name: str, format_: str | None, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"xlsx.*use one of .*textgrid|one of the suffixes .*\.TextGrid"):
        write_timeline(timelines.timeline(), tmp_path / name, format_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_failure_leaves_the_old_file(kind: str, tmp_path: Path) -> None:
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from emofuse.exports.write import write_timeline\n"
        "from tests.support.timelines import marked_timeline\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
        f"write_timeline(marked_timeline(2), {str(tmp_path / 'a')!r}, {kind!r})\n"
    )
    (tmp_path / "a").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 1 and "OSError" in done.stderr, done.stderr
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_json_is_written_line_by_line(tmp_path: Path) -> None:
    whole = timelines.random_timeline(5)
    lines = io.StringIO(write_timeline(whole, tmp_path / "a.json").read_text(encoding="utf-8")).readlines()
    assert sum('"start_s"' in line for line in lines) == len(whole.windows) + len(whole.segments) + 1


def test_a_face_that_is_neutral_or_calm_is_shown_so_where_people_read_it(tmp_path: Path) -> None:
    """Files for people name both with the probability of both; tables keep the recognizer's emotions."""
    segments = (Segment(0.0, 10.0, "neutral", 0.36, alike=("calm",)),)
    timeline = timelines.timeline(segments=segments)
    (caption,) = webvtt.read(str(write_timeline(timeline, tmp_path / "a.vtt"))).captions
    assert caption.text == "neutral or calm 72 %"
    page = write_timeline(timeline, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "neutral or calm</td><td>72 %" in page and '"neutral or calm"' in page
    (row,) = json.loads(write_timeline(timeline, tmp_path / "a.json").read_text())["segments"]
    assert (row["emotion"], row["confidence"]) == ("neutral", 0.36)


def test_windows_that_come_one_by_one_make_the_same_table(any_timeline: Timeline) -> None:
    file = io.BytesIO()
    write_windows_csv(any_timeline, file)
    head, rows = windows_csv_of(any_timeline)
    assert (head + rows).encode() == file.getvalue() and head.count("\r\n") == 1
    bare = replace(any_timeline, segments=(), faces=(), excluded=(), markers=())
    lines = [windows_csv_of(replace(bare, windows=(window,))) for window in any_timeline.windows[:50]]
    assert {first for first, _ in lines} <= {head}
    assert rows.startswith("".join(row for _, row in lines))

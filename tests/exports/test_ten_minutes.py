"""A ten-minute recording in every format, each read by an independent program."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pympi
import pytest
import textgrid
import webvtt

from emofuse.core.labels import EMOTIONS
from emofuse.exports.json_schema import timeline_schema
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window

DURATION_S = 600.024
PEOPLE = ("Anna", "Bert")


@pytest.fixture(scope="module")
def interview() -> Timeline:
    """Windows of 3 s every second, faces five times per second, for two people."""
    rng = np.random.default_rng(10)
    windows, segments, faces = [], [], []
    for person in PEOPLE:
        for start in range(598):
            voice, face, fused = [rng.dirichlet(np.ones(8)) if rng.random() < 0.9 else None for _ in range(3)]
            end = start + 3.0 if start < 597 else DURATION_S
            windows.append(
                Window(float(start), end, voice, face, fused, speech=0.5, face_present=1.0,
                       quality={"snr_db": 12.5}, reasons=("face:none",) if face is None else (),
                       person=person, speaker="Anna")
            )  # fmt: skip
        cuts = [0.0, *np.cumsum(rng.uniform(2.0, 9.0, 100)).tolist()]
        cuts = [*(cut for cut in cuts if cut < 595), DURATION_S]
        for number, (start_s, end_s) in enumerate(pairwise(cuts)):
            if number % 10 == 7:
                segments.append(Segment(start_s, end_s, None, 0.3, abstained=True, person=person))
            elif number % 10 != 3:
                segments.append(Segment(start_s, end_s, EMOTIONS[number % 8], 0.5, person=person))
        faces += [FaceBox(t / 5, person, 10.0, 20.0, 110.0, 140.0) for t in range(3000)]
    return Timeline(
        "interview.mp4", DURATION_S, 0.0,
        tuple(sorted(windows, key=lambda w: w.start_s)), tuple(sorted(segments, key=lambda s: s.start_s)),
        EMOTIONS, "r 1", "CC BY-NC-SA 4.0", PEOPLE, tuple(sorted(faces, key=lambda f: f.time_s)), (1280, 720),
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(interview: Timeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ten-minutes")
    return {kind: write_timeline(interview, folder / f"interview{end}") for kind, end in FORMATS.items()}


def edges(interview: Timeline, person: str) -> list[float]:
    """The times at which anything changes for a person, gaps included."""
    found = {0.0, round(DURATION_S, 3)}
    for segment in interview.segments:
        if segment.person == person:
            found |= {round(segment.start_s, 3), round(segment.end_s, 3)}
    return sorted(found)


def test_every_format_is_written(written: dict[str, Path]) -> None:
    assert set(written) == set(FORMATS)
    # a row for each person, and none where there are no markers; names and colors of eight emotions
    least = dict.fromkeys(FORMATS, 1000) | {"summary-csv": 500, "markers-csv": 30, "label-config": 500}
    assert [kind for kind, path in written.items() if path.stat().st_size < least[kind]] == []


def test_json(interview: Timeline, written: dict[str, Path]) -> None:
    document = json.loads(written["json"].read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(timeline_schema()).validate(document)
    counts = [len(document[key]) for key in ("windows", "segments", "faces")]
    assert counts == [1196, len(interview.segments), 6000]
    assert document["start_s"] + document["duration_s"] == DURATION_S
    assert document["windows"][0]["speaker"] == "Anna"


def test_tables(interview: Timeline, written: dict[str, Path]) -> None:
    segments, windows = pd.read_csv(written["csv"]), pd.read_csv(written["windows-csv"])
    parquet = pd.read_parquet(written["parquet"])
    assert (len(segments), len(windows), len(parquet)) == (len(interview.segments), 1196, 1196)
    assert segments["end_s"].max() == windows["end_s"].max() == parquet["end_s"].max() == DURATION_S
    np.testing.assert_allclose(windows["fused_sad"], parquet["fused_sad"], atol=5e-7)
    assert set(windows["speaker"]) == {"Anna"}
    texts = dict.fromkeys(("person", "speaker", "quality", "reasons", "baseline"), object)
    read = parquet.astype(texts).where(lambda frame: frame.notna(), None)
    pd.testing.assert_frame_equal(interview.to_pandas(), read.astype(interview.to_pandas().dtypes))


def test_elan(interview: Timeline, written: dict[str, Path]) -> None:
    read = pympi.Eaf(str(written["eaf"]))
    assert list(read.tiers)[::2] == ["emotion@Anna", "emotion@Bert"]
    for person in PEOPLE:
        found = sorted(read.get_annotation_data_for_tier(f"emotion@{person}"))
        assert sorted({t / 1000 for a, b, _ in found for t in (a, b)}) == edges(interview, person)


def test_praat(interview: Timeline, written: dict[str, Path]) -> None:
    read = textgrid.TextGrid.fromFile(str(written["textgrid"]))
    assert (read.minTime, float(read.maxTime)) == (0, DURATION_S)
    for tier, person in ((read[0], "Anna"), (read[2], "Bert")):
        times = sorted({float(t) for i in tier for t in (i.minTime, i.maxTime)})
        np.testing.assert_allclose(times, edges(interview, person), atol=1e-9)


def test_webvtt(interview: Timeline, written: dict[str, Path]) -> None:
    cues: list[Any] = list(webvtt.read(str(written["vtt"])).captions)
    assert (cues[0].start, cues[-1].end) == ("00:00:00.000", "00:10:00.024")
    assert sum(cue.text != "—" for cue in cues) == len(interview.segments)


def test_page(written: dict[str, Path]) -> None:
    text = written["html"].read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n")
    assert len(text) < 600_000

"""BIDS events, read by pandas as tools for EEG and fMRI do."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from emofuse.core.csv_tables import csv_cell
from emofuse.exports.bids_events import COLUMNS
from emofuse.exports.write import write_timeline
from emofuse.timeline.marks import Marker
from emofuse.timeline.records import Segment, Timeline, part_ms
from tests.support import timelines


def read(path: Path) -> pd.DataFrame:
    """As BIDS tools do: tabs, ``n/a`` for what is missing, no quotes."""
    return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, quoting=3)


def test_events_are_read_by_pandas(any_timeline: Timeline, tmp_path: Path) -> None:
    path = write_timeline(any_timeline, tmp_path / "sub-01_task-talk_events.tsv")
    lines = path.read_bytes().decode().split("\n")
    assert lines[-1] == "" and {line.count("\t") for line in lines[:-1]} == {len(COLUMNS) - 1}
    frame = read(path)
    assert tuple(frame.columns) == COLUMNS and len(frame) == len(any_timeline.segments)
    assert frame["onset"].is_monotonic_increasing and (frame["duration"] >= 0).all()
    spans = sorted(part_ms(one, any_timeline.span_ms) for one in any_timeline.segments)
    found = sorted(
        (round(onset * 1000), round((onset + length) * 1000))
        for onset, length in zip(frame["onset"], frame["duration"], strict=True)
    )
    assert found == spans
    wanted = sorted(one.emotion or one.status for one in any_timeline.segments)
    assert sorted(frame["trial_type"]) == wanted
    assert frame["confidence"].notna().sum() == sum(s.confidence is not None for s in any_timeline.segments)


def test_the_sidecar_explains_every_column_and_level(any_timeline: Timeline, tmp_path: Path) -> None:
    path = write_timeline(any_timeline, tmp_path / "a_events.tsv")
    sidecar = json.loads((tmp_path / "a_events.json").read_text(encoding="utf-8"))
    assert tuple(sidecar) == COLUMNS and all(one["Description"] for one in sidecar.values())
    frame = read(path)
    for column in ("trial_type", "status"):
        levels = sidecar[column]["Levels"] if column == "trial_type" else sidecar["status"]["Levels"]
        assert set(frame[column]) <= set(levels)
    assert sidecar["onset"]["Units"] == sidecar["duration"]["Units"] == "s"


def test_markers_and_excluded_spans(tmp_path: Path) -> None:
    whole = timelines.marked_timeline(3)
    frame = read(write_timeline(whole, tmp_path / "a_events.tsv"))
    markers = frame[frame["status"] == "marker"]
    assert len(markers) == len(whole.markers) and set(markers["trial_type"]) == {"marker"}
    assert (frame["status"] == "excluded").sum() == sum(one.excluded for one in whole.segments)
    at_once = timelines.timeline(markers=(Marker(0.0, "\tgo\n=1+1", None), Marker(2.0, "b", 3.5)))
    frame = read(write_timeline(at_once, tmp_path / "b_events.tsv"))
    assert frame[["onset", "duration"]].to_numpy().tolist() == [[0.0, 0.0], [2.0, 1.5]]
    assert frame["text"].tolist() == [csv_cell("go =1+1"), "b"]


@pytest.mark.parametrize("emotions", [("ja", "nein"), tuple(f"感情 {n} é" for n in range(50))])
def test_any_labels(emotions: tuple[str, ...], tmp_path: Path) -> None:
    segments = tuple(Segment(n / 10, (n + 1) / 10, name, 0.5) for n, name in enumerate(emotions))
    whole = timelines.timeline(emotions=emotions, segments=segments)
    frame = read(write_timeline(whole, tmp_path / "a_events.tsv"))
    assert frame["trial_type"].tolist() == list(emotions)
    levels = json.loads((tmp_path / "a_events.json").read_text(encoding="utf-8"))["trial_type"]["Levels"]
    assert set(emotions) <= set(levels)

"""Ratings in every export: tables, JSON under its schema, tiers that ELAN and Praat read, curves."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pympi
import pytest
import textgrid

from emofuse.exports.json_schema import timeline_schema
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.timeline.records import Timeline
from tests.support.rated_timelines import rated_timeline


@pytest.fixture(scope="module", params=[True, False], ids=["with emotions", "dimensions alone"])
def timeline(request: pytest.FixtureRequest) -> Timeline:
    return rated_timeline(emotions=request.param)


@pytest.fixture(scope="module")
def written(timeline: Timeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {
        name: write_timeline(timeline, folder / f"talk{suffix}", name) for name, suffix in FORMATS.items()
    }


def test_json_conforms_to_its_schema_and_holds_the_ratings(
    timeline: Timeline, written: dict[str, Path]
) -> None:
    data = json.loads(written["json"].read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(timeline_schema()).validate(data)
    assert data["schema_version"] == 5
    assert data["dimensions"] == [
        {"name": "valence", "range": [1.0, 7.0], "level": 0.9},
        {"name": "self rating", "range": [-1.0, 1.0], "level": 0.9},
    ]
    first = timeline.windows[0].ratings["valence"]
    assert data["windows"][0]["dimensions"]["valence"]["value"] == round(first.value, 6)
    assert sum("dimensions" not in window for window in data["windows"]) == 4


def test_tables_hold_the_ratings(timeline: Timeline, written: dict[str, Path]) -> None:
    rows = list(csv.DictReader(io.StringIO(written["windows-csv"].read_text(encoding="utf-8"))))
    assert rows[0]["rated_valence"] == f"{timeline.windows[0].ratings['valence'].value:.6f}"
    assert rows[2]["rated_self rating"] == ""
    summary = list(csv.DictReader(io.StringIO(written["summary-csv"].read_text(encoding="utf-8"))))
    assert [row["mean_rated_self rating"] for row in summary] == ["-0.500000", "-0.500000", ""]


def test_elan_and_praat_have_a_tier_per_person_and_dimension(written: dict[str, Path]) -> None:
    names = {"valence@Anna", "self rating@Anna", "valence@Ben", "self rating@Ben", "valence"}
    document = pympi.Elan.Eaf(str(written["eaf"]))
    assert names <= set(document.get_tier_names())
    of_anna = sorted(document.get_annotation_data_for_tier("valence@Anna"))
    assert of_anna[0][:2] == (0, 2000)
    assert len(of_anna) == 10
    assert len(document.get_annotation_data_for_tier("valence@Ben")) == 6
    types = {one.get("LINGUISTIC_TYPE_ID") for one in ET.parse(written["eaf"]).iter("LINGUISTIC_TYPE")}
    assert "rating" in types
    grid = textgrid.TextGrid.fromFile(str(written["textgrid"]))
    assert names <= set(grid.getNames())
    tier = grid.getFirst("valence@Ben")
    marks = [interval.mark for interval in tier]
    assert marks.count("") == 1, "the gap in the middle"
    assert of_anna[0][2] == grid.getFirst("valence@Anna")[0].mark


def test_pictures_draw_a_curve_per_dimension(timeline: Timeline, written: dict[str, Path]) -> None:
    for name in ("svg", "html"):
        text = written[name].read_text(encoding="utf-8")
        assert "valence, 1 to 7" in text
        assert "self rating, -1 to 1" in text
    svg = written["svg"].read_text(encoding="utf-8")
    ET.fromstring(svg)
    assert (">happy<" in svg) == bool(timeline.emotions)

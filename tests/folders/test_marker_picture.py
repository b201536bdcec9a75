from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.folders.marker_means import RecordingCurves, marker_means
from emofuse.folders.marker_picture import draw_markers
from tests.support.many_recordings import RULES, curve, recordings
from tests.support.svg import SVG, texts, titles


def picture(given: list[RecordingCurves], purpose: str | None = None) -> ET.Element:
    return ET.fromstring(draw_markers(marker_means(given), EMOTIONS, purpose, rules=RULES))


def test_a_panel_for_each_text_and_condition() -> None:
    root = picture([*recordings(6), *recordings(2, condition="<y>")], "a study")
    said = texts(root)
    assert "go · x" in said and "go · <y>" in said
    assert "6 markers, 1 person, 6 recordings; band: 95 %, recordings resampled" in said
    assert "2 markers, 1 person, 2 recordings; fewer than 5: no interval" in said
    assert "Purpose: a study" in said and "marker" in said
    assert titles(root) == [*EMOTIONS] * 2
    bands = [one for one in root.iter(f"{SVG}path") if "fill-opacity" in one.attrib]
    assert len(bands) == 8


def test_gaps_are_not_drawn_over() -> None:
    gap = curve("Anna", 1.0, 0.5)
    gap.values[1] = np.nan
    lines = [
        one.attrib["d"] for one in picture([RecordingCurves("a", None, [gap])]).iter(f"{SVG}path") if len(one)
    ]
    assert {line.count("M") for line in lines} == {2} and "nan" not in "".join(lines)


def test_many_texts_and_none() -> None:
    many = [RecordingCurves("a", None, [curve("Anna", 1.0, 0.5, f"text {n}") for n in range(70)])]
    said = texts(picture(many))
    assert "The first 60 of 70 texts and conditions: the table has all." in said and "text 59" in said
    assert "There are no markers yet around which something was read." in texts(picture([]))

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from emofuse.exports.legend import LINE, draw_legend
from tests.support.label_studies import LABELS

ENTRIES = {
    "two": ("stressed", "not stressed", "not sure"),
    "eight": ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised", "not sure"),
    "long": (LABELS[50][-2], LABELS[50][-1], "not sure"),
    "scripts": (*LABELS[12], "怒りと悲しみと喜びの表情", "not sure"),
    "fifty": (*LABELS[50], "not sure"),
}


@pytest.mark.parametrize("names", ENTRIES.values(), ids=ENTRIES)
def test_no_entry_runs_into_another(names: tuple[str, ...]) -> None:
    svg, more = draw_legend([("red", name) for name in names], 140, 1190, 50)
    root = ET.fromstring(f"<svg>{svg}</svg>")
    places = [(float(one.attrib["y"]), float(one.attrib["x"]), one.text or "") for one in root.iter("text")]
    assert [text for _, _, text in places] == list(names)
    ends: dict[float, float] = {}
    for y, x, text in places:
        width = 7 * sum(2 if ord(one) > 0x2E80 else 1 for one in text)
        assert x - 17 >= ends.get(y, 140.0) - 1e-6
        ends[y] = x + width
        assert ends[y] <= 1190
    assert more == (len(ends) - 1) * LINE


def test_the_eight_emotions_are_on_one_line() -> None:
    assert draw_legend([("red", name) for name in ENTRIES["eight"]], 140, 1190, 50)[1] == 0
    assert draw_legend([], 140, 1190, 50) == ("", 0)

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.folders.condition_means import condition_means
from emofuse.folders.condition_picture import draw_conditions
from emofuse.folders.tables import Outcome
from tests.support.many_recordings import outcome, summary_row
from tests.support.svg import SVG, texts, titles


def picture(recordings: list[Outcome], **more: object) -> ET.Element:
    means = condition_means(recordings, EMOTIONS)
    return ET.fromstring(draw_conditions(means, EMOTIONS, **({"purpose": "a <study>"} | more)))  # type: ignore[arg-type]


def test_means_people_and_counts_are_drawn() -> None:
    recordings = [outcome(f"{n}.mp4", "before", summary_row(f"P{n}", n / 10)) for n in range(6)]
    recordings += [outcome("z.mp4", "<&after", summary_row("P1", 1.0))]
    root = picture(recordings)
    said = texts(root)
    assert {"before", "<&after", "6 people, 6 recordings", "1 person, 1 recording"} <= set(said)
    assert "No interval where fewer than 5 people were read: <&after." in said
    assert "Purpose: a <study>" in said
    shown = titles(root)
    assert "P3: 30.0%" in shown and "happy: 100.0%" in shown
    assert [one for one in shown if one.startswith("happy: 25.0%, 95 % interval ")]
    assert len(list(root.iter(f"{SVG}circle"))) == (7 + 2) * 9 + 2  # people and means in columns, legend


def test_the_axis_fits_what_is_shown() -> None:
    small = [outcome("a.mp4", "x", summary_row("A", 0.1))]
    row = small[0].summary[0]
    row["share_abstained"] = 0.2
    assert "25%" in texts(picture(small)) and "100%" not in texts(picture(small))


def test_a_dark_page_has_its_colors() -> None:
    light, dark = (
        picture([outcome("a.mp4", "x", summary_row("A", 0.1))], dark=dark) for dark in (False, True)
    )
    assert light.find(f"{SVG}rect").attrib["fill"] == "#ffffff"  # type: ignore[union-attr]
    assert dark.find(f"{SVG}rect").attrib["fill"] != "#ffffff"  # type: ignore[union-attr]


@pytest.mark.parametrize("recordings", [[], [outcome("a.mp4", "x", summary_row("A", None))]])
def test_nothing_was_read(recordings: list[Outcome]) -> None:
    assert "Nothing was read yet." in texts(picture(recordings))

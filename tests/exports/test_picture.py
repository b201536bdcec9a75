"""Still pictures: their colors at known times, and as a browser draws them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.core.colors import EMOTION_COLORS
from emofuse.core.labels import EMOTIONS
from emofuse.exports.waveform import Peaks
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment, Timeline
from tests.support import chromium, timelines
from tests.support.typed import not_none

LEFT, RIGHT, SCALE = 140, 1190, 2


def scene() -> Timeline:
    """Anna is happy for 5 s, then sad; nobody reads Bert, who abstains."""
    windows = [
        timelines.window(i, i + 1.0, fused=np.eye(8)[2 if i < 5 else 3], person="Anna") for i in range(10)
    ]
    windows.insert(0, timelines.window(0.0, 10.0, fused=None, face=np.eye(8)[4], person="Zoë 👩🏽‍🎤"))
    segments = (
        Segment(0.0, 10.0, None, 0.2, abstained=True, person="Bert"),
        Segment(0.0, 5.0, "happy", 0.9, person="Anna"),
        Segment(5.0, 10.0, "sad", 0.9, person="Anna"),
    )
    people = ("Anna", "Bert", "Zoë 👩🏽‍🎤")
    return timelines.timeline(windows=tuple(windows), segments=segments, people=people)


def peaks() -> Peaks:
    high = np.full(100, 100, np.int8)
    return Peaks(0.1, -high, high)


def color(text: str) -> Any:
    return np.array([int(text[i : i + 2], 16) for i in (5, 3, 1)])


def column(time_s: float) -> int:
    return round((LEFT + time_s / 10 * (RIGHT - LEFT)) * SCALE)


def test_the_png_has_the_colors_of_the_emotions_at_their_times(tmp_path: Path) -> None:
    image = not_none(cv2.imread(str(write_timeline(scene(), tmp_path / "a.png"))))
    assert image.shape[1] == 1200 * SCALE
    curves, segments = (30 + 110) * SCALE, (30 + 2 * 230 + 14) * SCALE
    for time_s, emotion in ((2.0, "happy"), (8.0, "sad")):
        for row in (curves, segments):
            np.testing.assert_array_equal(image[row, column(time_s)], color(EMOTION_COLORS[emotion]))
    faces = image[(30 + 230 + 110) * SCALE, column(1.0) : column(9.0)]
    assert (faces == color(EMOTION_COLORS["angry"])).all()
    striped = image[segments + 36 * SCALE, column(1.0) : column(9.0)]
    assert len(np.unique(striped, axis=0)) == 2


def test_the_svg_stands_alone(tmp_path: Path) -> None:
    text = write_timeline(scene(), tmp_path / "a.svg", waveform=peaks()).read_text(encoding="utf-8")
    assert not any(word in text for word in ("var(", "style", "script", "http://www.w3.org/1999"))
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("Anna") == 2 and texts.count("Bert") == 1 and texts.count("Zoë 👩🏽‍🎤") == 2
    assert {*EMOTIONS, "not sure", "audio", "fused", "face"} <= set(texts)


def test_the_png_is_what_a_browser_draws(tmp_path: Path) -> None:
    if chromium.find() is None:
        pytest.skip("there is no Chromium")
    svg = write_timeline(scene(), tmp_path / "a.svg", waveform=peaks())
    own = not_none(cv2.imread(str(write_timeline(scene(), tmp_path / "a.png", waveform=peaks()))))
    size = own.shape[1] // SCALE, own.shape[0] // SCALE
    with chromium.browser(tmp_path / "home") as page:
        page.open(svg, size=size, script=False)
        page.shoot(tmp_path / "shot.png")
    drawn = not_none(cv2.imread(str(tmp_path / "shot.png")))
    own = cv2.resize(own, size, interpolation=cv2.INTER_AREA)
    away = np.abs(own.astype(int) - drawn).max(2)[24:-110, LEFT:RIGHT]  # without letters and stripes
    assert (away > 40).mean() < 0.01


def test_any_timeline_becomes_a_picture(any_timeline: Timeline, tmp_path: Path) -> None:
    ET.fromstring(write_timeline(any_timeline, tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert not_none(cv2.imread(str(write_timeline(any_timeline, tmp_path / "a.png")))).shape[1] == 2400

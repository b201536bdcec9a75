"""Curves of ratings on the page: drawn, told at cursor and pointer, and absent where there are none."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.exports.tiers import WORDS
from emofuse.exports.viewer import view_data
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Timeline
from tests.exports.test_html_page import complaints, settle
from tests.support import accessibility
from tests.support.rated_timelines import rated_timeline

VIEWER = "timelineViewer"
TEXT, GAP = [0x1C, 0x21, 0x28], [0xE6, 0xE9, 0xED]
RECORD = (
    "globalThis.drawn = [], (() => { const old = CanvasRenderingContext2D.prototype.fillText;"
    " CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {"
    " drawn.push(text); return old.apply(this, arguments); }; })(), 0"
)


def track(page: Any, scale: int) -> tuple[float, float, float, float]:
    """Left, right, top and height of the track of a scale, in the window."""
    found: list[float] = page.run(
        f"(() => {{ const b = document.querySelector('[data-part=base]').getBoundingClientRect(),"
        f" area = {VIEWER}.tracks.area, row = area.rows.find((one) => one.scale === {scale});"
        " return [b.left + area.left, b.left + area.right, b.top + row.top, row.height]; })()"
    )
    left, right, top, height = found
    return left, right, top, height


def column(page: Any, x: float, top: float, height: float) -> np.ndarray:
    """(height, 3): the colors of one column of pixels of the canvas."""
    values = page.run(
        "(() => { const c = document.querySelector('[data-part=base]'), b = c.getBoundingClientRect();"
        f" return [...c.getContext('2d').getImageData({x} - b.left, {top} - b.top, 1, {height}).data]; }})()"
    )
    return np.array(values).reshape(-1, 4)[:, :3]


def test_a_view_holds_every_rating_and_nothing_where_there_are_none() -> None:
    timeline = rated_timeline()
    view = view_data(timeline)
    assert view["scales"] == [
        {"name": "valence", "low": 1.0, "high": 7.0, "level": 0.9},
        {"name": "self rating", "low": -1.0, "high": 1.0, "level": 0.9},
    ]
    for series, windows in zip(view["series"], timeline.by_person(timeline.windows).values(), strict=True):
        for scale, packed in zip(timeline.dimensions, series["ratings"], strict=True):
            values = np.frombuffer(base64.b64decode(packed), "<f4").reshape(-1, 3)
            wanted = [
                (np.nan,) * 3 if (one := window.ratings.get(scale.name)) is None
                else (one.value, one.low, one.high)
                for window in windows
            ]  # fmt: skip
            np.testing.assert_allclose(values, wanted, rtol=1e-6)
    plain = replace(
        timeline, windows=tuple(replace(one, ratings={}) for one in timeline.windows), dimensions=()
    )
    without = view_data(plain)
    assert set(view) - set(without) == {"scales"}
    assert {key for one in without["series"] for key in one}.isdisjoint({"ratings"})
    assert "valence" not in json.dumps(without)


def test_lines_and_bands_are_where_the_ratings_are(page: Any, tmp_path: Path) -> None:
    timeline = rated_timeline()
    page.open(write_timeline(timeline, tmp_path / "a.html"))
    own = timeline.by_person(timeline.windows)["Anna"]
    left, right, top, height = track(page, 0)
    for k in (3, 6):
        x = left + (right - left) * (k + 1.5) / 12
        rated = own[k].ratings["valence"]
        found = column(page, round(x), top, height)
        dark = np.flatnonzero((np.abs(found - TEXT) < 60).all(axis=1))
        assert np.mean(dark) + 0.5 == pytest.approx(height * (1 - (rated.value - 1) / 6), abs=2.5)
        white = np.asarray((found > 250).all(axis=1))
        outside = np.ones(int(height), dtype=bool)
        outside[[0, -1]] = False  # the edges of the track
        low, high = (height * (1 - (bound - 1) / 6) for bound in (rated.low, rated.high))
        outside[max(0, int(high) - 3) : int(low) + 4] = False
        assert white[outside].all()
        assert not white[int(high) + 4 : int(low) - 3].any()
    # Ben is not rated in the middle, and it says why
    page.run(f"{RECORD}; {VIEWER}.choosePerson('Ben')")
    settle(page)
    gap = column(page, round(left + (right - left) * 7.5 / 12), top, height)
    assert (np.abs(gap[:10] - GAP) <= 3).all()
    texts = page.run("drawn")
    assert {"valence", "self rating", "1", "7", "−1"} <= set(texts)
    assert WORDS["voice:silent"] in texts, texts
    assert complaints(page) == []


def test_ratings_are_told_at_the_cursor_and_at_the_pointer(page: Any, tmp_path: Path) -> None:
    timeline = rated_timeline()
    page.open(write_timeline(timeline, tmp_path / "a.html"))
    listed = "[...document.querySelectorAll('.ratings li')].map((one) => one.innerText.split('\\n'))"
    spoken = "document.querySelector('[data-part=tracks]').getAttribute('aria-valuetext')"
    page.run("document.querySelector('[data-part=tracks]').focus()")
    for _ in range(4):
        page.key("ArrowRight", 39)
    rated = timeline.by_person(timeline.windows)["Anna"][2].ratings["valence"]
    words = f"{rated.value:.2f} ({rated.low:.2f} to {rated.high:.2f})"
    assert page.run(listed) == [["valence", words], ["self rating", "−0.50 (−1.00 to 0.25)"]]
    assert page.run(spoken).endswith(f", valence {words}, self rating −0.50 (−1.00 to 0.25)")
    marks = page.run(
        "[...document.querySelectorAll('.ratings li:first-child .scale > *')]"
        ".map((one) => [parseFloat(one.style.left), parseFloat(one.style.width)])"
    )
    assert marks[0] == pytest.approx([(rated.low - 1) / 0.06, (rated.high - rated.low) / 0.06], abs=0.01)
    assert marks[1][0] == pytest.approx((rated.value - 1) / 0.06, abs=0.01)
    left, right, top, height = track(page, 0)
    tip = "document.querySelector('[data-part=tip]:not([hidden])')?.textContent ?? ''"
    x = left + (right - left) * 4.4 / 12
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=top + height / 2)
    at = timeline.by_person(timeline.windows)["Anna"][3].ratings["valence"]
    assert page.run(tip).split("\n")[1:3] == [
        f"valence {at.value:.2f}", f"90 % interval: {at.low:.2f} to {at.high:.2f}",
    ]  # fmt: skip
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=left - 20, y=top + height / 2)
    assert "as raters would rate" in page.run(tip)
    # where nothing was rated, it says so
    page.run(f"{VIEWER}.choosePerson('Ben'), {VIEWER}.seek(7.5)")
    settle(page)
    assert page.run(listed)[0] == ["valence", "–"]
    assert "valence" not in page.run(spoken)
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=left + (right - left) * 7.5 / 12, y=top + 9)
    assert "valence: not rated" in page.run(tip)
    assert complaints(page) == []


def test_a_page_of_ratings_alone_has_no_emotions(page: Any, tmp_path: Path) -> None:
    path = write_timeline(rated_timeline(emotions=False), tmp_path / "a.html")
    page.open(path)
    assert page.run(f"{VIEWER}.tracks.area.rows.map((row) => row.what)") == [
        "ruler", "speech", "rating", "rating",
    ]  # fmt: skip
    hidden = (
        "['kind', 'shape', 'legend', 'swatches'].map((part) => {V}.parts[part].offsetHeight === 0)".replace(
            "{V}", VIEWER
        )
    )
    assert page.run(hidden) == [True] * 4
    page.run(f"{VIEWER}.seek(4)")
    text = page.run("document.body.innerText")
    assert not re.search(r"undefined|NaN|Infinity|no result|not sure|Segments", text), text
    assert "Anna at 0:04.0" in text
    heads = page.run("[...document.querySelectorAll('.people thead th')].map((one) => one.innerText)")
    assert heads == ["Person", "Talks", "In view", "valence", "self rating"]
    # the overview shows the first scale
    overview = page.run(
        "(() => { const c = document.querySelector('.overview'); return [...c.getContext('2d')"
        ".getImageData(c.width / 2, 0, 1, c.height).data].filter((_, i) => i % 4 === 0); })()"
    )
    assert min(overview) < 80
    for key in ("]", "[", "0", "+", "-"):
        page.key(key)
    assert complaints(page) == []
    page.open(path, script=False)
    assert "valence" in page.run("document.querySelector('.people').innerText")


def test_two_hours_of_ratings_are_drawn_by_columns(page: Any, tmp_path: Path) -> None:
    timeline = rated_timeline()
    windows = tuple(
        replace(one, start_s=one.start_s + 10 * turn, end_s=one.end_s + 10 * turn)
        for turn in range(720)
        for one in timeline.windows
    )
    long = replace(timeline, windows=windows, duration_s=7202.0)
    page.open(write_timeline(long, tmp_path / "a.html"))
    left, right, top, height = track(page, 0)
    found = column(page, round((left + right) / 2), top, height)
    dark = np.flatnonzero((np.abs(found - TEXT) < 70).all(axis=1))
    mean = np.mean([one.ratings["valence"].value for one in timeline.windows if one.person == "Anna"])
    assert abs(np.mean(dark) - height * (1 - (mean - 1) / 6)) < height / 5
    for _ in range(6):
        page.wheel((left + right) / 2, top + height / 2, -800)
    settle(page)
    assert complaints(page) == []


@pytest.mark.parametrize(
    ("width", "dark", "emotions"), [(1280, False, True), (360, True, True), (360, False, False)]
)
def test_nothing_serious_keeps_people_out(
    page: Any, tmp_path: Path, *, width: int, dark: bool, emotions: bool
) -> None:
    path = write_timeline(rated_timeline(emotions=emotions), tmp_path / "a.html")
    page.open(path, size=(width, 900), dark=dark)
    page.run(
        f"{VIEWER}.seek(4),"
        "document.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''))"
    )
    settle(page)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert complaints(page) == []
    assert accessibility.grave_problems(page) == []


def test_other_annotations_keep_the_ratings(page: Any, tmp_path: Path) -> None:
    timeline: Timeline = rated_timeline()
    page.open(write_timeline(timeline, tmp_path / "a.html"))
    page.run(f"{VIEWER}.seek(4)")
    before = page.run("document.querySelector('.ratings').innerText")
    page.run(f"{VIEWER}.update({json.dumps(view_data(timeline))})")
    settle(page)
    assert page.run("document.querySelector('.ratings').innerText") == before
    assert page.run("document.querySelectorAll('.ratings li').length") == 2
    assert complaints(page) == []

"""Markers and excluded spans on the page and in the picture, as a browser shows them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.exports.marks_table import marks_table, page_marks
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Timeline
from tests.exports.test_marks import study
from tests.support import timelines
from tests.support.typed import not_none


def errors(page: Any) -> list[Any]:
    """What went wrong on the page; the recording beside it does not exist."""
    return [
        one
        for one in page.events
        if one["method"] == "Runtime.exceptionThrown"
        or (one["method"] == "Log.entryAdded" and one["params"]["entry"]["source"] != "network")
    ]


def drawn_texts(page: Any, path: Path, width: int = 1200) -> list[str]:
    """All texts that the page draws on its canvases."""
    record = (
        "const old = CanvasRenderingContext2D.prototype.fillText; window.drawn = [];"
        "CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {"
        " window.drawn.push(text); return old.call(this, text, ...more); };"
    )
    found = page.send("Page.addScriptToEvaluateOnNewDocument", source=record)
    try:
        page.open(path, size=(width, 1200))
        return list(page.run("window.drawn"))
    finally:
        page.send("Page.removeScriptToEvaluateOnNewDocument", identifier=found["identifier"])


def test_the_table_has_a_row_for_each() -> None:
    root = ET.fromstring(marks_table(study()).replace("<details open>", "<details>"))
    rows = [["".join(cell.itertext()) for cell in row.iter("td")] for row in root.iter("tr")][1:]
    assert rows == [
        ["00:00:00.500", "00:00:03.000", "marker", "", "answer"],
        ["00:00:01.000", "", "marker", "", "=two lines"],
        ["00:00:01.000", "", "marker", "", "question 1"],
        ["00:00:04.000", "00:00:06.000", "excluded", "everybody", "a phone & a door"],
        ["00:00:05.000", "00:00:08.000", "excluded", "Bert", "not Bert"],
    ]
    assert marks_table(timelines.random_timeline(1)) == ""
    assert list(page_marks(study()))[3] == [4000, 6000, "excluded", "everybody", "a phone & a door"]


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_draws_them(page: Any, tmp_path: Path, width: int) -> None:
    drawn = drawn_texts(page, write_timeline(study(), tmp_path / "a.html"), width)
    assert {"markers", "question 1"} <= set(drawn)
    assert "excluded" in drawn or width < 600
    assert any(text.startswith("exclu") and text != "excluded" for text in drawn)
    assert errors(page) == []
    assert page.run("document.documentElement.scrollWidth") <= width
    assert "Purpose: a study of <interviews>" in page.run("document.body.innerText")


def test_a_click_on_a_marker_seeks(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(study(), tmp_path / "a.html"), size=(1200, 1200))
    page.run("document.querySelectorAll('.marks button')[3].click()")
    assert page.run("document.querySelector('[data-part=tracks]').getAttribute('aria-valuenow')") == "4.00"
    # what the pointer is over is said in words
    left, top, right = page.run(
        "(() => { const b = document.querySelector('[data-part=base]').getBoundingClientRect();"
        " return [b.left, b.top, b.right]; })()"
    )
    bottom = page.run("document.querySelector('[data-part=base]').getBoundingClientRect().bottom")
    tips = {}
    for share in (0.05, 0.5):
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=left + 76 + share * (right - left - 86),
                  y=bottom - 20)  # fmt: skip
        tips[share] = page.run("document.querySelector('[data-part=tip]').textContent")
    assert "answer" in tips[0.05] and "excluded, everybody: a phone & a door" in tips[0.5]
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=left + 76 + 0.5 * (right - left - 86),
              y=bottom - 60)  # fmt: skip
    assert "excluded" in page.run("document.querySelector('[data-part=tip]').textContent")
    assert top < bottom and errors(page) == []


@pytest.mark.parametrize("seed", range(6))
def test_any_page_with_marks_is_drawn(page: Any, tmp_path: Path, seed: int) -> None:
    page.open(write_timeline(timelines.marked_timeline(seed), tmp_path / "a.html"))
    assert errors(page) == []
    assert page.run("document.querySelectorAll('.marks tbody tr').length") == 7


def test_a_page_without_scripts_shows_them_too(tmp_path: Path) -> None:
    text = write_timeline(study(), tmp_path / "a.html").read_text(encoding="utf-8")
    chart = text[text.index('<figure class="still') : text.index("</figure>")]
    assert "<title>excluded</title>" in chart and "question 1" in chart and "Purpose: a study" in chart


def test_the_picture_has_a_row_of_them(tmp_path: Path) -> None:
    image = not_none(cv2.imread(str(write_timeline(study(), tmp_path / "a.png"))))
    svg = ET.parse(write_timeline(study(), tmp_path / "a.svg")).getroot()
    texts = {element.text: element for element in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"markers", "question 1", "excluded", "Purpose: a study of <interviews>"} <= set(texts)
    gray = np.array([0xD2, 0xCA, 0xC3])  # --line

    def pixel(timeline: Timeline, time_s: float, text: str) -> Any:
        x = 140 + time_s / timeline.duration_s * 1050
        return image[round(float(texts[text].get("y", 0)) * 2), round(x * 2)]

    for name, time_s, excluded in (("Anna", 5.0, True), ("Anna", 7.0, False), ("Bert", 7.0, True),
                                   ("Bert", 9.0, False)):  # fmt: skip
        rows = [e for e in svg.iter("{http://www.w3.org/2000/svg}text") if e.text == name]
        texts[name] = rows[-1]  # the ribbon's, below that of the curves
        assert (pixel(study(), time_s, name) == gray).all() == excluded, (name, time_s)

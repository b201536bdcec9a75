"""The page, read by an HTML parser and driven in a real browser."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.exports.waveform import Peaks
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment, Timeline, Window
from tests.support import media_files, timelines

VOID = {"meta", "input", "br", "link", "img"}


class Reader(HTMLParser):
    """Elements with their attributes and texts; fails where tags do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            self.found.append((tag, dict(attrs), ""))
            return
        self.open.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        name, attributes = self.open.pop()
        assert name == tag, f"<{name}> is ended by </{tag}>"
        self.found.append((name, attributes, self.texts.pop()))

    def all(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        return [(a, t) for name, a, t in self.found if name == tag and attributes.items() <= a.items()]


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def one_hot(place: int) -> Any:
    values = np.full(8, 0.02)
    values[place] = 1 - 0.14
    return values


def talk(duration_s: float, source: str = "talk.mp4") -> Timeline:
    """Two people; Anna is happy, then sad; Bert abstains. The voice is angry; a stretch has no face."""
    half = duration_s / 2
    windows = []
    for start in np.arange(0, duration_s - 0.99, 1.0):
        begin, end = float(start), float(min(start + 3, duration_s))
        mood = 2 if begin + 1.5 < half else 3
        hidden = half <= begin + 1.5 < half + 2
        windows.append(
            Window(begin, end, one_hot(4), None if hidden else one_hot(mood), one_hot(mood), speech=0.5,
                   reasons=("face:not_seen",) if hidden else (), person="Anna", speaker="Anna")
        )  # fmt: skip
        windows.append(Window(begin, end, None, one_hot(0), one_hot(0), person='</script>"B&rt'))
    segments = (
        Segment(0.0, half, "happy", 0.86, person="Anna"),
        Segment(0.0, duration_s, None, 0.3, abstained=True, person='</script>"B&rt'),
        Segment(half, duration_s, "sad", 0.86, person="Anna"),
    )
    return Timeline(
        source, duration_s, 0.0, tuple(windows), segments, EMOTIONS, "r 1", "free", ("Anna", '</script>"B&rt')
    )


def some_peaks(duration_s: float) -> Peaks:
    high = np.random.default_rng(0).integers(1, 100, round(duration_s / 0.1)).astype(np.int8)
    return Peaks(0.1, -high, high)


# --- the file


def test_pages_are_well_formed_and_make_no_network_requests(any_timeline: Timeline, tmp_path: Path) -> None:
    page = write_timeline(any_timeline, tmp_path / "a.html")
    text, reader = page.read_text(encoding="utf-8"), read(page)
    assert "://" not in re.sub(r"https?://www\.w3\.org/\S*", "", text)
    assert not reader.all("link") and not reader.all("img") and not reader.all("iframe")
    assert not any("src" in attributes for _, attributes, _ in reader.found)
    (policy,) = reader.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in (policy[0]["content"] or "")
    data = json.loads(reader.all("script", type="application/json")[0][1])["view"]
    assert len(reader.all("script")) == 2
    assert sum(len(ribbon["segments"]) for ribbon in data["ribbons"]) == len(any_timeline.segments)
    assert data["people"] == list(any_timeline.people)
    parts = len(any_timeline.segments) + len(any_timeline.windows)
    assert page.stat().st_size < 620_000 + 150 * parts


def test_names_are_escaped(tmp_path: Path) -> None:
    hostile = (
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "'\"><img src=x onerror=alert(1)>",
        *timelines.HOSTILE,
    )
    segments = tuple(Segment(1.0, 2.0, "happy", 1.0, person=name) for name in hostile)
    windows = tuple(timelines.window(1.0, 2.0, person=name, reasons=("a:b",)) for name in hostile)
    for name in hostile:
        whole = timelines.timeline(
            source=f"takes/{name}.mp4",
            recogniser=name,
            licence=name,
            people=hostile,
            segments=segments,
            windows=windows,
        )
        reader = read(write_timeline(whole, tmp_path / "a.html", waveform=some_peaks(10.0)))
        assert len(reader.all("script")) == 2
        assert not reader.all("img")
        assert json.loads(reader.all("script", type="application/json")[0][1])["view"]["people"] == list(
            hostile
        )


def test_the_recording_is_addressed_relative_to_the_page(tmp_path: Path) -> None:
    def media(source: str) -> Any:
        page = write_timeline(timelines.timeline(source=source), tmp_path / "out" / "a.html")
        return json.loads(read(page).all("script", type="application/json")[0][1])["media"]

    recording = tmp_path / "takes" / "Gespräch #1.mp4"
    recording.parent.mkdir()
    recording.touch()
    assert media(str(recording)) == "./../takes/Gespr%C3%A4ch%20%231.mp4"
    assert media("/elsewhere/javascript:x.mp4") == "./javascript%3Ax.mp4"
    assert media("https://example.org/a.mp4") is None
    assert media("<bytes>") is None


def test_the_table_lists_the_segments(tmp_path: Path) -> None:
    reader = read(write_timeline(talk(20.0), tmp_path / "a.html"))
    cells = [text for _, text in reader.all("td")][2 * 5 :]  # those before are of people
    assert cells[2:5] == ["Anna", "happy", "86 %"]
    assert cells[7:10] == ['</script>"B&rt', "not sure", "30 %"]
    buttons = [(a["data-time"], text) for a, text in reader.all("button") if "data-time" in a]
    assert buttons == [("0.0", "00:00:00.000"), ("0.0", "00:00:00.000"), ("10.0", "00:00:10.000")]


def test_the_page_sums_up_each_person(tmp_path: Path) -> None:
    reader = read(write_timeline(talk(20.0), tmp_path / "a.html"))
    names = [text for _, text in reader.all("th", scope="row")]
    assert names[:2] == ["Anna", '</script>"B&rt']
    cells = [text.replace("\u00a0", " ") for _, text in reader.all("td")]
    assert cells[3:5] == ["happy 50 %, sad 50 %", "86 %"]
    assert cells[8:10] == ["not sure 100 %", "–"]


# --- in a browser


def complaints(page: Any) -> list[Any]:
    """Errors and blocked requests; a missing recording does not count."""
    bad = ("Runtime.exceptionThrown", "Log.entryAdded")
    found = [event for event in page.events if event.get("method") in bad]
    expected = ("ERR_FILE_NOT_FOUND", "willReadFrequently")
    return [e for e in found if not any(word in json.dumps(e) for word in expected)]


def settle(page: Any) -> None:
    """Wait until pending changes are drawn."""
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def colour(page: Any, x: float, y: float) -> Any:
    """[red, green, blue] of the canvas at a point of the window."""
    return page.run(
        "(() => { const c = document.querySelector('[data-part=base]'), b = c.getBoundingClientRect();"
        f"const at = [{x} - b.left, {y} - b.top];"
        "return [...c.getContext('2d').getImageData(...at, 1, 1).data].slice(0, 3); })()"
    )


def row(page: Any, what: str) -> tuple[float, float, float]:
    """Left, right and middle of a track in the window, by the layout of the page: audio 76, speech 24 …"""
    top, left, right, names = page.run(
        "(() => { const b = document.querySelector('[data-part=base]').getBoundingClientRect();"
        " const pen = document.createElement('canvas').getContext('2d');"
        " pen.font = '600 12px system-ui, sans-serif';"
        " const widths = JSON.parse(document.getElementById('timeline-data').textContent).view.ribbons"
        ".map((one) => Math.ceil(pen.measureText(one.name).width));"
        " return [b.top, b.left, b.right, Math.max(...widths)]; })()"
    )
    below = {"wave": 28 + 38, "speech": 114 + 12, "curves": 148 + 115, "Anna": 388 + 16, "other": 430 + 16}
    return left + max(76, names + 18), right - 10, top + below[what]


def now(page: Any) -> float:
    return float(page.run("document.querySelector('[data-part=tracks]').getAttribute('aria-valuenow')"))


@pytest.mark.parametrize("width", [360, 1200])
def test_the_names_of_rows_are_drawn_at_any_width(page: Any, tmp_path: Path, width: int) -> None:
    timeline = talk(20.0)
    path = write_timeline(timeline, tmp_path / "a.html", waveform=some_peaks(20.0))
    record = (
        "const old = CanvasRenderingContext2D.prototype.fillText; window.drawn = [];"
        "CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {"
        " window.drawn.push([text, x, y, this.font]); return old.apply(this, arguments); };"
    )
    found = page.send("Page.addScriptToEvaluateOnNewDocument", source=record)
    try:
        page.open(path, size=(width, 900))
        drawn = page.run("window.drawn")
    finally:
        page.send("Page.removeScriptToEvaluateOnNewDocument", identifier=found["identifier"])
    texts = {text for text, *_ in drawn}
    assert {"audio", "speech", "both", "Anna"} <= texts, texts
    assert all(0 <= x <= width for text, x, *_ in drawn if text == "Anna")
    assert page.run("document.documentElement.scrollWidth") <= width


def test_a_click_seeks_in_the_recording(page: Any, tmp_path: Path) -> None:
    source = media_files.write_audio(
        tmp_path / "talk.ogg", media_files.tone(20.0, 48000), 48000, codec="libopus"
    )
    page.open(write_timeline(talk(20.0, str(source)), tmp_path / "a.html", waveform=some_peaks(20.0)))
    page.until("!document.querySelector('[data-part=media]').hidden")
    left, right, middle = row(page, "curves")
    page.click(left + (right - left) * 0.75, middle)
    assert now(page) == pytest.approx(15.0, abs=0.03)
    page.until("Math.abs(document.querySelector('[data-part=media]').currentTime - 15) < 0.05")
    assert page.run("document.querySelector('.top').textContent").startswith("sad")
    page.key("ArrowLeft", 37)
    assert now(page) == pytest.approx(14.0, abs=0.03)
    page.key("[")
    assert now(page) == 10.0
    page.key(" ", 32)
    page.until("document.querySelector('[data-part=media]').currentTime > 10.2")
    assert now(page) > 10.1
    page.key(" ", 32)
    assert page.run("document.querySelector('[data-part=media]').paused")
    assert complaints(page) == []


def test_an_excerpt_ends_before_its_recording(page: Any, tmp_path: Path) -> None:
    source = media_files.write_audio(
        tmp_path / "talk.ogg", media_files.tone(20.0, 48000), 48000, codec="libopus"
    )
    page.open(write_timeline(talk(5.0, str(source)), tmp_path / "a.html"))
    page.until("!document.querySelector('[data-part=media]').hidden")
    page.key("End", 35)
    page.key("ArrowLeft", 37)
    assert now(page) == pytest.approx(4.0, abs=0.03)
    page.key(" ", 32)
    page.until("document.querySelector('[data-part=media]').currentTime > 4.2")
    page.until("document.querySelector('[data-part=media]').paused")
    assert now(page) == 5.0
    assert page.run("document.querySelector('[data-part=media]').currentTime") < 5.5
    page.key(" ", 32)  # from the start
    page.until(
        "(({ paused, currentTime: s }) => !paused && s < 3)(document.querySelector('[data-part=media]'))"
    )
    assert complaints(page) == []


def test_damage_is_noted_on_the_page(tmp_path: Path) -> None:
    whole = timelines.timeline(notes=("damaged: decoding stopped at <0.10> s",))
    text = write_timeline(whole, tmp_path / "a.html").read_text(encoding="utf-8")
    assert '<p class="note">damaged: decoding stopped at &lt;0.10&gt; s</p>' in text


def test_a_local_copy_is_opened(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(5.0, "/elsewhere/gone.mp4"), tmp_path / "a.html"))
    assert page.run("document.querySelector('[data-part=media]').hidden")
    page.key(" ", 32)
    assert "Open the recording" in page.run("document.querySelector('[data-part=status]').textContent")
    copy = media_files.write_audio(
        tmp_path / "copy.ogg", media_files.tone(5.0, 48000), 48000, codec="libopus"
    )
    page.choose("[data-part=file]", copy)
    page.until("!document.querySelector('[data-part=media]').hidden")
    assert page.run("document.querySelector('[data-part=media]').duration") == pytest.approx(5.0, abs=0.1)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    page.choose("[data-part=file-again]", broken)
    page.until("document.querySelector('[data-part=status]').textContent.includes('broken.mp4')")
    assert not page.run("document.querySelector('[data-part=invite]').hidden")


def test_switches_change_what_is_drawn(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(20.0), tmp_path / "a.html", waveform=some_peaks(20.0)))
    left, right, middle = row(page, "curves")
    early = left + (right - left) * 0.2
    happy, angry = [0xE0, 0xA8, 0x00], [0xD1, 0x38, 0x2F]
    assert np.allclose(colour(page, early, middle), happy, atol=25)
    page.run("document.querySelector('input[value=voice]').click()")
    settle(page)
    assert np.allclose(colour(page, early, middle), angry, atol=25)
    page.run("document.querySelector('input[value=face]').click()")
    settle(page)
    gap = left + (right - left) * 0.55
    assert np.allclose(colour(page, gap, middle + 60), [0xE6, 0xE9, 0xED], atol=3)
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=gap, y=middle)
    assert "face: not seen" in page.run("document.querySelector('[data-part=tip]').textContent")
    # a click on a ribbon selects its person
    _, _, ribbon = row(page, "other")
    page.click(left - 20, ribbon)
    assert (
        page.run("document.querySelector('[data-part=person]').selectedOptions[0].textContent")
        == '</script>"B&rt'
    )
    settle(page)
    assert np.allclose(colour(page, early, middle), [0x8A, 0x8F, 0x98], atol=25)
    page.run("document.querySelectorAll('.legend button')[2].click()")
    settle(page)
    assert min(colour(page, early, middle)) > 220
    assert page.run("document.querySelectorAll('.legend button')[2].getAttribute('aria-pressed')") == "true"
    assert complaints(page) == []


def test_an_hour_can_be_zoomed(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(3600.0), tmp_path / "a.html", waveform=some_peaks(3600.0)))
    left, right, middle = row(page, "curves")
    place = left + round((right - left) * 0.25)
    page.click(place, middle)
    there = 3600 * (place - left) / (right - left)
    assert now(page) == pytest.approx(there, abs=3)
    for _ in range(8):
        page.wheel(place, middle, -400)
    settle(page)
    page.click(place, middle)
    zoomed = now(page)
    assert zoomed == pytest.approx(there, abs=3)
    page.click(place + 200, middle)
    assert zoomed < now(page) < zoomed + 3
    before = now(page)
    page.drag(place, middle, place + 300)
    page.click(place + 200, middle)
    assert now(page) < before
    page.key("0")
    page.click(right - 1, middle)
    assert now(page) == pytest.approx(3600, abs=6)
    start = time.monotonic()
    page.run("document.querySelector('input[value=lines]').click()")
    settle(page)
    assert time.monotonic() - start < 2
    assert complaints(page) == []


def test_dark_pages_and_pages_without_scripts(page: Any, tmp_path: Path) -> None:
    path = write_timeline(talk(20.0), tmp_path / "a.html", waveform=some_peaks(20.0))
    page.open(path, dark=True)
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    assert page.run("getComputedStyle(document.querySelector('.still')).display === 'none'")
    page.open(path, script=False)
    assert page.run("document.querySelector('.still svg').getBoundingClientRect().height") > 200
    assert page.run("document.querySelectorAll('canvas, button:not([data-time])').length") == 0


def test_an_empty_page(page: Any, tmp_path: Path) -> None:
    cases: dict[str, dict[str, Any]] = {
        "empty": {},
        "no-length": {"duration_s": 0.0},
        "short": {"duration_s": 0.0004, "windows": (timelines.window(0.0, 0.0004),)},
        "early": {"start_s": -2.0, "duration_s": 1.5, "windows": (timelines.window(-2.0, -1.0),)},
    }
    for name, more in cases.items():
        page.open(write_timeline(timelines.timeline(**more), tmp_path / f"{name}.html"))
        page.key("ArrowRight", 39)
        page.key("+")
        assert complaints(page) == [], name

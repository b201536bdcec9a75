"""The viewer: its data, and what people do with it in a browser."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.exports.page_texts import asset, texts
from emofuse.exports.tiers import VOICE
from emofuse.exports.viewer import emotion_style, script, style, view_data
from emofuse.exports.write import write_timeline
from emofuse.features.own_baseline import OwnBaseline
from emofuse.timeline.marks import Marker
from emofuse.timeline.people import rename_people
from emofuse.timeline.person_baseline import PersonBaseline
from emofuse.timeline.records import FaceBox, Segment, Timeline
from tests.exports.test_html_page import complaints, now, one_hot, row, settle, some_peaks, talk
from tests.support import accessibility, chromium, media_files, timelines

VIEWER = "timelineViewer"
HAPPY = [0xE0, 0xA8, 0x00]


def unpacked(text: str, kind: str) -> Any:
    return np.frombuffer(base64.b64decode(text), kind)


def set_view(page: chromium.Page, timeline: Timeline) -> None:
    """Show another timeline in the viewer that is there."""
    page.run(f"{VIEWER}.update({json.dumps(view_data(timeline, some_peaks(20.0)))})")
    settle(page)


# --- data


def test_a_view_is_plain_data_without_code(any_timeline: Timeline) -> None:
    view = json.loads(json.dumps(view_data(any_timeline), allow_nan=False))
    fragments = json.dumps(list(view["html"].values()))
    assert not re.search(r"\sstyle=|\son\w+=|<script", fragments)
    assert len(view["html"]["segment_rows"]) == len(any_timeline.segments)
    assert [len(unpacked(one["starts"], "<i4")) for one in view["series"]] == [
        len(windows) for windows in any_timeline.by_person(any_timeline.windows).values() if windows
    ]


def test_faces_are_packed_as_shares_of_the_frame() -> None:
    timeline = timelines.random_timeline(4)
    view, people = view_data(timeline), {one.person for one in timeline.faces}
    assert timeline.picture_size == (1280, 720)
    assert {timeline.people[one["person"]] for one in view["faces"]} == people
    for one in view["faces"]:
        own = [face for face in timeline.faces if face.person == timeline.people[one["person"]]]
        edges = unpacked(one["boxes"], "<i2").reshape(-1, 4) / 10_000 * np.array([1280, 720, 1280, 720])
        np.testing.assert_allclose(edges, [face.edges for face in own], atol=0.07)
        np.testing.assert_allclose(unpacked(one["times"], "<i4") / 1000, [f.time_s for f in own], atol=6e-4)
    far = FaceBox(1.0, "Anna", -9e9, -5.0, 9e9, 5.0)
    wide = timelines.timeline(people=("Anna",), faces=(far,), picture_size=(10, 10))
    assert unpacked(view_data(wide)["faces"][0]["boxes"], "<i2").tolist() == [-30000, -5000, 30000, 5000]


def test_every_text_of_the_viewer_is_used_and_there() -> None:
    known = texts()["viewer"]
    asked = set(re.findall(r'\bsay\((?:[^()"]*\? )?"(\w+)"(?: : "(\w+)")?', script()))
    words = {word for pair in asked for word in pair if word}
    assert words <= set(known["script"]), words - set(known["script"])
    # kinds and shapes are asked for by their names in the data
    named = {"fused", "voice", "face", "stacked", "lines"}
    unused = {key for key in known["script"] if f'"{key}"' not in script()} - named
    assert unused == set()
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parents[2] / "src/emofuse/exports").glob("*.py")
    )
    assert {key for key in known["fragments"] if not re.search(f"[\"']{key}[\"']", source)} == set()


def test_a_voice_of_nobody_has_one_name() -> None:
    segments = (Segment(0.0, 10.0, "happy", 0.9), Segment(0.0, 10.0, "sad", 0.9, person="Anna"))
    windows = tuple(
        timelines.window(0.0, 10.0, person=person, reasons=("face:none_seen",)) for person in ("Anna", None)
    )
    view = view_data(timelines.timeline(people=("Anna",), windows=windows, segments=segments))
    assert texts()["viewer"]["script"]["nobody"] == VOICE
    assert [one["name"] for one in view["ribbons"]] == ["Anna", VOICE]
    assert [f"<td>{VOICE}</td>" in row for row in view["html"]["segment_rows"]] == [True, False]
    for part in ("people", "unused"):
        assert re.findall('<th scope="row">(.*?)</th>', view["html"][part]) == ["Anna", VOICE], part
    # how little of it was read stands beside how sure it was
    assert view["html"]["people"].count('data-name="read">0:10.0<') == 2


def test_script_and_style_run_and_load_nothing() -> None:
    assert "://" not in script() + style() + asset("page.js")
    assert not re.search(r"\beval\(|new Function|import\(|fetch\(", script())
    assert ".e1{--c:var(--e1)}" in emotion_style(("sad", "happy"))


# --- other annotations


def test_other_annotations_are_shown_at_the_same_place(page: Any, tmp_path: Path) -> None:
    source = media_files.write_audio(
        tmp_path / "talk.ogg", media_files.tone(20.0, 48000), 48000, codec="libopus"
    )
    timeline = talk(20.0, str(source))
    page.open(write_timeline(timeline, tmp_path / "a.html", waveform=some_peaks(20.0)))
    page.until("!document.querySelector('[data-part=media]').hidden")
    bert = timeline.people[1]
    page.run(
        f"{VIEWER}.seek(12), {VIEWER}.showSpan(8, 6), {VIEWER}.choosePerson({json.dumps(bert)}),"
        f"{VIEWER}.select(9, 11), document.querySelector('details').open = true,"
        "document.querySelector('input[value=face]').click(), globalThis.heard = [],"
        f"{VIEWER}.addEventListener('rows', (event) => heard.push(event.detail.part)), 0"
    )
    page.key(" ", 32)
    page.until("document.querySelector('[data-part=media]').currentTime > 12.1")
    changed = rename_people(replace(timeline, markers=(Marker(1.0, "question"),)), {bert: "Berta"})[0]
    set_view(page, changed)
    assert page.run(
        f"[{VIEWER}.person, {VIEWER}.state.kind, {VIEWER}.state.from, {VIEWER}.state.to, heard]"
    ) == ["Berta", "face", 8, 14, ["people", "marks", "segments"]]
    assert page.run(f"{VIEWER}.selection") == {"start": 9, "end": 11}
    assert not page.run("document.querySelector('[data-part=media]').paused")
    page.until("document.querySelector('[data-part=media]').currentTime > 12.4")
    assert now(page) > 12.1
    page.key(" ", 32)
    assert page.run("document.querySelector('.marks').textContent").endswith("markerquestion")
    assert page.run("[...document.querySelectorAll('.people th[scope=row]')].map((e) => e.textContent)") == [
        "Anna", "Berta",
    ]  # fmt: skip
    assert page.run("document.querySelector('.segments').closest('details').open")
    # what has not changed is not put again
    set_view(page, changed)
    assert page.run("heard.length") == 3
    # somebody who is gone
    alone = replace(
        changed, people=("Anna",), markers=(),
        windows=tuple(one for one in changed.windows if one.person == "Anna"),
        segments=tuple(one for one in changed.segments if one.person == "Anna"),
    )  # fmt: skip
    set_view(page, alone)
    assert page.run(f"{VIEWER}.person") == "Anna"
    assert page.run("document.querySelector('[data-part=person-choice]').hidden")
    assert page.run("document.querySelector('.marks')") is None
    assert complaints(page) == []


def test_a_closed_viewer_leaves_nothing(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(20.0), tmp_path / "a.html"))
    page.run(f"{VIEWER}.close()")
    assert page.run("document.getElementById('viewer').childElementCount") == 0
    for key in ("i", "+", "]"):
        page.key(key)
    assert page.run(f"[{VIEWER}.selection, {VIEWER}.cursor]") == [None, 0]
    assert page.run("document.adoptedStyleSheets.length") == 0
    assert complaints(page) == []


# --- a span


def test_a_span_is_selected_by_pointer_and_by_keys(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(20.0), tmp_path / "a.html", waveform=some_peaks(20.0)))
    page.run(
        "globalThis.heard = [],"
        f" {VIEWER}.addEventListener('select', (e) => heard.push(e.detail.selection)), 0"
    )
    left, right, middle = row(page, "curves")
    begin, end = left + (right - left) * 0.25, left + (right - left) * 0.75
    shift = 8
    for kind, x in (("mousePressed", begin), ("mouseMoved", (begin + end) / 2), ("mouseMoved", end),
                    ("mouseReleased", end)):  # fmt: skip
        page.send("Input.dispatchMouseEvent", type=kind, x=x, y=middle, button="left", buttons=1,
                  clickCount=1, modifiers=shift)  # fmt: skip
    chosen = page.run(f"{VIEWER}.selection")
    assert chosen == {"start": pytest.approx(5, abs=0.05), "end": pytest.approx(15, abs=0.05)}
    assert page.run("heard") == [chosen] and now(page) == 0
    spoken = "document.querySelector('[data-part=spoken]').textContent"
    assert page.run(spoken) == "Selected 0:05.0 to 0:15.0, 10.0 seconds"
    settle(page)
    band = page.run(
        "(() => { const canvas = document.querySelector('[data-part=cursor]'), pen = canvas.getContext('2d');"
        " const box = canvas.getBoundingClientRect();"
        f" return [{left + 20}, {(begin + end) / 2}].map((x) =>"
        f" pen.getImageData(x - box.left, {middle} - box.top, 1, 1).data[3]); }})()"
    )
    assert band[0] == 0 and band[1] > 20
    page.key("Escape", 27)
    assert page.run(f"{VIEWER}.selection") is None and page.run(spoken) == "Nothing is selected"
    page.run(f"{VIEWER}.seek(4)")
    page.key("i")
    assert page.run(f"{VIEWER}.selection") == {"start": 4, "end": 20}
    page.run(f"{VIEWER}.seek(7.5)")
    page.key("o")
    assert page.run(f"{VIEWER}.selection") == {"start": 4, "end": 7.5}
    assert page.run("document.querySelector('[data-part=selected]').textContent") == "0:04.0 – 0:07.5, 3.5 s"
    page.run("document.querySelector('[data-part=select-zoom]').click()")
    assert page.run(f"[{VIEWER}.state.from, {VIEWER}.state.to]") == [4, 7.5]
    page.run("document.querySelector('[data-part=select-clear]').click()")
    assert page.run("heard.at(-1)") is None and len(page.run("heard")) == 5
    # keys of text fields are theirs
    page.run(
        "document.body.append(document.createElement('textarea')), document.querySelector('textarea').focus()"
    )
    page.key("i")
    assert page.run("document.querySelector('textarea').value") == "i"
    assert page.run(f"{VIEWER}.selection") is None
    assert complaints(page) == []


# --- faces


def film(path: Path, size: tuple[int, int]) -> Path:
    """Four seconds of black."""
    frames = [np.zeros((size[1], size[0], 3), np.uint8)] * 40
    return media_files.write_video(
        path, [3000 * n for n in range(40)], size=size, codec="libvpx-vp9", frames=frames,
        options={"deadline": "realtime", "cpu-used": "8"},
    )  # fmt: skip


def faces_of(source: Path) -> Timeline:
    """Anna is happy, on the left, and moves; then she is gone for a second and comes back, abstained."""
    times = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 2.4, 2.6, 2.8, 3.0]
    faces = tuple(FaceBox(t, "Anna", 20 + 100 * t, 40, 120 + 100 * t, 160) for t in times)
    segments = (
        Segment(0.0, 2.0, "happy", 0.9, person="Anna"),
        Segment(2.0, 4.0, None, 0.3, abstained=True, person="Anna"),
    )
    return timelines.timeline(
        source=str(source), duration_s=4.0, people=("Anna",), faces=faces, segments=segments,
        windows=(timelines.window(0.0, 4.0, person="Anna"),), picture_size=(640, 240),
    )  # fmt: skip


def boxes(page: Any, time_s: float) -> Any:
    return page.run(
        f"emofuseViewer.facesAt({VIEWER}.model, {time_s}).map(({{ box, part }}) =>"
        " [...box.map((edge) => Math.round(edge * 10000) / 10000), part && part.status])"
    )


def test_boxes_move_evenly_and_are_held_beside_gaps(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(faces_of(tmp_path / "none.webm"), tmp_path / "a.html"))
    ((*edges, status),) = boxes(page, 0.3)
    assert status == "read"
    assert edges == pytest.approx([50 / 640, 40 / 240, 150 / 640, 160 / 240], abs=1e-4)
    assert boxes(page, 1.1)[0][0] == pytest.approx(120 / 640, abs=1e-4)
    assert boxes(page, 1.5) == [] == boxes(page, 2.2) == boxes(page, 3.5)
    assert boxes(page, 2.35)[0][0] == pytest.approx(260 / 640, abs=1e-4)
    assert boxes(page, 2.5)[0][4] == "abstained"
    assert page.run("document.querySelector('[data-part=faces]').hidden"), "there is no film to draw on"


def test_faces_are_drawn_over_the_film(page: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "film.webm", (640, 240))
    page.open(write_timeline(faces_of(source), tmp_path / "a.html"))
    page.until("document.querySelector('[data-part=media]').readyState >= 2")
    page.run(f"{VIEWER}.seek(0.4)")
    page.until("!document.querySelector('[data-part=media]').seeking")
    # the film is shown whole in an element of another shape: bands above and below it
    page.run("Object.assign(document.querySelector('[data-part=media]').style, { height: '300px' }), 0")
    settle(page)
    settle(page)
    edge = (
        "(() => { const canvas = document.querySelector('[data-part=faces]'), pen = canvas.getContext('2d');"
        " const scale = canvas.clientWidth / 640, top = (canvas.clientHeight - 240 * scale) / 2;"
        " const at = (...place) => { const [x, y] = place.map((side) => Math.round(side * scale));"
        "  return [...pen.getImageData(x, Math.round(top) + y, 1, 1).data]; };"
        " return [at(60, 100), at(110, 40), at(110, 160), at(110, 100), at(75, 35)]; })()"
    )
    left, top, bottom, inside, label = page.run(edge)
    for found in (left, top, bottom, label):
        assert np.allclose(found[:3], HAPPY, atol=40) and found[3] > 200, (left, top, bottom, label)
    assert inside[3] == 0
    # it follows the film while it plays
    page.run("document.querySelector('[data-part=media]').play()")
    page.until("document.querySelector('[data-part=media]').currentTime > 0.7")
    page.run("document.querySelector('[data-part=media]').pause()")
    settle(page)
    assert page.run(edge)[0][3] == 0
    # the boxes go with it when it fills the screen
    click = "document.querySelector('[data-part=full-screen]').click()"
    page.send("Runtime.evaluate", expression=click, userGesture=True)
    page.until("document.fullscreenElement")
    assert page.run(
        "['media', 'faces'].every((part) => document.fullscreenElement"
        ".contains(document.querySelector(`[data-part=${part}]`)))"
    )
    page.run("document.exitFullscreen()")
    page.run("document.querySelector('[data-part=show-faces]').click()")
    settle(page)
    assert page.run("document.querySelector('[data-part=faces]').hidden")
    assert complaints(page) == []


def tied_faces(source: Path) -> Timeline:
    """Anna speaks for two seconds and is neutral; then only her face is read, which is neutral or calm."""
    voiced, silent = np.full(8, 0.02), np.full(8, 0.01)
    voiced[0], silent[:2] = 0.86, 0.47
    windows = (
        timelines.window(0.0, 2.0, voice=voiced, face=silent, fused=voiced, person="Anna"),
        timelines.window(2.0, 4.0, face=silent, fused=silent, person="Anna"),
    )
    faces = tuple(FaceBox(t / 4, "Anna", 100, 40, 220, 160) for t in range(16))
    return timelines.timeline(
        source=str(source), duration_s=4.0, people=("Anna",), faces=faces, windows=windows,
        segments=(Segment(0.0, 4.0, "neutral", 0.6, person="Anna"),), picture_size=(640, 240),
    )  # fmt: skip


def media_ready(page: Any, tmp_path: Path, **more: Any) -> Timeline:
    """Anna and Bert, side by side, in a film of which nothing hides the upper half."""
    source = film(tmp_path / "film.webm", (640, 240))
    both = [
        FaceBox(t / 4, who, x, 40, x + 100, 160)
        for t in range(16)
        for who, x in (("Anna", 60), ("Bert", 400))
    ]
    timeline = timelines.timeline(
        source=str(source), duration_s=4.0, people=("Anna", "Bert"), faces=tuple(both),
        picture_size=(640, 240),
        windows=tuple(timelines.window(0.0, 4.0, face=one_hot(2), fused=one_hot(2), person=who, speech=0.5)
                      for who in ("Anna", "Bert")),
        segments=tuple(Segment(0.0, 4.0, "happy", 0.86, person=who) for who in ("Anna", "Bert")), **more,
    )  # fmt: skip
    page.open(write_timeline(timeline, tmp_path / "a.html", waveform=some_peaks(4.0)), size=(1280, 900))
    page.until("document.querySelector('[data-part=media]').readyState >= 2")
    settle(page)
    settle(page)
    return timeline


def on_film(page: Any, x: float, y: float) -> tuple[float, float]:
    """A point of the film in the window, from its pixels."""
    left, top, scale = page.run(
        "(() => { const { media } = timelineViewer.parts, box = media.getBoundingClientRect();"
        " const scale = Math.min(box.width / 640, box.height / 240);"
        " return [box.left + (box.width - 640 * scale) / 2, box.top + (box.height - 240 * scale) / 2,"
        " scale]; })()"
    )
    return left + x * scale, top + y * scale


def test_a_click_on_a_face_chooses_its_person(page: Any, tmp_path: Path) -> None:
    media_ready(page, tmp_path)
    whose = "document.querySelector('[data-part=whose]').textContent"
    assert page.run(whose) == "Anna at 0:00.0, face, happy 86 %"
    page.click(*on_film(page, 450, 80))
    assert page.run(f"[{VIEWER}.person, {whose}]") == ["Bert", "Bert at 0:00.0, face, happy 86 %"]
    page.click(*on_film(page, 110, 30))  # the name above the face
    assert page.run(f"{VIEWER}.person") == "Anna"
    assert page.run(f"{VIEWER}.parts.media.paused"), "the film has not heard of it"
    page.send(
        "Input.dispatchMouseEvent", type="mouseMoved", **dict(zip("xy", on_film(page, 300, 80), strict=True))
    )
    assert not page.run(f"{VIEWER}.parts.screen.classList.contains('on-face')")
    # where the browser's controls are, they are meant
    low = page.run(f"{VIEWER}.parts.media.getBoundingClientRect().bottom") - 20
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=on_film(page, 450, 0)[0], y=low)
    assert not page.run(f"{VIEWER}.parts.screen.classList.contains('on-face')")
    assert complaints(page) == []


def test_the_films_own_controls_come_when_they_are_wanted(page: Any, tmp_path: Path) -> None:
    media_ready(page, tmp_path)
    shown = f"{VIEWER}.parts.media.controls"
    assert not page.run(shown)
    page.send(
        "Input.dispatchMouseEvent", type="mouseMoved", **dict(zip("xy", on_film(page, 300, 80), strict=True))
    )
    assert page.run(shown)
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    assert not page.run(shown)
    page.key("Tab", 9)
    for _ in range(10):
        if page.run(f"document.activeElement === {VIEWER}.parts.media"):
            break
        page.key("Tab", 9)
    assert page.run(f"document.activeElement === {VIEWER}.parts.media && {shown}")
    page.run("document.activeElement.blur()")
    assert not page.run(shown)
    assert complaints(page) == []


@pytest.mark.parametrize("width", [1280, 360])
def test_the_title_of_the_values_keeps_its_height(page: Any, tmp_path: Path, width: int) -> None:
    voiced, long = np.full(8, 0.02), ("voice:unattributed", "face:seldom_seen")
    voiced[0] = 0.86
    windows = (
        timelines.window(0.0, 2.0, fused=None, person="Anna Maria Berta", reasons=long),
        timelines.window(2.0, 4.0, voice=voiced, fused=voiced, person="Anna Maria Berta"),
    )
    timeline = timelines.timeline(duration_s=5.0, people=("Anna Maria Berta",), windows=windows)
    page.open(write_timeline(timeline, tmp_path / "a.html"), size=(width, 900))
    found = set()
    for time_s in (1, 3, 4.5):
        page.run(f"{VIEWER}.seek({time_s})")
        found.add(page.run(f"{VIEWER}.parts.whose.offsetHeight"))
        words = page.run(f"{VIEWER}.parts.whose.textContent")
        assert words.startswith(f"Anna Maria Berta at 0:0{time_s:.1f}, "), words
    assert len(found) == 1
    assert page.run("document.documentElement.scrollWidth") <= width


def test_everything_has_its_place(page: Any, tmp_path: Path) -> None:
    baseline = PersonBaseline({"voice": OwnBaseline(9.0, np.zeros(8), 0.7)}, {"voice": 0.8})
    media_ready(page, tmp_path, purpose="a study", baselines={"Anna": baseline, "Bert": baseline})
    places = (
        "[...document.querySelectorAll('.controls')].map((line) => [...line.children]"
        ".filter((one) => one.offsetHeight).map((one) => { const box = one.getBoundingClientRect();"
        " return [Math.round(box.left), Math.round(box.top + box.height / 2)]; }))"
    )
    before = page.run(places)
    for line in before:
        assert max(y for _, y in line) - min(y for _, y in line) <= 2, "one row"
    assert page.run(f"{VIEWER}.parts.chart.getBoundingClientRect().top") < 500
    buttons = "['select-end', 'select-zoom', 'select-clear'].map((part) => {V}.parts[part].offsetLeft)"
    lefts = page.run(buttons.replace("{V}", VIEWER))
    page.run(f"{VIEWER}.select(1, 2.25)")
    assert page.run(places) == before and page.run(buttons.replace("{V}", VIEWER)) == lefts
    assert page.run("document.querySelector('.how').innerText").startswith("How it was read")
    swatches = page.run("[...document.querySelectorAll('.swatches li')].map((one) => one.textContent)")
    assert swatches == [
        "not sure: no emotion is probable enough", "excluded", "nothing to read: no face and no voice",
    ]  # fmt: skip
    assert complaints(page) == []


def test_a_drag_selects_where_there_is_nothing_to_pan(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(20.0), tmp_path / "a.html", waveform=some_peaks(20.0)))
    left, right, middle = row(page, "curves")
    width = right - left
    page.drag(left + width * 0.25, middle, left + width * 0.5)
    assert page.run(f"{VIEWER}.selection") == {
        "start": pytest.approx(5, abs=0.05), "end": pytest.approx(10, abs=0.05),
    }  # fmt: skip
    assert now(page) == 0
    page.run(f"{VIEWER}.select(), {VIEWER}.showSpan(5, 10), 0")
    settle(page)
    page.drag(left + width * 0.5, middle, left + width * 0.75)
    assert page.run(f"{VIEWER}.selection") is None
    assert page.run(f"{VIEWER}.state.from") == pytest.approx(2.5, abs=0.05)
    assert complaints(page) == []


def test_names_of_tracks_say_what_they_mean(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(20.0), tmp_path / "a.html", waveform=some_peaks(20.0)))
    tip = "document.querySelector('[data-part=tip]:not([hidden])')?.textContent"
    for what, words in (("speech", "somebody else speaks"), ("curves", "voice and face together"),
                        ("Anna", "curves of this person")):  # fmt: skip
        left, _, middle = row(page, what)
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=left - 30, y=middle)
        assert words in (page.run(tip) or ""), what
    left, _, middle = row(page, "wave")
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=left - 30, y=middle)
    assert page.run(tip) is None
    assert page.run("document.querySelector('.people abbr').title").startswith("how long this person speaks")
    assert complaints(page) == []


def test_lines_have_an_axis(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(talk(20.0), tmp_path / "a.html", waveform=some_peaks(20.0)))
    page.run(
        "globalThis.drawn = [], (() => { const old = CanvasRenderingContext2D.prototype.fillText;"
        " CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {"
        " drawn.push([text, Math.round(y)]); return old.apply(this, arguments); }; })(), 0"
    )
    levels = "drawn.filter(([text]) => /^[0-9]+ %$/.test(text))"
    page.run(f"{VIEWER}.redraw()")
    settle(page)
    assert page.run(levels) == []
    page.run("document.querySelector('input[value=lines]').click()")
    settle(page)
    top = page.run(f"{VIEWER}.tracks.area.rows.find((one) => one.what === 'curves').top")
    assert page.run(levels)[:3] == [
        ["25 %", pytest.approx(top + 171.5, abs=0.6)], ["50 %", pytest.approx(top + 114, abs=0.6)],
        ["75 %", pytest.approx(top + 56.5, abs=0.6)],
    ]  # fmt: skip
    assert complaints(page) == []


def test_what_a_face_does_not_tell_apart_is_shown_as_one(page: Any, tmp_path: Path) -> None:
    page.open(write_timeline(tied_faces(tmp_path / "none.webm"), tmp_path / "a.html"))
    bold = "[...document.querySelectorAll('.legend .top .name')].map((one) => one.textContent)"
    spoken = "document.querySelector('[data-part=tracks]').getAttribute('aria-valuetext')"
    words = f"emofuseViewer.facesAt({VIEWER}.model, {VIEWER}.cursor).map((one) => one.word)"
    whose = "document.querySelector('[data-part=whose]').textContent"
    page.run(f"{VIEWER}.seek(0.5)")
    assert page.run(f"[{bold}, {spoken}, {words}]") == [
        ["neutral"],
        "0:00.5, neutral 86 percent",
        ["neutral"],
    ]
    assert page.run(whose) == "Anna at 0:00.5, voice + face, neutral 86 %"
    page.run(f"{VIEWER}.seek(3)")
    both = [["neutral", "calm"], "0:03.0, neutral or calm 94 percent", ["neutral or calm"]]
    assert page.run(f"[{bold}, {spoken}, {words}]") == both
    assert page.run(whose) == "Anna at 0:03.0, face, neutral or calm 94 %"
    alike = "A face alone does not tell neutral from calm: both get the same."
    assert page.run("document.querySelector('.swatches').lastChild.textContent") == alike
    left, right, _ = row(page, "curves")
    y = page.run(
        "(() => { const track = timelineViewer.tracks.area.rows.find((one) => one.what === 'curves');"
        " return timelineViewer.parts.tracks.getBoundingClientRect().top + track.top + 20; })()"
    )
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=left + (right - left) * 0.75, y=y)
    tip = page.run("document.querySelector('[data-part=tip]').textContent").split("\n")
    assert tip[1] == "neutral or calm 94 %" and tip[2].endswith(" 1 %")
    assert alike in tip
    lines = []
    for share in (0.25, 0.75):
        x = left + (right - left) * share
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y + 240)
        lines.append(page.run("document.querySelector('[data-part=tip]').textContent").split("\n")[1:])
    assert lines == [
        ["Anna", "neutral 60 %", "0:00.0 – 0:04.0"], ["Anna", "neutral 60 %", alike, "0:00.0 – 0:04.0"],
    ]  # fmt: skip
    # in the curves of the face it is so all along
    page.run(f"document.querySelector('input[value=face]').click(), {VIEWER}.seek(0.5)")
    assert page.run(bold) == ["neutral", "calm"]
    assert complaints(page) == []


def test_a_page_of_sound_has_no_switch_for_faces(page: Any, tmp_path: Path) -> None:
    source = media_files.write_audio(
        tmp_path / "talk.ogg", media_files.tone(4.0, 48000), 48000, codec="libopus"
    )
    page.open(write_timeline(faces_of(source), tmp_path / "a.html"))
    page.until("!document.querySelector('[data-part=media]').hidden")
    assert page.run("document.querySelector('[data-part=faces-switch]').hidden")
    assert page.run("document.querySelector('[data-part=faces]').hidden")


# --- two hours

COUNTED = """
for (const name of ["fillRect", "fill", "stroke", "fillText", "drawImage", "lineTo", "measureText"]) {
  const plain = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...given) {
    globalThis.calls = (globalThis.calls || 0) + 1;
    return plain.apply(this, given);
  };
}
"""


@pytest.fixture(scope="module")
def two_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    timeline = timelines.interview(7200.0)
    assert len(timeline.windows) > 28_000 and len(timeline.faces) >= 28_800 and len(timeline.segments) > 2000
    return write_timeline(timeline, tmp_path_factory.mktemp("long") / "a.html", waveform=some_peaks(7200.0))


def test_two_hours_cost_no_more_than_their_pixels(page: Any, two_hours: Path) -> None:
    found = page.send("Page.addScriptToEvaluateOnNewDocument", source=COUNTED)
    try:
        page.open(two_hours)
    finally:
        page.send("Page.removeScriptToEvaluateOnNewDocument", identifier=found["identifier"])

    def calls(action: str) -> int:
        page.run(f"globalThis.calls = 0, {action}, 0")
        settle(page)
        return int(page.run("calls"))

    settle(page)
    # every curve, ribbon and wave: at most some strokes for each of 1,200 columns of pixels
    assert 2_000 < calls(f"{VIEWER}.showSpan(0, 7200), {VIEWER}.redraw()") < 20_000
    assert calls(f"{VIEWER}.showSpan(600, 3600)") < 20_000
    page.run(f"{VIEWER}.seek(700)")
    settle(page)
    assert calls(f"{VIEWER}.seek(1000)") < 40, "the cursor moves alone"
    assert calls(f"{VIEWER}.select(1000, 1010)") < 40
    page.run("document.querySelector('input[value=lines]').click()")
    assert calls(f"{VIEWER}.showSpan(0, 7200), {VIEWER}.redraw()") < 20_000
    assert complaints(page) == []


def test_all_segments_of_two_hours_are_listed_in_pages(page: Any, two_hours: Path) -> None:
    page.open(two_hours)
    rows = "[...document.querySelectorAll('.segments tbody tr')]"
    page.run("document.querySelector('.segments').closest('details').open = true")
    n = page.run(f"{VIEWER}.segments.rows.length")
    assert n > 2000 and page.run(f"{rows}.length") == 200
    assert page.run("document.querySelector('.pager span').textContent") == f"Rows 1 to 200 of {n}"
    assert page.run("document.querySelector('[data-part=rows-before]').disabled")
    page.run("document.querySelector('[data-part=rows-after]').click()")
    assert page.run(f"{rows}[0].dataset.index") == "200"
    page.run(f"{VIEWER}.seek(7190), document.querySelector('[data-part=rows-cursor]').click()")
    assert page.run("document.querySelector('[data-part=rows-after]').disabled")
    start, last = page.run(
        "[document.activeElement.dataset.time, document.activeElement.closest('tr').dataset.end]"
    )
    assert float(start) <= 7190 and float(last) > 7180
    page.run("document.activeElement.click()")
    assert now(page) == pytest.approx(float(start), abs=0.01)
    page.key("]")
    assert now(page) > float(start)
    page.open(two_hours, script=False)
    assert page.run(f"{rows}.length") == 2000


# --- people


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_nothing_serious_keeps_people_out(page: Any, tmp_path: Path, width: int, dark: bool) -> None:
    timeline = replace(faces_of(film(tmp_path / "film.webm", (640, 240))), markers=(Marker(1.0, "question"),))
    page.open(write_timeline(timeline, tmp_path / "a.html"), size=(width, 900), dark=dark)
    page.until("document.querySelector('[data-part=media]').readyState >= 2")
    page.run(
        f"{VIEWER}.select(1, 2),"
        "document.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''))"
    )
    settle(page)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert complaints(page) == []
    # axe runs as a script of the page, which its own policy does not allow
    assert accessibility.grave_problems(page) == []

"""Live mode in a real browser, whose camera and microphone give a recording."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.signal import resample_poly

from emofuse.core.colors import EMOTION_COLORS
from emofuse.server.client import Client
from emofuse.server.live.messages import unpack
from tests.support import chromium
from tests.support.accessibility import grave_problems
from tests.support.fake_devices import allow
from tests.support.service import FOREVER_S, PURPOSE, TOKEN, RunningService
from tests.support.service_page import focused, foreign, problems, type_text, until
from tests.support.typed import not_none

RATE = 16_000
READY = "document.getElementById('live-start')"
RUNNING = "document.getElementById('live-pause') && !document.getElementById('live-pause').disabled"
TABLE = "document.getElementById('live-table')"
READ = (
    "[...document.querySelectorAll('.live-values')].some((one) => one.rows[1].cells[%d].textContent !== '–')"
)
HEARD, SEEN = READ % 2, READ % 3
TELLS = "[...document.querySelectorAll('.live-problems li')].map((item) => item.textContent).join(' ')"
PAINTED = """((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const colors = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) colors.add(data.slice(i, i + 3).join());
  return [...colors];
})"""


def opened(page: chromium.Page, service: RunningService, **how: Any) -> None:
    """Show live mode, before a session."""
    page.open_address("about:blank")
    page.open_address(f"{service.url}/#/live", **how)
    until(page, READY)


def press(page: chromium.Page, selector: str) -> None:
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def downloaded(page: chromium.Page, folder: Path) -> Path:
    """The table, as the browser saves it."""
    folder.mkdir()
    page.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    press(page, "#live-table")
    end = time.monotonic() + FOREVER_S
    while not list(folder.glob("*.csv")):
        assert time.monotonic() < end
        time.sleep(0.05)
    (path,) = folder.iterdir()
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    data = path.read_bytes()
    assert data.endswith(b"\r\n")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


@pytest.mark.parametrize("rate", [48_000, 44_100, 8_000])
def test_the_microphone_gives_16_khz(page: chromium.Page, service: RunningService, rate: int) -> None:
    """As SciPy resamples what both sample rates can hold; what only the first can hold is gone."""
    rng = np.random.default_rng(rate)
    times = np.arange(2 * rate) / rate
    held = 0.9 * min(rate, RATE) / 2
    tones = [np.sin(2 * np.pi * (rng.uniform(50, 0.8 * held) * times + rng.uniform())) for _ in range(12)]
    samples = np.sum(tones, axis=0) / 24
    if rate > RATE:
        samples = samples + 0.3 * np.sin(2 * np.pi * 10_000 * times)  # beyond 8 kHz
    data = base64.b64encode(samples.astype("<f4").tobytes()).decode()
    page.open_address(f"{service.url}/page/texts.json")
    page.open_address(f"{service.url}/")
    blocks = page.run(f"""(async () => {{
      const bytes = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0));
      const samples = new Float32Array(bytes.buffer);
      const context = new OfflineAudioContext(1, samples.length, {rate}), blocks = [];
      await context.audioWorklet.addModule("/page/microphone.js");
      const buffer = context.createBuffer(1, samples.length, {rate});
      buffer.copyToChannel(samples, 0);
      const source = new AudioBufferSourceNode(context, {{ buffer }});
      const worklet = new AudioWorkletNode(context, "microphone", {{ numberOfOutputs: 0 }});
      worklet.port.onmessage = ({{ data }}) => blocks.push([...new Int16Array(data)]);
      source.connect(worklet);
      source.start();
      await context.startRendering();
      while (blocks.length < 19) await new Promise((done) => setTimeout(done, 20));
      return blocks;
    }})()""")
    assert {len(block) for block in blocks} == {1600}
    found = np.concatenate(blocks) / 32768
    shared = int(np.gcd(rate, RATE))
    kept = samples if rate <= RATE else samples - 0.3 * np.sin(2 * np.pi * 10_000 * times)
    wanted = resample_poly(kept, RATE // shared, rate // shared, window=("kaiser", 12.0))[: len(found)]
    middle = slice(800, len(found) - 800)
    error = np.sqrt(np.mean((found - wanted)[middle] ** 2) / np.mean(wanted[middle] ** 2))
    assert error < 2e-3


FLASHES = """(async () => {
  const { LiveSession } = await import("/page/live_session.js");
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  const audio = new AudioContext(), out = audio.createMediaStreamDestination();
  const gain = audio.createGain(), tone = audio.createOscillator();
  gain.gain.value = 0;
  tone.connect(gain).connect(out);
  tone.start();
  await audio.resume();
  const stream = new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()]);
  const video = document.createElement("video");
  video.muted = video.autoplay = true;
  video.srcObject = stream;
  document.body.append(video);
  let on = false;
  const paint = (now) => {
    pen.fillStyle = on ? "white" : "black";
    pen.fillRect(0, 0, 300, 150);
    pen.fillStyle = `rgb(${now % 50} 0 0)`;
    pen.fillRect(0, 0, 9, 9);
    requestAnimationFrame(paint);
  };
  paint(0);
  window.flashing = new LiveSession(stream, video, []);
  await flashing.start();
  setInterval(() => { on = !on; gain.gain.setValueAtTime(on ? 0.5 : 0, audio.currentTime); }, 1000);
})()"""


def test_sound_and_pictures_share_a_clock(page: chromium.Page, service: RunningService) -> None:
    """Where a picture turns white and a tone begins at once, their times in the session are the same."""
    opened(page, service)
    page.run(f"{FLASHES}.then(() => {{ window.begun = true; }}); true")
    until(page, "window.begun")
    page.events.clear()
    until(page, "flashing.seconds > 8")
    page.run("flashing.stop()")
    sent = [
        base64.b64decode(event["params"]["response"]["payloadData"])
        for event in page.events
        if event.get("method") == "Network.webSocketFrameSent" and event["params"]["response"]["opcode"] == 2
    ]
    parts = [unpack(message) for message in sent]
    blocks = [part for part in parts if part.kind == "audio"]
    pictures = [part for part in parts if part.kind == "picture"]
    for block, after in pairwise(blocks):
        assert after.time_s - block.time_s == pytest.approx(len(block.payload) / 2 / RATE, abs=2e-6)
    loud = np.abs(np.frombuffer(b"".join(block.payload for block in blocks), "<i2").astype(float)) > 2000
    heard = np.convolve(loud, np.ones(200), "same") > 0
    tones = blocks[0].time_s + np.flatnonzero(np.diff(heard.astype(int))) / RATE
    white = [not_none(cv2.imdecode(np.frombuffer(one.payload, np.uint8), 0)).mean() > 128 for one in pictures]
    flashes = [
        (one.time_s + after.time_s) / 2
        for (one, after), (was, now) in zip(pairwise(pictures), pairwise(white), strict=True)
        if was != now
    ]
    assert len(tones) >= 5 and len(flashes) >= 5
    offsets = [min((flash - tone for flash in flashes), key=abs) for tone in tones]
    assert abs(float(np.median(offsets))) < 0.25  # pictures are 0.2 s apart


def test_a_session_from_start_to_table(
    equipped: chromium.Page, service: RunningService, tmp_path: Path
) -> None:
    page = equipped
    opened(page, service)
    assert grave_problems(page) == []
    press(page, "#live-start")
    until(page, RUNNING)
    until(page, HEARD)
    until(page, SEEN)
    assert grave_problems(page) == []
    assert page.run("document.querySelector('.live-card h2').textContent").startswith(("person 1", "A voice"))
    # the picture, the box of the face, and the colors of emotions in the last minute
    assert page.run("document.querySelector('.live-picture video').videoWidth") > 0
    until(page, f"{PAINTED}(document.querySelector('.live-picture canvas')).length > 0")
    colors = set(page.run(f"{PAINTED}(document.querySelector('.live-card canvas'))"))
    emotions = {",".join(str(int(one[i : i + 2], 16)) for i in (1, 3, 5)) for one in EMOTION_COLORS.values()}
    assert colors & emotions
    # nothing is read while it is paused, and its clock stands still
    press(page, "#live-pause")
    time.sleep(0.5)
    before = page.run("document.querySelector('.live-time').textContent")
    time.sleep(3.0)
    assert page.run("document.querySelector('.live-time').textContent") == before
    press(page, "#live-pause")
    until(page, f"document.querySelector('.live-time').textContent > {json.dumps(before)}")
    page.run("window.tracks = document.querySelector('video').srcObject.getTracks(); true")
    press(page, "#live-end")
    until(page, TABLE)
    assert page.run("tracks.length") == 2
    assert page.run("tracks.every((track) => track.readyState === 'ended')")
    assert focused(page) == "live-result-title"
    assert grave_problems(page) == []
    path = downloaded(page, tmp_path / "table")
    assert path.name.startswith("live 20") and path.name.endswith(".windows.csv")
    rows = read_table(path)
    with Client(service.url) as client:
        names = client.models().models[0].emotions
    assert {row["purpose"] for row in rows} == {PURPOSE}
    assert any(row["person"] == "person 1" for row in rows)
    for kind in ("voice", "face", "fused"):
        read = [row for row in rows if row[f"{kind}_neutral"]]
        assert read
        for row in read:
            assert sum(float(row[f"{kind}_{emotion}"]) for emotion in names) == pytest.approx(1, abs=1e-5)
    starts = [float(row["start_s"]) for row in rows]
    assert starts == sorted(starts) and starts[0] >= 0
    assert {round(float(row["end_s"]) - float(row["start_s"]), 2) for row in rows[:-2]} == {3.0}
    assert f"{len(rows)} windows were read" in page.run("document.getElementById('live-result').textContent")
    assert problems(page, service) == [] and foreign(page, service) == set()
    # the table stays while other views are shown
    page.run("location.hash = '#/about'")
    until(page, "document.querySelector('.view-about')")
    page.run("location.hash = '#/live'")
    until(page, TABLE)


def test_leaving_the_view_ends_the_session(equipped: chromium.Page, service: RunningService) -> None:
    opened(equipped, service)
    press(equipped, "#live-start")
    until(equipped, RUNNING)
    assert service.client.get("/v1/live").json()["open"] == 1
    equipped.run(
        "window.tracks = document.querySelector('video').srcObject.getTracks(); location.hash = '#/about'"
    )
    until(
        equipped,
        "document.querySelector('.view-about') && tracks.every((track) => track.readyState === 'ended')",
    )
    end = time.monotonic() + FOREVER_S
    while service.client.get("/v1/live").json()["open"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert problems(equipped, service) == []


def test_the_microphone_alone_by_keyboard_on_a_phone(
    equipped: chromium.Page, service: RunningService
) -> None:
    page = equipped
    opened(page, service, size=(360, 740), dark=True)
    page.run("document.getElementById('view').focus()")
    page.key("Tab", 9)
    assert focused(page) == "live-camera"
    page.key("n")  # "None"
    assert page.run("document.getElementById('live-camera').value") == ""
    for _ in range(2):
        page.key("Tab", 9)
    assert focused(page) == "live-start"
    page.key("Enter", 13, text="\r")
    until(page, RUNNING)
    until(page, HEARD)
    assert not page.run(SEEN) and page.run("document.querySelector('video') === null")
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert grave_problems(page) == []
    assert focused(page) == "live-end"
    page.key("Enter", 13, text="\r")
    until(page, TABLE)
    page.key("Tab", 9)
    assert focused(page) == "live-table"
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert problems(page, service) == []


def test_the_camera_alone(equipped: chromium.Page, service: RunningService, tmp_path: Path) -> None:
    opened(equipped, service)
    equipped.run("document.getElementById('live-camera').selectedIndex = 1")  # the first by its name
    assert "camera" in equipped.run("document.getElementById('live-camera').selectedOptions[0].textContent")
    equipped.run("document.getElementById('live-microphone').value = ''")
    press(equipped, "#live-start")
    until(equipped, RUNNING)
    until(equipped, SEEN)
    assert equipped.run("document.querySelector('meter') === null")
    press(equipped, "#live-end")
    until(equipped, TABLE)
    rows = read_table(downloaded(equipped, tmp_path / "table"))
    assert any(row["face_happy"] for row in rows) and not any(row["voice_happy"] for row in rows)
    assert "voice:no_audio_stream" in rows[-1]["reasons"]


def test_what_is_refused_is_said_and_the_rest_is_read(
    equipped: chromium.Page, service: RunningService
) -> None:
    try:
        allow(equipped, service.url, "microphone")
        opened(equipped, service)
        press(equipped, "#live-start")
        until(equipped, RUNNING)
        assert "The camera was refused." in equipped.run(TELLS)
        until(equipped, HEARD)
        press(equipped, "#live-end")
        until(equipped, TABLE)
        allow(equipped, service.url)
        opened(equipped, service)
        press(equipped, "#live-start")
        until(equipped, f"{TELLS}.includes('The microphone was refused.')")
        assert "The camera was refused." in equipped.run(TELLS)
        assert not equipped.run("document.getElementById('live-start').disabled")
        assert service.client.get("/v1/live").json()["open"] == 0
    finally:
        allow(equipped, service.url, "camera", "microphone")


def test_without_any_device(page: chromium.Page, service: RunningService) -> None:
    opened(page, service)
    until(page, "document.getElementById('live-without')?.textContent.startsWith('Neither a camera')")
    press(page, "#live-start")
    until(page, f"{TELLS}.includes('No camera was found.') && {TELLS}.includes('No microphone was found.')")
    page.run(
        "for (const name of ['live-camera', 'live-microphone']) document.getElementById(name).value = ''"
    )
    press(page, "#live-start")
    until(page, "document.getElementById('message').textContent.startsWith('Choose a camera')")
    assert problems(page, service) == []


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with a token and one place for live sessions, which nobody has said the purpose of."""
    folder = tmp_path_factory.mktemp("narrow")
    with RunningService(folder / "data", purpose=None, token=TOKEN, live={"sessions": 1}) as running:
        yield running


def test_a_token_a_purpose_a_place_and_a_lost_service(
    equipped: chromium.Page, narrow: RunningService, tmp_path: Path
) -> None:
    """What is missing is said, one after the other; what was read before the service is lost is kept."""
    page = equipped
    page.open_address(f"{narrow.url}/#/live")
    until(page, "document.getElementById('token')")
    type_text(page, TOKEN)
    page.key("Enter", 13, text="\r")
    until(page, "document.getElementById('live-no-purpose')")
    assert page.run("document.querySelector('#live-no-purpose a').getAttribute('href')") == "#/"
    assert not page.run(f"Boolean({READY})")
    with Client(narrow.url, token=TOKEN) as client:
        client.set_purpose("tests of a place")
        opened(page, narrow)  # the cookie stands for the token
        with client.live(video=False):
            press(page, "#live-start")
            until(page, f"{TELLS}.includes('1 session is read at once')")
        end = time.monotonic() + FOREVER_S
        while client.live_places().open:
            assert time.monotonic() < end
            time.sleep(0.05)
    press(page, "#live-start")
    until(page, RUNNING)
    until(page, HEARD)
    narrow.process.kill()
    until(page, TABLE)
    assert "the connection to the service was lost" in page.run(TELLS)
    rows = read_table(downloaded(page, tmp_path / "table"))
    assert {row["purpose"] for row in rows} == {"tests of a place"}


@pytest.mark.parametrize("emotions", [["happy", "sad"], []], ids=["with emotions", "ratings alone"])
def test_a_card_shows_ratings_on_their_scales(
    page: chromium.Page, service: RunningService, emotions: list[str]
) -> None:
    opened(page, service)
    windows = [
        {
            "start_s": float(k), "end_s": k + 3.0, "person": None, "emotion": None, "shown": None,
            **dict.fromkeys(("voice", "face", "fused")), "reasons": ["face:not_seen"],
            "dimensions": {"valence": {"value": 2.0 + k / 2, "low": 1.0, "high": 6.5}},
        }
        for k in range(5)
    ]  # fmt: skip
    shown = page.run(
        "(async () => { const { PersonCard, readInk } = await import('/page/live_card.js'); readInk(2);"
        " const scales = [{ name: 'valence', low: 1, high: 7, level: 0.9 },"
        " { name: 'a very long name of a scale', low: -1, high: 1, level: 0.9 }];"
        f" globalThis.card = new PersonCard('Anna', {json.dumps(emotions)}, {{}}, scales);"
        " document.querySelector('main').append(card.root);"
        f" for (const one of {json.dumps(windows)}) card.add(one);"
        " card.showUntil(7); return card.root.innerText; })()"
    )
    assert "valence\n4.00 (1.00 to 6.50)" in shown
    assert "a very long name of a scale\n–" in shown
    assert ("nothing to read" in shown) == bool(emotions)
    assert page.run("card.root.querySelectorAll('table').length") == bool(emotions)
    assert "rgb" not in shown and "NaN" not in shown and "undefined" not in shown
    colors = page.run(f"{PAINTED}(card.canvas)")
    assert "28,33,40" in colors, "the line"
    assert page.run("card.canvas.getAttribute('aria-label')").startswith("Anna: ")
    page.run("card.add({ ...card.windows.at(-1), start_s: 5, end_s: 8, dimensions: undefined }), 0")
    assert "valence\n–" in page.run("card.root.innerText")
    assert grave_problems(page) == []
    assert problems(page, service) == []

"""A live session as its worker process reads it, fed directly."""

from __future__ import annotations

import base64
import csv
import io
import logging
import queue
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.features.profile import Profile
from emofuse.recognition.recognizer import Recognizer
from emofuse.server.live.session import live_session
from emofuse.timeline.reader import ReadingOptions, stream_windows
from tests.support import live_parts, media_files, small_corpora
from tests.support.live_parts import Part
from tests.support.typed import not_none

REQUEST = {"do": "live", "limits": {"max_pixels": 2_000_000, "block_s": 1.0}}


class DirectTalk:
    """The connection of a session in the same process."""

    def __init__(self, *messages: Mapping[str, Any]) -> None:
        self.cancelled = threading.Event()
        self.inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        self.sent: list[dict[str, Any]] = []
        for message in messages:
            self.inbox.put(dict(message))

    def progress(self, message: Mapping[str, Any]) -> None:
        self.sent.append(dict(message))

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        try:
            return self.inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def of(self, kind: str) -> list[Any]:
        return [message[kind] for message in self.sent if kind in message]


def begin(**options: Any) -> dict[str, Any]:
    return {"begin": {"options": options}}


def message_of(part: Part) -> dict[str, Any]:
    return {part.kind: base64.b64encode(part.payload).decode(), "time_s": part.time_s}


def messages(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [message_of(part) for part in parts]


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    return Recognizer.load()


def test_windows_of_audio_are_those_of_the_recording(recognizer: Recognizer, tmp_path: Path) -> None:
    from emofuse.corpus.synthetic import clip
    from emofuse.corpus.synthetic.voice import SAMPLE_RATE_HZ

    samples = clip.take_speech(5, clip.TakeCode(4, 1, 1, 1, 1)).samples[None].astype(np.float32)
    speech = media_files.write_wav(tmp_path / "speech.wav", samples, SAMPLE_RATE_HZ)
    parts = live_parts.audio_parts(live_parts.pcm_of(speech))
    pcm = live_parts.samples_of(parts)[None].astype(np.float32) / 32768
    path = media_files.write_wav(tmp_path / "16k.wav", pcm, live_parts.RATE)
    talk = DirectTalk(begin(video=False, own_baseline=False), *messages(parts), {"end": True})
    reply = live_session(recognizer, REQUEST, talk)
    expected = list(stream_windows(recognizer, path, ReadingOptions(own_baseline=False)))
    found = talk.of("window")
    assert reply["windows"] == len(found) == len(expected) >= 1
    assert reply["lost_sound_s"] == 0 and talk.of("refused") == []
    for window, other in zip(found, expected, strict=True):
        assert window["reasons"] == list(other.reasons)
        assert (window["start_s"], window["end_s"]) == pytest.approx((other.start_s, other.end_s), abs=1e-3)
        if other.voice is not None:
            values = [window["voice"][emotion] for emotion in recognizer.emotions]
            assert values == pytest.approx(other.voice.tolist(), abs=2e-3)
    assert any(window["voice"] for window in found)
    for window in found:
        shown, emotion = window["shown"], window["emotion"]
        assert shown == (emotion and {"emotion": emotion, "share": window["fused"][emotion]})


def test_what_a_face_alone_does_not_tell_is_shown_as_one(recognizer: Recognizer, tmp_path: Path) -> None:
    film = small_corpora.write_clip(tmp_path / "neutral.mp4", emotion=0, silent=True)
    talk = DirectTalk(begin(audio=False))
    reader = threading.Thread(target=live_session, args=(recognizer, REQUEST, talk))
    reader.start()
    for part in live_parts.in_real_time(live_parts.picture_parts(film)):
        talk.inbox.put(message_of(part))
    talk.inbox.put({"end": True})
    reader.join(120)
    windows = [window for window in talk.of("window") if window["fused"]]
    assert windows
    for window in windows:
        names = window["shown"]["emotion"].split(" or ")
        assert window["emotion"] in names
        shares = [window["fused"][name] for name in names]
        assert shares == pytest.approx([shares[0]] * len(shares), rel=2e-3)
        assert window["shown"]["share"] == pytest.approx(sum(shares), abs=1e-5)
        assert (len(names) == 2) == (window["emotion"] in ("neutral", "calm"))


def test_a_person_is_seen_and_heard(recognizer: Recognizer, tmp_path: Path) -> None:
    film = small_corpora.write_clip(tmp_path / "happy.mp4", emotion=2)
    talk = DirectTalk(begin())
    reply: dict[str, Any] = {}
    reader = threading.Thread(target=lambda: reply.update(live_session(recognizer, REQUEST, talk)))
    reader.start()
    for part in live_parts.in_real_time(live_parts.parts_of(film)):
        talk.inbox.put(message_of(part))
    talk.inbox.put({"end": True})
    reader.join(120)
    windows = talk.of("window")
    assert any(window["face"] for window in windows) and any(window["voice"] for window in windows)
    assert {window["person"] for window in windows} <= {"person 1", None}
    assert reply["windows"] == len(windows)
    assert talk.of("ready")[0]["emotions"] == list(recognizer.emotions)


def test_faces_and_the_table_come_where_they_are_asked_for(recognizer: Recognizer, tmp_path: Path) -> None:
    """The boxes are those of the drawn face; the lines are the table of a timeline with these windows."""
    film = small_corpora.write_clip(tmp_path / "sad.mp4", emotion=3)
    parts = live_parts.parts_of(film)
    talk = DirectTalk(begin(faces=True, table=True))
    request = {**REQUEST, "purpose": "a study, of two"}
    reader = threading.Thread(target=live_session, args=(recognizer, request, talk))
    reader.start()
    for part in live_parts.in_real_time(parts):
        talk.inbox.put(message_of(part))
    talk.inbox.put({"end": True})
    reader.join(120)
    found = talk.of("faces")
    times = [one["time_s"] for one in found]
    sent = {round(part.time_s, 3) for part in parts if part.kind == "picture"}
    assert times == sorted(set(times)) and set(times) <= sent and len(times) >= 5
    picture = cv2.imdecode(np.frombuffer(next(p.payload for p in parts if p.kind == "picture"), np.uint8), 1)
    height, width = not_none(picture).shape[:2]
    for one in found:
        (face,) = one["faces"]
        assert face["person"] in ("person 1", None)
        assert 0 < face["right"] - face["left"] < width and 0 < face["bottom"] - face["top"] < height
        assert 0 < (face["left"] + face["right"]) / 2 < width

    head, *lines = talk.of("table")
    rows = list(csv.DictReader(io.StringIO(head + "".join(lines), newline="")))
    windows = talk.of("window")
    assert len(rows) == len(windows) >= 1
    for row, window in zip(rows, windows, strict=True):
        assert row["purpose"] == "a study, of two"
        assert (row["start_s"], row["end_s"]) == (f"{window['start_s']:.3f}", f"{window['end_s']:.3f}")
        assert (row["person"] or None, row["speaker"] or None) == (window["person"], window["speaker"])
        for kind in ("voice", "face", "fused"):
            values = [row[f"{kind}_{emotion}"] for emotion in recognizer.emotions]
            wanted = window[kind] and [f"{window[kind][emotion]:.6f}" for emotion in recognizer.emotions]
            assert values == (wanted or [""] * len(values))


def test_people_who_cannot_be_told_apart_end_the_session(recognizer: Recognizer, tmp_path: Path) -> None:
    """The server asks for profiles with faces; a name that is a number shows only here."""
    Profile("x", {}, 3, face=np.ones(128, np.float32)).save(tmp_path / "one.npz")
    paths = {"Anna": str(tmp_path / "one.npz"), "person 2": str(tmp_path / "one.npz")}
    message: dict[str, Any] = {"begin": {"options": {}, "profiles": paths}}
    reply = live_session(recognizer, REQUEST, DirectTalk(message, {"end": True}))
    assert "'person 2' cannot be the name" in reply["error"]
    message["begin"]["profiles"] = {"Anna": str(tmp_path / "gone.npz")}
    reply = live_session(recognizer, REQUEST, DirectTalk(message, {"end": True}))
    assert reply["error"].startswith("the profile of Anna: ") and str(tmp_path) not in reply["error"]


def test_bad_frames_are_refused_and_the_session_goes_on(recognizer: Recognizer) -> None:
    good = live_parts.audio_parts(np.zeros(4 * live_parts.RATE, "<i2").tobytes())
    bad = [
        Part("audio", b"odd", 0.5), Part("audio", bytes(64_000), 0.5), Part("audio", bytes(3200), 1e6),
        Part("picture", b"\xff\xd8\xff", 0.5),
    ]  # fmt: skip
    sent = messages([*good[:10], *bad, *good[10:]])
    talk = DirectTalk(begin(video=False), *sent, {"end": True})
    reply = live_session(recognizer, REQUEST, talk)
    problems = [refused["problem"] for refused in talk.of("refused")]
    assert len(problems) == 4
    for problem, words in zip(
        problems, ("within a sample", "over the limit", "ahead of real time", "without video"), strict=True
    ):
        assert words in problem
    assert reply["windows"] >= 1 and reply["read_until_s"] == pytest.approx(4.0, abs=0.01)


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0 cut", b"GIF89a", b""])
def test_pictures_that_cannot_be_decoded(recognizer: Recognizer, data: bytes) -> None:
    talk = DirectTalk(begin(audio=False), *messages([Part("picture", data, 0.0)]), {"end": True})
    assert live_session(recognizer, REQUEST, talk)["windows"] == 0
    (refused,) = talk.of("refused")
    assert (refused["what"], refused["time_s"]) == ("picture", 0.0)


def test_a_session_that_ends_before_it_begins(recognizer: Recognizer) -> None:
    assert live_session(recognizer, REQUEST, DirectTalk({"end": True}))["windows"] == 0
    assert live_session(recognizer, REQUEST, DirectTalk(begin(), {"end": True}))["windows"] == 0


def test_a_cancelled_session_ends_at_once(recognizer: Recognizer) -> None:
    talk = DirectTalk(begin(video=False))
    reader = threading.Thread(target=live_session, args=(recognizer, REQUEST, talk))
    reader.start()
    talk.cancelled.set()
    reader.join(60)
    assert not reader.is_alive()

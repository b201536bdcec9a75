"""Pictures of people in a recording: they are not people."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.features.face.tracker import TrackedFace
from emofuse.media.live.pushed import PushedStream
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.live import live_windows, read_live
from emofuse.timeline.records import FaceBox, Timeline, Window
from emofuse.timeline.still_faces import STILL, Movement
from emofuse.timeline.windows import WindowRules
from tests.support import drawn_people, live_parts, media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg

FPS, WIDTH = drawn_people.FPS, drawn_people.SIZE[0]
NOTE = "a face that never moves was left out: a picture, not a person"
NO_PIXELS: Any = np.zeros((16, 24), np.uint8)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    return Recognizer.load()


@pytest.fixture(scope="module")
def beside_a_poster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who speaks for 6 s, right of a poster that is there from the start."""
    one, n = drawn_people.draw_person(1), 6 * FPS
    frames = drawn_people.side_by_side([drawn_people.draw_person(5).frames[0]] * n, one.speaking(n))
    path = tmp_path_factory.mktemp("poster") / "poster.mp4"
    return drawn_people.write_video(path, frames, audio=one.speech(6.0))


def assert_one_person_on_the_right(found: Timeline, middle_px: float) -> None:
    assert found.people == ("person 1",) and found.notes == (NOTE,)
    assert {box.person for box in found.faces} == {"person 1"}
    assert all(box.left + box.right > 2 * middle_px for box in found.faces)
    assert len(found.faces) > 3 * found.duration_s
    assert {window.person for window in found.windows} <= {"person 1", None}
    assert {segment.person for segment in found.segments} <= {"person 1", None}


def test_a_poster_beside_somebody_is_left_out(recognizer: Recognizer, beside_a_poster: Path) -> None:
    found = recognizer.timeline(beside_a_poster)
    assert_one_person_on_the_right(found, WIDTH)
    assert {w.speaker for w in found.windows if w.voice is not None} == {"person 1"}
    assert not any(STILL in w.reasons for w in found.windows)


def test_windows_as_they_come_leave_it_out_too(recognizer: Recognizer, beside_a_poster: Path) -> None:
    expected = recognizer.timeline(beside_a_poster).windows
    streamed: list[Window] = list(recognizer.stream(beside_a_poster))
    live = [one.window for one in live_windows(recognizer, beside_a_poster, pace=2.0)]
    assert [(w.start_s, w.person, w.speaker, w.reasons) for w in streamed] == [
        (w.start_s, w.person, w.speaker, w.reasons) for w in expected
    ]
    # a machine that is slower than the stream skips frames and windows
    assert "person 1" in {w.person for w in live} <= {"person 1", None}
    assert {w.speaker for w in live} <= {"person 1", None}


def test_boxes_as_they_come_have_the_names_of_windows(recognizer: Recognizer, beside_a_poster: Path) -> None:
    """Whoever was seen first, the poster or the person: the name in the first window counts."""
    stream = PushedStream(audio=False, video=True)

    def feed() -> None:
        for part in live_parts.in_real_time(live_parts.picture_parts(beside_a_poster)):
            stream.push_picture(part.payload, part.time_s)
        stream.end()

    found: list[tuple[FaceBox, str | None]] = []
    feeder = threading.Thread(target=feed)
    feeder.start()
    windows = [one.window for one in read_live(recognizer, stream, on_faces=found.extend)]
    feeder.join()
    assert {window.person for window in windows} <= {"person 1", None}
    assert {name for _, name in found} == {None, "person 1"}
    assert all(box.left > WIDTH * 0.9 for box, name in found if name == "person 1")
    named = [name is not None for _, name in found]
    assert named == sorted(named)  # nobody loses the name again


@needs_ffmpeg
@pytest.mark.ravdess
@pytest.mark.parametrize("rate", [["-crf", "23"], ["-b:v", "300k"], ["-b:v", "120k"]], ids=lambda r: r[1])
def test_a_real_still_beside_a_real_clip(
    recognizer: Recognizer, ravdess: Path, tmp_path: Path, rate: list[str]
) -> None:
    """The picture is under noise, and encoded well, badly, and very badly."""
    clip = ravdess / "video/Actor_01/01-01-08-01-01-02-01.mp4"
    graph = (
        "[0]scale=480:270,crop=320:270,fps=30[still];[1]scale=480:270,crop=320:270,fps=30[clip];"
        "[still][clip]hstack=shortest=1,noise=alls=20:allf=t"
    )
    path = tmp_path / "pair.mp4"
    still = ravdess / "stills/Actor_12.png"
    ffmpeg(
        "-loop", "1", "-i", still, "-i", clip, "-filter_complex", graph, "-c:v", "libx264",
        "-preset", "veryfast", *rate, "-c:a", "aac", path,
    )  # fmt: skip
    found = recognizer.timeline(path)
    assert_one_person_on_the_right(found, 320)


@pytest.mark.ravdess
def test_a_real_person_is_never_a_picture(recognizer: Recognizer, ravdess: Path) -> None:
    for clip in sorted(ravdess.glob("video/Actor_01/*.mp4")):
        found = recognizer.timeline(clip)
        assert found.people == ("person 1",) and found.notes == ()


def test_a_still_picture_with_audio_is_read_by_its_voice(recognizer: Recognizer, tmp_path: Path) -> None:
    one = drawn_people.draw_person(1)
    audio = drawn_people.concatenate(one.speech(6.0), drawn_people.silence(4.0))
    frames = [one.frames[0]] * (10 * FPS)
    film = recognizer.timeline(drawn_people.write_video(tmp_path / "still.mp4", frames, audio=audio))
    heard = recognizer.timeline(media_files.write_wav(tmp_path / "voice.wav", audio, drawn_people.RATE))
    assert film.notes == (NOTE,)
    assert film.people == () and film.faces == ()
    assert [w.start_s for w in film.windows] == [w.start_s for w in heard.windows]
    n_voices = 0
    for seen, alone in zip(film.windows, heard.windows, strict=True):
        assert seen.person is seen.speaker is seen.face is None and seen.face_present == 0
        assert seen.reasons[0] == STILL and seen.reasons[1:] == alone.reasons[1:]
        assert "face_size_px" not in seen.quality
        if alone.fused is None or seen.fused is None:
            assert alone.fused is seen.fused is None
            continue
        np.testing.assert_allclose(seen.fused, alone.fused, atol=0.1)  # AAC beside PCM
        n_voices += 1
    assert n_voices >= 3
    assert {segment.person for segment in film.segments} == {None}
    read_s = [
        sum(s.duration_s for s in one.segments if s.status != "nothing_to_read") for one in (film, heard)
    ]
    assert read_s[0] == pytest.approx(read_s[1], abs=0.1) and read_s[0] > 5
    streamed = list(recognizer.stream(tmp_path / "still.mp4"))
    assert [(w.start_s, w.person, w.reasons) for w in streamed] == [
        (w.start_s, w.person, w.reasons) for w in film.windows
    ]


def test_a_poster_that_somebody_walks_past_is_none_the_less_one(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    """The dark back of somebody crosses it within a second, twice in 50 s."""
    poster, n = drawn_people.draw_person(5).frames[0], 50 * FPS
    frames = [poster] * n
    for start in (18 * FPS, 40 * FPS):
        for i in range(FPS):
            frames[start + i] = poster.copy()
            left = -120 + round(440 * i / FPS)
            cv2.rectangle(frames[start + i], (left, 0), (left + 120, 360), (40, 30, 30), -1)
    path = drawn_people.write_video(tmp_path / "crossed.mp4", frames)
    found = recognizer.timeline(path, rules=WindowRules(3.0, 3.0), identity=False)
    assert found.people == () and found.notes == (NOTE,)


def face(rest_s: float, *, moves: bool = False) -> TrackedFace:
    return TrackedFace(1, 0.0, (0, 0, 9, 9), NO_PIXELS, NO_PIXELS, rest_s, moves)


def judged(rests: list[float]) -> bool:
    """Whether a face is still whose rests last this long, at 5 frames per second; it moves in between."""
    movement = Movement()
    for number, rest_s in enumerate(rests):
        for i in range(round(rest_s * 5) + 1):
            movement.add(face(i / 5, moves=number > 0 and i == 0))
    return movement.is_still


@pytest.mark.parametrize(
    ("rests", "still"),
    [
        ([2.0], False),
        ([2.6], True),
        ([600.0], True),
        ([5.0, 5.0], False),
        ([14.0] * 20, False),
        ([20.0, 0.2, 0.2, 20.0], True),
        ([20.0, *[3.0] * 5], False),
        ([16.0, *[0.0] * 30], False),
        ([0.0] * 100, False),
    ],
)
def test_a_face_is_still_that_never_moves_or_is_passed_now_and_then(rests: list[float], still: bool) -> None:
    assert judged(rests) == still


def test_nobody_is_judged_who_is_never_compared() -> None:
    """As in light that changes with every frame."""
    movement = Movement()
    for _ in range(100):
        movement.add(face(0.0))
    assert not movement.is_still

"""Windows as they are read: their times and results, in constant memory."""

from __future__ import annotations

import itertools
import json
import logging
import math
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.records import Waveform
from emofuse.features.voice.clip_voice import CHANNELS_CANCEL
from emofuse.features.voice.vad import CHUNK_S, SPEECH_ABOVE, speech_probability
from emofuse.media.file_stream import open_stream
from emofuse.media.frame_sampling import Frame
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.reader import stream_windows
from emofuse.timeline.records import Window
from emofuse.timeline.windows import WindowReader, WindowRules
from tests.support import drawn_people, media_files

RATE = 48000
"""Sample rate of the synthetic voices."""
EMPTY = np.full((48, 64), 120, np.uint8)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    return Recognizer.load()


@pytest.fixture(scope="module")
def speech(home: Path) -> Path:
    """Seven seconds of a voice."""
    path: Path = media_files.write_wav(home / "voice.wav", drawn_people.draw_person(1).speech(7.0), RATE)
    return path


def blocks(samples: np.ndarray, seconds: float, start_s: float = 0.0) -> list[Waveform]:
    """(1, n) samples in blocks of a length."""
    step = max(1, round(seconds * RATE))
    return [
        Waveform(np.ascontiguousarray(samples[:, first : first + step]), RATE, start_s + first / RATE)
        for first in range(0, samples.shape[1], step)
    ]


def empty_frames(duration_s: float, per_s: float = 5.0) -> list[Frame]:
    """Frames without people."""
    small = np.repeat(EMPTY[:, :, None], 3, axis=2)
    return [Frame(i / per_s, EMPTY, small) for i in range(round(duration_s * per_s))]


def in_order(*parts: Iterable[Waveform | Frame]) -> list[Waveform | Frame]:
    def time(part: Waveform | Frame) -> float:
        return part.time_s if isinstance(part, Frame) else part.start_s

    return sorted(itertools.chain(*parts), key=time)


def read(reader: WindowReader, parts: Iterable[Waveform | Frame], end_s: float) -> list[Window]:
    return [*itertools.chain.from_iterable(map(reader.add, parts)), *reader.finish(end_s)]


def spans(windows: Iterable[Window]) -> list[tuple[float, float]]:
    """The spans of windows, each once, in order."""
    return list(dict.fromkeys((w.start_s, w.end_s) for w in windows))


def same(ones: Sequence[Window], others: Sequence[Window], atol: float = 0.0) -> None:
    """Assert that windows have the same times and results."""
    assert len(ones) == len(others) > 0
    for one, other in zip(ones, others, strict=True):
        for name in ("person", "speaker", "reasons", "quality", "speech", "face_present"):
            assert getattr(one, name) == getattr(other, name), (name, one.start_s)
        assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=1e-9)
        for name, values in one.probabilities.items():
            also = other.probabilities[name]
            assert (values is None) == (also is None)
            if values is not None and also is not None:
                np.testing.assert_allclose(values, also, atol=atol, rtol=0)


@pytest.mark.parametrize("rules", [WindowRules(), WindowRules(2.0, 2.0), WindowRules(1.0, 0.3)])
@pytest.mark.parametrize("end_s", [0.01, 0.4, 1.0, 2.0, 2.96, 3.0, 3.04, 3.06, 4.0, 7.35, 11.02])
@pytest.mark.parametrize("start_s", [0.0, 12.5])
def test_windows_lie_at_every_hop_and_cover_all(
    recognizer: Recognizer, rules: WindowRules, end_s: float, start_s: float
) -> None:
    samples = np.zeros((1, round(end_s * RATE)), np.float32)
    reader = WindowReader(recognizer, rules, has_audio=True, has_video=False, start_s=start_s)
    end_s += start_s
    found = spans(read(reader, blocks(samples, 0.5, start_s), end_s))
    covered = start_s
    for i, (begin, stop) in enumerate(found):
        assert begin <= covered + 1e-6 and start_s <= begin < stop <= end_s + 1e-6
        assert stop - begin <= rules.window_s + 1e-6
        if i < len(found) - 1:
            assert (begin, stop) == pytest.approx((start_s + i * rules.hop_s, begin + rules.window_s))
        covered = stop
    assert end_s - covered < 0.05 + 1e-6
    assert end_s - start_s < rules.window_s or all(b - a > rules.window_s - 1e-6 for a, b in found)


def test_an_empty_recording_has_no_windows(recognizer: Recognizer) -> None:
    for has in (True, False):
        assert WindowReader(recognizer, has_audio=has, has_video=has).finish(0.0) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"window_s": 0.2}, "window_s"), ({"window_s": math.nan}, "window_s"), ({"hop_s": 0.0}, "hop_s"),
        ({"hop_s": 4.0}, "gaps"), ({"pictures_per_s": 0.0}, "pictures_per_s"),
        ({"pictures_per_s": math.inf}, "pictures_per_s"),
    ],
)  # fmt: skip
def test_wrong_rules(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        WindowRules(**wrong)


@pytest.mark.parametrize("seconds", [0.01, 0.064, 0.3, 0.5, 1.0, 3.5, 20.0])
def test_windows_do_not_depend_on_the_blocks(recognizer: Recognizer, seconds: float) -> None:
    samples = drawn_people.draw_person(1).speech(7.0)

    def of(block_s: float) -> list[Window]:
        reader = WindowReader(recognizer, has_audio=True, has_video=False)
        return read(reader, blocks(samples, block_s), 7.0)

    expected = of(0.25)
    same(of(seconds), expected)
    assert all(w.voice is not None and w.speech is not None and w.speech > 0.3 for w in expected)


def test_each_window_comes_as_soon_as_it_can(recognizer: Recognizer) -> None:
    reader = WindowReader(recognizer, has_audio=True, has_video=False)
    came = [
        (block.start_s + block.duration_s, window.end_s)
        for block in blocks(np.zeros((1, 9 * RATE), np.float32), 0.1)
        for window in reader.add(block)
    ]
    assert [end_s for _, end_s in came] == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, *([9.0] if len(came) == 7 else [])]
    assert all(heard_s - end_s < 0.2 + 1e-6 for heard_s, end_s in came)


def test_the_voice_agrees_with_predict_over_the_same_span(
    recognizer: Recognizer,
    conversation: Path,
    speech: Path,
    tmp_path: Path,
) -> None:
    n = 4 * drawn_people.FPS
    late = drawn_people.write_video(
        tmp_path / "late.mp4", drawn_people.empty_scene(n, (64, 48)),
        audio=drawn_people.draw_person(1).speech(3.6), audio_at_s=0.5,
    )  # fmt: skip
    compared = 0
    for path in (speech, conversation, late):
        for window in recognizer.stream(path, rules=WindowRules(hop_s=2.5)):
            if window.voice is not None:
                alone = recognizer.predict(path, start_s=window.start_s, end_s=window.end_s)
                assert alone.voice is not None
                np.testing.assert_allclose(window.voice, alone.voice, atol=1e-5)
                compared += 1
    assert compared >= 7


def test_bytes_and_file_objects_are_read_like_a_path(recognizer: Recognizer, speech: Path) -> None:
    expected = list(recognizer.stream(speech))
    same(list(recognizer.stream(speech.read_bytes())), expected)
    with speech.open("rb") as file:
        same(list(recognizer.stream(file)), expected)
        assert not file.closed


def test_missing_modalities_have_reasons(recognizer: Recognizer) -> None:
    def reasons(samples: np.ndarray | None, video_clips: list[Frame]) -> set[tuple[str, ...]]:
        sound = [] if samples is None else blocks(samples, 0.5)
        reader = WindowReader(recognizer, has_audio=samples is not None, has_video=bool(video_clips))
        return {window.reasons for window in read(reader, in_order(sound, video_clips), 4.0)}

    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02, (1, 4 * RATE)).astype(np.float32)
    seen = empty_frames(4.0)
    assert reasons(None, seen) == {("face:none_seen", "voice:no_audio_stream")}
    assert reasons(np.zeros((1, 4 * RATE), np.float32), []) == {("face:no_video_stream", "voice:silent")}
    assert reasons(noise, []) == {("face:no_video_stream", "voice:no_speech")}
    assert reasons(drawn_people.draw_person(1).speech(4.0), seen) == {("face:none_seen",)}
    assert reasons(np.zeros((1, 0), np.float32), seen) == {("face:none_seen", "voice:no_sound_here")}


def test_channels_that_cancel_are_read_and_noted(recognizer: Recognizer) -> None:
    voice = drawn_people.draw_person(1).speech(4.0)
    hiss = 0.002 * np.random.default_rng(0).standard_normal((2, voice.shape[1])).astype(np.float32)
    both = np.concatenate([voice, -voice]) + hiss
    of_two, of_one = (WindowReader(recognizer, has_audio=True, has_video=False) for _ in range(2))
    two, one = read(of_two, blocks(both, 0.5), 4.0), read(of_one, blocks(both[:1], 0.5), 4.0)
    assert of_two.notes == (CHANNELS_CANCEL,) and of_one.notes == ()
    assert len(two) == len(one) and any(window.voice is not None for window in one)
    for cancelled, expected in zip(two, one, strict=True):
        assert cancelled.voice is not None and expected.voice is not None
        np.testing.assert_allclose(cancelled.voice, expected.voice, atol=1e-6)


def test_speech_is_the_share_of_the_window(recognizer: Recognizer) -> None:
    speech = drawn_people.draw_person(1).speech(1.0, 0.4)
    _, probabilities = speech_probability(Waveform(speech, RATE))
    spoken_s = CHUNK_S * int((probabilities > SPEECH_ABOVE).sum())
    assert spoken_s > 0.5, "this voice tests nothing"
    reader = WindowReader(recognizer, has_audio=True, has_video=True)
    first, *others = read(reader, in_order(blocks(speech, 0.5), empty_frames(5.0)), 5.0)
    assert (first.start_s, first.end_s) == (0.0, 3.0)
    assert first.speech == pytest.approx(spoken_s / 3.0, abs=CHUNK_S / 3.0)
    assert [w.speech for w in others] == [0.0, 0.0]


def test_quality_is_level_and_clipping(recognizer: Recognizer) -> None:
    tone = media_files.tone(3.0, RATE, level=0.5)
    loud = np.clip(4 * tone, -1, 1)
    for samples in (tone, loud):
        reader = WindowReader(recognizer, has_audio=True, has_video=False)
        (window,) = read(reader, blocks(samples, 0.5), 3.0)
        level = 10 * np.log10(np.mean(samples.astype(float) ** 2))
        assert window.quality["level_dbfs"] == pytest.approx(level, abs=0.06)
        clipped = np.mean(np.abs(samples) >= 0.999)
        assert window.quality["clipped"] == pytest.approx(clipped, abs=6e-5)


@pytest.mark.parametrize("ends", ["sound", "pictures"])
def test_a_stream_that_ends_early_does_not_stall_windows(recognizer: Recognizer, ends: str) -> None:
    whole_s, part_s = 120.0, 6.0
    sound_s, seen_s = (part_s, whole_s) if ends == "sound" else (whole_s, part_s)
    rules = WindowRules(hop_s=3.0)
    reader = WindowReader(recognizer, rules, has_audio=True, has_video=True)
    sound = blocks(np.zeros((1, round(sound_s * RATE)), np.float32), 0.5)
    found: list[Window] = []
    for part in in_order(sound, empty_frames(seen_s, 2.0)):
        found += reader.add(part)
        now_s = part.time_s if isinstance(part, Frame) else part.start_s
        assert now_s - (found[-1].end_s if found else 0.0) <= 15.0, "windows wait for a stream that has ended"
        assert len(reader._audio.blocks) <= 2 * 20
        assert len(reader._audio.speech) <= 20 / 0.032
        assert len(reader._inputs) <= 20 * 2
    found += reader.finish(whole_s)
    assert [w.start_s for w in found] == [3.0 * i for i in range(40)]
    last = {reason for reason in found[-1].reasons if reason.startswith("voice")}
    assert last == {"voice:no_sound_here" if ends == "sound" else "voice:silent"}


def test_faces_of_people_who_stay_are_discarded(recognizer: Recognizer, conversation: Path) -> None:
    reader = WindowReader(recognizer, has_audio=True, has_video=True)
    most = 0
    with open_stream(conversation) as stream:
        for part in stream:
            reader.add(part)
            most = max(most, len(reader._inputs))
    # two people, five frames per second, a window, a hop before it, and the delay of the tracker
    assert most <= 2 * 5 * (3 + 1 + 1 + 1.5 + 0.5)
    assert len(reader.take_boxes()) > 100 and reader.take_boxes() == []


@pytest.mark.parametrize("sound_goes_on_s", [0.0, 8.0])
def test_a_frame_that_stands_long_is_seen_in_every_window_meanwhile(
    recognizer: Recognizer, tmp_path: Path, sound_goes_on_s: float
) -> None:
    """A frame every 7 s, as in a recorded presentation; the third shows nobody."""
    person = drawn_people.draw_person(1)
    images = [person.frames[0], person.frames[9], drawn_people.empty_scene(1)[0], person.frames[0]]
    ticks = [round(at_s * media_files.TICKS) for at_s in (0.0, 7.0, 14.0, 20.9)]
    audio = drawn_people.silence(21.0 + sound_goes_on_s)
    path = drawn_people.write_video(tmp_path / "slides.mkv", images, ticks=ticks, audio=audio)
    windows = recognizer.timeline(path).windows
    with_face = [window.start_s for window in windows if window.face is not None]
    # a window from 12 s on holds the start of the frame with nobody
    assert [start_s for start_s in with_face if start_s < 18] == [*range(12)]
    after = [window for window in windows if window.start_s >= 22]
    assert all(window.face_present == 0 for window in after) and bool(after) == bool(sound_goes_on_s)


@pytest.mark.parametrize("per_s", [3.0, 5.0, 15.0])
def test_the_speaker_is_found_at_any_rate(recognizer: Recognizer, home: Path, per_s: float) -> None:
    path = home / "pair.mp4"
    if not path.exists():
        n = 5 * drawn_people.FPS
        one, two = drawn_people.draw_person(1), drawn_people.draw_person(2)
        pair = drawn_people.side_by_side(two.still(n), one.speaking(n))
        drawn_people.write_video(path, pair, audio=one.speech(5.0))
    windows = list(recognizer.stream(path, rules=WindowRules(pictures_per_s=per_s)))
    assert {w.speaker for w in windows} == {"person 2"}
    for window in windows:
        assert (window.voice is not None) == (window.person == "person 2")
        assert ("voice:of_another" in window.reasons) == (window.person == "person 1")


def test_the_speaker_is_found_at_thirty_frames_per_second(
    recognizer: Recognizer, video_clips: dict[str, Path]
) -> None:
    for per_s in (10.0, 30.0):
        windows = list(recognizer.stream(video_clips["happy"], rules=WindowRules(1.0, 1.0, per_s)))
        assert [w.speaker for w in windows[1:2]] == ["person 1"], per_s


def test_faces_from_a_table_are_not_read_in_timelines(
    recognizer: Recognizer, video_clips: dict[str, Path]
) -> None:
    """The shipped networks with a recipe that reads faces from a table: the face is not read."""
    recipe = recognizer.bundle.recipe
    from_table = recipe.face.features.model_copy(update={"kind": "au-table", "table": "aus.csv"})
    recipe = recipe.model_copy(update={"face": recipe.face.model_copy(update={"features": from_table})})
    other = Recognizer(replace(recognizer.bundle, recipe=recipe))
    windows = list(other.stream(video_clips["happy"], rules=WindowRules(1.0, 1.0)))
    assert {w.reasons[0] for w in windows} == {"face:not_read_in_timelines"}
    assert any(w.voice is not None for w in windows)
    assert all(w.face is None and w.person is None for w in windows)
    assert {w.face_present for w in windows} == {None}


def test_a_profile_is_used_in_every_window(ensemble_bundle: Path, few_folder: Path, speech: Path) -> None:
    recognizer = Recognizer.load(ensemble_bundle)
    profile = recognizer.enroll(sorted((few_folder / "Actor_01").glob("*.wav")))
    plain = list(recognizer.stream(speech))
    known = list(recognizer.stream(speech, profile=profile))
    assert spans(plain) == spans(known)
    for window, other in zip(known, plain, strict=True):
        alone = recognizer.predict(speech, start_s=window.start_s, end_s=window.end_s, profile=profile)
        assert window.fused is not None and alone.probabilities is not None and other.fused is not None
        np.testing.assert_allclose(window.fused, alone.probabilities, atol=1e-5)
        assert np.abs(window.fused - other.fused).max() > 1e-4


_LONG = """
import json, pathlib, sys
from emofuse import Recognizer
from emofuse.timeline.windows import WindowRules
n = sum(1 for _ in Recognizer.load().stream(sys.argv[1], rules=WindowRules(6.0, 6.0, 2.0)))
# getrusage of a new process may return the peak of its parent
status = pathlib.Path("/proc/self/status").read_text()
print(json.dumps([n, int(status.split("VmHWM:")[1].split()[0]) / 1024]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing tells the peak of a process")
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    peaks = {}
    voice = np.tile(drawn_people.draw_person(1).voice, 300)
    for minutes in (1, 10):
        # ten minutes are 115 MB of samples
        path = media_files.write_wav(tmp_path / f"{minutes}.wav", voice[None, : 60 * minutes * RATE], RATE)
        done = subprocess.run([sys.executable, "-c", _LONG, path], check=True, capture_output=True, text=True)
        n_windows, peaks[minutes] = json.loads(done.stdout)
        assert n_windows == 10 * minutes
    # decoding runs ahead by up to 24 MB
    assert peaks[10] < peaks[1] + 30


def test_closing_the_iterator_stops_decoding(recognizer: Recognizer, conversation: Path) -> None:
    import threading

    windows = stream_windows(recognizer, conversation)
    next(windows)
    windows.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name == "emofuse-decoding"]


def test_twice_the_same(recognizer: Recognizer, conversation: Path) -> None:
    span: dict[str, Any] = {"start_s": 4.0, "end_s": 9.0}
    same(list(recognizer.stream(conversation, **span)), list(recognizer.stream(conversation, **span)))

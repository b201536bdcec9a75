"""Live windows: up to date on any machine, complete where it keeps up, and a clean end."""

from __future__ import annotations

import json
import logging
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.records import Features, Prediction
from emofuse.features.voice.clip_voice import CHANNELS_CANCEL
from emofuse.media.decoding import decode
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.live import LiveWindow, live_windows
from emofuse.timeline.reader import ReadingOptions, stream_windows
from emofuse.timeline.windows import WindowRules
from tests.support import media_files, small_corpora
from tests.support.typed import not_none

RATE = 16000


class SlowRecognizer(Recognizer):
    """Behaves like a machine that is slower than the stream."""

    delay_s = 0.0

    def predict_features(self, features: Features, **how: Any) -> Prediction:
        time.sleep(self.delay_s)
        return super().predict_features(features, **how)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    return Recognizer.load()


@pytest.fixture(scope="module")
def speech(home: Path) -> Path:
    """Twelve seconds of a synthetic voice."""
    from emofuse.corpus.synthetic import clip
    from emofuse.corpus.synthetic.voice import SAMPLE_RATE_HZ

    utterances = [clip.take_speech(5, clip.TakeCode(emotion, 1, 1, 1, 1)).samples for emotion in (3, 4, 5, 6)]
    samples = np.concatenate(utterances)[None, : 12 * SAMPLE_RATE_HZ].astype(np.float32)
    path: Path = media_files.write_wav(home / "speech.wav", samples, SAMPLE_RATE_HZ)
    return path


def thread_names() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("emofuse-live")]


def test_live_windows_are_those_of_the_timeline(recognizer: Recognizer, speech: Path) -> None:
    rules = WindowRules(hop_s=2.0)
    offline = {round(w.start_s, 3): w for w in stream_windows(recognizer, speech, ReadingOptions(rules))}
    live = list(live_windows(recognizer, speech, rules=rules, pace=4.0))
    assert {round(one.window.start_s, 3) for one in live} <= set(offline)
    assert len(live) + live[-1].skipped_windows >= len(offline)
    n_compared = 0
    for one in live:
        expected = offline[round(one.window.start_s, 3)]
        assert one.window.reasons == expected.reasons
        if one.window.voice is not None and not one.lost_sound_s:
            assert expected.voice is not None
            np.testing.assert_allclose(one.window.voice, expected.voice, atol=1e-5)
            n_compared += 1
    assert n_compared > 0
    assert thread_names() == []


def test_a_person_is_seen_and_heard(recognizer: Recognizer, tmp_path: Path) -> None:
    film = small_corpora.write_clip(tmp_path / "happy.mp4", emotion=2)
    live = list(live_windows(recognizer, film))
    assert any(one.window.face is not None for one in live)
    assert any(one.window.voice is not None for one in live)
    for one in live:
        line = json.loads(one.as_line(recognizer.emotions))
        assert line["end_s"] > line["start_s"] >= 0
        assert (line["emotion"] is None) == (one.window.fused is None)
        if line["fused"] is not None:
            assert line["emotion"] == max(line["fused"], key=line["fused"].get)
            assert set(line["fused"]) == set(recognizer.emotions)


def test_a_slow_machine_skips_and_does_not_lag(recognizer: Recognizer, speech: Path) -> None:
    slow = SlowRecognizer(recognizer.bundle)
    slow.delay_s = 0.5
    rules = WindowRules(window_s=1.0, hop_s=0.25)
    live: list[LiveWindow] = []
    windows = live_windows(slow, speech, rules=rules, seconds=5.0)
    for one in windows:
        live.append(one)
        if one.window.end_s > 4.0:
            break
    windows.close()
    assert live[-1].skipped_windows > 3
    # a window waits for at most a hop and the window that is being read, and then it is read
    latencies = [one.latency_s for one in live]
    assert max(latencies) < 0.25 + 2 * 0.5 + 1.0
    first, last = latencies[: len(latencies) // 2], latencies[len(latencies) // 2 :]
    assert np.median(last) < np.median(first) + 0.4
    starts = [one.window.start_s for one in live]
    assert starts == sorted(set(starts))


def test_lost_audio_is_replaced_by_silence(recognizer: Recognizer, speech: Path) -> None:
    windows = live_windows(recognizer, speech, rules=WindowRules(hop_s=3.0), pace=4.0)
    live = [next(windows)]
    time.sleep(2.5)  # ten seconds of the file, of which eight are buffered
    live += windows
    assert live[-1].lost_sound_s > 0
    assert live[-1].window.end_s == pytest.approx(12.0, abs=0.2)
    assert all(one.window.end_s - one.window.start_s == pytest.approx(3.0) for one in live[:-1])


def test_a_stop_ends_the_windows_after_what_has_arrived(recognizer: Recognizer, speech: Path) -> None:
    stop = threading.Event()
    windows = live_windows(recognizer, speech, loop=True, stop=stop, pace=2.0)
    first = next(windows)
    time.sleep(0.2)  # 0.4 s of the file
    stop.set()
    rest = list(windows)
    assert rest and rest[-1].window.end_s > first.window.end_s
    assert thread_names() == []


def test_closing_the_iterator_leaves_no_thread(recognizer: Recognizer, speech: Path) -> None:
    windows = live_windows(recognizer, speech, loop=True, pace=4.0)
    next(windows)
    assert thread_names()
    windows.close()
    assert thread_names() == []


def test_the_duration_is_limited(recognizer: Recognizer, speech: Path) -> None:
    live = list(live_windows(recognizer, speech, seconds=4.0, loop=True, pace=4.0))
    assert live[-1].window.end_s == pytest.approx(4.0, abs=0.5)


def test_a_stop_before_the_start(recognizer: Recognizer, speech: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert list(live_windows(recognizer, speech, stop=stop)) == []


def test_what_cannot_be_opened(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        list(live_windows(recognizer, tmp_path / "absent.mp4"))
    with pytest.raises(ValueError, match="pace"):
        list(live_windows(recognizer, tmp_path / "absent.mp4", pace=0))
    assert thread_names() == []


def test_memory_does_not_grow(recognizer: Recognizer, tmp_path: Path) -> None:
    path = media_files.write_wav(tmp_path / "tone.wav", media_files.tone(5.0, RATE), RATE)
    windows = live_windows(recognizer, path, loop=True, pace=40.0, rules=WindowRules(hop_s=3.0))
    sizes: list[int] = []
    tracemalloc.start()
    try:
        for one in windows:
            if one.window.end_s > 30 * (len(sizes) + 1):
                sizes.append(tracemalloc.get_traced_memory()[0])
            if len(sizes) == 3:
                break
    finally:
        tracemalloc.stop()
        windows.close()
    # the buffer of unread audio varies: up to 80 s at this pace, 5 MB
    assert sizes[2] - sizes[0] < 6_000_000


def test_a_note_comes_once_when_channels_cancel(recognizer: Recognizer, speech: Path, tmp_path: Path) -> None:
    voice = not_none(decode(speech, end_s=5.0).audio)
    pair = np.concatenate([voice.samples, -voice.samples])
    path = media_files.write_wav(tmp_path / "wrong-cable.wav", pair, voice.sample_rate_hz)
    notes: list[str] = []
    live = list(live_windows(recognizer, path, pace=4.0, on_note=notes.append))
    assert sum(one.window.voice is not None for one in live) > 1
    assert notes == [CHANNELS_CANCEL]

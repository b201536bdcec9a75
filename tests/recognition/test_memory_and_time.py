"""What a prediction costs of files that were made to be expensive: peak memory of the process, and time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from emofuse import Limits, Recognizer
from emofuse.core.errors import CancelledError, MediaError
from tests.support import drawn_people
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak")

MOST_MB = 300
MOST_S = 10.0

_SCRIPT = """
import json, re, sys, time
from pathlib import Path
from emofuse import Recognizer
recognizer = Recognizer.load()
start_s = time.process_time()
(prediction,) = recognizer.predict_files([sys.argv[1]])
spent_s = time.process_time() - start_s
peak_kb = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(json.dumps({**prediction.as_dict(), "spent_s": spent_s, "peak_mb": int(peak_kb) / 1024}))
"""


def predicted(path: Path) -> Mapping[str, Any]:
    """The prediction, the processor time that it took, and the peak memory of a process of its own."""
    command = [sys.executable, "-c", _SCRIPT, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


@needs_ffmpeg
@pytest.mark.parametrize(
    "source",
    [
        "sine=frequency=220:sample_rate=48000:duration=1800",
        "aevalsrc=0.1*sin(440*t)|0|0|0|0|0|0|0:s=192000:c=7.1:d=70",
        "anullsrc=r=192000:cl=7.1:d=60",
    ],
    ids=["half an hour", "eight channels at 192 kHz", "eight silent channels"],
)
def test_long_audio_fits_in_300_mb(source: str, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    ffmpeg("-f", "lavfi", "-i", source, "-compression_level", "0", path)
    answer = predicted(path)
    assert answer["peak_mb"] < MOST_MB
    assert answer["spent_s"] < MOST_S


@needs_ffmpeg
def test_8k_film_passes(tmp_path: Path) -> None:
    """Without a face, so that all searches are made. Its decoder alone holds three frames of 50 MB."""
    path = tmp_path / "8k.mp4"
    source = "testsrc2=s=7680x4320:r=25:d=0.4,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", path)
    answer = predicted(path)
    assert "no face found in 10 frames" in answer["error"] or "no face found in 20 frames" in answer["error"]
    assert answer["spent_s"] < MOST_S
    assert answer["peak_mb"] < 500


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["mp4", "h264", "ts"])
def test_a_picture_bomb_is_refused_before_it_is_decoded(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"huge.{kind}"
    source = "color=gray:s=8192x8192:r=25:d=0.2,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", path)
    answer = predicted(path)
    assert "frames of 8192x8192 are over the limit: 67 of 40 million pixels" in answer["error"]
    assert answer["spent_s"] < 1
    assert answer["peak_mb"] < MOST_MB


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """Half a minute of a speaking person."""
    one = drawn_people.draw_person(1)
    return drawn_people.write_video(tmp_path / "long.mp4", one.speaking(30 * drawn_people.FPS))


@pytest.mark.parametrize("read", ["predict", "timeline"])
def test_reading_is_bounded_followed_and_cancelled(read: str, long_clip: Path) -> None:
    how = getattr(Recognizer.load(), read)
    with pytest.raises(MediaError, match=r"over the limit: \d+ of 0\.0001 million pixels"):
        how(long_clip, limits=Limits(max_pixels=100))
    cancel, told = threading.Event(), list[tuple[float, float | None]]()

    def on_progress(read_s: float, duration_s: float | None) -> None:
        told.append((read_s, duration_s))
        if read_s > 10:
            cancel.set()

    start_s = time.monotonic()
    with pytest.raises(CancelledError):
        how(long_clip, cancel=cancel, on_progress=on_progress)
    assert 10 < told[-1][0] < 13 and told[-1][1] == pytest.approx(30, abs=0.2)
    assert time.monotonic() - start_s < 60
    with pytest.raises(CancelledError):
        how(long_clip, cancel=cancel)


def test_a_cancelled_stream_of_windows_ends(long_clip: Path) -> None:
    cancel = threading.Event()
    windows = Recognizer.load().stream(long_clip, cancel=cancel)
    next(windows)
    cancel.set()
    with pytest.raises(CancelledError):
        list(windows)

"""What a prediction costs of files that were made to be expensive: peak memory of the process, and time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.ffmpeg import ffmpeg, needs_ffmpeg

MOST_MB = 300
MOST_S = 10.0

_SCRIPT = """
import json, resource, sys, time
from emofuse import Recognizer
recognizer = Recognizer.load()
start_s = time.process_time()
prediction = recognizer.predict(sys.argv[1], **json.loads(sys.argv[2]))
spent_s = time.process_time() - start_s
peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({**prediction.as_dict(), "spent_s": spent_s, "peak_mb": peak_kb / 1024}))
"""


def predicted(path: Path, **options: Any) -> Mapping[str, Any]:
    """The prediction, the processor time that it took, and the peak memory of a process of its own."""
    command = [sys.executable, "-c", _SCRIPT, str(path), json.dumps(options)]
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

"""The ffmpeg and sox programs: makers of test files and oracles that share no code with PyAV's bindings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg program")
needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="there is no sox program")


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg, which overwrites its output; return what it writes to standard output."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def luma_shown_by_ffmpeg(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(height, width) uint8: the luma of the first frame as ffmpeg shows it, turned by the display matrix."""
    data = ffmpeg("-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    width, height = size
    assert len(data) == width * height * 3 // 2, "ffmpeg shows another size"
    return np.frombuffer(data, np.uint8)[: width * height].reshape(height, width)

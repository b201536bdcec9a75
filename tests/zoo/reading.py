"""Read files by ``predict`` and ``timeline``, each in a fresh process that starts warm.

A parent process loads the recognizer and forks for every file, so that what one file takes, time and memory,
is what it takes alone. It reads a line of JSON per file, and answers with one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

_HANGS_S: Final = 120
"""A file that takes this long has its process killed."""
_FRAME_S: Final = 0.02
_LOUD: Final = 0.1
"""See :func:`tests.zoo.material.loud_span`."""


class Reader:
    """The parent process, seen from a test."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.zoo.reading"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )

    def read(self, path: Path, *, timeline: bool = True) -> dict[str, Any]:
        """What ``predict`` and, where it is wanted, ``timeline`` found in a file, with time and memory."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"path": str(path), "timeline": timeline}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that reads ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def reader() -> Iterator[Reader]:
    one = Reader()
    try:
        yield one
    finally:
        one.close()


class _Loudness:
    """When the audio of a timeline is loud, from its blocks."""

    def __init__(self) -> None:
        self._levels: list[Any] = []
        self._times: list[Any] = []

    def add(self, block: Any) -> None:
        n = round(_FRAME_S * block.sample_rate_hz)
        whole = block.samples[:, : block.samples.shape[1] // n * n].reshape(len(block.samples), -1, n)
        if whole.size:
            self._levels.append(whole.std(axis=2).max(axis=0))
            self._times.append(block.start_s + np.arange(whole.shape[1]) * n / block.sample_rate_hz)

    def span(self) -> tuple[float, float] | None:
        """From when to when; None for silence."""
        if not self._levels:
            return None
        levels, times = np.concatenate(self._levels), np.concatenate(self._times)
        if levels.max() < 1e-4:
            return None
        loud = np.flatnonzero(levels >= _LOUD * levels.max())
        return float(times[loud[0]]), float(times[loud[-1]] + _FRAME_S)


def _predict(recognizer: Any, path: str) -> dict[str, Any]:
    found = recognizer.predict(path)
    return {
        "voice": found.voice is not None,
        "face": found.face is not None,
        "notes": list(found.notes),
        "error": found.error,
    }


def _timeline(recognizer: Any, path: str) -> dict[str, Any]:
    loudness = _Loudness()
    # drawn people are all alike to the network that tells faces apart
    found = recognizer.timeline(path, on_sound=loudness.add, identity=False)
    faces = [face.time_s for face in found.faces]
    with_face = [(one.start_s, one.end_s) for one in found.windows if one.face is not None]
    return {
        "start_s": found.start_s,
        "duration_s": found.duration_s,
        "loud_s": loudness.span(),
        "heard": any(window.voice is not None for window in found.windows),
        "people": len(found.people),
        "seen_s": [faces[0], faces[-1]] if faces else None,
        "read_s": [min(one[0] for one in with_face), max(one[1] for one in with_face)] if with_face else None,
        "size": found.picture_size,
        "notes": list(found.notes),
        "error": None,
    }


def _measured(read: Callable[[Any, str], dict[str, Any]], recognizer: Any, path: str) -> dict[str, Any]:
    """The answer with the memory and the processor time that it took, whatever else the machine does."""
    from emofuse.core.errors import MediaError

    _reset_peak()
    started_s = time.process_time()
    try:
        answer = read(recognizer, path)
    except MediaError as error:
        answer = {"error": str(error)}
    return {**answer, "seconds": time.process_time() - started_s, "peak_mb": _peak_mb()}


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float | None:
    """The most memory since the reset; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _serve() -> None:
    from emofuse.recognition.recognizer import Recognizer

    recognizer = Recognizer.load()
    for line in sys.stdin:
        request = json.loads(line)
        path = request["path"]
        child = os.fork()
        if child == 0:
            signal.alarm(_HANGS_S)
            try:
                answer = {"predict": _measured(_predict, recognizer, path)}
                if request["timeline"]:
                    answer["timeline"] = _measured(_timeline, recognizer, path)
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
                os._exit(0)
            except BaseException:
                import traceback

                sys.stdout.write(json.dumps({"bug": traceback.format_exc()}) + "\n")
                sys.stdout.flush()
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status < 0:
            sys.stdout.write(json.dumps({"bug": f"killed by signal {-status}"}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _serve()

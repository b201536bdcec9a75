"""``emofuse live`` with real processes, signals and pipes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.cli.live import _file_writer
from emofuse.core.errors import ExportError
from emofuse.core.labels import EMOTIONS
from emofuse.timeline.live import LiveWindow
from emofuse.timeline.records import Window
from tests.support import media_files

KEYS = {
    *("start_s", "end_s", "person", "speaker", "emotion", "voice", "face", "fused", "speech"),
    *("face_present", "quality", "reasons", "baseline", "other"),
    *("latency_s", "dropped_pictures", "skipped_windows", "lost_sound_s"),
}


@pytest.fixture(scope="module")
def tone(home: Path) -> Path:
    """1.5 s of audio."""
    path: Path = media_files.write_wav(home / "tone.wav", media_files.tone(1.5, 16000), 16000)
    return path


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that the test started; none outlives it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def start_live(processes: list[subprocess.Popen[str]], *words: str | Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "emofuse", "live", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    processes.append(process)
    return process


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read the messages up to one that holds ``text``."""
    assert process.stderr is not None
    read = ""
    for line in process.stderr:
        read += line
        if text in line:
            return read
    raise AssertionError(f"no {text!r} in: {read}")


def test_a_file_is_read_to_its_end_and_saved_as_lines_of_json(
    processes: list[subprocess.Popen[str]], tone: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "lines.jsonl"
    words = (tone, "--window", "1", "--hop", "0.5", "--save-to", saved)
    out, err = start_live(processes, *words).communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["start_s"], line["end_s"]) for line in lines[:1] + lines[-1:]] == [(0, 1), (0.5, 1.5)]
    assert all(set(line) == KEYS and 0 <= line["latency_s"] < 5 for line in lines)
    assert saved.read_text(encoding="utf-8") == out
    assert "reading audio from" in err and "the stream ended at 0:01.5" in err
    assert processes[0].returncode == 0


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with ExitStack() as stack:
        _file_writer(path, EMOTIONS, stack)(live_window("person 1"))
    before = path.read_bytes()
    assert json.loads(before)["emotion"] == EMOTIONS[2]
    with ExitStack() as stack, pytest.raises(ExportError, match="already exists"):
        _file_writer(path, EMOTIONS, stack)
    assert path.read_bytes() == before


def test_a_failed_start_leaves_no_file_behind(processes: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    saved = tmp_path / "lines.jsonl"
    process = start_live(processes, tmp_path / "nosuch.mp4", "--save-to", saved)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "nosuch.mp4" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send")
def test_an_interrupt_ends_cleanly(processes: list[subprocess.Popen[str]], tone: Path) -> None:
    process = start_live(processes, tone, "--loop", "--window", "1", "--hop", "1", "--format", "json")
    assert process.stdout is not None
    first = process.stdout.readline()  # at once, though it is a pipe
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    rest, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    lines = [json.loads(line) for line in (first + rest).splitlines()]
    assert len(lines) > 1 and lines[-1]["end_s"] > 1.05, "the last audio is read, too"
    assert process.returncode == 0
    assert err.splitlines()[-1] == "emofuse: stopped"
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send")
def test_a_silent_peer(processes: list[subprocess.Popen[str]]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        gives_up = start_live(processes, address, "--timeout", "0.5")
        interrupted = start_live(processes, address, "--timeout", "60")
        out, err = gives_up.communicate(timeout=60)
        assert out == "" and "no answer within 0.5 s" in err and "Traceback" not in err
        assert gives_up.returncode == 1
        wait_for(interrupted, "bundle")
        interrupted.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = interrupted.communicate(timeout=60)
        assert time.monotonic() - start < 20
        assert "Traceback" not in err and interrupted.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="pipes break in another way")
def test_a_reader_that_closes_the_pipe(processes: list[subprocess.Popen[str]], tone: Path) -> None:
    process = start_live(processes, tone, "--loop", "--window", "1", "--hop", "0.5")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(30) == 0
    assert "Traceback" not in err and "BrokenPipe" not in err


def test_no_such_device(processes: list[subprocess.Popen[str]]) -> None:
    process = start_live(processes, "--camera", "v4l2:/dev/video_absent", "--microphone", "none")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "v4l2:/dev/video_absent: cannot be opened" in err and "Traceback" not in err


def live_window(person: str | None, end_s: float = 3.0, **more: Any) -> LiveWindow:
    fused = np.full(8, 0.05)
    fused[2] = 0.65
    window = Window(end_s - 3, end_s, None, fused, fused, 0.5, 1.0, person=person, **more)
    return LiveWindow(window, 1.64, 7, 2, 0.0)

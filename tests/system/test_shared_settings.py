"""The process of the caller stays as it is, however many threads read recordings in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import threadpoolctl

from emofuse.system.shared_settings import (
    SharedSetting,
    environment_defaults,
    ignored_warnings,
    one_native_thread,
)
from tests.support import drawn_people, media_files

_SCRIPT = """
import locale, logging, os, random, signal, sys, threading, warnings
from concurrent.futures import ThreadPoolExecutor
import av, cv2, numpy as np, threadpoolctl
import emofuse.features.extraction, emofuse.recognition.recognizer, emofuse.timeline.reader
from emofuse import Recognizer

threadpoolctl.threadpool_limits(3)
cv2.setNumThreads(3)
np.seterr(over="raise")
av.logging.set_level(av.logging.ERROR)
signals = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})

def state():
    return {
        "native threads": {one["filepath"]: one["num_threads"] for one in threadpoolctl.threadpool_info()},
        "OpenCV": (cv2.getNumThreads(), cv2.utils.logging.getLogLevel(), cv2.useOptimized()),
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "signals": [signal.getsignal(number) for number in signals],
        "NumPy": (np.geterr(), np.get_printoptions(), np.random.get_state()[1].tolist()),
        "PyAV": av.logging.get_level(),
        "logging": (logging.root.level, logging.root.handlers[:], logging.root.manager.disable),
        "locale": locale.setlocale(locale.LC_ALL),
        "Python": (sys.stdout, sys.stderr, sys.getrecursionlimit(), sys.getswitchinterval(), os.getcwd(),
                   threading.excepthook, sys.excepthook, random.getstate()),
        "standard error": os.fstat(2),
    }

def read(number):
    recognizer = Recognizer.load()
    for _ in range(4):
        assert recognizer.predict(sys.argv[1]).probabilities is not None
    assert recognizer.predict(sys.argv[2]).face is not None
    assert recognizer.timeline(sys.argv[2]).windows

before = state()
with ThreadPoolExecutor(5) as pool:
    list(pool.map(read, range(5)))
after = state()
known = before["native threads"]
after["native threads"] = {path: n for path, n in after["native threads"].items() if path in known}
assert any(n == 3 for n in known.values())
for what, value in before.items():
    if repr(after[what]) != repr(value):
        print(what, "was", value, "and is", after[what])
"""


def test_reading_in_several_threads_changes_nothing_in_the_process(tmp_path: Path) -> None:
    voice = media_files.write_wav(tmp_path / "voice.wav", media_files.tone(4, 16000), 16000)
    one = drawn_people.draw_person(1)
    face = drawn_people.write_video(tmp_path / "face.mp4", one.speaking(4 * drawn_people.FPS))
    command = [sys.executable, "-W", "error", "-c", _SCRIPT, str(voice), str(face)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_a_setting_is_restored_when_the_last_thread_leaves() -> None:
    value = [7]
    setting = SharedSetting(lambda: value[0], lambda new: value.__setitem__(0, new))
    outer, inner = setting.held(1), setting.held(1)
    outer.__enter__()
    inner.__enter__()  # saves nothing: the value is not the caller's
    outer.__exit__(None, None, None)
    assert value == [1]  # still needed
    inner.__exit__(None, None, None)
    assert value == [7]
    with pytest.raises(KeyError), setting.held(1):
        raise KeyError
    assert value == [7]


def test_what_the_caller_sets_meanwhile_stays() -> None:
    value = [7]
    setting = SharedSetting(lambda: value[0], lambda new: value.__setitem__(0, new))
    with setting.held(1):
        value[0] = 4
    assert value == [4]


def test_blas_computes_in_one_thread_and_then_in_as_many_as_before() -> None:
    def threads() -> set[int]:
        return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}

    before = threads()
    outer, inner = one_native_thread("blas"), one_native_thread("blas")
    outer.__enter__()
    inner.__enter__()
    assert threads() == {1}
    outer.__exit__(None, None, None)
    assert threads() == {1}  # still needed
    inner.__exit__(None, None, None)
    assert threads() == before
    with threadpoolctl.threadpool_limits(2, user_api="blas"):  # a limit of the caller
        with one_native_thread("blas"):
            assert threads() == {1}
        assert threads() == {2}
    assert threads() == before


def test_many_threads_leave_blas_as_it_was() -> None:
    def compute(_: int) -> None:
        for _ in range(20):
            with one_native_thread("blas"):
                time.sleep(0.0005)

    before = threadpoolctl.threadpool_info()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(compute, range(8)))
    assert threadpoolctl.threadpool_info() == before


def test_warnings_are_ignored_in_all_threads_that_ask_for_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        outer, inner = ignored_warnings(FutureWarning), ignored_warnings(FutureWarning)
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        warnings.warn("soon", FutureWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="now"):
            warnings.warn("now", UserWarning, stacklevel=1)
        inner.__exit__(None, None, None)
        assert list(warnings.filters) == before
        with pytest.raises(FutureWarning):
            warnings.warn("soon", FutureWarning, stacklevel=1)


def test_a_filter_of_the_caller_stays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("error", UserWarning)
        before = list(warnings.filters)
        with ignored_warnings(FutureWarning):
            pass
        assert list(warnings.filters) == before


def test_variables_are_set_for_a_moment_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_TEST_A", "own")
    monkeypatch.delenv("EMOFUSE_TEST_B", raising=False)
    with environment_defaults(EMOFUSE_TEST_A="ours", EMOFUSE_TEST_B="ours"):
        assert (os.environ["EMOFUSE_TEST_A"], os.environ["EMOFUSE_TEST_B"]) == ("own", "ours")
    assert os.environ["EMOFUSE_TEST_A"] == "own" and "EMOFUSE_TEST_B" not in os.environ

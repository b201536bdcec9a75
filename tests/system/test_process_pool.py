from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import IsolationError
from emofuse.system.process_pool import as_completed


def slow_square(n: int, wait_s: float) -> tuple[int, int]:
    time.sleep(wait_s)
    if n == 13:
        raise ValueError("thirteen")
    return n * n, os.getpid()


def named(name: str) -> str:
    """In a worker: "killer" ends it as a crash of a decoder would."""
    if name == "killer":
        os._exit(9)
    return f"{name} by {os.getpid()}"


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "killer", "b", "c"]])
def test_every_task_has_a_result(names: list[str]) -> None:
    results: dict[int, str] = {}
    found = as_completed(named, [(name,) for name in names], 2, on_death=lambda n: f"{names[n]} died")
    for index, result in found:
        assert index not in results
        results[index] = result
    assert sorted(results) == list(range(len(names)))
    for index, result in results.items():
        if names[index] == "killer":
            assert result == "killer died"
        else:
            assert result.startswith(f"{names[index]} by ") and not result.endswith(f" {os.getpid()}")


def test_a_death_without_on_death_is_an_error() -> None:
    names = ["a", "killer", "b"]
    with pytest.raises(
        IsolationError, match=r"^a worker process ended \(exit status 9\), also when it worked"
    ):
        list(as_completed(named, [(name,) for name in names], 2))


def remember(value: str) -> None:
    os.environ["EMOFUSE_TEST_SETUP"] = value


def remembered() -> str:
    return os.environ["EMOFUSE_TEST_SETUP"]


def test_setup_runs_in_every_worker() -> None:
    found = as_completed(remembered, [()] * 4, 2, setup=partial(remember, "ready"))
    assert sorted(found) == [(n, "ready") for n in range(4)]
    assert "EMOFUSE_TEST_SETUP" not in os.environ


@pytest.mark.parametrize("as_module", [False, True])
def test_a_script_needs_no_main_guard(tmp_path: Path, as_module: bool) -> None:
    """Its top level runs once, in its own process, and every result comes from other processes."""
    (tmp_path / "unguarded.py").write_text(
        textwrap.dedent("""
            import os
            from emofuse.system.process_pool import as_completed
            print("started", __name__, flush=True)
            found = dict(as_completed(os.path.basename, [("a/b",), ("c/d",)], 2))
            pids = dict(as_completed(os.getpid, [(), ()], 2))
            print(sorted(found.items()), os.getpid() in pids.values(), os.path.basename(__file__))
        """)
    )
    command = [sys.executable, *(["-m", "unguarded"] if as_module else ["unguarded.py"])]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=paths, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["started __main__", "[(0, 'b'), (1, 'd')] False unguarded.py"]


def touchy(what: str, seen: str = "") -> Any:
    """In a worker: does what it is told, with a file as a memory of what it did before."""
    if what == "die once" and not Path(seen).exists():
        Path(seen).touch()
        os._exit(9)
    if what == "no memory once" and not Path(seen).exists():
        Path(seen).touch()
        raise MemoryError
    if what == "no memory":
        raise MemoryError
    if what == "function":
        return lambda: None
    if what == "odd error":
        raise json.JSONDecodeError("odd", "", 0)
    if what == "unpicklable error":
        raise OddError("a", "b")
    if what == "sleep":
        time.sleep(60)
    return os.getpid()


class OddError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("what", ["die once", "no memory once"])
def test_a_task_whose_process_lacked_memory_is_repeated_alone(tmp_path: Path, what: str) -> None:
    tasks = [("well",), (what, str(tmp_path / "seen")), ("well",), ("well",)]
    found = list(as_completed(touchy, tasks, 2))
    assert [index for index, _ in found][-1] == 1  # after the others
    assert sorted(index for index, _ in found) == [0, 1, 2, 3]
    assert found[-1][1] not in [pid for _, pid in found[:-1]]
    assert multiprocessing.active_children() == []


def test_a_task_that_never_has_enough_memory_is_an_error() -> None:
    with pytest.raises(MemoryError):
        list(as_completed(touchy, [("no memory",), ("well",)], 2))


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        ("function", (AttributeError, RuntimeError, Exception), "pickle"),
        ("odd error", json.JSONDecodeError, "odd"),
        ("unpicklable error", RuntimeError, "OddError: a and b"),
    ],
)
def test_what_cannot_be_sent_is_an_error(what: str, kind: Any, text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        list(as_completed(touchy, [(what,), ("well",)], 2))
    if what == "odd error":
        assert "in touchy" in "".join(caught.value.__notes__)


def test_whoever_stops_early_leaves_no_workers() -> None:
    start = time.monotonic()
    found = as_completed(touchy, [("well",), ("sleep",), ("sleep",)], 2)
    next(found)
    assert len(multiprocessing.active_children()) == 2
    found.close()
    assert multiprocessing.active_children() == []
    assert time.monotonic() - start < 45


def greedy(n_bytes: int) -> None:
    """A setup that needs memory."""
    np.ones(n_bytes, np.uint8)


LIMITED = """
import logging, resource, sys
from functools import partial
from emofuse.core.errors import IsolationError
from emofuse.system.process_pool import as_completed
from tests.system.test_process_pool import greedy, touchy

logging.basicConfig(format="%(message)s")
what, setup = sys.argv[1], None
if what == "memory":
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    setup = partial(greedy, 4 << 30)
else:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(what), int(what)))
try:
    found = list(as_completed(touchy, [("well",)] * 4, 4, setup=setup))
    print(sorted(index for index, _ in found), len({pid for _, pid in found}))
except IsolationError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
@pytest.mark.parametrize(
    ("limit", "printed", "noted"),
    [
        ("memory", r"no worker process could be started \(.*Unable to allocate.*\): close other .*", r""),
        ("14", r"\[0, 1, 2, 3\] [123]",
         r"only [123] of 4 worker processes could be started \(.*Too many open files\): they do the work"),
        ("4", r"no worker process could be started \(.*Too many open files\): close other .*", r""),
    ],
)  # fmt: skip
def test_workers_that_cannot_be_started_are_missed(limit: str, printed: str, noted: str) -> None:
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, limit], check=False, env=paths, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert re.fullmatch(printed, done.stdout.strip()), done
    assert re.fullmatch(noted, done.stderr.strip()), done

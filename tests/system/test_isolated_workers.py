from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import BundleError, IsolationError
from emofuse.system.isolated_workers import Handler, IsolatedWorkers, Lost, Reply, Request, Task, isolated
from tests.support.processes import is_running


def clumsy(setup: Mapping[str, Any]) -> Handler:
    """Replies with a square, or does to its process what the request says."""
    if setup.get("refuse"):
        raise BundleError("no bundle here")
    if setup.get("stumble"):
        raise RuntimeError("worker was not made for this")

    def handle(request: Request) -> Reply:
        what = request["what"]
        if what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "exit":
            os._exit(3)
        elif what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "killed once":
            seen = Path(request["seen"])
            if not seen.exists():
                seen.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        elif what == "hang":
            while True:
                time.sleep(1)
        elif what == "print":
            print("this is not a reply", flush=True)
            os.write(1, b"{nor is this\n")
        elif what == "environment":
            return {"threads": [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL")]}
        return {"square": request["n"] ** 2, "pid": os.getpid()}

    return handle


TARGET = f"{__name__}:clumsy"


def run(*tasks: Task, jobs: int = 1, **setup: object) -> dict[int, Reply | Lost]:
    with contextlib.closing(isolated(TARGET, setup, tasks, jobs)) as results:
        return dict(results)


def task(key: int, what: str = "", limit_s: float | None = None, **more: object) -> Task:
    return Task(key, {"what": what, "n": key, **more}, limit_s)


def square(result: Reply | Lost) -> int:
    assert isinstance(result, dict)
    n: int = result["square"]
    return n


def test_results_come_from_other_processes() -> None:
    results = run(*(task(n) for n in range(40)), jobs=2)
    assert {n: square(result) for n, result in results.items()} == {n: n * n for n in range(40)}
    pids = {result["pid"] for result in results.values() if isinstance(result, dict)}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids


def test_no_more_processes_than_tasks() -> None:
    assert run() == {}
    assert square(run(task(3), jobs=8)[3]) == 9


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "the process that read it crashed (SIGSEGV)"),
        ("exit", "the process that read it ended (exit status 3)"),
        ("killed", "the process that read it was killed (SIGKILL; out of memory?)"),
    ],
)
def test_a_death_costs_only_its_own_task(what: str, reason: str) -> None:
    results = run(task(1), task(2, what), task(3), jobs=1)
    assert results[2] == Lost(reason)
    assert [square(results[n]) for n in (1, 3)] == [1, 9]


def test_a_task_that_was_killed_once_is_retried(tmp_path: Path) -> None:
    results = run(task(5, "killed once", seen=str(tmp_path / "seen")))
    assert square(results[5]) == 25


def test_a_hung_process_is_killed_and_the_others_continue() -> None:
    start = time.monotonic()
    results = run(task(1), task(2, "hang", 0.5), task(3), jobs=1)
    assert results[2] == Lost("took longer than 0.5 s")
    assert square(results[3]) == 9
    assert time.monotonic() - start < 30


def test_time_that_the_caller_takes_does_not_count() -> None:
    found = []
    with contextlib.closing(isolated(TARGET, {}, [task(n, limit_s=0.5) for n in range(4)], 2)) as results:
        for _, result in results:
            time.sleep(0.6)
            found.append(result)
    assert all(isinstance(result, dict) for result in found)


def test_workers_are_kept_from_one_call_to_the_next() -> None:
    workers = IsolatedWorkers(TARGET, {}, 1, kept=True)
    try:
        (first,) = workers.results(iter([task(1)]))
        (second,) = workers.results(iter([task(2)]))
        assert isinstance(first[1], dict) and isinstance(second[1], dict)
        assert (first[1]["pid"], square(second[1])) == (second[1]["pid"], 4)
        assert list(workers.results(iter([]))) == []
        os.kill(first[1]["pid"], signal.SIGKILL)  # it dies while it has nothing to do
        while is_running(first[1]["pid"]):
            time.sleep(0.05)
        results = dict(workers.results(iter([task(3), task(4, "crash"), task(5)])))
        assert results[4] == Lost("the process that read it crashed (SIGSEGV)")
        assert [square(results[n]) for n in (3, 5)] == [9, 25]
        pid = next(iter(workers.results(iter([task(6)]))))[1]["pid"]  # type: ignore[index]
    finally:
        workers.shutdown()
    assert not is_running(pid)


def test_what_is_printed_is_not_a_reply() -> None:
    assert square(run(task(4, "print"))[4]) == 16


def test_workers_keep_to_one_thread() -> None:
    assert run(task(0, "environment"))[0] == {"threads": ["1", "1", "1"]}


def test_an_error_of_the_setup_is_reported() -> None:
    with pytest.raises(IsolationError, match=r"^no bundle here$"):
        run(task(1), refuse=True)
    with pytest.raises(IsolationError, match="could not start: RuntimeError: worker was not made for this"):
        run(task(1), stumble=True)


def test_tasks_are_taken_when_a_worker_is_free() -> None:
    taken = []

    def endless() -> Iterator[Task]:
        n = 0
        while True:
            taken.append(n)
            yield task(n)
            n += 1

    with contextlib.closing(isolated(TARGET, {}, endless(), 2)) as results:
        for _ in range(10):
            next(results)
        assert len(taken) <= 12


def test_no_worker_is_left_when_the_caller_stops() -> None:
    results = isolated(TARGET, {}, [task(1), task(2), task(3, "hang")], 2)
    pids = [result["pid"] for _, result in (next(results), next(results)) if isinstance(result, dict)]
    results.close()
    assert not any(map(is_running, pids))


def test_a_script_without_a_guard_may_call_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from emofuse.system.isolated_workers import Task, isolated\n"
        "def double(setup):\n    return lambda request: {'n': 2 * request['n']}\n"
        "print(*isolated('script:double', {}, [Task(0, {'n': 21})], 1)) if __name__ == '__main__' else None\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(0, {'n': 42})\n", "")


LIMITED = """
import contextlib, logging, resource, sys
from emofuse.core.errors import IsolationError
from emofuse.system.isolated_workers import Task, isolated

logging.basicConfig(format="%(message)s")
n = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
tasks = [Task(key, {"what": "", "n": key}) for key in range(6)]
try:
    with contextlib.closing(isolated("tests.system.test_isolated_workers:clumsy", {}, tasks, 4)) as results:
        found = dict(results)
    print([found[key]["square"] for key in range(6)])
except IsolationError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
@pytest.mark.parametrize(
    ("n_files", "printed", "noted"),
    [
        (14, r"\[0, 1, 4, 9, 16, 25\]",
         r"only [123] of 4 worker processes could be started \(.*Too many open files.*\): they do the work"),
        (4, r"a worker process could not start: .*Too many open files.*", r""),
    ],
)  # fmt: skip
def test_workers_that_cannot_be_started_are_missed(n_files: int, printed: str, noted: str) -> None:
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(n_files)], check=False, env=paths, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert re.fullmatch(printed, done.stdout.strip()), done
    assert re.fullmatch(noted, done.stderr.strip()), done

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import BundleError, IsolationError
from emofuse.system.isolated_workers import Handler, Lost, Reply, Request, Task, isolated


def clumsy(setup: Mapping[str, Any]) -> Handler:
    """Answers with a square, or does to its process what it is told."""
    if setup.get("refuse"):
        raise BundleError("no bundle here")
    if setup.get("stumble"):
        raise RuntimeError("worker was not made for this")

    def answer(request: Request) -> Reply:
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
            print("this is no answer", flush=True)
            os.write(1, b"{nor is this\n")
        elif what == "environment":
            return {"threads": [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL")]}
        return {"square": request["n"] ** 2, "pid": os.getpid()}

    return answer


TARGET = f"{__name__}:clumsy"


def run(*tasks: Task, jobs: int = 1, **setup: object) -> dict[int, Reply | Lost]:
    with contextlib.closing(isolated(TARGET, setup, tasks, jobs)) as answers:
        return dict(answers)


def task(key: int, what: str = "", limit_s: float | None = None, **more: object) -> Task:
    return Task(key, {"what": what, "n": key, **more}, limit_s)


def square(answer: Reply | Lost) -> int:
    assert isinstance(answer, dict)
    n: int = answer["square"]
    return n


def test_answers_come_from_so_many_other_processes() -> None:
    answers = run(*(task(n) for n in range(40)), jobs=2)
    assert {n: square(answer) for n, answer in answers.items()} == {n: n * n for n in range(40)}
    pids = {answer["pid"] for answer in answers.values() if isinstance(answer, dict)}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids


def test_no_more_processes_than_tasks_and_none_for_none() -> None:
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
def test_a_death_costs_its_own_task_alone(what: str, reason: str) -> None:
    answers = run(task(1), task(2, what), task(3), jobs=1)
    assert answers[2] == Lost(reason)
    assert [square(answers[n]) for n in (1, 3)] == [1, 9]


def test_who_was_killed_once_is_tried_again(tmp_path: Path) -> None:
    answers = run(task(5, "killed once", seen=str(tmp_path / "seen")))
    assert square(answers[5]) == 25


def test_a_hung_process_is_killed_and_the_others_go_on() -> None:
    began = time.monotonic()
    answers = run(task(1), task(2, "hang", 0.5), task(3), jobs=1)
    assert answers[2] == Lost("took longer than 0.5 s")
    assert square(answers[3]) == 9
    assert time.monotonic() - began < 30


def test_time_that_the_caller_takes_is_not_the_tasks() -> None:
    said = []
    with contextlib.closing(isolated(TARGET, {}, [task(n, limit_s=0.5) for n in range(4)], 2)) as answers:
        for _, answer in answers:
            time.sleep(0.6)
            said.append(answer)
    assert all(isinstance(answer, dict) for answer in said)


def test_what_is_printed_is_no_answer() -> None:
    assert square(run(task(4, "print"))[4]) == 16


def test_workers_keep_to_one_thread() -> None:
    assert run(task(0, "environment"))[0] == {"threads": ["1", "1", "1"]}


def test_an_error_of_the_setup_is_told() -> None:
    with pytest.raises(IsolationError, match=r"^no bundle here$"):
        run(task(1), refuse=True)
    with pytest.raises(IsolationError, match="could not start: RuntimeError: worker was not made for this"):
        run(task(1), stumble=True)


def test_tasks_are_taken_when_somebody_is_free() -> None:
    taken = []

    def endless() -> Iterator[Task]:
        n = 0
        while True:
            taken.append(n)
            yield task(n)
            n += 1

    with contextlib.closing(isolated(TARGET, {}, endless(), 2)) as answers:
        for _ in range(10):
            next(answers)
        assert len(taken) <= 12


def alive(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.lstrip().startswith("Z")


def test_nobody_is_left_when_the_caller_stops_listening() -> None:
    answers = isolated(TARGET, {}, [task(1), task(2), task(3, "hang")], 2)
    pids = [answer["pid"] for _, answer in (next(answers), next(answers)) if isinstance(answer, dict)]
    answers.close()
    assert not any(map(alive, pids))


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

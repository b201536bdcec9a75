"""What every executor of this machine keeps; the one of a cluster is held to the same in its own tests."""

from __future__ import annotations

import os
import time
from contextlib import closing

import pytest
import threadpoolctl

from emofuse.core.errors import IsolationError
from emofuse.system.executors import THIS_PROCESS, Executor, Processes, processes

BOTH = pytest.mark.parametrize("executor", [THIS_PROCESS, Processes(2)], ids=["this process", "processes"])


def slow_square(factor: int, n: int, wait_s: float) -> tuple[int, int]:
    time.sleep(wait_s)
    if n == 13:
        raise ValueError("thirteen")
    return factor * n * n, os.getpid()


def threads() -> int:
    import numpy  # noqa: F401 - its algebra is what is limited

    return max((one["num_threads"] for one in threadpoolctl.threadpool_info()), default=1)


def ended(name: str) -> str:
    if name == "killer":
        os._exit(9)
    return name


@BOTH
def test_each_task_has_its_result(executor: Executor) -> None:
    tasks = [(3, 0.3), (2, 0.0), (5, 0.0)]
    found = dict(executor.as_completed(slow_square, tasks, shared=(2,)))
    assert [found[n][0] for n in range(3)] == [18, 8, 50]
    assert ({pid for _, pid in found.values()} == {os.getpid()}) == (executor.at_once == 1)


@BOTH
def test_there_may_be_nothing_to_do(executor: Executor) -> None:
    assert list(executor.as_completed(slow_square, [])) == []


@BOTH
def test_a_failure_stops_what_has_not_started(executor: Executor) -> None:
    done: list[int] = []
    tasks = [(13, 0.0), *[(1, 0.2)] * 20]
    with (
        closing(executor.as_completed(slow_square, tasks, shared=(1,))) as found,
        pytest.raises(ValueError, match="thirteen"),
    ):
        done.extend(index for index, _ in found)
    assert len(done) < 20


def test_processes_keep_to_one_thread() -> None:
    assert dict(Processes(2).as_completed(threads, [(), ()])) == {0: 1, 1: 1}


def test_a_single_task_is_computed_here_unless_it_may_end_its_process() -> None:
    assert dict(Processes(2).as_completed(slow_square, [(3, 0.0)], shared=(1,))) == {0: (9, os.getpid())}
    found = Processes(2).as_completed(ended, [("killer",)], on_death=lambda index: f"{index} died")
    assert dict(found) == {0: "0 died"}


def test_a_number_of_processes_is_positive() -> None:
    assert processes(1) is THIS_PROCESS
    assert processes(3).at_once == 3
    with pytest.raises(IsolationError, match="jobs must be at least 1, got 0"):
        processes(0)

"""Worker processes that compute side by side, share the cores fairly and end with their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Final, TypeVar

T = TypeVar("T")
Setup = Callable[[], None]
"""Run once in every worker process before its first task; must be picklable."""


def end_with_parent(parent: int, *, every_s: float = 1.0) -> None:
    """End this process soon after its parent has died: a killed run leaves no workers behind.

    Args:
        parent: process id of the parent, as the parent knows it.
        every_s: how often to look.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def ignore_interrupts() -> None:
    """A setup: the parent gets the interrupt and ends the pool; workers finish their task in silence."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def one_thread() -> None:
    """A setup: a worker is one of several, so its numerical libraries keep to one thread."""
    import threadpoolctl

    # for libraries that are not loaded yet, and for those that are
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    threadpoolctl.threadpool_limits(1)


def in_processes(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    jobs: int,
    on_done: Callable[[int], None],
) -> Iterator[T]:
    """Results in the order of the arguments, computed on one thread per process.

    With one job, or one task, everything happens in this process. A failure stops what has not started.
    """
    if jobs <= 1 or len(arguments) <= 1:
        for n, one in enumerate(arguments, 1):
            yield function(*one)
            on_done(n)
        return
    results = {}
    for index, result in as_completed(function, arguments, jobs, setup=one_thread):
        results[index] = result
        on_done(len(results))
    yield from (results[index] for index in range(len(arguments)))


def as_completed(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    jobs: int,
    *,
    setup: Setup,
    on_death: Callable[[int], T] | None = None,
) -> Iterator[tuple[int, T]]:
    """The index of each task and its result, as they come from ``jobs`` worker processes.

    A failure stops what has not started; tasks that run are finished first.

    Args:
        function: computes one task in a worker; must be picklable.
        arguments: of each task.
        jobs: processes at once.
        setup: prepares each process.
        on_death: the result of a task that ends its process, such as by a crash in a decoder. A pool does not
            say which task it was, so each remaining task then gets a process of its own.

    Raises:
        BrokenProcessPool: a process died, and there is no ``on_death``.
    """
    left = dict.fromkeys(range(len(arguments)))
    pool = _pool(min(jobs, len(arguments)), setup)
    try:
        running = {pool.submit(function, *arguments[index]): index for index in left}
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                index, result = running.pop(future), future.result()
                del left[index]
                yield index, result
    except BrokenProcessPool:
        if on_death is None:
            raise
        yield from _one_by_one(function, arguments, left, setup, on_death)
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one_by_one(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    left: dict[int, None],
    setup: Setup,
    on_death: Callable[[int], T],
) -> Iterator[tuple[int, T]]:
    pool = _pool(1, setup)
    try:
        for index in left:
            try:
                result = pool.submit(function, *arguments[index]).result()
            except BrokenProcessPool:
                pool.shutdown(wait=False, cancel_futures=True)
                pool = _pool(1, setup)
                result = on_death(index)
            yield index, result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(jobs: int, setup: Setup) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, _Context(), initializer=_start_worker, initargs=(setup, os.getpid()))


_STARTING: Final = threading.Lock()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep a process that is started meanwhile from running the caller's script.

    A spawned process imports the main module of its parent. A script without ``if __name__ == "__main__"``
    would do all its work again in every worker, and fail there. Tasks are functions of modules, found by
    name.
    """
    with _STARTING:
        main: dict[str, Any] = vars(sys.modules["__main__"])
        before: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
        main.update(dict.fromkeys(before))
        try:
            yield
        finally:
            main.update(before)


class _Process(SpawnProcess):
    """A spawned process that does not import the main module."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - overrides
        with _without_main():
            return SpawnProcess._Popen(process_obj)


class _Context(SpawnContext):
    """Spawned, not forked: forking a process whose libraries run threads deadlocks now and then."""

    Process = _Process


def _start_worker(setup: Setup, parent: int) -> None:
    setup()
    end_with_parent(parent)

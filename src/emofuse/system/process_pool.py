"""What worker processes have in common."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")


def end_with_parent(parent: int, *, every_s: float = 1.0) -> None:
    """End this process soon after its parent has died; a killed run leaves no workers behind.

    Args:
        parent: process id of the parent, as the parent knows it.
        every_s: how often to look.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def in_processes(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    jobs: int,
    on_done: Callable[[int], None],
) -> Iterator[T]:
    """Results in the order of the arguments; a failure stops what has not begun."""
    if jobs <= 1 or len(arguments) <= 1:
        for n, one in enumerate(arguments, 1):
            yield function(*one)
            on_done(n)
        return
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(os.getpid(),)
    )
    with pool:
        futures = [pool.submit(function, *one) for one in arguments]
        pending: set[Future[T]] = set(futures)
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                on_done(len(futures) - len(pending))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        for future in futures:
            yield future.result()


def _start_worker(parent: int) -> None:
    """A worker is one of several: its libraries keep to one thread. It does not outlive its parent."""
    import threadpoolctl

    # for libraries that are not loaded yet, and for those that are
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    threadpoolctl.threadpool_limits(1)
    end_with_parent(parent)

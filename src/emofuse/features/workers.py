"""Takes read by several processes, in which one bad file costs nothing but itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import cv2

from emofuse.core.errors import EmofuseError, FeatureError
from emofuse.core.records import Features, Take
from emofuse.system.process_pool import end_with_parent

Result = Features | EmofuseError
Read = Callable[[Take], Result]
"""Reads a take in a worker; must be picklable, and never raises what one bad file causes."""

_read: Read | None = None


def in_processes(
    read: Read,
    takes: Sequence[Take],
    places: Sequence[int],
    jobs: int,
    done: Callable[[int, Result], None],
) -> None:
    """Read the takes at some places, each by one of ``jobs`` processes; ``done`` gets place and result.

    A take that ends the process that reads it has an error that says so.
    """
    left = list(places)
    pool = _pool(read, jobs)
    try:
        running = {pool.submit(_in_worker, takes[place]): place for place in places}
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                place = running.pop(future)
                done(place, future.result())
                left.remove(place)
    except BrokenProcessPool:
        _one_by_one(read, takes, left, done)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one_by_one(
    read: Read, takes: Sequence[Take], places: Sequence[int], done: Callable[[int, Result], None]
) -> None:
    """A process died. Give each file that is left a process that may die alone, to find the culprit."""
    pool = _pool(read, 1)
    try:
        for place in places:
            try:
                done(place, pool.submit(_in_worker, takes[place]).result())
            except BrokenProcessPool:
                paths = ", ".join(map(str, takes[place].paths))
                done(place, FeatureError(f"{paths}: the process that read it died"))
                pool.shutdown(wait=False, cancel_futures=True)
                pool = _pool(read, 1)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(read: Read, jobs: int) -> ProcessPoolExecutor:
    # Not forked: forking a process with decoder and algebra threads deadlocks now and then.
    return ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=_start_worker, initargs=(read, os.getpid())
    )


def _start_worker(read: Read, parent: int) -> None:
    global _read  # noqa: PLW0603 - the one way to hand a worker process something once
    _read = read
    # The parent hears the interrupt and ends the pool; workers finish their file in silence.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    end_with_parent(parent)


def _in_worker(take: Take) -> Result:
    assert _read is not None
    return _read(take)

"""Settings of the whole process that must differ for a moment, in whatever number of threads.

A library leaves the process of its caller as it is. Where a product in BLAS must run in one thread for its
result, and there is no way to say so for this product alone, the setting differs for its few milliseconds.
Saving and restoring it in each thread would end with the wrong value: the second thread would save what the
first one had set. Here the first to come saves it, and the last to go restores it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar, cast

T = TypeVar("T")


class SharedSetting(Generic[T]):
    """A setting of the process that several threads may need at once."""

    def __init__(self, read: Callable[[], T], write: Callable[[T], object]) -> None:
        """How it is read and written."""
        self._read, self._write = read, write
        self._lock = threading.Lock()
        self._n = 0
        self._before: T | None = None
        self._held: T | None = None

    @contextlib.contextmanager
    def held(self, value: T) -> Iterator[None]:
        """The setting has this value, unless another thread that holds it wants another one."""
        with self._lock:
            if not self._n:
                self._before = self._read()
            self._n += 1
            self._held = value
            self._write(value)
        try:
            yield
        finally:
            with self._lock:
                self._n -= 1
                # what the caller has set meanwhile stays
                if not self._n and self._before is not None and self._read() == self._held:
                    self._write(self._before)


def one_native_thread(kind: Literal["blas", "openmp"]) -> contextlib.AbstractContextManager[None]:
    """Products of matrices, or loops of OpenMP, run in one thread each.

    Their result then does not depend on the number of cores, and small ones are faster.
    """
    return _native_threads(kind).limited()


@lru_cache(maxsize=2)
def _native_threads(kind: str) -> _NativeThreads:
    return _NativeThreads(kind)


class _NativeThreads:
    """The number of threads of each library of a kind that is loaded when this is made.

    A limit belongs to the thread that sets it: threadpoolctl 3.7 and later ignore other threads meanwhile. So
    one thread sets it, waits until nobody needs it any longer, and restores what was.
    """

    def __init__(self, kind: str) -> None:
        from threadpoolctl import ThreadpoolController

        self._libraries = ThreadpoolController().select(user_api=kind)
        self._lock = threading.Lock()
        self._n = 0
        self._end: Callable[[], None] | None = None

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """One thread, in whatever number of callers at once."""
        with self._lock:
            if not self._n:
                self._end = self._begin()
            self._n += 1
            alone = self._is_one()
        try:
            # where the caller holds a limit of its own, nobody but the caller's thread can change it
            with contextlib.nullcontext() if alone else self._libraries.limit(limits=1):
                yield
        finally:
            with self._lock:
                self._n -= 1
                if not self._n and self._end is not None:
                    self._end()

    def _is_one(self) -> bool:
        return all(library.get_num_threads() == 1 for library in self._libraries.lib_controllers)

    def _begin(self) -> Callable[[], None]:
        begun, ended = threading.Event(), threading.Event()

        def hold() -> None:
            with self._libraries.limit(limits=1):
                begun.set()
                ended.wait()

        thread = threading.Thread(target=hold, name="emofuse-one-thread", daemon=True)
        thread.start()
        begun.wait()

        def end() -> None:
            ended.set()
            thread.join()

        return end


class _Ignored:
    """Categories of warnings that are ignored now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n: Counter[type[Warning]] = Counter()
        """In how many threads."""
        self.ours: set[type[Warning]] = set()
        """Those that were not ignored before."""


_ignored = _Ignored()


@contextlib.contextmanager
def ignored_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore some warnings; ``warnings.catch_warnings`` is not for several threads."""
    rule = ("ignore", None, category, None, 0)
    with _ignored.lock:
        if not _ignored.n[category] and rule not in warnings.filters:
            _ignored.ours.add(category)
            warnings.simplefilter("ignore", category)
        _ignored.n[category] += 1
    try:
        yield
    finally:
        with _ignored.lock:
            _ignored.n[category] -= 1
            if not _ignored.n[category] and category in _ignored.ours:
                _ignored.ours.remove(category)
                with contextlib.suppress(ValueError):  # the caller has set other filters meanwhile
                    cast(Any, warnings.filters).remove(rule)


@contextlib.contextmanager
def environment_defaults(**defaults: str) -> Iterator[None]:
    """Variables that have these values where they have none; C libraries read no others."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in added.items():
            if os.environ.get(name) == value:
                del os.environ[name]

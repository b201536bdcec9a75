"""Where tasks that know nothing of each other are computed: in this process, in several, or elsewhere.

A task is a function that is found by name, and plain data. Its result does not depend on where it is
computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from emofuse.core.errors import IsolationError

if TYPE_CHECKING:
    from emofuse.system.process_pool import Setup

T = TypeVar("T")


def one_thread() -> None:
    """A setup: a worker is one of several, so its numerical libraries keep to one thread."""
    import threadpoolctl

    # for libraries that are not loaded yet, and for those that are
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    threadpoolctl.threadpool_limits(1)


class Executor(Protocol):
    """Computes tasks."""

    @property
    def at_once(self) -> int:
        """How many tasks are computed at the same time, as far as is known beforehand."""

    def as_completed(
        self,
        function: Callable[..., T],
        arguments: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        setup: Setup = one_thread,
        on_death: Callable[[int], T] | None = None,
    ) -> Generator[tuple[int, T], None, None]:
        """The index of each task and its result, as they come.

        A failure stops what has not started. To end early, close the generator: what runs is ended.

        Args:
            function: computes a task; found by name in other processes.
            arguments: of each task.
            shared: its first arguments, which are the same for all tasks, and sent to each process once.
            setup: prepares each process that is started for the tasks. By default they share the cores.
            on_death: the result of a task, by its index, that ended its process twice, such as by a crash in
                a decoder.

        Raises:
            IsolationError: a task ended its process twice, and there is no ``on_death``.
        """


class ThisProcess:
    """Computes tasks one by one, here, with as many threads as libraries please; nothing is set up."""

    @property
    def at_once(self) -> int:
        """One."""
        return 1

    def as_completed(
        self,
        function: Callable[..., T],
        arguments: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        setup: Setup = one_thread,  # noqa: ARG002 - of other processes
        on_death: Callable[[int], T] | None = None,  # noqa: ARG002 - which would be our own
    ) -> Generator[tuple[int, T], None, None]:
        """See :class:`Executor`."""
        for index, one in enumerate(arguments):
            yield index, function(*shared, *one)


@dataclass(frozen=True, slots=True)
class Processes:
    """Computes tasks side by side, in processes of this machine that end with this one.

    A single task is computed here, unless it may end its process.
    """

    at_once: int

    def as_completed(
        self,
        function: Callable[..., T],
        arguments: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        setup: Setup = one_thread,
        on_death: Callable[[int], T] | None = None,
    ) -> Generator[tuple[int, T], None, None]:
        """See :class:`Executor`.

        Raises:
            IsolationError: no process can be started, too.
        """
        from emofuse.system.process_pool import as_completed  # which predicting one file does not need

        if len(arguments) <= 1 and on_death is None:
            yield from THIS_PROCESS.as_completed(function, arguments, shared=shared)
            return
        yield from as_completed(
            partial(with_shared, function),
            arguments,
            self.at_once,
            setup=partial(start_worker, setup, shared),
            on_death=on_death,
        )


THIS_PROCESS: Final = ThisProcess()


def processes(jobs: int) -> Executor:
    """What computes as many tasks at once on this machine.

    Raises:
        IsolationError: it is less than one.
    """
    if jobs < 1:
        raise IsolationError(f"jobs must be at least 1, got {jobs}")
    return THIS_PROCESS if jobs == 1 else Processes(jobs)


_shared: tuple[Any, ...] = ()
"""In a worker process: the first arguments of its tasks."""


def start_worker(setup: Setup, shared: tuple[Any, ...]) -> None:
    """Prepare this process, which is one of several, for tasks that :func:`with_shared` computes."""
    global _shared  # noqa: PLW0603 - a worker process has no other place for it
    setup()
    _shared = shared


def with_shared(function: Callable[..., T], *arguments: Any) -> T:
    """Compute a task."""
    return function(*_shared, *arguments)

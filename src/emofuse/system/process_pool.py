"""Worker processes that compute side by side, share the cores fairly and end with their parent."""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final, Generic, TypeVar

from emofuse.core.errors import EmofuseError, IsolationError
from emofuse.system.worker_lifetime import (
    cause_of_death,
    end_with_parent,
    ignore_interrupts,
    interrupts_held_back,
    note_fewer_workers,
    remember,
)

T = TypeVar("T")
Setup = Callable[[], None]
"""Run once in every worker process before its first task; must be picklable."""

_END_S: Final = 5.0
"""How long a worker that has nothing left to do may take to end by itself."""


def as_completed(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    jobs: int,
    *,
    setup: Setup | None = None,
    on_death: Callable[[int], T] | None = None,
) -> Generator[tuple[int, T], None, None]:
    """The index of each task and its result, as they come from ``jobs`` worker processes.

    A failure stops what has not started; tasks that run are finished first. Whatever else ends this, such as
    an interrupt, kills them. A task whose process dies, or runs out of memory, is repeated once by itself,
    when the others are done. Where not all processes can be started, those that can do the work.

    Args:
        function: computes one task in a worker; must be picklable.
        arguments: of each task.
        jobs: processes at once.
        setup: prepares each process.
        on_death: the result of a task that ends its process twice, such as by a crash in a decoder.

    Raises:
        IsolationError: no process can be started, or one died twice, and there is no ``on_death``.
    """
    pool: _Pool[T] = _Pool(function, arguments, min(jobs, len(arguments)), setup, on_death)
    finished = False
    try:
        yield from pool.results()
        finished = True
    finally:
        pool.close(kill=not finished)


class _Worker:
    """One process, and our end of the connection to it."""

    def __init__(self, setup: Setup | None) -> None:
        self.task: int | None = None
        self.ready = False
        self.connection, theirs = _CONTEXT.Pipe()
        # daemonic: an exit of this process does not wait for it
        self.process = _SpawnedProcess(target=_serve, args=(theirs,), daemon=True)
        try:
            with theirs, interrupts_held_back():
                self.process.start()
        except BaseException:
            self.connection.close()
            raise
        remember(self.process)
        self.send(setup)

    def send(self, message: object) -> None:
        """Send a message; a worker that has died is noticed by the end of its replies."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def receive(self) -> Any:
        """Its next message, which is there.

        Raises:
            EOFError: there is none, for it has ended.
        """
        try:
            return self.connection.recv()
        except OSError:
            raise EOFError from None

    def end(self, *, kill: bool) -> int | None:
        """Have it end; return its exit status, or None where even killing does not end it."""
        self.connection.close()
        if not kill:
            self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(_END_S)
        return self.process.exitcode


class _Pool(Generic[T]):
    """The workers of one call of :func:`as_completed`."""

    def __init__(
        self,
        function: Callable[..., T],
        arguments: Sequence[tuple[Any, ...]],
        jobs: int,
        setup: Setup | None,
        on_death: Callable[[int], T] | None,
    ) -> None:
        self.function, self.arguments, self.setup, self.on_death = function, arguments, setup, on_death
        self.jobs = jobs
        self.wanted = jobs
        self.missing: str | None = None
        """Why there are fewer workers, while nobody has been told."""
        self.workers: list[_Worker] = []
        self.waiting = deque(range(len(arguments)))
        self.alone: deque[int] = deque()
        """Tasks whose process died once."""
        self.died: set[int] = set()
        self.failure: BaseException | None = None

    def results(self) -> Iterator[tuple[int, T]]:
        while True:
            self._assign()
            busy = [worker for worker in self.workers if worker.task is not None]
            if not busy:
                break
            # short waits let an interrupt through on every platform
            ends = {end: worker for worker in busy for end in (worker.connection, worker.process.sentinel)}
            ready = multiprocessing.connection.wait(list(ends), timeout=1.0)
            for worker in dict.fromkeys(ends[end] for end in ready):  # type: ignore[index]
                yield from self._hear(worker)
        if self.failure is not None:
            raise self.failure

    def _assign(self) -> None:
        """Give every idle worker a task, and start further ones for what is left."""
        if not self.waiting and self.alone and all(worker.task is None for worker in self.workers):
            for worker in list(self.workers):  # whose memory it may need
                self._remove(worker)
            self.waiting.append(self.alone.popleft())
        for worker in self.workers:
            if worker.ready and worker.task is None and self.waiting:
                self._start(worker, self.waiting.popleft())
        while self.waiting and len(self.workers) < self.jobs:
            try:
                worker = _Worker(self.setup)
            except (OSError, RuntimeError, MemoryError) as error:
                self._fewer(str(error) or type(error).__name__)
                continue
            worker.task = self.waiting.popleft()
            self.workers.append(worker)

    def _start(self, worker: _Worker, index: int) -> None:
        worker.task = index
        worker.send((self.function, self.arguments[index]))

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, T]]:
        """Take what a worker says, or notice that it has ended."""
        index = worker.task
        assert index is not None
        try:
            kind, value = worker.receive()
        except EOFError:
            yield from self._on_end(worker, index)
            return
        if not worker.ready and kind == "ready":
            worker.ready = True
            self._start(worker, index)
        elif kind == "refused":
            self._fail(value)
            self._remove(worker)
        elif kind == "failed":
            self._remove(worker)
            self._put_back(index)
            self._fewer(value)
        else:
            worker.task = None
            self._note_missing()
            if kind == "result":
                if self.failure is None:
                    yield index, value
                return
            error, found = value
            if isinstance(error, MemoryError) and index not in self.died:
                self._repeat_alone(index)
            else:
                error.add_note(found)
                self._fail(error)

    def _on_end(self, worker: _Worker, index: int) -> Iterator[tuple[int, T]]:
        cause = cause_of_death(self._remove(worker))
        if not worker.ready:
            self._put_back(index)
            self._fewer(f"it {cause}")
        elif index not in self.died:
            self._repeat_alone(index)
        elif self.on_death is not None:
            if self.failure is None:
                yield index, self.on_death(index)
        else:
            self._fail(
                IsolationError(
                    f"a worker process {cause}, also when it worked alone: close other programs and try "
                    "again, or use a computer with more memory"
                )
            )

    def _put_back(self, index: int) -> None:
        if self.failure is None:
            self.waiting.appendleft(index)

    def _repeat_alone(self, index: int) -> None:
        if self.failure is None:
            self.died.add(index)
            self.alone.append(index)

    def _fail(self, error: BaseException) -> None:
        """Start nothing more, and raise an error when what runs is finished."""
        self.failure = self.failure or error
        self.waiting.clear()
        self.alone.clear()

    def _fewer(self, reason: str) -> None:
        """Go on with the workers that there are."""
        self.missing = reason
        self.jobs = len(self.workers)
        if not self.workers:
            self._fail(
                IsolationError(
                    f"no worker process could be started ({reason}): close other programs, or use one job"
                )
            )

    def _note_missing(self) -> None:
        """Say once, when work gets done, that there are fewer workers than wanted."""
        if self.missing is not None:
            note_fewer_workers(self.jobs, self.wanted, self.missing)
            self.missing = None

    def _remove(self, worker: _Worker) -> int | None:
        self.workers.remove(worker)
        return worker.end(kill=False)

    def close(self, *, kill: bool) -> None:
        """End all workers; ``kill``: whatever they are doing."""
        for worker in self.workers:
            if kill:
                worker.process.kill()
            worker.connection.close()
        for worker in self.workers:
            worker.end(kill=kill)


def _serve(connection: Any) -> None:
    """What a worker process does: tasks, until there are no more."""
    ignore_interrupts()
    try:
        end_with_parent()
        setup = connection.recv()
        if setup is not None:
            setup()
    except EmofuseError as error:
        connection.send(("refused", error))
        return
    except Exception as error:
        connection.send(("failed", _named(error)))
        return
    connection.send(("ready", None))
    with contextlib.suppress(EOFError, OSError):  # the parent has closed the connection, or ended
        while True:
            connection.send_bytes(computed(connection.recv_bytes()))


def computed(task: bytes) -> Any:
    """Compute a task that :func:`packed` made; its result, or its error, as bytes to send.

    Unpickled, they are ``result`` and what the function returned, or ``error`` and a pair: what it raised,
    and where, as text.
    """
    try:
        function, arguments = ForkingPickler.loads(task)  # what fails here fails alone
        return ForkingPickler.dumps(("result", function(*arguments)))
    except Exception as error:
        found = "".join(traceback.format_exception(error))
        return ForkingPickler.dumps(("error", (_portable(error), f"in a worker process:\n{found}")))


def packed(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """A task, for :func:`computed`."""
    return bytes(ForkingPickler.dumps((function, arguments)))


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same and can be sent."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:
        return RuntimeError(_named(error))
    return error


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


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


class _SpawnedProcess(SpawnProcess):
    """A spawned process that does not import the main module."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - overrides
        with _without_main():
            return SpawnProcess._Popen(process_obj)


_CONTEXT: Final = SpawnContext()
"""Spawned, not forked: forking a process whose libraries run threads deadlocks now and then."""

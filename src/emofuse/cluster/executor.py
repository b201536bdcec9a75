"""Networks, folds, features and trials on a cluster, as :mod:`emofuse.system.executors` has them here.

>>> with connected("auto") as cluster, on_cluster(cluster, [run]) as executor:  # doctest: +SKIP
...     evaluate(corpus, recipe, "six-fold", run, Resources(executor))

Tasks read and write files: recordings, stored features, the folder of the run. All nodes must see them, and
have the same software, since figures must not depend on who computed them: both is seen to before the first
task, and again by every process that joins later. What a node had when it died is computed by another.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Final, TypeVar

from emofuse.cluster.connection import Cluster, Node
from emofuse.cluster.node_terms import Terms
from emofuse.core.errors import ClusterError, EmofuseError, IsolationError
from emofuse.system.executors import one_thread, start_worker, with_shared
from emofuse.system.process_pool import Setup, computed, packed

T = TypeVar("T")

_TASKS_PER_CORE: Final = 2
"""In flight: one that is computed, one that waits for it."""
_MOST_DEATHS: Final = 3
"""How often the process may die that computes a task; the last time, the task is alone. A node that dies may
look like it once or twice."""
_MOST_NODES: Final = 10
"""How many nodes may die that compute it."""
_LOOK_S: Final = 5.0
"""How often is looked whether there are nodes."""
_WAIT_S: Final = 1.0
_CHECK_S: Final = 300.0
"""Within which a node says that it can do the work; starting a process there takes seconds."""


@contextmanager
def on_cluster(
    cluster: Cluster, folders: Sequence[Path], files: Iterable[Path] = ()
) -> Iterator[ClusterExecutor]:
    """What computes tasks on a cluster, after all nodes were asked.

    Args:
        cluster: from :func:`~emofuse.cluster.connection.connected`.
        folders: that tasks write to: the run's, the store's. They are created; a probe file lies in each of
            them meanwhile.
        files: that tasks read; one of each folder is looked for.

    Raises:
        ClusterError: a node does not see a folder or a recording, or has other software, or none has a core.
        OSError: a folder cannot be written.
    """
    with contextlib.ExitStack() as probes:
        made = [probes.enter_context(_probe(folder)) for folder in folders]
        executor = ClusterExecutor(cluster, Terms.of(made, files))
        executor.check()
        yield executor


@contextmanager
def _probe(folder: Path) -> Iterator[Path]:
    """A file by which nodes tell whether a folder is the one that this machine sees."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".emofuse-probe-{secrets.token_hex(8)}"
    path.write_bytes(secrets.token_bytes(16))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            for one in new:  # if nothing else has come
                one.rmdir()


@dataclass(frozen=True)
class ClusterExecutor:
    """The nodes of a cluster, as an :class:`~emofuse.system.executors.Executor`."""

    cluster: Cluster
    terms: Terms
    """What a node must see and have."""

    @property
    def at_once(self) -> int:
        """One task for each core, as many as there are now."""
        return max(1, sum(math.floor(node.cores) for node in self.cluster.nodes()))

    def check(self) -> None:
        """Ask all nodes.

        Raises:
            ClusterError: one cannot do the work, or none has a core.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = _with_cores(self.cluster)
        ask = ray.remote(num_cpus=0, max_retries=3)(_refusal)
        answers = {
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(
                self.terms
            ): node
            for node in nodes
        }
        deadline = time.monotonic() + _CHECK_S
        while answers:
            ready, _ = ray.wait(list(answers), timeout=_WAIT_S)
            for reference in ready:
                node = answers.pop(reference)
                try:
                    refusal = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    refusal = _why(error)
                except ray.exceptions.RayError:
                    continue  # it has died: others do its work
                if refusal is not None:
                    raise ClusterError(f"{node}: {refusal}")
            if answers and time.monotonic() > deadline:
                (silent, *_) = answers.values()
                raise ClusterError(f"{silent} does not begin to work: is its disk full, or is it busy?")

    def as_completed(
        self,
        function: Callable[..., T],
        arguments: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        setup: Setup = one_thread,
        on_death: Callable[[int], T] | None = None,
    ) -> Generator[tuple[int, T], None, None]:
        """See :class:`~emofuse.system.executors.Executor`.

        Raises:
            ClusterError: no node is left, or one that joined cannot do the work.
        """
        tasks = _Tasks(self, function, arguments, (setup, shared, self.terms), on_death)
        try:
            yield from tasks.results()
        finally:
            tasks.end()


@dataclass
class _Tasks:
    """The state of one call of :meth:`ClusterExecutor.as_completed`."""

    executor: ClusterExecutor
    function: Callable[..., Any]
    arguments: Sequence[tuple[Any, ...]]
    start: tuple[Setup, tuple[Any, ...], Terms]
    on_death: Callable[[int], Any] | None
    flights: dict[Any, int] = field(default_factory=dict)
    """The task of each reference."""
    waiting: deque[int] = field(default_factory=deque)
    alone: deque[int] = field(default_factory=deque)
    """Tasks that may need the memory of a whole node."""
    deaths: Counter[int] = field(default_factory=Counter)
    """Of processes, by task."""
    node_deaths: Counter[int] = field(default_factory=Counter)
    failure: BaseException | None = None
    looked_s: float = -math.inf

    def __post_init__(self) -> None:
        import ray

        self._ray = ray
        self._compute = ray.remote(num_cpus=1, max_retries=0)(_on_node)
        self._key = secrets.token_hex(8)
        self._start: Any = None
        self._most = 1
        self.waiting.extend(range(len(self.arguments)))

    def results(self) -> Iterator[tuple[int, Any]]:
        """Those of all tasks."""
        if not self.arguments:
            return
        # as bytes: Ray would map what it unpickles from its own memory, which is small
        self._start = self._ray.put(bytes(ForkingPickler.dumps(self.start)))
        while self.waiting or self.alone or self.flights:
            self._look()
            self._send()
            ready, _ = self._ray.wait(list(self.flights), timeout=_WAIT_S)
            for reference in ready:
                yield from self._arrived(self.flights.pop(reference), reference)
        if self.failure is not None:
            raise self.failure

    def end(self) -> None:
        """Have nodes stop with what they are doing."""
        for reference in self.flights:
            with contextlib.suppress(Exception):
                self._ray.cancel(reference, force=True)
        self.flights.clear()

    def _look(self) -> None:
        """See how many cores there are.

        Raises:
            ClusterError: none.
        """
        if time.monotonic() - self.looked_s > _LOOK_S:
            self.looked_s = time.monotonic()
            self._most = _TASKS_PER_CORE * sum(
                math.floor(node.cores) for node in _with_cores(self.executor.cluster)
            )

    def _send(self) -> None:
        if not self.flights and not self.waiting:
            self.waiting.append(self.alone.popleft())
        while self.waiting and len(self.flights) < self._most:
            index = self.waiting.popleft()
            task = packed(with_shared, (self.function, *self.arguments[index]))
            # in a list, the reference itself is sent, and fetched by each process once
            self.flights[self._compute.remote([self._start], self._key, task)] = index

    def _arrived(self, index: int, reference: Any) -> Iterator[tuple[int, Any]]:
        errors = self._ray.exceptions
        try:
            kind, value = ForkingPickler.loads(self._ray.get(reference))
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            yield from self._died(index, error)
        except errors.RayTaskError as error:
            self._fail(ClusterError(_why(error)))
        except errors.RayError as error:  # its node has died
            self.node_deaths[index] += 1
            if self.node_deaths[index] == _MOST_NODES:
                self._fail(ClusterError(f"{_MOST_NODES} nodes died with one task, at last: {_why(error)}"))
            else:
                self._repeat(index)
        else:
            if kind == "result":
                if self.failure is None:
                    yield index, value
                return
            raised, found = value
            if isinstance(raised, MemoryError) and not self.deaths[index]:
                self.deaths[index] += 1
                self._repeat(index, alone=True)
            else:
                raised.add_note(found)
                self._fail(raised)

    def _died(self, index: int, error: BaseException) -> Iterator[tuple[int, Any]]:
        self.deaths[index] += 1
        if self.deaths[index] < _MOST_DEATHS:
            self._repeat(index, alone=self.deaths[index] == _MOST_DEATHS - 1)
        elif self.on_death is not None:
            if self.failure is None:
                yield index, self.on_death(index)
        else:
            self._fail(
                IsolationError(
                    f"a process of the cluster died {_MOST_DEATHS} times with one task, also when it worked "
                    f"alone ({_why(error)}): use nodes with more memory"
                )
            )

    def _repeat(self, index: int, *, alone: bool = False) -> None:
        if self.failure is None:
            (self.alone if alone else self.waiting).append(index)

    def _fail(self, error: BaseException) -> None:
        """Start nothing more, and raise an error when what runs is finished."""
        self.failure = self.failure or error
        self.waiting.clear()
        self.alone.clear()


def _with_cores(cluster: Cluster) -> list[Node]:
    """The nodes that take tasks.

    Raises:
        ClusterError: there are none.
    """
    nodes = [node for node in cluster.nodes() if node.cores >= 1]
    if not nodes:
        raise ClusterError(
            "no node of the cluster has a core for tasks: start some, and repeat the command to resume"
        )
    return nodes


_started: str | None = None
"""In a process of Ray: what it was prepared for."""


def _on_node(start: list[Any], key: str, task: bytes) -> bytes:
    """Compute a task in a process of Ray.

    Raises:
        ClusterError: this node cannot do the work.
    """
    global _started  # noqa: PLW0603 - the process has no other place for it
    if _started != key:
        import ray

        setup, shared, terms = ForkingPickler.loads(ray.get(start[0]))
        refusal = terms.refusal()
        if refusal is not None:
            raise ClusterError(f"a node that joined later: {refusal}")
        start_worker(setup, shared)
        _started = key
    return bytes(computed(task))


def _refusal(terms: Terms) -> str | None:
    return terms.refusal()


def _why(error: BaseException) -> str:
    """What Ray says of a task, in one line."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, EmofuseError):
        return str(cause)
    if "No module named" in str(error):
        return "this version of emofuse is not installed there, in the Python that Ray runs on"
    lines = [line.strip() for line in str(cause or error).splitlines() if line.strip()]
    return f"{type(cause or error).__name__}: {lines[-1] if lines else ''}"

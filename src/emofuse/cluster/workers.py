"""Batches on a cluster: files are sent to nodes by name, their rows come back to the driver.

>>> with connected("10.0.0.7:6379") as cluster:                             # doctest: +SKIP
...     predict_table(["interviews"], None, "interviews.csv", workers=ClusterWorkers(cluster))

Ray runs the tasks, and notices that a process or a node has died. What is decided here is which node gets
which file, since nodes may differ: one does not see a file, has another version or a full disk, or dies. A
node reads nothing before it was asked whether its rows would be those of this machine. Whatever a node does
not do is done by another.

A task is some files, at least one and about two seconds of work, and a node has two tasks for each of its
cores: one that is read, one that waits. Towards the end tasks become smaller, so that all nodes end together.
The driver holds the names of all files, and nothing else that grows with their number.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emofuse.cluster import node as on_node
from emofuse.cluster.connection import Cluster, Node
from emofuse.cluster.node import File, Read, Unseen, Work
from emofuse.core.errors import ClusterError
from emofuse.core.version import __version__
from emofuse.recognition.bundle import SHIPPED
from emofuse.recognition.worker_settings import WorkerSettings
from emofuse.system.isolated_workers import Lost, Reply, Task
from emofuse.system.source_digest import source_digest

logger = logging.getLogger(__name__)

OnRemark = Callable[[str], None]

_TASKS_PER_CORE: Final = 2
"""In flight: one that is read, one that waits for it."""
_TASK_S: Final = 2.0
"""Of reading, by which Ray's part of a task, some milliseconds, is small, and what a death costs as well."""
_MOST_FILES: Final = 64
_MOST_BYTES: Final = 64_000_000
"""Of the files of one task, if there are several."""
_MOST_LOSSES: Final = 5
"""How often the process of Ray, or the node, may die that reads a file; from the first on, it is alone."""
_MOST_AGAIN: Final = 1000
"""Of files that others must read, as many may wait; until then, nobody gets a new one."""
_BLIND: Final = 8
"""A node that sees none of so many files gets no more."""
_LOOK_S: Final = 2.0
"""How often is looked which nodes there are."""
_SILENT_S: Final = 60.0
"""After which it is said that a node does not begin."""
_WAIT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ClusterWorkers:
    """The nodes of a cluster, for :func:`~emofuse.predict_table` and ``write_timelines``."""

    cluster: Cluster
    on_remark: OnRemark = logger.warning
    """Told what somebody should know: which node is left out, and why."""

    def __call__(
        self,
        target: str,
        settings: WorkerSettings,
        more: Mapping[str, Any],
        tasks: Iterable[Task],
        *,
        out_dir: Path | None = None,
    ) -> Generator[tuple[int, Reply | Lost], None, None]:
        """See :class:`~emofuse.recognition.worker_settings.Workers`.

        Raises:
            ClusterError: no node can do the work, or none is left.
        """
        with _marker(out_dir) as marker:
            work = Work(
                target, settings, settings.bundle == SHIPPED.absolute(), dict(more), settings.identity(),
                str(Path.cwd()), marker,
            )  # fmt: skip
            dispatch = _Dispatch(self.cluster, work, iter(tasks), self.on_remark)
            try:
                yield from dispatch.results()
            finally:
                dispatch.end()


@contextlib.contextmanager
def _marker(out_dir: Path | None) -> Iterator[str | None]:
    """A file in the folder of the results, by which nodes tell whether they see it."""
    if out_dir is None:
        yield None
        return
    path = out_dir / f".emofuse-{secrets.token_hex(8)}"
    path.touch()
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


@dataclass(eq=False)
class _Sent:
    """A file, and what has become of it so far."""

    file: File
    losses: int = 0
    unseen: dict[str, str] = field(default_factory=dict)
    """Nodes that do not see it, and what they said."""


@dataclass(eq=False)
class _State:
    """What is known of a node."""

    node: Node
    same_version: bool = False
    """Of emofuse as on the driver's machine."""
    usable: bool = False
    """It was asked, and gives the rows that are wanted."""
    refusal: str | None = None
    """Why it gets nothing."""
    asked_s: float | None = None
    """Since when it is being asked; None: it is not."""
    in_flight: int = 0
    seen: int = 0
    unseen: int = 0
    without: list[str] = field(default_factory=list)
    """The first file that it did not see though the driver does."""

    @property
    def capacity(self) -> int:
        """Tasks that it may have at once."""
        return _TASKS_PER_CORE * math.floor(self.node.cores) if self.usable else 0

    @property
    def slots(self) -> int:
        """Tasks that it may get now."""
        return self.capacity - self.in_flight if self.usable else 0


@dataclass(eq=False)
class _Flight:
    """A task of Ray."""

    state: _State
    files: list[_Sent]
    """None of them: it is the question whether the node can be used."""


@dataclass
class _Dispatch:
    """The state of one batch."""

    cluster: Cluster
    work: Work
    tasks: Iterator[Task]
    on_remark: OnRemark
    states: dict[str, _State] = field(default_factory=dict)
    flights: dict[Any, _Flight] = field(default_factory=dict)
    """By the reference of their result."""
    again: deque[_Sent] = field(default_factory=deque)
    """What a node was lost with, or did not see."""
    file_s: float | None = None
    """That a file takes: no less than of late, on average, and than in the last task."""
    most: int = 1
    """Files of the next task: twice those of the largest that has come back, as long as these were few."""
    looked_s: float = -math.inf

    def __post_init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._on = ray, NodeAffinitySchedulingStrategy
        # a task that is lost comes back here: it may be the file's fault
        self._ask_version = ray.remote(num_cpus=0, max_retries=0)(on_node.other_version)
        self._ask = ray.remote(num_cpus=0, max_retries=0)(on_node.refusal)
        self._read = ray.remote(num_cpus=1, max_retries=0)(on_node.read)
        self._ahead: deque[_Sent] = deque()
        """The next files, which no node has had."""

    def results(self) -> Iterator[tuple[int, Reply | Lost]]:
        """Those of all files."""
        while True:
            self._look()
            self._send()
            yield from self._unreadable()
            if not self._reading() and not self.again and not self._is_left():
                break
            self._check_nodes()
            yield from self._replies()
        self._remark_on_unseen()

    def _reading(self) -> bool:
        """Whether any file is at a node."""
        return any(flight.files for flight in self.flights.values())

    # nodes

    def _look(self) -> None:
        """Ask nodes that are new; forget those that have died."""
        now = time.monotonic()
        if now - self.looked_s < _LOOK_S:
            return
        self.looked_s = now
        alive = {node.id: node for node in self.cluster.nodes() if node.cores >= 1}
        for gone in self.states.keys() - alive.keys():
            state = self.states.pop(gone)
            self.on_remark(f"{state.node} has died or left: its files are read by others")
        for node_id, node in alive.items():
            state = self.states.setdefault(node_id, _State(node))
            if not state.usable and state.refusal is None and state.asked_s is None:
                self._question(state)
            elif state.asked_s is not None and 0 <= state.asked_s < now - _SILENT_S:
                state.asked_s = math.inf  # said once
                self.on_remark(
                    f"{node} does not begin with what it got {_SILENT_S:.0f} s ago: is its disk full, or is "
                    "it busy with other work?"
                )

    def _question(self, state: _State) -> None:
        state.asked_s = time.monotonic()
        if state.same_version:
            self._submit(self._ask, state, [], self.work)
        else:
            self._submit(self._ask_version, state, [], __version__, source_digest())

    def _answered(self, state: _State, answer: object) -> None:
        state.asked_s = None
        if answer is not None:
            self._leave_out(state, str(answer))
        elif state.same_version:
            state.usable = True
        else:
            state.same_version = True
            self._question(state)

    def _leave_out(self, state: _State, why: str) -> None:
        if state.refusal is None:
            state.usable, state.refusal = False, why
            self.on_remark(f"{state.node} is left out: {why}")

    def _check_nodes(self) -> None:
        """Fail if nobody is left who may do the work.

        Raises:
            ClusterError: so it is.
        """
        if self.flights or any(state.usable or state.asked_s is not None for state in self.states.values()):
            return
        refusals = [f"{state.node}: {state.refusal}" for state in self.states.values() if state.refusal]
        if refusals:
            raise ClusterError(f"no node of the cluster can do this: {'; '.join(refusals)}")
        if not self.cluster.nodes():
            raise ClusterError("the cluster has no node left: start some, and repeat the command to resume")
        if not any(node.cores >= 1 for node in self.cluster.nodes()):
            raise ClusterError("no node of the cluster has a core for tasks: start one with --num-cpus")

    # files

    def _is_left(self) -> bool:
        """Whether there is a file that no node has had."""
        self._read_ahead(1)
        return bool(self._ahead)

    def _read_ahead(self, n: int) -> None:
        while len(self._ahead) < n and (task := next(self.tasks, None)) is not None:
            self._ahead.append(_Sent(File(task, _size(str(task.request["file"])))))

    def _most(self) -> int:
        """Files for the next task: about two seconds of work, at most half an even share of the rest."""
        if self.file_s is None:
            return 1
        most = max(1, min(self.most, round(_TASK_S / self.file_s)))
        slots = sum(state.capacity for state in self.states.values())
        self._read_ahead(2 * slots * most)
        return max(1, min(most, len(self._ahead) // (2 * max(slots, 1))))

    def _send(self) -> None:
        """Give every node as much as it may have, the least busy one first."""
        while True:
            free = [state for state in self.states.values() if state.slots > 0]
            for state in sorted(free, key=lambda state: state.in_flight / state.node.cores):
                if files := self._group(state):
                    self._submit(self._read, state, files, self.work, [sent.file for sent in files])
                    break
            else:
                return

    def _group(self, state: _State) -> list[_Sent]:
        """Files for a task of a node."""
        most = self._most()
        files: list[_Sent] = []
        for sent in list(self.again):
            if state.node.id not in sent.unseen and not (files and sent.losses):
                self.again.remove(sent)
                files.append(sent)
                if sent.losses or len(files) == most:
                    break
        if files or len(self.again) >= _MOST_AGAIN:
            return files
        n_bytes = 0
        while len(files) < most and self._is_left():
            n_bytes += self._ahead[0].file.size_bytes or 0
            if files and n_bytes > _MOST_BYTES:
                break
            files.append(self._ahead.popleft())
        return files

    def _submit(self, function: Any, state: _State, files: list[_Sent], *arguments: object) -> None:
        strategy = self._on(node_id=state.node.id, soft=False)
        reference = function.options(scheduling_strategy=strategy).remote(*arguments)
        self.flights[reference] = _Flight(state, files)
        state.in_flight += bool(files)

    def _replies(self) -> Iterator[tuple[int, Reply | Lost]]:
        if not self.flights:
            time.sleep(_WAIT_S)  # until a node is back
            return
        ready, _ = self._ray.wait(list(self.flights), num_returns=1, timeout=_WAIT_S)
        for reference in ready:
            flight = self.flights.pop(reference)
            flight.state.in_flight -= bool(flight.files)
            try:
                reply = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                yield from self._lost(flight, error)
                continue
            if not flight.files:
                self._answered(flight.state, reply)
            elif isinstance(reply, Read):
                yield from self._arrived(flight, reply)
            else:
                self._leave_out(flight.state, str(reply))
                self.again.extend(flight.files)

    def _arrived(self, flight: _Flight, read: Read) -> Iterator[tuple[int, Reply | Lost]]:
        if read.seconds is not None:
            # One task that lasts is worse than some that are short: small files may be the slow ones.
            of_late = read.seconds if self.file_s is None else 0.8 * self.file_s + 0.2 * read.seconds
            self.file_s = max(of_late, read.seconds)
            # The first may have been broken, and read in no time: what it took is no promise for many others.
            self.most = min(_MOST_FILES, max(self.most, 2 * len(flight.files)))
        sent = {one.file.task.key: one for one in flight.files}
        for key, result in read.results:
            if isinstance(result, Unseen):
                self._not_seen(flight.state, sent.pop(key), result)
            elif isinstance(result, dict) and on_node.is_disk_full(result):
                self._leave_out(flight.state, str(result["error"]))
                self.again.append(sent.pop(key))
            else:
                flight.state.seen += 1
                del sent[key]
                yield key, result
        self.again.extend(sent.values())

    def _not_seen(self, state: _State, sent: _Sent, result: Unseen) -> None:
        sent.unseen[state.node.id] = f"{state.node}: {result.reason}"
        self.again.append(sent)
        if sent.file.size_bytes is None:
            return  # nor does the driver: there may be none
        state.unseen += 1
        name = str(sent.file.task.request["file"])
        if not state.without:
            state.without.append(name)
        if state.unseen >= _BLIND and not state.seen:
            self._leave_out(state, f"it sees none of the first {_BLIND} files, such as {name}")

    def _unreadable(self) -> Iterator[tuple[int, Lost]]:
        """Files that no node sees."""
        able = {node_id for node_id, state in self.states.items() if state.refusal is None}
        if not able or any((state.asked_s or math.inf) < math.inf for state in self.states.values()):
            return
        for sent in list(self.again):
            if not able <= sent.unseen.keys():
                continue
            self.again.remove(sent)
            if sent.file.size_bytes is None and not sent.file.whatever:
                # nobody has it: the row is the one that a missing file always has
                file = File(sent.file.task, None, whatever=True)
                self.again.append(_Sent(file, sent.losses))
            else:
                yield sent.file.task.key, Lost("no node sees it: " + "; ".join(sent.unseen.values()))

    def _lost(self, flight: _Flight, error: BaseException) -> Iterator[tuple[int, Lost]]:
        """A process of Ray, or its node, has died."""
        state = flight.state
        if not flight.files:
            state.asked_s = None
            if isinstance(error, self._ray.exceptions.RayTaskError):
                self._leave_out(state, _why(error))
            return
        state.usable = False  # until it has answered again
        self.looked_s = -math.inf
        for sent in flight.files:
            sent.losses += 1
            if sent.losses < _MOST_LOSSES:
                self.again.append(sent)
            else:
                yield (
                    sent.file.task.key,
                    Lost(f"what read it on the cluster died {sent.losses} times, at last by {_why(error)}"),
                )

    def _remark_on_unseen(self) -> None:
        for state in self.states.values():
            if state.unseen and state.refusal is None:
                self.on_remark(
                    f"{state.node} did not see {state.unseen} files that are there, such as "
                    f"{state.without[0]}: others read them"
                )

    def end(self) -> None:
        """Have nodes stop with what they are doing."""
        for reference in self.flights:
            with contextlib.suppress(Exception):
                self._ray.cancel(reference, force=True)
        self.flights.clear()


def _size(name: str) -> int | None:
    try:
        return os.stat(name).st_size  # noqa: PTH116 - a million names are not made Paths for this
    except (OSError, ValueError):
        return None


def _why(error: BaseException) -> str:
    """Why what runs on a node cannot even start there."""
    cause = getattr(error, "cause", None)
    text = str(error)
    if "No module named" in text:
        return "this version of emofuse is not installed there, in the Python that Ray runs on"
    return f"{type(cause or error).__name__}: {cause or text.splitlines()[-1]}"

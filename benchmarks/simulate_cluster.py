"""How long a batch takes on many nodes that fail and differ in speed, simulated from measured times of files.

    python benchmarks/simulate_cluster.py --measure CLIPS [--minutes 10] --out costs.json
    python benchmarks/simulate_cluster.py costs.json [--nodes 100] [--hours 1000] [--seed 0]

The first reads every film in CLIPS (and, with ``--minutes``, long films that repeat them) in one process on
one core, and writes what they cost: the CPU seconds of each, what decoding alone takes of them, bytes, and
what starting a worker takes. The second simulates a batch, event by event: every core takes tasks of some
files from one queue; nodes fail and come back, some are slow, and what a failed node had not reported is read
again. It prints makespan, lost work and idle cores for tasks of many sizes, and names the best; and what 10,
1,000 and 100,000 hours take.
"""

from __future__ import annotations

import argparse
import heapq
import json
import platform
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

Seconds = NDArray[np.float64]
TASKS_S: Final = (2, 10, 60, 600, 1800, 7200, 28800)
"""Sizes of tasks that are compared: how much work one is dealt, in seconds of an undisturbed core."""
PLANS_H: Final = (10, 1_000, 100_000)
MEAN_FILM_S: Final = 45 * 60
"""Of the films in the plans: interviews, whose lengths are drawn log-normally, which is an assumption."""
SPREAD: Final = 0.6
N_FILMS: Final = 6
COSTS: Final = Path(__file__).with_name("cluster-costs.json")
DRIVER_S: Final = 0.0004
"""CPU seconds in which the driver sends a task of Ray and takes its result: the mean of 1,000 empty tasks."""
ROW_S: Final = 0.0001
"""CPU seconds in which it writes a row; rounded up."""
LATENCY_S: Final = 0.01
"""From a finished task to the next one's start on another machine of a local network; an assumption."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured; times in CPU seconds of one core."""

    machine: str
    start_s: float
    """Until a worker has loaded its recognizer."""
    clip_s: tuple[float, ...]
    """Reading each clip."""
    clip_film_s: tuple[float, ...]
    """How long each clip is."""
    clip_bytes: tuple[int, ...]
    film_ratio: tuple[float, ...] = ()
    """CPU seconds per second of film of each long film, as a timeline."""
    film_decode_ratio: float = 0.0
    """The same for decoding alone."""
    film_bytes_per_s: float = 0.0
    result_bytes_per_s: float = 0.0
    """What a timeline leaves on disk per second of film, as JSON."""

    @classmethod
    def load(cls, path: Path) -> Costs:
        found: dict[str, Any] = {}
        for key, value in json.loads(path.read_text(encoding="utf-8")).items():
            found[key] = tuple(value) if isinstance(value, list) else value
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines of a batch."""

    n: int
    cores: int = 16
    share: float = 1.0
    """Of a core, that each of its workers gets."""
    mean_life_s: float = float("inf")
    """Mean time until a node fails, drawn exponentially; it fails again and again."""
    repair_s: float = 900.0
    """Until a failed node is back."""
    noticed_s: float = 30.0
    """Until the driver knows that a node has failed."""
    slow_share: float = 0.0
    """Share of nodes that are slow."""
    slow_factor: float = 3.0
    start_s: float = 0.0
    """CPU seconds until a worker can read its first file."""
    task_s: float = LATENCY_S
    """Between two tasks of one core."""
    driver_s: float = 0.0
    """What the driver takes to deal one task, while every other waits."""
    row_s: float = 0.0
    """What it takes to write a row."""
    reports: str = "file"
    """When the driver has a row: after each ``file``, or at the end of each ``task``."""


@dataclass(slots=True)
class Outcome:
    """What a simulated batch took; times in seconds, of cores where not of the clock."""

    makespan_s: float = 0.0
    useful_s: float = 0.0
    lost_s: float = 0.0
    overhead_s: float = 0.0
    """Starting workers, and waiting for the next task."""
    capacity_s: float = 0.0
    """Of all cores, until the last row, without what failed nodes were away."""
    failures: int = 0
    rows: int = 0
    reads: list[int] = field(default_factory=list)
    """How often each file was read to its end."""


def make_tasks(work_s: Seconds, task_s: float, slots: int | None = None) -> list[list[int]]:
    """Deal files to tasks in their order: as many as fill ``task_s`` seconds of work, one at the least.

    With ``slots``, tasks in flight at once, a task has no more files than half an even share of those left,
    as :mod:`emofuse.cluster.workers` deals them.
    """
    tasks: list[list[int]] = []
    filled, most = task_s, len(work_s)
    for index, seconds in enumerate(work_s.tolist()):
        full = tasks and len(tasks[-1]) >= most
        if full or not tasks or filled + seconds > task_s:
            tasks.append([])
            filled = 0.0
            if slots is not None:
                most = max(1, (len(work_s) - index) // (2 * slots))
        tasks[-1].append(index)
        filled += seconds
    return tasks


@dataclass(slots=True)
class _Core:
    """A core of a node, and the task that it has."""

    node: int
    files: list[int] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    """When each of these files is read."""
    begun: float = 0.0
    generation: int = 0
    """Counts what was begun, so that the end of a task that failed is known as such."""


class _Simulation:
    """One batch; see :func:`simulate`."""

    def __init__(self, work_s: Seconds, tasks: Sequence[Sequence[int]], nodes: Nodes, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.work_s, self.nodes = work_s, nodes
        self.queue = deque(list(task) for task in tasks)
        self.left = len(work_s)
        self.outcome = Outcome(reads=[0] * len(work_s))
        slow = self.rng.permutation(nodes.n) < round(nodes.slow_share * nodes.n)
        self.speed = np.where(slow, 1 / nodes.slow_factor, 1.0) * nodes.share
        self.cores = [_Core(node) for node in range(nodes.n) for _ in range(nodes.cores)]
        self.away_s = 0.0
        self.driver_free_s = 0.0
        self.idle: set[int] = set()
        self.unnoticed: dict[int, list[int]] = {}
        """Files of failed nodes that the driver still takes for being read."""
        self.events: list[tuple[float, int, str, int, int]] = []
        self.order = 0

    def later(self, when: float, what: str, which: int, generation: int = 0) -> None:
        self.order += 1
        heapq.heappush(self.events, (when, self.order, what, which, generation))

    def run(self) -> Outcome:
        for node in range(self.nodes.n):
            self.fails_later(node, 0.0)
            self.start_workers(node, 0.0)
        while self.left:
            when, _, what, which, generation = heapq.heappop(self.events)
            if what in ("ready", "done") and generation != self.cores[which].generation:
                continue  # its node has failed meanwhile
            getattr(self, what)(which, when)
        out = self.outcome
        out.capacity_s = out.makespan_s * len(self.cores) - self.away_s
        return out

    def fails_later(self, node: int, now: float) -> None:
        if np.isfinite(self.nodes.mean_life_s):
            self.later(now + self.rng.exponential(self.nodes.mean_life_s), "fails", node)

    def start_workers(self, node: int, now: float) -> None:
        seconds = self.nodes.start_s / self.speed[node]
        for index, core in enumerate(self.cores):
            if core.node == node:
                core.generation += 1
                self.later(now + seconds, "ready", index, core.generation)
                self.outcome.overhead_s += seconds

    def ready(self, index: int, now: float) -> None:
        """A worker has loaded its recognizer."""
        self.take(index, now)

    def take(self, index: int, now: float) -> None:
        core = self.cores[index]
        if not self.queue:
            self.idle.add(index)
            return
        self.idle.discard(index)
        core.files = self.queue.popleft()
        dealt_s = self.nodes.driver_s + self.nodes.row_s * len(core.files)
        self.driver_free_s = max(self.driver_free_s, now) + dealt_s
        core.begun = self.driver_free_s + self.nodes.task_s
        core.ends = (core.begun + np.cumsum(self.work_s[core.files]) / self.speed[core.node]).tolist()
        core.generation += 1
        self.outcome.overhead_s += core.begun - now
        self.later(core.ends[-1], "done", index, core.generation)

    def done(self, index: int, now: float) -> None:
        core = self.cores[index]
        self.count(core.files, now - core.begun)
        self.outcome.makespan_s = now
        core.files, core.ends = [], []
        self.take(index, now)

    def count(self, files: Sequence[int], seconds: float) -> None:
        self.outcome.useful_s += seconds
        self.outcome.rows += len(files)
        self.left -= len(files)
        for file in files:
            self.outcome.reads[file] += 1

    def fails(self, node: int, now: float) -> None:
        self.outcome.failures += 1
        self.away_s += self.nodes.repair_s * self.nodes.cores
        for index, core in enumerate(self.cores):
            if core.node == node:
                self.lose(index, now)
        self.later(now + self.nodes.repair_s, "returns", node)

    def lose(self, index: int, now: float) -> None:
        core = self.cores[index]
        core.generation += 1
        self.idle.discard(index)
        if not core.files:
            return
        reported = sum(end <= now for end in core.ends) if self.nodes.reports == "file" else 0
        self.count(core.files[:reported], (core.ends[reported - 1] - core.begun) if reported else 0.0)
        kept_until = core.ends[reported - 1] if reported else core.begun
        self.outcome.lost_s += max(0.0, now - kept_until)
        if core.files[reported:]:
            self.later(now + self.nodes.noticed_s, "noticed", self.order)
            self.unnoticed[self.order - 1] = core.files[reported:]
        core.files, core.ends = [], []

    def noticed(self, key: int, now: float) -> None:
        """What a failed node had is dealt next, at once if somebody has nothing to do."""
        self.queue.appendleft(self.unnoticed.pop(key))
        for index in sorted(self.idle):
            if self.queue:
                self.take(index, now)

    def returns(self, node: int, now: float) -> None:
        self.fails_later(node, now)
        self.start_workers(node, now)


def simulate(work_s: Seconds, tasks: Sequence[Sequence[int]], nodes: Nodes, *, seed: int = 0) -> Outcome:
    """Simulate a batch.

    Args:
        work_s: (n,) CPU seconds that reading each file takes.
        tasks: indices of files; each file once. A free core takes the first that nobody has.
        nodes: the machines.
        seed: of failures and of which nodes are slow.

    Returns:
        What it took. Every file counts once.
    """
    return _Simulation(np.asarray(work_s, dtype=np.float64), tasks, nodes, seed).run()


def films(costs: Costs, hours: float, seed: int) -> tuple[Seconds, Seconds]:
    """Lengths of so many hours of interviews, and the CPU seconds that reading each takes."""
    rng = np.random.default_rng(seed)
    n = max(1, round(hours * 3600 / MEAN_FILM_S))
    lengths_s = rng.lognormal(-(SPREAD**2) / 2, SPREAD, n)
    lengths_s *= hours * 3600 / lengths_s.sum()
    return lengths_s, lengths_s * rng.choice(costs.film_ratio, n)


def clips(costs: Costs, hours: float, seed: int) -> Seconds:
    """CPU seconds of so many hours of clips, drawn from the measured ones."""
    rng = np.random.default_rng(seed)
    n = round(hours * 3600 / float(np.mean(costs.clip_film_s)))
    return rng.choice(np.array(costs.clip_s), n)


def compare_tasks(title: str, work_s: Seconds, nodes: Nodes, seed: int) -> float:
    """Print what tasks of several sizes cost; returns the size with the shortest makespan."""
    ideal_s = work_s.sum() / (nodes.n * nodes.cores)
    print(f"\n{title}: {len(work_s):,} files, {work_s.sum() / 3600:,.0f} core hours, ideal {clock(ideal_s)}")
    print(f"{'task':>8} {'files':>8} {'makespan':>9} {'of ideal':>9} {'lost':>7} {'idle':>7} {'failures':>8}")
    best: tuple[float, float] | None = None
    known = 0
    for task_s in (0, *TASKS_S):
        tasks = make_tasks(work_s, task_s)
        if len(tasks) == known:  # no two files fit into one
            continue
        known = len(tasks)
        found = simulate(work_s, tasks, nodes, seed=seed)
        assert found.rows == len(work_s)
        idle = 1 - (found.useful_s + found.lost_s + found.overhead_s) / found.capacity_s
        print(
            f"{clock(task_s) if task_s else '1 file':>8} {len(work_s) / len(tasks):8.1f} "
            f"{clock(found.makespan_s):>9} {found.makespan_s / ideal_s:9.3f} "
            f"{found.lost_s / found.useful_s:7.2%} {idle:7.1%} {found.failures:8}"
        )
        if best is None or found.makespan_s < best[0]:
            best = found.makespan_s, task_s
    assert best is not None
    print(f"best: {clock(best[1]) if best[1] else '1 file'} a task, {clock(best[0])}")
    return best[1]


def clock(seconds: float) -> str:
    """A time for people."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} d"


def plan(costs: Costs, nodes: Nodes) -> None:
    """Print what hours of film take, part by part."""
    ratio = float(np.mean(costs.film_ratio))
    cores = nodes.n * nodes.cores
    print(
        f"\nAn hour of film: {ratio:.3f} core hours, of which decoding {costs.film_decode_ratio:.3f}; "
        f"{costs.film_bytes_per_s * 3.6e-6:.2f} GB read, {costs.result_bytes_per_s * 3.6e-3:.1f} MB written"
    )
    print(
        f"{'hours':>9} {'core hours':>11} {'16 cores':>9} {cores:>6} cores {'read':>9} {'at once':>11} "
        f"{'written':>9}"
    )
    for hours in PLANS_H:
        busy = min(cores, max(16, round(hours * 3600 / MEAN_FILM_S)))
        rate = busy / ratio * costs.film_bytes_per_s / 1e6
        core_s, seconds = hours * ratio * 3600, hours * 3600
        print(
            f"{hours:9,} {core_s / 3600:11,.1f} {clock(core_s / 16):>9} "
            f"{clock(core_s / cores):>12} {seconds * costs.film_bytes_per_s / 1e12:6.2f} TB "
            f"{rate:6.0f} MB/s {seconds * costs.result_bytes_per_s / 1e9:6.2f} GB"
        )


def measure_files(paths: Sequence[Path]) -> tuple[float, list[float]]:
    """What reading files costs a worker of a batch, in this process and on one thread, in CPU seconds.

    Returns:
        Until it could read, from the start of this process where nothing else was done in it; and each file.
    """
    from emofuse.system.executors import one_thread

    one_thread()
    from emofuse.recognition.batch_worker import load_reader
    from emofuse.recognition.worker_settings import WorkerSettings

    with WorkerSettings.of(None).setup() as setup:
        read = load_reader(setup)
    read({"file": str(paths[0])})  # which loads the networks
    ready_s = time.process_time()
    seconds = []
    for path in paths:
        began = time.process_time()
        read({"file": str(path)})
        seconds.append(time.process_time() - began)
    return ready_s - seconds[0], seconds


def measure(folder: Path, minutes: float) -> Costs:
    """What reading the films of a folder costs."""
    from benchmarks.timeline import with_audio

    paths = with_audio(folder)
    start_s, clip_s = measure_files(paths)
    made = Costs(
        machine=f"{platform.machine()}, one core", start_s=round(start_s, 3),
        clip_s=tuple(round(one, 4) for one in clip_s),
        clip_film_s=tuple(round(decode_one_thread(path), 3) for path in paths),
        clip_bytes=tuple(path.stat().st_size for path in paths),
    )  # fmt: skip
    return with_films(made, paths, minutes) if minutes else made


def with_films(costs: Costs, paths: list[Path], minutes: float) -> Costs:
    """The same with the costs of long films, each of other clips in another order."""
    from benchmarks.timeline import repeat_clips
    from emofuse import Recognizer, write_timeline

    recognizer = Recognizer.load(decoder_threads=1)
    ratios, decoding, size, written = [], [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(N_FILMS):
            path, out = Path(temporary) / f"{turn}.mp4", Path(temporary) / f"{turn}.json"
            order = np.random.default_rng(turn).permutation(len(paths))
            repeat_clips([paths[index] for index in order], path, 60 * minutes)
            began = time.process_time()
            timeline = recognizer.timeline(path)
            write_timeline(timeline, out)
            spent_s = time.process_time() - began
            began = time.process_time()
            length_s = decode_one_thread(path)
            decoding.append((time.process_time() - began) / length_s)
            ratios.append(spent_s / length_s)
            size.append(path.stat().st_size / length_s)
            written.append(out.stat().st_size / length_s)
            print(f"film {turn + 1} of {N_FILMS}: {ratios[-1]:.3f} of its length", file=sys.stderr)
    return replace(
        costs, film_ratio=tuple(round(one, 4) for one in ratios), film_decode_ratio=round(mean(decoding), 4),
        film_bytes_per_s=round(mean(size)), result_bytes_per_s=round(mean(written)),
    )  # fmt: skip


def decode_one_thread(path: Path) -> float:
    """Decode every frame and sample on one thread; returns how long it is shown, in seconds."""
    import av

    end_s = 0.0
    with av.open(str(path)) as file:
        for stream in file.streams:
            stream.codec_context.thread_count = 1
        for packet in file.demux():
            for frame in packet.decode():
                end_s = max(end_s, float(getattr(frame, "time", None) or 0.0))
    return end_s


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("costs", type=Path, nargs="?", default=COSTS, help="default: those beside this file")
    parser.add_argument("--measure", type=Path, metavar="CLIPS")
    parser.add_argument("--minutes", type=float, default=3.0, help="length of the long films; 0: none")
    parser.add_argument("--out", type=Path, default=COSTS)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--hours", type=float, default=100_000.0, help="hours of film to simulate")
    parser.add_argument("--life-days", type=float, default=2.0, help="mean time until a node fails")
    parser.add_argument("--slow", type=float, default=0.05, help="share of nodes that are three times slower")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.measure is not None:
        costs = measure(given.measure, given.minutes)
        given.out.write_text(json.dumps(asdict(costs), indent=1) + "\n", encoding="utf-8")
        print(f"wrote {given.out}")
        return
    costs = Costs.load(given.costs)
    nodes = Nodes(
        given.nodes, given.cores, mean_life_s=given.life_days * 86400, slow_share=given.slow,
        start_s=costs.start_s, driver_s=DRIVER_S, row_s=ROW_S,
    )  # fmt: skip
    plan(costs, nodes)
    hours = given.hours / 100  # they are many: more would say the same, later
    compare_tasks(f"{hours:,.0f} hours of clips", clips(costs, hours, given.seed), nodes, given.seed)
    lengths_s, work_s = films(costs, given.hours, given.seed)
    compare_tasks(f"{given.hours:,.0f} hours of films", work_s, nodes, given.seed)
    longest = np.argsort(-lengths_s, kind="stable")
    compare_tasks("The same films, the longest first", work_s[longest], nodes, given.seed)
    compare_tasks(
        "The same, rows only at the end of a task",
        work_s[longest],
        replace(nodes, reports="task"),
        given.seed,
    )


if __name__ == "__main__":
    main()

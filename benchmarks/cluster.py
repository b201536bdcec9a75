"""What Ray costs beside processes of one machine, and how long a batch takes on nodes of half a core.

    python benchmarks/cluster.py overhead --films FOLDER [--files 300] [--cores 2] [--repeat 3]
    python benchmarks/cluster.py makespan [--files 1000] [--broken 50] [--nodes 2 3 4] [--share 0.5]
    python benchmarks/cluster.py memory [--files 100000]

``overhead`` reads the films of a folder again and again, by ``--jobs`` and on one Ray node with as many
cores, alternately; each from the first task to the last row, the cluster being up, and the fastest run of
each counts. CPU seconds are those of all processes of a run, Ray's servers included: on a machine that has
other work they tell more than the clock. It prints the memory of the driver at the first tenth of the files
and the most since.

``makespan`` starts as many Ray nodes as are asked for, each with one core for tasks, of which a quota of the
operating system gives all its processes together a share; reads the files; and compares the time with what
benchmarks/simulate_cluster.py predicts. The prediction knows the CPU seconds of the files in one process
without Ray, and what Ray adds on one single node: what its servers use, what a node takes to begin, and what
a file costs more, measured with every tenth file; it has seen no run that it predicts. It needs Linux'
cgroup v1 and root. Both exit with status 1 if the tables differ.

``memory`` has a Ray node read a hundredth, a tenth and all of so many files, which are not recordings and
cost little but their rows, each batch by a new driver, and prints what the driver holds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.batch import make_files
from benchmarks.ray_nodes import RayNodes, can_hold_to_quotas
from benchmarks.simulate_cluster import Nodes, make_tasks, simulate
from emofuse.cluster.connection import connected
from emofuse.cluster.workers import ClusterWorkers
from emofuse.recognition.batch import predict_table
from emofuse.recognition.batch_inputs import find_recordings
from emofuse.recognition.file_list import size_bytes
from emofuse.recognition.worker_settings import Workers
from emofuse.system.memory import resident_bytes

TASK_S: Final = 2.0
"""Of work in a task of :mod:`emofuse.cluster.workers`."""
_REST_S: Final = 10.0
_MEASURE: Final = (
    "import json, sys; from pathlib import Path; from benchmarks.simulate_cluster import measure_files; "
    "json.dump(measure_files([Path(name) for name in json.load(sys.stdin)]), sys.stdout)"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """How one batch went."""

    seconds: float
    """From the first task to the last row."""
    cpu_s: float
    """Of all processes."""
    early_bytes: int
    """What this process held when a tenth of the files was read."""
    most_bytes: int


def run_batch(
    files: Path | Sequence[Path],
    out: Path,
    *,
    jobs: int = 1,
    workers: Workers | None = None,
    nodes: RayNodes | None = None,
) -> Batch:
    """Read files, or those of a folder, into a table, and watch the memory of this process."""
    early = most = 0

    def watch(done: int, _failed: int, total: int) -> None:
        nonlocal early, most
        held = resident_bytes(os.getpid()) or 0
        most = max(most, held)
        if done <= max(total // 10, 1):
            early = most

    def cpu_s() -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        nodes_s = 0.0 if nodes is None else nodes.cpu_seconds()
        return time.process_time() + ended.ru_utime + ended.ru_stime + nodes_s

    begun, used_s = time.perf_counter(), cpu_s()
    given = files if isinstance(files, Path) else list(files)
    predict_table(given, None, out, jobs=jobs, workers=workers, on_progress=watch)
    return Batch(time.perf_counter() - begun, cpu_s() - used_s, early, most)


def overhead(films: Sequence[Path], n_files: int, cores: int, repeat: int, work: Path) -> bool:
    """Compare a Ray node with processes; return whether the tables are the same."""
    files = []
    for number in range(n_files):
        path = work / f"{number:05d}{films[number % len(films)].suffix}"
        path.symlink_to(films[number % len(films)].absolute())
        files.append(path)
    runs: dict[str, list[Batch]] = {"jobs": [], "ray": []}
    with RayNodes() as nodes:
        nodes.add(cores)
        for _ in range(repeat):
            runs["jobs"].append(run_batch(files, work / "jobs.csv", jobs=cores))
            with connected(nodes.address) as cluster:  # workers of an earlier run would have loaded already
                workers = ClusterWorkers(cluster)
                runs["ray"].append(run_batch(files, work / "ray.csv", workers=workers, nodes=nodes))
            print(*(f"{name} {batches[-1].seconds:.1f} s" for name, batches in runs.items()), flush=True)
    same = (work / "jobs.csv").read_bytes() == (work / "ray.csv").read_bytes()
    print(f"{n_files} films on {cores} cores; the tables are {'the same' if same else 'DIFFERENT'}")
    for what, least in (
        ("clock", {name: min(batch.seconds for batch in batches) for name, batches in runs.items()}),
        ("CPU", {name: min(batch.cpu_s for batch in batches) for name, batches in runs.items()}),
    ):
        more = 100 * (least["ray"] / least["jobs"] - 1)
        print(f"{what}: --jobs {least['jobs']:.1f} s, Ray {least['ray']:.1f} s ({more:+.1f} %)")
    last = runs["ray"][-1]
    print(f"driver: {last.early_bytes / 1e6:.0f} MB after a tenth, {last.most_bytes / 1e6:.0f} MB at most")
    return same


def makespan(files: Sequence[Path], n_nodes: int, share: float, out: Path) -> Batch:
    """Read files on nodes of one core each, of which each has a share; the cluster is up before."""
    with RayNodes() as nodes:
        for _ in range(n_nodes):
            nodes.add(1, share=share)
        with connected(nodes.address) as cluster:
            nodes.settle()
            return run_batch(files, out, workers=ClusterWorkers(cluster))


@dataclass(frozen=True, slots=True)
class RayCosts:
    """What Ray adds on a node, in CPU seconds."""

    servers: float
    """Of its servers, per second."""
    start_s: float
    """Until a node can read, from the first task that it gets."""
    file_s: float
    """More for a file than in a process without Ray."""
    driver_file_s: float
    """Of the driver, for a file."""


def measured_node(took: Mapping[Path, float], share: float, work: Path) -> RayCosts:
    """What Ray adds, from one node with a share: at rest, with one file, and with every tenth of them.

    Args:
        took: CPU seconds of files, in the order in which they are read, in a process without Ray.
        share: of a core, that the node has.
        work: folder for tables.
    """
    files = list(took)
    sample = files[::10]
    with RayNodes() as nodes:
        mark = nodes.add(1, share=share)
        with connected(nodes.address) as cluster:
            nodes.settle()
            workers = ClusterWorkers(cluster)
            begun, used_s = time.perf_counter(), nodes.used_s(mark)
            time.sleep(_REST_S)
            servers = (nodes.used_s(mark) - used_s) / (time.perf_counter() - begun)

            def beyond(which: Sequence[Path]) -> tuple[float, float]:
                """CPU seconds of the node beyond its servers and the files, and of the driver."""
                used_s, driver_s = nodes.used_s(mark), time.process_time()
                seconds = run_batch(which, work / "sample.csv", workers=workers).seconds
                more_s = nodes.used_s(mark) - used_s - servers * seconds
                return more_s - sum(took[path] for path in which), time.process_time() - driver_s

            start_s, _ = beyond(files[:1])
            more_s, driver_s = beyond(sample)
    return RayCosts(servers, start_s, more_s / len(sample), driver_s / len(sample))


def measured_alone(files: Sequence[Path]) -> tuple[float, list[float]]:
    """CPU seconds until a process can read, and of each file, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], input=json.dumps([str(path) for path in files]),
        stdout=subprocess.PIPE, encoding="utf-8", check=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    start_s, seconds = json.loads(done.stdout)
    return start_s, seconds


def predicted(work_s: Sequence[float], n_nodes: int, share: float, costs: RayCosts) -> float:
    """Seconds that a simulation gives; files are dealt in this order."""
    work = np.array(work_s, dtype=np.float64) + costs.file_s
    left = share - costs.servers
    nodes = Nodes(n_nodes, 1, left, start_s=costs.start_s)
    tasks = make_tasks(work, TASK_S * left, slots=2 * n_nodes)
    return simulate(work, tasks, nodes).makespan_s


def compare(n_files: int, n_broken: int, counts: Sequence[int], share: float, work: Path) -> bool:
    """Measure and predict makespans; return whether all tables are the same."""
    make_files(work / "files", n_files, n_broken)
    files = [Path(name) for name in find_recordings(work / "files").files]
    alone = work / "alone.csv"
    print(f"{n_files} files by one process: {run_batch(files, alone).seconds:.1f} s", flush=True)
    # intact videos first: the first one has all networks loaded, which is no part of its time
    ordered = sorted(files, key=lambda path: ("-" in path.name, path.suffix != ".mp4"))
    start_s, seconds = measured_alone(ordered)
    alone_s = dict(zip(ordered, seconds, strict=True))
    took = {path: alone_s[path] for path in sorted(files, key=lambda path: -size_bytes(str(path)))}
    print(f"CPU: {start_s:.2f} s until a process can read, {sum(seconds):.1f} s of reading", flush=True)
    costs = measured_node(took, share, work)
    print(
        f"Ray on one node: servers {costs.servers:.3f} s per second, {costs.start_s:.2f} s to begin, "
        f"{1000 * costs.file_s:.2f} ms more a file, and {1000 * costs.driver_file_s:.2f} ms of the driver",
        flush=True,
    )
    same = True
    for n_nodes in counts:
        out = work / f"{n_nodes}.csv"
        took_s = makespan(files, n_nodes, share, out).seconds
        expected_s = predicted(list(took.values()), n_nodes, share, costs)
        same &= out.read_bytes() == alone.read_bytes()
        print(
            f"{n_nodes} nodes of {share:g} cores: {took_s:.1f} s, predicted {expected_s:.1f} s "
            f"({100 * (expected_s / took_s - 1):+.1f} %); the table is {'the same' if same else 'DIFFERENT'}",
            flush=True,
        )
    return same


def drive(address: str, folder: Path, out: Path) -> Batch:
    """Read the files of a folder on a cluster."""
    with connected(address) as cluster:
        batch = run_batch(folder, out, workers=ClusterWorkers(cluster))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (most_kb,) = re.findall(r"VmHWM:\s+(\d+) kB", status)  # also before the first row, and after the last
    return replace(batch, most_bytes=1024 * int(most_kb))


def memory(counts: Sequence[int], work: Path) -> None:
    """Print what a driver holds, each in a process that has done nothing before."""
    held: list[int] = []
    with RayNodes() as nodes:
        nodes.add(1)
        for n_files in counts:
            folder = work / str(n_files)
            for number in range(n_files):
                path = folder / f"{number // 1000:03d}" / f"{number:06d}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"this is not a recording\n")
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                batch = pool.submit(drive, nodes.address, folder, work / "memory.csv").result()
            held.append(batch.most_bytes)
            early_mb, most_mb = batch.early_bytes / 1e6, batch.most_bytes / 1e6
            print(
                f"{n_files:7,} files in {batch.seconds:.0f} s: driver {early_mb:.0f} MB after a tenth, "
                f"{most_mb:.0f} MB at most",
                flush=True,
            )
    more = (held[-1] - held[0]) / (counts[-1] - counts[0])
    print(f"each further file: {more:.0f} bytes, its name of {len(str(path))} letters included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["overhead", "makespan", "memory"])
    parser.add_argument("--films", type=Path, help="of overhead: a folder of films")
    parser.add_argument("--files", type=int, help="300 films, 1000 files, or 100,000 of memory")
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--share", type=float, default=0.5)
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="emofuse-cluster-"))
    try:
        if given.what == "overhead":
            films = [Path(name) for name in find_recordings(given.films).files]
            same = overhead(films, given.files or 300, given.cores, given.repeat, work)
        elif given.what == "memory":
            n_files, same = given.files or 100_000, True
            memory([n_files // 100, n_files // 10, n_files], work)
        elif can_hold_to_quotas():
            same = compare(given.files or 1000, given.broken, given.nodes, given.share, work)
        else:
            sys.exit("this machine has no cgroup v1 that may be written")
    finally:
        shutil.rmtree(work)
    sys.exit(not same)


if __name__ == "__main__":
    main()

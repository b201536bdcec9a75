"""What dealing and merging many files costs, without reading any.

    python benchmarks/shards.py [--files 1000000] [--shards 40]

Writes a list of so many files, and the tables of all shards with made-up rows; then, each in a process of
its own: reads and checks the list and deals it, as every shard does, and merges the tables. Prints the time
and the peak memory of each, and how evenly the bytes are dealt.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.recognition.batch import record_path
from emofuse.recognition.file_list import FileList
from emofuse.recognition.merged_table import merge_tables
from emofuse.recognition.shard_record import ShardRecord
from emofuse.recognition.shards import Shard, deal
from emofuse.recognition.tables import Row, columns, write_table
from emofuse.system.checksums import file_digest


def make(work: Path, n_files: int, of: int) -> None:
    """The list, of lognormal sizes as recordings have, and a table of each shard with its record."""
    sizes = np.random.default_rng(0).lognormal(17, 1.5, n_files).astype(int).tolist()
    names = tuple(f"interviews/{i % 100:03d}/{i:07d}.mp4" for i in range(n_files))
    listed = FileList(names, tuple(sizes))
    listed.save(work / "list")
    empty: Row = dict.fromkeys(columns(EMOTIONS))
    some = {"emotion": "happy", "used": "voice+face"} | dict.fromkeys(EMOTIONS, 0.125)
    loads = []
    for number, part in enumerate(deal(names, sizes, of), 1):
        loads.append(sum(sizes[i] for i in part))
        table = work / f"{number}.csv"
        write_table(table, ({**empty, **some, "file": names[i]} for i in part), EMOTIONS)
        ShardRecord(
            "table", Shard(number, of), listed.digest, n_files, tuple(part), {}, EMOTIONS, 0, (),
            {"sha256": file_digest(table)},
        ).save(record_path(table))  # fmt: skip
    spread = (max(loads) - min(loads)) / (sum(loads) / of)
    print(
        f"{n_files} files, {sum(sizes) / 1e12:.2f} TB, list of {(work / 'list').stat().st_size / 1e6:.0f} MB"
    )
    print(f"the largest of {of} shards has {100 * spread:.3f} % more bytes than the smallest, of the mean")


def deal_one(work: Path, of: int) -> str:
    listed = FileList.load(work / "list")
    listed.check_within(["interviews"])
    return f"dealt {len(listed.positions(Shard(1, of)))} files of list {listed.digest[:8]}"


def merge(work: Path) -> str:
    return f"merged {merge_tables([work], work / 'merged.csv').rows} rows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--step", choices=["deal", "merge"], help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step is not None:
        start = time.perf_counter()
        said = deal_one(given.work, given.shards) if given.step == "deal" else merge(given.work)
        took_s = time.perf_counter() - start
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{said}: {took_s:.1f} s, {peak_mb:.0f} MB")
        return
    work = Path(tempfile.mkdtemp(prefix="emofuse-shards-"))
    try:
        make(work, given.files, given.shards)
        for step in ("deal", "merge"):
            command = [sys.executable, __file__, "--step", step, "--work", work, "--shards", given.shards]
            subprocess.run([*map(str, command)], check=True)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

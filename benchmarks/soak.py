"""Memory use over many predictions in one process.

    python benchmarks/soak.py [--count 2000] [--bundle BUNDLE] [FILE...]

Files are read in turn, including damaged ones; without FILE, synthetic videos and sounds are made. The
resident memory after the last prediction must be within 5 % of that after the 200th, or the exit status is 1.
Memory is as reported by the system; nothing is trimmed beforehand.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from emofuse import Recognizer

FIRST = 200
ALLOWED = 1.05


def load_benchmark(name: str) -> ModuleType:
    """Another benchmark as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    return module


def resident_mb() -> float:
    """Resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def recordings(folder: Path) -> list[Path]:
    """Videos, sounds, and each kind of damage a few times."""
    batch, fuzz = load_benchmark("batch"), load_benchmark("fuzz")
    made = [batch.write_video(folder / f"video-{i}.mp4", i) for i in range(4)]
    made += [batch.write_sound(folder / f"sound-{i}.wav", i) for i in range(8)]
    damaged = fuzz.Fuzz(folder)
    made += [damaged.write(seed) for seed in range(0, 280, 5)]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--bundle", type=Path)
    given = parser.parse_args()
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    recognizer = Recognizer.load(given.bundle)
    with tempfile.TemporaryDirectory(prefix="emofuse-soak-") as folder:
        files = given.files or recordings(Path(folder))
        start, marks, failed = time.perf_counter(), {}, 0
        for number in range(1, given.count + 1):
            (prediction,) = recognizer.predict_files([files[number % len(files)]])
            failed += prediction.error is not None
            if number % FIRST == 0:
                marks[number] = resident_mb()
                print(f"{number:6d} predictions: {marks[number]:.1f} MiB, {len(gc.get_objects())} objects")
    if FIRST not in marks:
        raise SystemExit(f"--count must be at least {FIRST}")
    ratio = marks[max(marks)] / marks[FIRST]
    print(
        f"{given.count} predictions of {len(files)} files ({failed} failed) in "
        f"{time.perf_counter() - start:.0f} s: memory {ratio:.3f} times that after the {FIRST}th"
    )
    sys.exit(ratio > ALLOWED)


if __name__ == "__main__":
    main()

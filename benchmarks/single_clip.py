"""One clip, compared with decoding alone, and from a cold start with importing the libraries alone.

    python benchmarks/single_clip.py VIDEO... [--repeats 7]

Uses the recognizer that comes with emofuse. Each time is the minimum over the repeats, alternating between
what is compared, so that other load slows all of it. CPU time of all threads (user and system), called work,
is printed beside elapsed time: it depends less on other load.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av

IMPORTS = "import numpy, av, cv2, onnxruntime"
"""The script for comparison."""


def main() -> None:
    """Measure the times and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    warm(given.videos, given.repeats)
    cold(given.videos[0], given.repeats)


def warm(videos: list[Path], repeats: int) -> None:
    """Predict with a loaded recognizer."""
    from emofuse import Recognizer

    recognizer = Recognizer.load()
    recognizer.predict(videos[0])
    ratios = []
    for video in videos:
        alone = []
        for _ in range(repeats):
            alone.append((timed(partial(decode, video)), timed(partial(recognizer.predict, video))))
        (decoding, decoding_work), (predicting, predicting_work) = (
            tuple(min(one[way][kind] for one in alone) for kind in (0, 1)) for way in (0, 1)
        )
        ratios.append(predicting / decoding)
        print(
            f"{video.name}: decoding {decoding * 1000:.0f} ms (work {decoding_work * 1000:.0f}), "
            f"predicting {predicting * 1000:.0f} ms (work {predicting_work * 1000:.0f}): "
            f"{predicting / decoding:.2f} times, work {predicting_work / decoding_work:.2f} times"
        )
    print(f"worst of {len(videos)}: {max(ratios):.2f} times")


def timed(do: Callable[[], object]) -> tuple[float, float]:
    """Elapsed time and CPU time, in seconds."""
    clock, work = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - clock, time.process_time() - work


def decode(path: Path) -> None:
    """Decode every frame and sample on all cores, and discard them."""
    with av.open(str(path)) as file:
        for stream in file.streams:
            stream.codec_context.thread_type = "AUTO"
        for packet in file.demux():
            for _ in packet.decode():
                pass


def cold(video: Path, repeats: int) -> None:
    """Alternate between two processes: the imports alone, and the command."""
    ways = {
        "imports alone": [sys.executable, "-c", IMPORTS],
        "emofuse predict": [sys.executable, "-m", "emofuse", "predict", str(video)],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, command in ways.items():
            before, clock = os.times(), time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            spent, after = time.perf_counter() - clock, os.times()
            work = after.children_user + after.children_system - before.children_user - before.children_system
            found[name].append((spent, work))
    least = {name: tuple(min(one[kind] for one in runs) for kind in (0, 1)) for name, runs in found.items()}
    for name, (clock, work) in least.items():
        print(f"{name}: {clock:.2f} s, work {work:.2f} s")
    (base, base_work), (full, full_work) = least.values()
    print(f"above the imports: {full - base:.2f} s, work {full_work - base_work:.2f} s")


if __name__ == "__main__":
    main()

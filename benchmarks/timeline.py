"""Timelines of long recordings: time relative to decoding alone, and memory by length.

    python benchmarks/timeline.py CLIPS --minutes 2 60

CLIPS is a folder of videos with audio, all in the same format (RAVDESS's 01- files of one actor); their
packets are repeated up to each length. Each figure is measured in a separate process: decoding every frame
and sample and discarding them; and the timeline, with faces searched 5 times per second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av


def main() -> None:
    """Make the recordings, measure, and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 60])
    parser.add_argument("--keep", type=Path, help="folder to keep the recordings in")
    parser.add_argument("--repeat", type=int, default=1, help="repeats of each; the minimum counts")
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one)))
        return
    if given.clips is None:
        parser.error("name the folder of clips")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        memory = []
        for minutes in given.minutes:
            path = folder / f"{minutes:g}-min.mp4"
            if not path.is_file():
                repeat_clips(with_audio(given.clips), path, 60 * minutes)
            found = {
                what: [in_process(what, path) for _ in range(given.repeat)] for what in ("decode", "timeline")
            }
            seconds = {what: min(one["seconds"] for one in runs) for what, runs in found.items()}
            memory.append(max(one["peak_mb"] for one in found["timeline"]))
            print(
                f"{minutes:g} min: decoding alone {seconds['decode']:.1f} s, "
                f"timeline {seconds['timeline']:.1f} s, {seconds['timeline'] / seconds['decode']:.2f} times; "
                f"peak memory {memory[-1]:.0f} MB, {memory[-1] / memory[0]:.3f} times that of the first",
                flush=True,
            )


def with_audio(folder: Path) -> list[Path]:
    """The files with audio and video."""
    paths = []
    for path in sorted(folder.rglob("*.mp4")):
        with av.open(str(path)) as file:
            if file.streams.audio and file.streams.video:
                paths.append(path)
    if not paths:
        sys.exit(f"{folder}: no .mp4 file with audio and video")
    return paths


def repeat_clips(paths: list[Path], out: Path, seconds: float) -> None:
    """Repeat the packets of the files up to a length."""
    partial = out.with_suffix(".partial.mp4")
    with av.open(str(partial), "w") as made:
        streams: dict[str, Any] = {}
        start_s, turn = 0.0, 0
        while start_s < seconds:
            with av.open(str(paths[turn % len(paths)])) as clip:
                if not streams:
                    for kind in ("video", "audio"):
                        streams[kind] = made.add_stream_from_template(getattr(clip.streams, kind)[0])
                last_s = 0.0
                for packet in clip.demux(clip.streams.video[0], clip.streams.audio[0]):
                    if packet.dts is None or packet.pts is None:
                        continue
                    base = packet.time_base
                    last_s = max(last_s, float((packet.pts + (packet.duration or 0)) * base))
                    shift = round(start_s / base)
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = streams[packet.stream.type]
                    made.mux(packet)
            start_s += last_s + 0.05  # clips must not overlap
            turn += 1
    partial.replace(out)


def in_process(what: str, path: Path) -> dict[str, float]:
    """Measure in a separate process."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", what, str(path)],
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(what: str, path: str) -> dict[str, float]:
    """Seconds without start-up, and the peak memory of the process."""
    import resource

    if what == "decode":
        start = time.perf_counter()
        decode_everything(path)
    else:
        from emofuse import Recognizer

        recognizer = Recognizer.load()
        start = time.perf_counter()
        found = recognizer.timeline(path)
        assert found.windows
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def decode_everything(path: str) -> None:
    """Decode every frame and sample on all cores, and discard them."""
    with av.open(path) as file:
        for stream in file.streams:
            stream.codec_context.thread_type = "AUTO"
        for packet in file.demux():
            for _ in packet.decode():
                pass


if __name__ == "__main__":
    main()

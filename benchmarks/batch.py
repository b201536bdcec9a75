"""A batch that is killed twice and resumed, and the speed-up by a second job.

    python benchmarks/batch.py [--files 1000] [--broken 50] [--jobs 2] [--bundle BUNDLE] [--clips VIDEO...]

The files are synthetic: short distinct sounds, some videos, and among them files broken in ten ways. They
are read without interruption, and again by a run that is killed with SIGKILL after a third and after two
thirds; the tables must be the same to the byte, with one row per file, and the exit status 1. Then 40 clips
(``--clips``, by default synthetic videos) are read by one job and by two, alternating, three times; the
fastest run of each counts. The exit status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

RATE = 16000
VIDEO_EVERY = 10
"""One of so many intact files is a video."""


def write_sound(path: Path, number: int) -> Path:
    """0.6 s of a buzz, different for each number."""
    rng = np.random.default_rng(number)
    times = np.arange(round(0.6 * RATE)) / RATE
    pitch = rng.uniform(90, 300) * (1 + 0.1 * np.sin(rng.uniform(3, 9) * times))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 9)) * 0.1 + 0.003 * rng.standard_normal(len(times))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_video(path: Path, number: int) -> Path:
    """A synthetic person who speaks."""
    from emofuse.corpus.synthetic import clip, encode
    from emofuse.corpus.synthetic.voice import SAMPLE_RATE_HZ

    code = clip.TakeCode(1 + number % 8, 1, 1, 1, 1 + number // 8)
    speech = clip.take_speech(5, code)
    still = clip.person(5, code.actor).portrait.background
    encode.write_mp4(path, still, clip.face_patches(5, code, speech), speech.samples, SAMPLE_RATE_HZ)
    return path


def _box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def _video_without_streams() -> bytes:
    times = (1000).to_bytes(4, "big") + bytes(4)
    header = bytes(12) + times + b"\0\1\0\0" + b"\1\0" + bytes(10) + bytes(36) + bytes(24) + b"\0\0\0\1"
    return _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + _box(b"moov", _box(b"mvhd", header))


def _flipped(video: bytes, number: int) -> bytes:
    """Flip one bit of every byte of the index, wherever it is, and of a tenth of the others."""
    data = np.frombuffer(video, np.uint8).copy()
    at = video.index(b"moov")
    data[at : at + 1000] ^= 1 << number % 8
    positions = np.random.default_rng(number).integers(0, len(data), len(data) // 10)
    data[positions] ^= 1
    return data.tobytes()


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nothing-is-here.mp4"))


def breakers(video: bytes, sound: bytes) -> list[tuple[str, Callable[[Path, int], object]]]:
    """Ten ways to break a file, each with a file name."""
    png = cv2.imencode(".png", np.zeros((32, 32), np.uint8))[1].tobytes()
    no_samples = sound[:40] + bytes(4)
    return [
        ("empty.mp4", lambda path, _: path.touch()),
        ("truncated.mp4", lambda path, i: path.write_bytes(video[: 2000 + 100 * i])),
        ("text.wav", lambda path, i: path.write_bytes(b"this is not a recording\n" * (i + 1))),
        ("no-streams.mp4", lambda path, _: path.write_bytes(_video_without_streams())),
        ("wrong-suffix.mov", lambda path, _: path.write_bytes(png)),
        ("bit-flipped.mp4", lambda path, i: path.write_bytes(_flipped(video, i))),
        ("folder.mp4", lambda path, _: path.mkdir()),
        ("dangling.mp4", lambda path, _: _dangling(path)),
        ("no-samples.wav", lambda path, _: path.write_bytes(no_samples)),
        (
            "header-only.mkv",
            lambda path, _: path.write_bytes(b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" * 2),
        ),
    ]


def make_files(folder: Path, n_files: int, n_broken: int, n_videos: int = 4) -> None:
    """Intact and broken files, mixed, in a few folders. Videos are hard links to a few files."""
    folder.mkdir(parents=True)
    videos = [write_video(folder / f".video-{i}.mp4", i) for i in range(n_videos)]
    sound = write_sound(folder / ".sound.wav", 0).read_bytes()
    ways = breakers(videos[0].read_bytes(), sound)
    broken_numbers = set(np.linspace(0, n_files - 1, n_broken).astype(int).tolist())
    broken = 0
    for number in range(n_files):
        home = folder / f"part {number % 3}"
        home.mkdir(exist_ok=True)
        if number in broken_numbers:
            name, make = ways[broken % len(ways)]
            make(home / f"{number:06d}-{name}", broken)
            broken += 1
        elif number % VIDEO_EVERY == 5:
            os.link(videos[number % n_videos], home / f"{number:06d}.mp4")
        else:
            write_sound(home / f"{number:06d}.wav", number)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "emofuse", "predict", *map(str, arguments)]


def journal_results(table: Path) -> int:
    journal = table.with_name(f"{table.name}.partial.jsonl")
    return journal.read_bytes().count(b'\n{"file"') if journal.exists() else 0


def kill_after(arguments: Sequence[object], table: Path, results: int) -> int:
    """Start a run, kill it once its journal has so many results, and return how many it then has."""
    with subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL) as run:
        while journal_results(table) < results and run.poll() is None:
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
    if table.exists():
        raise SystemExit(f"the run ended before it could be killed after {results} results")
    return journal_results(table)


def finish(arguments: Sequence[object]) -> tuple[int, str]:
    """Exit status and standard error."""
    done = subprocess.run(command(*arguments), capture_output=True, encoding="utf-8", check=False)
    return done.returncode, done.stderr


def problems(folder: Path, work: Path, n_files: int, n_broken: int, options: Sequence[object]) -> list[str]:
    """Failed checks of a run that is killed twice, compared with an uninterrupted run."""
    found = []
    whole, pieces = work / "whole.csv", work / "pieces.csv"
    start = time.perf_counter()
    status, stderr = finish([folder, "--out", whole, *options])
    print(f"{n_files} files in {time.perf_counter() - start:.1f} s, exit status {status}")
    if status != 1 or "Traceback" in stderr:
        found.append(f"exit status {status}, expected 1:\n{stderr}")
    arguments = [folder, "--out", pieces, *options]
    for part in (1, 2):
        n_results = kill_after(arguments, pieces, part * n_files // 3)
        print(f"killed with {n_results} of {n_files} results in the journal")
    status, stderr = finish(arguments)
    print(stderr.strip().splitlines()[-1])
    if status != 1 or "Traceback" in stderr:
        found.append(f"exit status {status} after resuming, expected 1:\n{stderr}")
    if whole.read_bytes() != pieces.read_bytes():
        found.append("the table of the interrupted run differs")
    with whole.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    failed = [row for row in rows if row["error"]]
    print(f"{len(rows)} rows, {len(failed)} of them failed")
    if len(rows) != n_files or len(failed) != n_broken:
        found.append(f"expected {n_files} rows, {n_broken} of them failed")
    if [path.name for path in work.iterdir() if "partial" in path.name]:
        found.append("the journal is still there")
    return found


def scaling(clips: Sequence[Path], work: Path, options: Sequence[object], repeat: int) -> float:
    """Speed-up of two jobs over one; each run includes its start-up, and the fastest counts."""
    runs: dict[int, list[float]] = {1: [], 2: []}
    for jobs in (1, 2) * repeat:
        start = time.perf_counter()
        status, stderr = finish([*clips, "--out", work / f"jobs-{jobs}.csv", *options, "--jobs", jobs])
        runs[jobs].append(time.perf_counter() - start)
        if status:
            raise SystemExit(stderr)
    fastest = [min(runs[1]), min(runs[2])]
    same = (work / "jobs-1.csv").read_bytes() == (work / "jobs-2.csv").read_bytes()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{len(clips)} clips on {cores} cores: one job {fastest[0]:.1f} s, two jobs {fastest[1]:.1f} s, "
        f"{fastest[0] / fastest[1]:.2f}x; the tables are {'the same' if same else 'DIFFERENT'}; each run: "
        + ", ".join(f"{one:.1f} and {two:.1f} s" for one, two in zip(runs[1], runs[2], strict=True))
    )
    return fastest[0] / fastest[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--n-clips", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=3, help="number of runs with one and with two jobs")
    given = parser.parse_args()
    bundle = ["--bundle", given.bundle] if given.bundle else []
    work = Path(tempfile.mkdtemp(prefix="emofuse-batch-"))
    try:
        found = []
        if given.files:
            make_files(work / "files", given.files, given.broken)
            options = ["--jobs", given.jobs, *bundle]
            found = problems(work / "files", work, given.files, given.broken, options)
        if given.n_clips:
            clips = [work / f"{i:03d}.mp4" for i in range(given.n_clips)]
            for i, clip in enumerate(clips):
                if given.clips:
                    clip.symlink_to(given.clips[i % len(given.clips)].absolute())
                else:
                    write_video(clip, i)
            scaling(clips, work, bundle, given.repeat)
    finally:
        shutil.rmtree(work)
    for problem in found:
        print(f"PROBLEM: {problem}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

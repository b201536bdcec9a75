"""Random, cut and bit-flipped recordings: nothing may crash, hang, or show a traceback.

    python benchmarks/fuzz.py [--count 500] [--first 0] [--jobs 2] [--bundle BUNDLE] [--keep FOLDER]

Each seed makes one damaged file. It is read as in a batch, in a worker process, within 10 s. Failures are
printed with their seeds; ``--first SEED --count 1 --keep FOLDER`` makes such a file again and keeps it. The
exit status is 1 if there are any.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from emofuse.corpus.synthetic import clip
from emofuse.recognition.batch import READER
from emofuse.recognition.worker_settings import WorkerSettings
from emofuse.system.isolated_workers import Lost, Task, isolated

LIMIT_S: Final = 10.0
RATE: Final = 48000
KINDS: Final = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "flac"),
    "webm": ("libvpx", "libopus"),
    "avi": ("mpeg4", "mp3"),
    "wav": (None, "pcm_s16le"),
    "mp3": (None, "mp3"),
    "flac": (None, "flac"),
    "ogg": (None, "libopus"),
}
"""Container → codecs of video and audio."""
DAMAGES: Final = ("flips", "head flips", "cut", "noise inside", "zeros inside", "moved", "all noise")
_TRACEBACK_LIKE: Final = re.compile(r"Traceback|\b[A-Z]\w*(Error|Exception|Warning)\b|0x[0-9a-f]{6,}")


def intact(path: Path, duration_s: float = 1.0) -> bytes:
    """A short recording in the container that its suffix names: a synthetic voice, moving stripes."""
    video_codec, audio_codec = KINDS[path.suffix[1:]]
    # without random identifiers: a seed always makes the same file
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
        video: Any = None
        if video_codec is not None:
            video = container.add_stream(video_codec, rate=25)
            video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
            video.codec_context.thread_count = 1  # the output of several threads can vary
        audio: Any = container.add_stream(audio_codec, rate=RATE, layout="mono")
        for number in range(round(25 * duration_s) if video is not None else 0):
            image = (np.arange(160) * 3 + np.arange(96)[:, None] * 2 + 9 * number) % 256
            frame = av.VideoFrame.from_ndarray(np.repeat(image[..., None], 3, 2).astype(np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode(None))
        spoken = clip.take_speech(
            0, clip.TakeCode(emotion=3, intensity=1, statement=1, repetition=1, actor=1)
        ).samples
        sound = spoken[RATE : RATE + round(RATE * duration_s)]  # the first second starts with silence
        resampler = av.AudioResampler(audio.codec_context.format.name, "mono", RATE)
        for first in range(0, len(sound), 960):
            block = sound[None, first : first + 960].astype(np.float32)
            chunk = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            chunk.sample_rate, chunk.pts, chunk.time_base = RATE, first, Fraction(1, RATE)
            for ready in resampler.resample(chunk):
                container.mux(audio.encode(ready))
        container.mux(audio.encode(None))
    return path.read_bytes()


def damaged(data: bytes, damage: str, rng: np.random.Generator) -> bytes:
    """The content of a file, damaged in one way."""
    content = np.frombuffer(data, np.uint8).copy()
    size = len(content)
    start, end = np.sort(rng.integers(0, size, 2))
    if damage == "flips":
        count = int(2 ** rng.uniform(0, 10))
        content[rng.integers(0, size, count)] ^= (1 << rng.integers(0, 8, count)).astype(np.uint8)
    elif damage == "head flips":
        count = int(2 ** rng.uniform(0, 6))
        content[rng.integers(0, min(size, 600), count)] ^= (1 << rng.integers(0, 8, count)).astype(np.uint8)
        # the index of an mp4 is at its end
        content[size - 1 - rng.integers(0, min(size, 1500), count)] ^= np.uint8(1 << rng.integers(0, 8))
    elif damage == "cut":
        content = content[: rng.integers(0, size)]
    elif damage == "noise inside":
        content[start:end] = rng.integers(0, 256, end - start)
    elif damage == "zeros inside":
        content[start:end] = 0
    elif damage == "moved":
        content = np.concatenate([content[:start], content[end:], content[start:end]])
    else:
        content = rng.integers(0, 256, int(2 ** rng.uniform(0, 16))).astype(np.uint8)
    return content.tobytes()


@dataclass
class Fuzz:
    """Files made from seeds, and the outcomes of reading them."""

    folder: Path
    originals: dict[str, bytes] = field(default_factory=dict)
    offenders: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    keep: bool = False

    def __post_init__(self) -> None:
        self.originals = {kind: intact(self.folder / f"intact.{kind}") for kind in KINDS}

    def write(self, seed: int) -> Path:
        """Write the damaged file of a seed."""
        kinds = list(KINDS)
        kind = kinds[seed % len(kinds)]
        damage = DAMAGES[seed // len(kinds) % len(DAMAGES)]
        path = self.folder / f"{seed:06d} {damage}.{kind}"
        path.write_bytes(damaged(self.originals[kind], damage, np.random.default_rng(seed)))
        return path

    def run(self, seeds: range, readers: WorkerSettings, jobs: int) -> Fuzz:
        """Write and read the files of all seeds."""
        written: dict[int, Path] = {}

        def tasks() -> Iterator[Task]:
            for seed in seeds:
                written[seed] = self.write(seed)
                yield Task(seed, {"file": str(written[seed])}, LIMIT_S)

        with (
            readers.setup() as setup,
            contextlib.closing(isolated(READER, setup, tasks(), jobs)) as answers,
        ):
            for seed, answer in answers:
                path = written.pop(seed)
                self.judge(seed, path.name, answer)
                if not self.keep:
                    path.unlink()
        return self

    def judge(self, seed: int, name: str, answer: dict[str, Any] | Lost) -> None:
        """Count the outcome; collect what no user should see."""
        if isinstance(answer, Lost):
            self.outcomes["LOST"] += 1
            self.offenders.append(f"seed {seed} ({name}): {answer.reason}")
            return
        texts = [answer["error"], answer["voice_missing"], answer["face_missing"], *answer["notes"]]
        messages = [text for text in texts if text]
        outcome = "refused" if answer["error"] else "read with a note" if answer["notes"] else "read"
        self.outcomes[outcome] += 1
        for text in messages:
            if _TRACEBACK_LIKE.search(text) or "\n" in text:
                self.offenders.append(f"seed {seed} ({name}): {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emofuse-fuzz-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        fuzz = Fuzz(folder, keep=given.keep is not None)
        fuzz.run(range(given.first, given.first + given.count), WorkerSettings.of(given.bundle), given.jobs)
    counts = ", ".join(f"{outcome}: {count}" for outcome, count in fuzz.outcomes.most_common())
    print(f"{given.count} files in {time.perf_counter() - start:.0f} s; {counts}")
    for offender in sorted(fuzz.offenders):
        print(f"OFFENDER: {offender}")
    sys.exit(bool(fuzz.offenders))


if __name__ == "__main__":
    main()

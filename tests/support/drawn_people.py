"""Recordings of drawn people in which the time of every event is known."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np

from emofuse.corpus.synthetic import clip
from emofuse.corpus.synthetic.voice import SAMPLE_RATE_HZ
from tests.support import media_files
from tests.support.typed import not_none

RATE = SAMPLE_RATE_HZ
FPS = 15
"""Frames per second of the drawn people."""
SIZE = (320, 360)
"""Width and height of one person's frame."""


class Person(NamedTuple):
    """A drawn person, who says one sentence."""

    frames: tuple[Any, ...]
    """(360, 320, 3) uint8 BGR each, at :data:`FPS`; in the first the mouth is shut."""
    voice: Any
    """(n,) float32 that goes with them."""

    def speaking(self, n: int, start: int = 0) -> list[Any]:
        """``n`` frames of the sentence, repeated, from frame ``start`` on."""
        return [self.frames[(start + i) % len(self.frames)] for i in range(n)]

    def still(self, n: int) -> list[Any]:
        """``n`` frames with the mouth shut; nothing moves but the breath."""
        return breathing(self.frames[0], n)

    def speech(self, duration_s: float, start_s: float = 0.0) -> Any:
        """(1, n) float32: the voice that goes with :meth:`speaking`."""
        whole = np.tile(self.voice, int((start_s + duration_s) * RATE / len(self.voice)) + 2)
        first = round(start_s * RATE)
        return whole[None, first : first + round(duration_s * RATE)]


@cache
def draw_person(actor: int) -> Person:
    """The person with this number."""
    code = clip.TakeCode(2 + actor % 6, 2, 1, 1, actor)
    speech = clip.take_speech(5, code)
    poses = clip.face_poses(5, code, speech)[::2]
    portrait, rng = clip.person(5, actor).portrait, np.random.default_rng(actor)
    frames = []
    for pose in poses:
        whole = portrait.frame(portrait.patch(pose, rng))[:, 320:960]
        frames.append(cv2.resize(whole, SIZE, interpolation=cv2.INTER_AREA))
    return Person(tuple(frames), speech.samples[: round(len(poses) / FPS * RATE)])


def breathing(frame: Any, n: int) -> list[Any]:
    """``n`` times the same frame, moved up and down by two pixels every four seconds."""
    frames = []
    for i in range(n):
        shift = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2 * np.sin(2 * np.pi * i / FPS / 4)]])
        frames.append(cv2.warpAffine(frame, shift, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))
    return frames


def empty_scene(n: int, size: tuple[int, int] = SIZE) -> list[Any]:
    """``n`` frames with nobody in them."""
    grain = np.random.default_rng(0).normal(150, 1.2, (size[1], size[0], 1))
    frame = np.repeat(np.clip(grain, 0, 255).astype(np.uint8), 3, axis=2)
    return [frame] * n


def side_by_side(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Two people in one frame."""
    return [np.hstack(pair) for pair in zip(left, right, strict=True)]


def silence(duration_s: float) -> Any:
    """(1, n) float32 zeros."""
    return np.zeros((1, round(duration_s * RATE)), dtype=np.float32)


def concatenate(*parts: Any) -> Any:
    """(1, n) float32: one after the other."""
    return np.concatenate(parts, axis=1)


def write_video(
    path: Path, frames: Sequence[Any], *, audio: Any = None, ticks: Sequence[int] | None = None, **how: Any
) -> Path:
    """Frames at :data:`FPS` unless ``ticks`` are given; ``audio``: (1, n) float32 at :data:`RATE`."""
    if ticks is None:
        ticks = [round(media_files.TICKS / FPS * i) for i in range(len(frames))]
    height, width = frames[0].shape[:2]
    return media_files.write_video(
        path, ticks, size=(width, height), frames=frames,
        audio=None if audio is None else (audio, RATE), options={"preset": "ultrafast"}, **how,
    )  # fmt: skip


def write_conversation(path: Path) -> Path:
    """Two people, 15 s.

    Until 6 s the first is on the left and speaks while the second listens. Then they change sides, and until
    12 s the second speaks while the first listens. In the end neither mouth moves, and a voice still speaks.
    """
    one, two = draw_person(1), draw_person(5)
    n, rest = 6 * FPS, 3 * FPS
    frames = [
        *side_by_side(one.speaking(n), two.still(n)),
        *side_by_side(two.speaking(n), one.still(n)),
        *side_by_side(two.still(rest), one.still(rest)),
    ]
    return write_video(path, frames, audio=concatenate(one.speech(6.0), two.speech(9.0)))


def frame_times(path: Path) -> tuple[list[float], float]:
    """When each frame is shown, and when the file ends, in its own time, from code that is not emofuse's.

    That is ffprobe where it is installed, otherwise the packets of the container.
    """
    times, end = frame_times_by_ffprobe(path) if shutil.which("ffprobe") else frame_times_by_packets(path)
    return sorted(times), end


def frame_times_by_ffprobe(path: Path) -> tuple[list[float], float]:
    """The same from ffprobe."""
    command = ["ffprobe", "-v", "error", "-show_entries"]
    entries = "format=start_time,duration:packet=pts_time,flags:stream=codec_type"
    done = subprocess.run(
        [*command, entries, "-select_streams", "v:0", "-of", "json", str(path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    # Older versions count what an audio decoder discards at its start, before zero; players do not.
    start = max(0.0, float(found["format"]["start_time"]))
    packets = [one for one in found["packets"] if "D" not in one["flags"]]
    return [float(one["pts_time"]) - start for one in packets], float(found["format"]["duration"])


def frame_times_by_packets(path: Path) -> tuple[list[float], float]:
    """The same from the packets that FFmpeg demuxes."""
    with av.open(str(path)) as container:
        starts = [
            stream.start_time * stream.time_base
            for stream in container.streams
            if stream.start_time is not None and stream.time_base is not None
        ]
        start, video = min(starts), container.streams.video[0]
        base = video.time_base or Fraction(1)
        packets = [p.pts for p in container.demux(video) if p.size and not p.is_discard]
        return [float(pts * base - start) for pts in packets if pts is not None], not_none(
            container.duration
        ) / 1e6

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
PER_S = 15
"""Pictures a second of the drawn people."""
SIZE = (320, 360)
"""Width and height of one person's picture."""


class Person(NamedTuple):
    """Somebody drawn, who says something once."""

    pictures: tuple[Any, ...]
    """(360, 320, 3) uint8 BGR each, 15 a second; the first is silent."""
    voice: Any
    """(n,) float32 that goes with them."""

    def speaking(self, n: int, begin: int = 0) -> list[Any]:
        """``n`` pictures of them speaking, again and again, from picture ``begin`` on."""
        return [self.pictures[(begin + i) % len(self.pictures)] for i in range(n)]

    def still(self, n: int) -> list[Any]:
        """``n`` times the same picture."""
        return [self.pictures[0]] * n

    def says(self, duration_s: float, begin_s: float = 0.0) -> Any:
        """(1, n) float32: the voice that goes with :meth:`speaking`."""
        whole = np.tile(self.voice, int((begin_s + duration_s) * RATE / len(self.voice)) + 2)
        first = round(begin_s * RATE)
        return whole[None, first : first + round(duration_s * RATE)]


@cache
def drawn(actor: int) -> Person:
    """The drawn person of this number."""
    code = clip.TakeCode(2 + actor % 6, 2, 1, 1, actor)
    speech = clip.sound(5, code)
    poses = clip.face_poses(5, code, speech)[::2]
    portrait, rng = clip.person(5, actor).portrait, np.random.default_rng(actor)
    pictures = []
    for pose in poses:
        whole = portrait.picture(portrait.patch(pose, rng))[:, 320:960]
        pictures.append(cv2.resize(whole, SIZE, interpolation=cv2.INTER_AREA))
    return Person(tuple(pictures), speech.samples[: round(len(poses) / PER_S * RATE)])


def wall(n: int, size: tuple[int, int] = SIZE) -> list[Any]:
    """``n`` pictures of nobody."""
    grain = np.random.default_rng(0).normal(150, 1.2, (size[1], size[0], 1))
    picture = np.repeat(np.clip(grain, 0, 255).astype(np.uint8), 3, axis=2)
    return [picture] * n


def beside(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Two people in one picture."""
    return [np.hstack(pair) for pair in zip(left, right, strict=True)]


def silence(duration_s: float) -> Any:
    """(1, n) float32 zeros."""
    return np.zeros((1, round(duration_s * RATE)), dtype=np.float32)


def joined(*sounds: Any) -> Any:
    """(1, n) float32: one after the other."""
    return np.concatenate(sounds, axis=1)


def write_film(path: Path, pictures: Sequence[Any], **how: Any) -> Path:
    """Pictures, 15 a second where ``ticks`` does not say otherwise; ``sound``: (1, n) at :data:`RATE`."""
    ticks = how.pop("ticks", [round(media_files.TICKS / PER_S * i) for i in range(len(pictures))])
    sound = how.pop("sound", None)
    height, width = pictures[0].shape[:2]
    return media_files.write_video(
        path, ticks, size=(width, height), pictures=pictures,
        sound=None if sound is None else (sound, RATE), options={"preset": "ultrafast"}, **how,
    )  # fmt: skip


def write_duet(path: Path) -> Path:
    """Two people, 15 s.

    To 6 s the first is on the left and speaks while the second listens; then they change sides, and to 12 s
    the second speaks while the first listens. At last both listen, and somebody goes on speaking.
    """
    one, two = drawn(1), drawn(5)
    n, rest = 6 * PER_S, 3 * PER_S
    pictures = [
        *beside(one.speaking(n), two.still(n)),
        *beside(two.speaking(n), one.still(n)),
        *beside(two.still(rest), one.still(rest)),
    ]
    sound = joined(one.says(6.0), two.says(9.0))
    return write_film(path, pictures, sound=sound)


def shown(path: Path) -> tuple[list[float], float]:
    """When each picture is shown and when the file ends, on its own clock, by a program that is not ours.

    ffprobe says it where it is installed, otherwise the packets of the container do.
    """
    times, end = of_ffprobe(path) if shutil.which("ffprobe") else of_packets(path)
    return sorted(times), end


def of_ffprobe(path: Path) -> tuple[list[float], float]:
    """When each picture is shown, and the length, as ffprobe says."""
    command = ["ffprobe", "-v", "error", "-show_entries"]
    entries = "format=start_time,duration:packet=pts_time,flags:stream=codec_type"
    done = subprocess.run(
        [*command, entries, "-select_streams", "v:0", "-of", "json", str(path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    # Older ones count what a decoder of sound throws away at its start, before zero; players do not.
    begin = max(0.0, float(said["format"]["start_time"]))
    packets = [one for one in said["packets"] if "D" not in one["flags"]]
    return [float(one["pts_time"]) - begin for one in packets], float(said["format"]["duration"])


def of_packets(path: Path) -> tuple[list[float], float]:
    """The same as FFmpeg's packets say."""
    with av.open(str(path)) as container:
        starts = [
            stream.start_time * stream.time_base
            for stream in container.streams
            if stream.start_time is not None and stream.time_base is not None
        ]
        begin, video = min(starts), container.streams.video[0]
        base = video.time_base or Fraction(1)
        packets = [p.pts for p in container.demux(video) if p.size and not p.is_discard]
        return [float(pts * base - begin) for pts in packets if pts is not None], not_none(
            container.duration
        ) / 1e6

"""What a client of a live session would send of a recording: blocks of 16 kHz PCM, and JPEG pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

RATE = 16000


@dataclass(frozen=True)
class Part:
    """A block or a picture, ready to be sent, and its time."""

    kind: Literal["audio", "picture"]
    payload: bytes
    time_s: float


def pcm_of(path: Path) -> bytes:
    """All audio of a file as 16 kHz mono, 16 bit, little-endian; by FFmpeg alone."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        decoded = container.decode(container.streams.audio[0])
        frames = [out for frame in decoded for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return b"".join(frame.to_ndarray().astype("<i2").tobytes() for frame in frames)


def audio_parts(pcm: bytes, block_s: float = 0.1) -> list[Part]:
    step = 2 * round(block_s * RATE)
    return [Part("audio", pcm[at : at + step], at / 2 / RATE) for at in range(0, len(pcm), step)]


def picture_parts(path: Path, per_s: float = 5.0, suffix: str = ".jpg") -> list[Part]:
    parts: list[Part] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            time_s = float(frame.time or 0.0)
            if time_s * per_s >= len(parts):
                _, data = cv2.imencode(suffix, frame.to_ndarray(format="bgr24"))
                parts.append(Part("picture", data.tobytes(), time_s))
    return parts


def parts_of(path: Path) -> list[Part]:
    """Audio and pictures in the order of their times."""
    return sorted(audio_parts(pcm_of(path)) + picture_parts(path), key=lambda part: part.time_s)


def in_real_time(parts: Sequence[Part]) -> Iterator[Part]:
    """Each part when a camera and a microphone would have it."""
    started_s = time.monotonic()
    for part in parts:
        time.sleep(max(0.0, started_s + part.time_s + 0.1 - time.monotonic()))
        yield part


def samples_of(parts: Sequence[Part]) -> np.ndarray:
    """(n,) int16: the audio of parts."""
    return np.frombuffer(b"".join(part.payload for part in parts if part.kind == "audio"), "<i2")

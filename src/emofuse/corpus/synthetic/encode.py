"""Write the files of the synthetic corpus atomically."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Float32, UInt8
from emofuse.corpus.synthetic.clip import FRAME_RATE
from emofuse.corpus.synthetic.face import HEIGHT, PATCH, PATCH_LEFT, PATCH_TOP, WIDTH
from emofuse.system.atomic_write import write_atomically

_AAC_BLOCK: Final = 1024


def to_pcm(samples: Float32) -> NDArray[np.int16]:
    """(n,) float32, full scale ±1, to 16-bit."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")


def write_wav(path: Path, samples: Float32, sample_rate_hz: int) -> None:
    """Write mono audio, (n,) float32, as 16-bit PCM."""
    with write_atomically(path) as output, wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(to_pcm(samples).tobytes())


def write_mp4(
    path: Path, background: UInt8, patches: Iterable[UInt8], samples: Float32, sample_rate_hz: int
) -> None:
    """Write H.264 video and AAC audio.

    Args:
        path: the file.
        background: (720, 1280, 3) uint8 BGR, what does not move.
        patches: (512, 512, 3) uint8 BGR, pasted into it, one per frame.
        samples: (n,) float32, mono.
        sample_rate_hz: of the samples.
    """
    with write_atomically(path) as file, av.open(file, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # one thread: several clips are made at once, and the bytes must not depend on the machine
        video.options = {"preset": "ultrafast", "crf": "23", "threads": "1"}
        video.time_base = 1 / FRAME_RATE
        audio = container.add_stream("aac", rate=sample_rate_hz, layout="mono")
        audio.bit_rate = 128_000
        planes = _i420(background)
        for index, patch in enumerate(patches):
            _paste(planes, _i420(patch))
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, 1 / FRAME_RATE
            container.mux(video.encode(frame))
        pcm = to_pcm(samples).astype(np.float32)[None] / 32768
        for start in range(0, pcm.shape[1], _AAC_BLOCK):
            block = np.ascontiguousarray(pcm[:, start : start + _AAC_BLOCK])
            chunk = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            chunk.sample_rate, chunk.pts = sample_rate_hz, start
            container.mux(audio.encode(chunk))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _i420(image: UInt8) -> UInt8:
    """(h, w, 3) uint8 BGR to stacked planes, (3 h / 2, w) uint8; BT.601, 16 to 235."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)


def _paste(planes: UInt8, patch: UInt8) -> None:
    """Paste a patch, (768, 512) uint8 I420, into a frame, (1080, 1280) uint8 I420, in place."""
    planes[PATCH_TOP : PATCH_TOP + PATCH, PATCH_LEFT : PATCH_LEFT + PATCH] = patch[:PATCH]
    half = PATCH // 2
    top, left = PATCH_TOP // 2, PATCH_LEFT // 2
    big = planes[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    small = patch[PATCH:].reshape(2, half, half)
    big[:, top : top + half, left : left + half] = small

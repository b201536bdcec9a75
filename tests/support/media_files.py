"""Small media files of every kind, written with real encoders."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.support.typed import not_none

TICKS = 30000
"""Ticks per second of the videos written here."""
NTSC = 1001
"""Ticks per frame at 30000/1001 fps."""

VARIABLE = [0, 500, 1001, 4000, 4100, 4200, 4300, 9000, 15000, 15100, 21000, 30000, 30500, 31000, 42000]
"""Presentation times of frames at a variable rate, in units of the stream."""
KINDS = [
    ("clip.mp4", "libx264", {"bf": "3", "g": "12", "x264-params": "b-pyramid=normal"}),
    ("one_run.mp4", "libx264", {"bf": "2", "g": "250"}),
    ("open.mkv", "libx264", {"bf": "3", "g": "10", "x264-params": "open-gop=1"}),
    ("clip.avi", "mpeg4", {"g": "9"}),
    ("clip.mov", "mpeg4", {"bf": "2", "g": "9"}),
    ("clip.ts", "mpeg2video", {"bf": "2", "g": "9"}),
    ("clip.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    ("stills.mkv", "mjpeg", {}),
]
"""Containers and codecs with their usual orders of frames: file name, encoder, options."""


def full_range(luma: np.ndarray) -> np.ndarray:
    """Limited-range luma (16 to 235) as full-range gray."""
    return np.clip(np.rint((luma.astype(np.float64) - 16) * 255 / 219), 0, 255).astype(np.uint8)


def tone(duration_s: float, rate: int, *, hertz: float = 220.0, level: float = 0.3, channels: int = 1) -> Any:
    """(channels, n) float32: a tone; each channel is an octave above the one before, and a little softer."""
    times = np.arange(round(duration_s * rate)) / rate
    rows = [level * 0.9**c * np.sin(2 * np.pi * hertz * 2**c * times) for c in range(channels)]
    return np.array(rows, dtype=np.float32)


def write_wav(path: Path, samples: Any, rate: int, *, width: int = 2) -> Path:
    """PCM through the standard library, so that reading has an independent oracle."""
    if width == 1:
        data = (np.rint(samples.T * 127) + 128).astype(np.uint8).tobytes()
    else:
        scaled = np.rint(np.clip(samples.T, -1, 1 - 2.0**-31) * 2.0 ** (8 * width - 1)).astype(np.int64)
        scaled = np.clip(scaled, -(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
        data = scaled.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def write_audio(path: Path, samples: Any, rate: int, *, codec: str, layout: str = "mono", **how: Any) -> Path:
    """Any codec and container, through FFmpeg."""
    with av.open(str(path), "w", format=how.get("format")) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        _encode_audio(container, stream, samples, rate, layout)
    return path


def _encode_audio(
    container: Any, stream: Any, samples: Any, rate: int, layout: str, at_s: float = 0.0
) -> None:
    resampler = av.AudioResampler(format=stream.codec_context.format.name, layout=layout, rate=rate)
    for first in range(0, samples.shape[1], 1024):
        block = np.ascontiguousarray(samples[:, first : first + 1024], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(at_s * rate)
        for ready in resampler.resample(frame):
            container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


def luma_frame(index: int, width: int, height: int) -> Any:
    """(height, width) uint8: a bar that moves across a gradient; no two frames are alike."""
    image = np.tile(np.linspace(30, 200, width), (height, 1))
    image[:, (7 * index) % width : (7 * index) % width + 12] = 235
    image[: height // 4] = (40 + 9 * index) % 200
    return np.clip(image, 0, 255).astype(np.uint8)


def write_video(
    path: Path,
    ticks: Sequence[int],
    *,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    frames: Sequence[Any] | None = None,
    audio: tuple[Any, int] | None = None,
    audio_at_s: float = 0.0,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    cover: bool = False,
) -> Path:
    """Frames at the given ticks, and audio (samples and rate) that starts at ``audio_at_s``.

    ``frames``: (height, width) uint8 limited luma, or (height, width, 3) uint8 BGR. Frames with a negative
    time are hidden by an edit list where the container has edit lists.
    """
    width, height = size
    with av.open(str(path), "w", options=container_options or {}) as container:
        video: Any = container.add_stream(codec, rate=Fraction(TICKS, NTSC), options=options or {})
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        # MPEG-2 knows only a few fixed frame rates.
        video.codec_context.time_base = Fraction(NTSC if codec == "mpeg2video" else 1, TICKS)
        if rotation:
            video.set_display_rotation(rotation)
        if cover:
            video.disposition = av.stream.Disposition.attached_pic
        stream = None
        if audio is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(audio[0])]
            stream = container.add_stream("aac", rate=audio[1], layout=layout)
        for index, tick in enumerate(ticks):
            image = luma_frame(index, width, height) if frames is None else frames[index]
            if image.ndim == 3:
                frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pix_fmt)
            else:
                frame = _with_luma(image, pix_fmt)
            frame.pts, frame.time_base = tick, Fraction(1, TICKS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if stream is not None and audio is not None:
            _encode_audio(container, stream, audio[0], audio[1], layout, audio_at_s)
    return path


def _with_luma(luma: Any, pix_fmt: str) -> Any:
    """A frame whose luma plane holds these values exactly: nothing is converted."""
    height, width = luma.shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        if number == 0:
            rows[:height, :width] = luma
        else:
            rows[:] = 128
    return frame


ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Any]] = {
    "as coded": ((1, 0, 0, 1), lambda image: image),
    "turned left": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "turned around": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "turned right": ((0, 1, -1, 0), lambda image: np.rot90(image, 3)),
    "left to right": ((-1, 0, 0, 1), np.fliplr),
    "upside down": ((1, 0, 0, -1), np.flipud),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transposed, turned around": ((0, -1, -1, 0), lambda image: np.rot90(image.swapaxes(0, 1), 2)),
}
"""For each orientation the matrix (a, b, c, d) of ISO 14496-12, which moves the pixel at (x, y) to
(a x + c y, b x + d y), and how numpy shows it."""


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write (a, b, c, d) into the header of the only track of an MP4 file."""
    a, b, c, d = matrix
    data = bytearray(path.read_bytes())
    assert data.count(b"tkhd") == 1
    at = data.index(b"tkhd") + 44
    one = 1 << 16
    values = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)
    return path


def decode_frames(path: Path) -> list[tuple[float, Any]]:
    """The oracle: every frame by a plain full decode, as (time, luma plane)."""
    out = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            plane = frame.planes[0]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            luma = rows[: frame.height, : frame.width]
            out.append((float(not_none(frame.pts) * not_none(frame.time_base)), luma.copy()))
    return out

"""Videos whose frames change their size: where things lie is computed from the filters that drew them."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.core.records import UInt8
from emofuse.exports.overlay import write_overlay
from emofuse.media.decoding import decode
from emofuse.media.file_stream import Frame, open_stream
from emofuse.media.letterbox import letterboxed
from emofuse.media.live.inputs import requested_inputs
from emofuse.media.live.stream import LiveStream
from emofuse.timeline.records import Timeline
from tests.support.typed import not_none

SIZES = [(160, 120), (320, 240), (120, 160), (320, 180)]
"""One after the other, a second each: the first, twice as large, upright, and wide."""
INNER = [(0, 0, 160, 120), (0, 0, 160, 120), (35, 0, 125, 120), (0, 15, 160, 105)]
"""Where a frame of each size lies in one of the first size."""


def marked(width: int, height: int) -> UInt8:
    """White, with a black middle that takes a quarter of the width and of the height."""
    image = np.full((height, width), 255, np.uint8)
    image[3 * height // 8 : 5 * height // 8, 3 * width // 8 : 5 * width // 8] = 0
    return image


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a browser records: VP8 in WebM, whose key frames bring new sizes."""
    path = tmp_path_factory.mktemp("sizes") / "call.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZES[0], "yuv420p"
        for part, (width, height) in enumerate(SIZES):
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.options = Fraction(1, 1000), {"deadline": "realtime"}
            frames = []
            for index in range(10):
                frame = av.VideoFrame.from_ndarray(marked(width, height), format="gray").reformat(
                    format="yuv420p"
                )
                frame.pts, frame.time_base = 1000 * part + 100 * index, Fraction(1, 1000)
                frames.append(frame)
            for one in [*frames, None]:
                for packet in encoder.encode(one):
                    packet.stream = stream
                    container.mux(packet)
    return path


def check(image: UInt8, part: int) -> None:
    """A frame of one of the parts, in the frame of reference."""
    assert image.shape == (120, 160)
    left, top, right, bottom = INNER[part]
    inner = image[top:bottom, left:right]
    expected = cv2.resize(marked(*SIZES[part]), (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    assert np.abs(inner.astype(int) - expected).mean() < 12
    outside = np.ones_like(image, bool)
    outside[top:bottom, left:right] = False
    assert not outside.any() or image[outside].mean() < 3


def test_one_frame_of_reference(recording: Path) -> None:
    with open_stream(recording, frames_per_s=5) as stream:
        assert (stream.width, stream.height) == SIZES[0]
        frames = [item for item in stream if isinstance(item, Frame)]
    assert len(frames) == 20
    for frame in frames:
        check(frame.image, int(frame.time_s + 1e-3))
        assert frame.small.shape == (120, 160, 3)
        assert np.abs(frame.small.mean(axis=2) - frame.image).mean() < 12
    whole = not_none(decode(recording, n_frames=20).frames)
    for image, time_s in zip(whole.images, whole.times_s, strict=True):
        check(image, int(time_s + 1e-3))
    for image in not_none(decode(recording, n_frames=20, square=True).frames).images:
        assert image.shape == (120, 120)


def test_live_has_the_same_frame_of_reference(recording: Path) -> None:
    parts = []
    with LiveStream(requested_inputs(recording), pace=2.0) as stream:
        stream.start()
        while taken := stream.take(0.1) or not stream.ended:
            parts += [] if taken is True else [one.part for one in taken]
    frames = [part for part in parts if isinstance(part, Frame)]
    assert {int(frame.time_s + 1e-3) for frame in frames} >= {1, 2, 3}
    for frame in frames:
        check(frame.image, int(frame.time_s + 1e-3))


@pytest.mark.parametrize("size", [(160, 120), (120, 160)], ids=["of the first", "of a later part"])
def test_the_overlay_letterboxes(recording: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    """Boxes of a timeline that starts in a later part of other proportions lie in frames of that part."""
    timeline = Timeline(
        source="call.webm", duration_s=4.0, start_s=0.0, windows=(), segments=(), emotions=EMOTIONS,
        recogniser="r", picture_size=size,
    )  # fmt: skip
    out = write_overlay(recording, timeline, tmp_path / "o.mp4")
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="rgb24")[..., 0] for frame in container.decode(video=0)]
    assert len(frames) == 40
    for index in (5, 15, 25, 35):
        image = letterboxed(marked(*SIZES[index // 10]), size)
        assert frames[index].shape == image.shape
        assert np.abs(frames[index].astype(int) - image).mean() < 12


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")
def test_letterboxing_is_that_of_ffmpeg(tmp_path: Path) -> None:
    """Against its scale and pad filters."""
    image = np.random.default_rng(1).integers(0, 256, (90, 70)).astype(np.uint8)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 4), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "in.png"), image)
    filters = (
        "scale=200:120:force_original_aspect_ratio=decrease:flags=bilinear,format=rgb24,pad=200:120:-1:-1"
    )
    command = f"ffmpeg -v error -i {tmp_path / 'in.png'} -vf {filters},format=gray {tmp_path / 'out.png'}"
    subprocess.run(command.split(), check=True, timeout=60)
    expected = np.asarray(cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_GRAYSCALE))
    assert np.abs(letterboxed(image, (200, 120)).astype(int) - expected).mean() < 2

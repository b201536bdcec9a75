"""Frames that are larger than allowed are refused before they are decoded, whatever reads the file."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.limits import Limits, ReadControl
from emofuse.core.records import Waveform
from emofuse.exports.overlay import write_overlay
from emofuse.media.container import open_media
from emofuse.media.decoding import decode, probe
from emofuse.media.file_stream import open_stream
from emofuse.media.live.inputs import requested_inputs
from emofuse.media.live.stream import LiveStream
from tests.support import media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg
from tests.support.timelines import timeline

SMALL = ReadControl(Limits(max_pixels=100 * 100))
MESSAGE = r"frames of 160x96 are over the limit: 0 of 0.01 million pixels; raise it by EMOFUSE_MAX_PIXELS"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """160 × 96 pixels."""
    ticks = [1001 * i for i in range(30)]
    return media_files.write_video(tmp_path / "a.mp4", ticks, audio=(media_files.tone(1, 16000), 16000))


def test_every_reader_refuses_large_frames(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match=MESSAGE):
        decode(clip, n_frames=4, control=SMALL)
    with pytest.raises(MediaError, match=MESSAGE):
        open_stream(clip, control=SMALL)
    with pytest.raises(MediaError, match=MESSAGE):
        probe(clip, SMALL.limits)
    monkeypatch.setenv("EMOFUSE_MAX_PIXELS", "10000")
    with pytest.raises(MediaError, match=MESSAGE):
        decode(clip, n_frames=4)
    with pytest.raises(MediaError, match=MESSAGE):
        write_overlay(clip, timeline(), clip.with_name("out.mp4"))
    with pytest.raises(MediaError, match=MESSAGE), LiveStream(requested_inputs(str(clip))):
        pass


def test_sound_beside_large_frames_is_read(clip: Path) -> None:
    assert decode(clip, control=SMALL).audio is not None
    with open_stream(clip, frames_per_s=None, control=SMALL) as stream:
        assert any(isinstance(part, Waveform) for part in stream)


@needs_ffmpeg
def test_wide_pixels_count_as_they_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x96:d=0.1", "-vf", "setsar=3", path)
    for n_pixels, allowed in ((3 * 160 * 96, True), (3 * 160 * 96 - 1, False)):
        with contextlib.nullcontext() if allowed else pytest.raises(MediaError, match="over the limit"):
            decode(path, audio=False, n_frames=1, control=ReadControl(Limits(n_pixels)))


def test_frames_that_grow_on_the_way_are_left_out(tmp_path: Path) -> None:
    """The header declares the small ones, and no frame of the large ones is decoded."""
    path = tmp_path / "grows.ts"
    parts = [
        media_files.write_video(tmp_path / name, [1001 * i for i in range(12)], size=size, codec="mpeg2video")
        for name, size in (("a.ts", (96, 64)), ("b.ts", (320, 240)))
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    media = decode(path, audio=False, n_frames=4, control=SMALL)
    assert media.frames is not None
    assert {image.shape for image in media.frames.images} == {(64, 96)}
    assert media.faults and "could not be decoded" in media.faults[0]
    whole = decode(path, audio=False, n_frames=24)
    assert whole.frames is not None and not whole.faults


@pytest.mark.parametrize(("size", "most"), [((1920, 1080), 16), ((3840, 2160), 4), ((7680, 4320), 1)])
def test_large_frames_are_decoded_by_few_threads(size: tuple[int, int], most: int, tmp_path: Path) -> None:
    frame = np.full((size[1], size[0]), 128, np.uint8)
    options = {"preset": "ultrafast"}
    path = media_files.write_video(tmp_path / "large.mp4", [0], size=size, frames=[frame], options=options)
    for wanted in (1, 64):
        with open_media(path) as file:
            assert file.video is not None
            file.set_up_decoder(wanted)
            context = file.video.codec_context
            if most == 1:  # threads share one frame
                assert context.thread_type == av.codec.context.ThreadType.SLICE
            else:
                assert context.thread_count == min(wanted, most)

"""Samples of any format and any number of channels as floating point, against what was encoded."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from emofuse.core.records import Waveform
from emofuse.media.audio_samples import float_samples
from emofuse.media.decoding import decode
from emofuse.media.file_stream import open_stream
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg
from tests.support.typed import not_none

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 7: "6.1", 8: "7.1", 16: "hexadecagonal"}


def channels(n: int) -> np.ndarray:
    """(n, 480) float32: every channel has samples of its own."""
    return np.linspace(-0.99, 0.99, 480 * n).reshape(n, 480).astype(np.float32)


@pytest.mark.parametrize("n", LAYOUTS)
@pytest.mark.parametrize("sample_format", ["flt", "s16", "s32", "u8", "dbl"])
@pytest.mark.parametrize("planar", [False, True])
def test_every_channel_has_its_samples(n: int, sample_format: str, planar: bool) -> None:
    samples = channels(n)
    kind = {"flt": "f4", "dbl": "f8", "s16": "i2", "s32": "i4", "u8": "u1"}[sample_format]
    if sample_format == "u8":
        raw = np.rint(samples * 128 + 128).astype(kind)
    else:
        raw = (samples * (1 if kind[0] == "f" else 2.0 ** (8 * int(kind[1]) - 1))).astype(kind)
    packed = av.AudioFrame.from_ndarray(np.ascontiguousarray(raw.T).reshape(1, -1), sample_format, LAYOUTS[n])
    packed.sample_rate = 48000
    frame = packed
    if planar:
        (frame,) = av.AudioResampler(f"{sample_format}p", LAYOUTS[n], 48000).resample(packed)
    assert frame.format.is_planar == planar
    np.testing.assert_allclose(float_samples(frame), samples, atol=1 / 100 if kind == "u1" else 1e-4)


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["libopus -b:a 512k", "libvorbis", "wavpack"])
def test_a_file_of_eight_channels_is_read(tmp_path: Path, codec: str) -> None:
    tones = "|".join(f"0.3*sin(2*PI*{200 * (n + 1)}*t)" for n in range(8))
    path = tmp_path / "surround.mka"
    ffmpeg(
        "-f", "lavfi", "-i", f"aevalsrc={tones}:c=7.1:s=48000:d=1", "-map", "0", "-map", "0",
        "-disposition:a", "0", "-c:a", *codec.split(), path,
    )  # fmt: skip
    samples = not_none(decode(path).audio).samples
    with open_stream(path) as stream:
        streamed = np.concatenate([one.samples for one in stream if isinstance(one, Waveform)], axis=1)
    for read in (samples, streamed):
        spectra = np.abs(np.fft.rfft(read[:, 1000:25000], axis=1))
        loudest = np.sort(np.argmax(spectra[[0, 1, 2, 4, 5, 6, 7]], axis=1) * 48000 / 24000)
        np.testing.assert_allclose(loudest, [200, 400, 600, 1000, 1200, 1400, 1600], atol=2)

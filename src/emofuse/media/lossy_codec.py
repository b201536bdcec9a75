"""Encode and decode a waveform with a lossy codec: what a voice message or a stream does to it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, Literal

import av
import numpy as np
import soxr
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags2
from av.packet import Packet

from emofuse.core.errors import EmofuseError
from emofuse.core.records import Float32, Waveform

LossyCodec = Literal["mp3", "aac"]

_PAIRS: Final[dict[LossyCodec, tuple[str, str]]] = {"mp3": ("libmp3lame", "mp3float"), "aac": ("aac", "aac")}
"""FFmpeg's encoder and decoder; both use floating point, so that nothing else rounds or clips."""


def recode(waveform: Waveform, codec: LossyCodec, bit_rate_bps: int) -> Waveform:
    """Encode a waveform and decode it again, in memory.

    The codec's delay is removed by its timestamps: the output is aligned with the input. A rate that the
    codec does not support is resampled to the next higher one. Peaks may overshoot; against that, LAME
    scales everything to 95 %.

    Args:
        waveform: (1, n) float32.
        codec: MP3 by LAME, or AAC-LC by FFmpeg's own encoder.
        bit_rate_bps: the target; the encoder uses the nearest that the codec allows at this rate.

    Returns:
        (1, n) float32 at the same rate. The same input gives the same output.

    Raises:
        EmofuseError: FFmpeg was built without the codec, or the codec rejects the samples.
        ValueError: more than one channel, an unknown codec, or a bit rate that is not positive.
    """
    if waveform.n_channels != 1:
        raise ValueError(f"one channel can be recoded, got {waveform.n_channels}: mix them first")
    if codec not in _PAIRS:
        raise ValueError(f"codec must be one of {', '.join(_PAIRS)}, got {codec!r}")
    if bit_rate_bps <= 0:
        raise ValueError(f"bit_rate_bps must be positive, got {bit_rate_bps}")
    samples, rate = waveform.samples[0], waveform.sample_rate_hz
    if samples.size == 0:
        return waveform
    encoder, decoder = _context(_PAIRS[codec][0], "w"), _context(_PAIRS[codec][1], "r")
    coded_rate = _coded_rate(encoder, rate)
    coded = samples if coded_rate == rate else soxr.resample(samples, rate, coded_rate)
    try:
        packets = list(_encode(encoder, coded, coded_rate, bit_rate_bps))
        decoder.extradata = encoder.extradata
        coded = _decode(decoder, packets, len(coded))
    except (av.error.FFmpegError, ValueError) as error:
        raise EmofuseError(f"{codec} at {bit_rate_bps} bit/s and {coded_rate} Hz failed: {error}") from error
    if coded_rate != rate:
        coded = soxr.resample(coded, coded_rate, rate)
    out = np.zeros((1, samples.size), np.float32)
    n_common = min(samples.size, len(coded))
    out[0, :n_common] = coded[:n_common]
    return Waveform(out, rate, waveform.start_s)


def _context(name: str, mode: Literal["r", "w"]) -> AudioCodecContext:
    """A codec of FFmpeg, not yet open."""
    try:
        context = av.CodecContext.create(name, mode)
    except UnknownCodecError:
        kind = "encoder" if mode == "w" else "decoder"
        fix = "pip install --force-reinstall --only-binary av av"
        raise EmofuseError(f"this FFmpeg was built without the {kind} {name}: {fix}") from None
    assert isinstance(context, AudioCodecContext)
    return context


def _coded_rate(encoder: AudioCodecContext, rate: int) -> int:
    """The rate itself, else the next higher one that the encoder supports, else its highest."""
    supported = sorted(encoder.codec.audio_rates or [rate])
    return next((each for each in supported if each >= rate), supported[-1])


def _encode(
    encoder: AudioCodecContext, samples: Float32, rate: int, bit_rate_bps: int
) -> Iterator[Packet[AudioStream]]:
    clock = Fraction(1, rate)
    encoder.sample_rate, encoder.time_base, encoder.bit_rate = rate, clock, bit_rate_bps
    encoder.layout, encoder.format = "mono", "fltp"
    encoder.open()
    for start in range(0, len(samples), encoder.frame_size):
        block = np.ascontiguousarray(samples[None, start : start + encoder.frame_size])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, clock
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _decode(decoder: AudioCodecContext, packets: list[Packet[AudioStream]], n_samples: int) -> Float32:
    """(n_samples,) float32: the samples presented from time zero on."""
    # Versions of FFmpeg differ in whether they drop the priming samples themselves, and in the timestamp
    # after that. Told to keep them, all give the same frames, the first at a negative time.
    decoder.flags2 |= Flags2.skip_manual
    out = np.zeros(n_samples, np.float32)
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            assert frame.pts is not None
            first, last = max(0, frame.pts), min(n_samples, frame.pts + frame.samples)
            if last > first:
                out[first:last] = frame.to_ndarray()[0, first - frame.pts : last - frame.pts]
    return out

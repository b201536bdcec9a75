"""Degradations of audio, to measure robustness: noise, telephone, lossy codecs, a room, clipping, hum.

Each degradation turns a clean recording into one channel of the same rate and length, aligned with it. Apart
from the degradation itself it keeps the level of the speech, so that results show the degradation and not a
change in loudness. Level and signal-to-noise ratio are those of the active speech: the frames of 25 ms within
30 dB of the loudest one. Pauses would distort a ratio taken over the whole recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.records import Float32, Waveform
from emofuse.features.voice.segment import cut_or_pad, resample
from emofuse.media.channels import is_silent, to_mono
from emofuse.media.lossy_codec import LossyCodec, recode

Float64 = NDArray[np.float64]
Samples = NDArray[np.floating[Any]]
"""(n,) of any precision: float64 results are rounded once, at the end."""

RT60_S: Final = 0.6
"""Time in which the room's tail decays by 60 dB: a living room with a hard floor, a small office."""
CLIPPED_SHARE: Final = 0.2
"""Share of the active samples that clipping flattens."""
TELEPHONE_HZ: Final = (300.0, 3400.0)
TELEPHONE_RATE_HZ: Final = 8000
TELEPHONE_DBOV: Final = -26.0
"""Level of active speech relative to overload at the compander, the nominal level of ITU-T P.830."""

BELOW_VOICE: Final = 0.03
"""Of full scale: a constant offset, and the peak of rumble and hum, whatever the level of the voice is."""

_ACTIVE_FRAME_S: Final = 0.025
_ACTIVE_DB: Final = 30.0
_PINK_FROM_HZ: Final = 50.0
"""Lowest frequency of pink noise: voice microphones pick up nothing below, and its power would be wasted."""
_TELEPHONE_EDGE_HZ: Final = 100.0
_TAIL_S: Final = 1.25 * RT60_S
_MU_LAW_BIAS: Final = 132
_MU_LAW_MAX: Final = 32635


@dataclass(frozen=True, slots=True)
class Degradation:
    """One way to degrade a recording: a pure function of the recording and a random number generator."""

    summary: str
    """What it does, for a table or a card."""
    change: Callable[[Float32, int, Generator], Samples]
    """(n,) float32, sample_rate_hz, random number generator → (n,) floating point."""

    def __call__(self, waveform: Waveform, rng: Generator) -> Waveform:
        """Mix to one channel and degrade it; a result that would exceed ±1 is scaled down as a whole.

        Returns:
            (1, n) float32 of the same rate, length and start.
        """
        clean = np.ascontiguousarray(to_mono(waveform))
        if clean.size == 0:
            return Waveform(clean[None], waveform.sample_rate_hz, waveform.start_s)
        degraded = self.change(clean, waveform.sample_rate_hz, rng)
        peak = max(1.0, float(np.abs(degraded).max()))
        samples = (degraded / peak).astype(np.float32)
        return Waveform(samples[None], waveform.sample_rate_hz, waveform.start_s)


def degrade(waveform: Waveform, name: str, rng: Generator) -> Waveform:
    """Apply a degradation by its name, see :data:`DEGRADATIONS`.

    Returns:
        (1, n) float32 of the same rate and length; the same for the same state of ``rng``.

    Raises:
        ExperimentError: there is no degradation with this name.
        EmofuseError: FFmpeg was built without the codec.
    """
    if name not in DEGRADATIONS:
        raise ExperimentError(f"no degradation is called {name!r}: choose from {', '.join(DEGRADATIONS)}")
    return DEGRADATIONS[name](waveform, rng)


def active_speech(samples: Float32, sample_rate_hz: int) -> NDArray[np.bool_]:
    """(n,) bool: whether a sample is in a frame of 25 ms within 30 dB of the loudest frame.

    Frames do not overlap and start at the first sample; the last may be shorter. Silence is not active.
    """
    frame = max(1, round(_ACTIVE_FRAME_S * sample_rate_hz))
    starts = np.arange(0, len(samples), frame)
    if len(starts) == 0:
        return np.zeros(0, np.bool_)
    lengths = np.diff(starts, append=len(samples))
    power = np.add.reduceat(np.square(samples, dtype=np.float64), starts) / lengths
    active = (power > 0) & (power >= power.max() * 10 ** (-_ACTIVE_DB / 10))
    return np.repeat(active, lengths)


def active_power(samples: Samples, active: NDArray[np.bool_]) -> float:
    """Mean square of the active samples; 0 if there are none."""
    chosen = samples[active].astype(np.float64)
    return float(np.mean(np.square(chosen))) if chosen.size else 0.0


def pink_noise(n_samples: int, sample_rate_hz: int, rng: Generator) -> Float64:
    """(n_samples,) Gaussian noise of equal power per octave, from 50 Hz to half the rate."""
    # A power of two at least twice as long: fast to transform, without wrap-around.
    n_drawn = 1 << (2 * n_samples).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(n_drawn))
    hertz = np.fft.rfftfreq(n_drawn, 1 / sample_rate_hz)
    gain = np.where(hertz < _PINK_FROM_HZ, 0.0, 1 / np.sqrt(np.maximum(hertz, _PINK_FROM_HZ)))
    noise: Float64 = np.fft.irfft(spectrum * gain, n_drawn)[:n_samples]
    return noise


def room_response(sample_rate_hz: int, rng: Generator) -> Float64:
    """Impulse response of a synthetic room, (n,), of energy 1: the direct sound, then a diffuse tail.

    The tail is Gaussian noise that decays by 60 dB in :data:`RT60_S` (Moorer 1979) and has as much energy as
    the direct sound: the talker is at the room's critical distance. The direct sound is sample 0, so nothing
    is delayed.
    """
    times = np.arange(1, max(2, round(_TAIL_S * sample_rate_hz))) / sample_rate_hz
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / RT60_S)
    tail /= np.sqrt(np.sum(np.square(tail)))
    response: Float64 = np.concatenate([[1.0], tail]) / np.sqrt(2)
    return response


def mu_law(samples: Samples) -> Float64:
    """Encode as ITU-T G.711 µ-law and decode: (n,), each sample one of 255 levels within ±0.98."""
    linear = np.rint(np.asarray(samples, np.float64) * 32768)
    size = np.minimum(np.abs(linear), _MU_LAW_MAX).astype(np.int64) + _MU_LAW_BIAS
    # Eight segments, each twice as wide as the one before, of sixteen steps each.
    shift = np.frexp(size)[1] - 5
    middle = ((size >> shift) << shift) + (1 << shift >> 1)
    decoded: Float64 = np.sign(linear) * (middle - _MU_LAW_BIAS) / 32768
    return decoded


def _noise(samples: Float32, sample_rate_hz: int, rng: Generator, *, snr_db: float) -> Samples:
    if is_silent(samples):  # There is no level to relate the noise to.
        return samples
    noise = pink_noise(len(samples), sample_rate_hz, rng)
    active = active_speech(samples, sample_rate_hz)
    wanted = active_power(samples, active) / 10 ** (snr_db / 10)
    noisy: Float64 = samples + noise * np.sqrt(wanted / active_power(noise, active))
    return noisy


def _telephone(samples: Float32, sample_rate_hz: int, rng: Generator) -> Samples:
    del rng
    narrow = resample(samples, sample_rate_hz, TELEPHONE_RATE_HZ)
    band = _telephone_band(narrow)
    power = active_power(band, active_speech(band.astype(np.float32), TELEPHONE_RATE_HZ))
    # A handset sets its gain; otherwise quiet recordings would be quantized more coarsely than loud ones.
    gain = np.sqrt(10 ** (TELEPHONE_DBOV / 10) / power) if power > 0 else 1.0
    line = (mu_law(band * gain) / gain).astype(np.float32)
    return cut_or_pad(resample(line, TELEPHONE_RATE_HZ, sample_rate_hz), len(samples))


def _telephone_band(samples: Float32) -> Float64:
    """(n,) at 8 kHz: gain 1 within the band, 0 from 100 Hz outside it, a cosine between; zero phase."""
    if len(samples) == 0:
        return samples.astype(np.float64)
    n_padded = 1 << (len(samples) + TELEPHONE_RATE_HZ // 10).bit_length()
    hertz = np.fft.rfftfreq(n_padded, 1 / TELEPHONE_RATE_HZ)
    low, high = TELEPHONE_HZ
    outside = np.maximum(low - hertz, hertz - high) / _TELEPHONE_EDGE_HZ
    gain = 0.5 + 0.5 * np.cos(np.pi * np.clip(outside, 0, 1))
    band: Float64 = np.fft.irfft(np.fft.rfft(samples, n_padded) * gain, n_padded)[: len(samples)]
    return band


def _recoded(
    samples: Float32, sample_rate_hz: int, rng: Generator, *, codec: LossyCodec, bit_rate_bps: int
) -> Samples:
    del rng
    coded: Float32 = recode(Waveform(samples[None], sample_rate_hz), codec, bit_rate_bps).samples[0]
    return coded


def _reverberation(samples: Float32, sample_rate_hz: int, rng: Generator) -> Samples:
    response = room_response(sample_rate_hz, rng)
    n_padded = 1 << (len(samples) + len(response)).bit_length()
    spectrum = np.fft.rfft(samples, n_padded) * np.fft.rfft(response, n_padded)
    reverberant: Float64 = np.fft.irfft(spectrum, n_padded)[: len(samples)]
    return reverberant


def _resampled(samples: Float32, sample_rate_hz: int, rng: Generator, *, to_hz: int) -> Samples:
    del rng
    if sample_rate_hz <= to_hz:
        return samples
    return cut_or_pad(resample(resample(samples, sample_rate_hz, to_hz), to_hz, sample_rate_hz), len(samples))


def _clipped(samples: Float32, sample_rate_hz: int, rng: Generator) -> Samples:
    del rng
    if is_silent(samples):
        return samples
    active = active_speech(samples, sample_rate_hz)
    limit = float(np.quantile(np.abs(samples[active]), 1 - CLIPPED_SHARE))
    if limit <= 0:  # Isolated clicks in digital silence have no range to flatten.
        return samples
    clipped: Float64 = np.clip(samples.astype(np.float64), -limit, limit)
    clipped *= np.sqrt(active_power(samples, active) / active_power(clipped, active))
    return clipped


def _offset(samples: Float32, sample_rate_hz: int, rng: Generator) -> Samples:
    del sample_rate_hz, rng
    return samples if is_silent(samples) else samples + np.float64(BELOW_VOICE)


def _tone(samples: Float32, sample_rate_hz: int, rng: Generator, *, hertz: float) -> Samples:
    if is_silent(samples):
        return samples
    turns = hertz * np.arange(len(samples)) / sample_rate_hz + rng.uniform()
    under: Float64 = samples + BELOW_VOICE * np.sin(2 * np.pi * turns)
    return under


DEGRADATIONS: Final[dict[str, Degradation]] = {
    **{
        f"noise-{snr_db}-db": Degradation(
            f"pink noise from 50 Hz up, {snr_db} dB below the active speech", partial(_noise, snr_db=snr_db)
        )
        for snr_db in (20, 10, 5, 0)
    },
    "telephone": Degradation(
        "300 to 3400 Hz at 8 kHz, G.711 µ-law with the active speech at -26 dBov", _telephone
    ),
    "mp3-32k": Degradation(
        "MP3 (LAME), 32 kbit/s, at the recording's own rate",
        partial(_recoded, codec="mp3", bit_rate_bps=32_000),
    ),
    "aac-32k": Degradation(
        "AAC-LC (FFmpeg), 32 kbit/s, at the recording's own rate",
        partial(_recoded, codec="aac", bit_rate_bps=32_000),
    ),
    "reverberation": Degradation(
        "a synthetic room: RT60 0.6 s, as much energy in the tail as in the direct sound", _reverberation
    ),
    "resampled-8k": Degradation("down to 8 kHz and back (soxr)", partial(_resampled, to_hz=8000)),
    "clipped": Degradation(
        "the highest 20 % of the samples of the active speech clipped, the level restored", _clipped
    ),
    "dc-0.03": Degradation(f"a constant of {BELOW_VOICE} of full scale added", _offset),
    **{
        f"{name}-{hertz}hz": Degradation(
            f"a tone of {hertz} Hz with a peak of {BELOW_VOICE} of full scale and any phase added",
            partial(_tone, hertz=hertz),
        )
        for name, hertz in (("rumble", 10), ("hum", 60))
    },
}
"""The degradations by name, in the order of a table. Those that are not random ignore the generator."""

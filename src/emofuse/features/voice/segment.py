"""Samples become a voice segment: one channel, one rate, silence off both ends, one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32, Waveform
from emofuse.features.voice.highpass import highpass, reach_s
from emofuse.features.voice.speech_start import SPEECH_LEAD_S, first_utterance_s
from emofuse.media.channels import peak, to_mono

_FRAME_S: Final = 0.025
_HOP_S: Final = 0.010
_PIECE: Final = 2**20
_FLOOR: Final = 1e-5
"""Amplitude below which librosa's trim does not distinguish levels."""


def resample(samples: Float32, from_hz: int, to_hz: int) -> Float32:
    """(n_samples,) float32 at another rate, by soxr's high-quality band-limited interpolation."""
    if from_hz == to_hz or len(samples) == 0:
        return samples
    out: Float32 = soxr.resample(samples, from_hz, to_hz, quality="HQ").astype(np.float32, copy=False)
    return out


def trim_silence(
    samples: Float32,
    sample_rate_hz: int,
    trim_db: float,
    margin_s: float = 0.0,
    *,
    unsure_s: float = 0.0,
    from_s: float = 0.0,
) -> Float32:
    """Cut from both ends what is ``trim_db`` below the loudest frame, except for a margin.

    Frames of 25 ms every 10 ms; without a margin, the same samples as ``librosa.effects.trim``. The first and
    last ``unsure_s``, where a filter rings, are taken to be as loud as what is next to them. What is before
    ``from_s`` is cut whatever it is, and how loud it is does not count.
    """
    if len(samples) == 0:
        return samples
    frame, hop = round(_FRAME_S * sample_rate_hz), round(_HOP_S * sample_rate_hz)
    level = np.maximum(_frame_rms(samples, frame, hop), _FLOOR)
    unsure = min(round(unsure_s / _HOP_S), (len(level) - 1) // 2)
    if unsure:
        level[:unsure], level[-unsure:] = level[unsure], level[-unsure - 1]
    cut = min(round(from_s * sample_rate_hz), len(samples) - 1)
    level[: min(-(-cut // hop), len(level) - 1)] = _FLOOR
    loud = np.flatnonzero(20 * np.log10(level / level.max()) > -trim_db)
    margin = round(margin_s * sample_rate_hz)
    start = max(cut, int(loud[0]) * hop - margin)
    end = min(len(samples), (int(loud[-1]) + 1) * hop + margin)
    return samples[start:end]


def _frame_rms(samples: Float32, frame: int, hop: int) -> NDArray[np.float64]:
    """Root mean square of frames centered on every hop, with zeros beyond both ends."""
    starts = np.arange(0, len(samples) + 2 * (frame // 2) - frame + 1, hop)
    energy = _energy_at(samples, np.concatenate([starts, starts + frame]) - frame // 2)
    before, after = energy[: len(starts)], energy[len(starts) :]
    rms: NDArray[np.float64] = np.sqrt(np.maximum(after - before, 0) / frame)
    return rms


def _energy_at(samples: Float32, ends: NDArray[np.intp]) -> NDArray[np.float64]:
    """The energy before each of some points, summed up in order; in pieces, for the sums of a long recording
    take four times its memory."""
    ends = ends.clip(0, len(samples))
    energy, total = np.zeros(len(ends)), 0.0
    for first in range(0, len(samples), _PIECE):
        piece = np.square(samples[first : first + _PIECE], dtype=np.float64)
        piece[0] += total
        sums = np.cumsum(piece)
        inside = (ends > first) & (ends <= first + len(piece))
        energy[inside] = sums[ends[inside] - first - 1]
        total = float(sums[-1])
    return energy


def cut_or_pad(samples: Float32, n_samples: int) -> Float32:
    """(n_samples,) float32: cut to this length, or padded with zeros at the end."""
    if len(samples) >= n_samples:
        return samples[:n_samples]
    return np.pad(samples, (0, n_samples - len(samples)))


def voice_segment(waveform: Waveform, features: VoiceFeatures) -> tuple[Float32, dict[str, Any]]:
    """The samples that the voice features are computed from, and facts about them.

    Returns:
        (n_samples,) float32 of ``features.duration_s`` at ``features.sample_rate_hz``, at most as long where
        the features are not padded; JSON-ready facts.
    """
    return voice_segments(waveform, (features,))[0]


def voice_segments(
    waveform: Waveform, settings: Sequence[VoiceFeatures]
) -> list[tuple[Float32, dict[str, Any]]]:
    """The same for several settings, which differ in rate and length alone: speech is searched once."""
    first = settings[0]
    unsure_s, from_s = 0.0, 0.0
    facts: dict[str, Any] = {}
    if first.highpass_hz is not None:
        waveform = highpass(waveform, first.highpass_hz)
        unsure_s = reach_s(first.highpass_hz) / first.speed
    mono = to_mono(waveform)
    if first.start_at_speech:
        speech_s = first_utterance_s(Waveform(mono[None], waveform.sample_rate_hz))
        facts["speech_s"] = None if speech_s is None else round(speech_s, 4)
        from_s = max(0.0, (facts["speech_s"] or 0.0) - SPEECH_LEAD_S) / first.speed
    facts = {
        "sound_s": round(waveform.duration_s, 4),
        "sample_rate_hz": waveform.sample_rate_hz,
        "n_channels": waveform.n_channels,
        "peak": round(peak(waveform.samples), 6),
        **facts,
    }
    out = []
    for features in settings:
        rate = features.sample_rate_hz
        samples = resample(mono, round(waveform.sample_rate_hz * features.speed), rate)
        voiced = _voiced(samples, features, unsure_s=unsure_s, from_s=from_s)
        segment = _cut(voiced, features)
        out.append((np.ascontiguousarray(segment), {**facts, "voiced_s": round(len(voiced) / rate, 4)}))
    return out


def _voiced(samples: Float32, features: VoiceFeatures, *, unsure_s: float, from_s: float) -> Float32:
    if features.trim_db is None:
        return samples[round(from_s * features.sample_rate_hz) :]
    return trim_silence(
        samples, features.sample_rate_hz, features.trim_db, features.trim_margin_s,
        unsure_s=unsure_s, from_s=from_s,
    )  # fmt: skip


def _cut(voiced: Float32, features: VoiceFeatures) -> Float32:
    n_samples = round(features.duration_s * features.sample_rate_hz)
    return cut_or_pad(voiced, n_samples) if features.pads else voiced[:n_samples]

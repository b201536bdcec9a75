"""Descriptors: a voice as one vector, made of named views of the same log-mel and pitch.

What a network would have to learn is fixed here, so that a kernel machine fitted on a few hundred clips has
little to get wrong. Each view reads the frames that carry speech, in its own way; all but the last are
invariant to the gain of the recording, as long as no band drops to the floor of the log-mel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Float32
from emofuse.features.voice.rocket import N_VALUES as _N_CONVOLUTIONS
from emofuse.features.voice.rocket import random_convolutions
from emofuse.features.voice.spectrogram import POWER_FLOOR

Float64 = NDArray[np.float64]

FEWEST_MELS: Final = 26
SPEECH_RANGE: Final = 6.9
"""Frames within this of the loudest (30 dB, in nats of power) carry speech."""
VOICED_FROM: Final = 0.5
"""Frames with more voicing than this have a pitch."""
PERCENTILES: Final = (5, 20, 35, 50, 65, 80, 95)
LEVEL_PERCENTILES: Final = (10, 25, 50, 75, 90)
HIGHEST_CORRELATION: Final = 0.97

_AUDIBLE_FROM: Final = math.log(POWER_FLOOR) + 0.5
_N_BROAD: Final = 16
_N_PARTS: Final = 10
_N_PART_CEPSTRAL: Final = 13
_STEEPEST_PITCH: Final = 0.3
_N_CEPSTRAL: Final = 20
"""Cepstral coefficients in every view but functionals (26) and convolutions (24)."""
_N_CEPSTRAL_SLOPES: Final = 13
_N_CONTOUR_PARTS: Final = 20
_SAMPLES_PER_PART: Final = 3

_N_CHANNEL_CEPSTRAL: Final = 24
_DEEPEST: Final = -8.0
"""Log-mel is clipped at this, relative to the mean of speech (35 dB): a recording's floor is not speech."""
# Mean and spread of each channel: round numbers typical of speech; only their order of magnitude matters.
# Constants, not fitted to training data: the values of one clip depend on no other clip.
_CHANNEL_MEANS: Final = np.array([0, 3.0, *[0] * 22, 0, 0.7])[:, np.newaxis]
_CHANNEL_SPREADS: Final = np.array([*(3 / np.arange(1, 25) ** 0.7), 1.0, 0.45])[:, np.newaxis]

_N_ROWS: Final = FEWEST_MELS + _N_BROAD + 5
_N_FUNCTIONALS: Final = _N_ROWS * 19 + 4 + _N_PARTS * (_N_PART_CEPSTRAL + 4) + 2 * 19 + 3
_N_PERCENTILES: Final = (2 * (_N_CEPSTRAL + _N_BROAD) + 1) * (len(PERCENTILES) + 2)
_N_CORRELATED: Final = _N_CEPSTRAL + _N_CEPSTRAL_SLOPES + 2
_VIEWS: Final = {
    "functionals": _N_FUNCTIONALS,
    "percentiles": _N_PERCENTILES,
    "correlations": _N_CORRELATED * (_N_CORRELATED - 1) // 2,
    "contours": (_N_CEPSTRAL + 3) * _N_CONTOUR_PARTS,
    "convolutions": _N_CONVOLUTIONS,
    "level": 2 + len(LEVEL_PERCENTILES) + _N_BROAD,
}


@dataclass(frozen=True, slots=True)
class _VoiceFrames:
    """A clip's rows, by what they hold."""

    mel: Float64
    """(n_mels, n_frames) log-mel less its mean over speech."""
    cepstrum: Float64
    """(26, n_frames) of ``mel``."""
    broad: Float64
    """(16, n_frames): ``mel`` in 16 broad bands."""
    energy: Float64
    """(n_frames,) log of the power of all bands together, as recorded."""
    gain: float
    """The mean that was subtracted from the log-mel."""
    pitch: Float64
    voicing: Float64
    audible: NDArray[np.bool_]
    """(n_frames,) frames that are not padding."""
    speech: NDArray[np.bool_]
    """(n_frames,) frames that carry speech; all frames if none is audible."""

    @property
    def span(self) -> slice:
        """From the first frame of speech to the last."""
        indices = np.flatnonzero(self.speech)
        return slice(int(indices[0]), int(indices[-1]) + 1)

    @property
    def voiced(self) -> NDArray[np.bool_]:
        return self.speech & (self.voicing > VOICED_FROM)

    @property
    def relative_pitch(self) -> Float64:
        """(n_frames,) octaves above the clip's mean where it is voiced, 0 elsewhere."""
        voiced = self.voiced
        mean = self.pitch[voiced].mean() if voiced.any() else 0.0
        return np.where(voiced, self.pitch - mean, 0.0)


def compute_descriptors(rows: Float32) -> Float32:
    """All views of a clip, in the order of :func:`descriptor_views`.

    Args:
        rows: (n_mels + 2, n_frames) float32: ``inputs.voice_array`` of kind log-mel with pitch. At least
            26 bands and one frame.

    Returns:
        (n_values,) float32, finite for any audio.

    Raises:
        ValueError: there are too few rows, or no frame.
    """
    voice = _voice_frames(rows)
    views: list[NDArray[Any]] = [
        _functionals(voice),
        _percentiles(voice),
        _correlations(voice),
        _contours(voice),
        random_convolutions(_channels(voice)),
        _level(voice),
    ]
    return np.concatenate(views, dtype=np.float32)


def descriptor_views(n_mels: int) -> dict[str, slice]:
    """The slice of each view in the vector, in order.

    Raises:
        ValueError: fewer than 26 bands.
    """
    _check_mels(n_mels)
    ends = accumulate(_VIEWS.values(), initial=0)
    return {name: slice(*ends) for name, ends in zip(_VIEWS, pairwise(ends), strict=True)}


def descriptor_size(n_mels: int) -> int:
    """The length of the vector: currently the same for any number of bands from 26.

    Raises:
        ValueError: fewer than 26 bands.
    """
    _check_mels(n_mels)
    return sum(_VIEWS.values())


def _check_mels(n_mels: int) -> None:
    if n_mels < FEWEST_MELS:
        raise ValueError(f"descriptors need {FEWEST_MELS} mel bands, got {n_mels}")


def _voice_frames(rows: Float32) -> _VoiceFrames:
    if rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"descriptors need rows of at least one frame, got shape {rows.shape}")
    n_mels = len(rows) - 2
    _check_mels(n_mels)
    # The products below sum over many frames: in float32 they would depend on the order of summation.
    raw = rows[:n_mels].astype(np.float64)
    loudest = raw.max(axis=0)
    energy = loudest + np.log(np.exp(raw - loudest).sum(axis=0))
    audible = loudest > _AUDIBLE_FROM
    speech = energy > energy.max() - SPEECH_RANGE
    if audible.any():
        speech &= audible
    gain = float(raw[:, speech].mean())
    mel = raw - gain
    return _VoiceFrames(
        mel=mel,
        cepstrum=_cosines(n_mels)[:FEWEST_MELS] @ mel,
        broad=_broad_bands(n_mels) @ mel,
        energy=energy,
        gain=gain,
        pitch=rows[n_mels].astype(np.float64),
        voicing=rows[n_mels + 1].astype(np.float64),
        audible=audible,
        speech=speech,
    )


@lru_cache(maxsize=4)
def _cosines(n_mels: int) -> Float64:
    """(n_mels, n_mels) orthonormal cosine transform (DCT-II) of a frame's bands."""
    k = np.arange(n_mels)[:, np.newaxis]
    out: Float64 = math.sqrt(2 / n_mels) * np.cos(np.pi * k * (2 * np.arange(n_mels) + 1) / (2 * n_mels))
    out[0] /= math.sqrt(2)
    out.setflags(write=False)
    return out


@lru_cache(maxsize=4)
def _broad_bands(n_mels: int) -> Float64:
    """(16, n_mels): the mean of each sixteenth of the bands."""
    out = np.zeros((_N_BROAD, n_mels))
    for row, bands in zip(out, np.array_split(np.arange(n_mels), _N_BROAD), strict=True):
        row[bands] = 1 / len(bands)
    out.setflags(write=False)
    return out


def _slope(x: Float64) -> Float64:
    """Half the difference of a frame's neighbors; 0 at both ends."""
    out = np.zeros_like(x)
    out[:, 1:-1] = (x[:, 2:] - x[:, :-2]) / 2
    return out


def _functionals(voice: _VoiceFrames) -> Float64:
    """(1108,) statistics of cepstrum, broad bands, spectral shape, energy, pitch and rhythm.

    Like openSMILE's feature sets (Eyben, Wöllmer and Schuller 2010): low-level descriptors, their slopes, and
    functionals of both over speech. The same values as ``training.networks.functionals``, which needs torch.
    Two of them (the share of the array that is speech, and the share that is not padding) reflect the length
    of the utterance, and so depend on the padding.
    """
    speech = (voice.speech & voice.audible).astype(np.float64)
    level = voice.energy[np.newaxis] - voice.gain
    rows = np.concatenate([voice.cepstrum, voice.broad, _spectral_shape(voice.mel), level])
    pitch = np.stack([voice.pitch, voice.voicing])
    voiced = speech / (1 + np.exp(-20 * (voice.voicing - VOICED_FROM)))
    relative = (voice.pitch - _mean(pitch[:1], voiced)) * voiced
    # a jump by an octave is an error of the pitch tracker, not speech
    pitch_slopes = _slope(pitch).clip(-_STEEPEST_PITCH, _STEEPEST_PITCH)
    n_frames, n_speech, n_audible = len(speech), speech.sum(), voice.audible.sum()
    rhythm = [
        n_speech / n_frames,
        n_audible / n_frames,
        n_speech / max(n_audible, 1),
        np.maximum(np.diff(speech), 0).sum(),
    ]
    return np.concatenate(
        [
            _statistics(rows, speech, drift=True),
            _statistics(_slope(rows), speech),
            rhythm,
            _parts(np.concatenate([rows[:_N_PART_CEPSTRAL], level, relative, voiced[np.newaxis]]), speech),
            _statistics(pitch, voiced, drift=True),
            _statistics(pitch_slopes, voiced),
            [voiced.sum() / max(n_speech, 1)],
            _mean(pitch[1:], speech)[0],
            _mean(np.abs(pitch_slopes[:1]), voiced)[0],
        ]
    )


def _spectral_shape(mel: Float64) -> Float64:
    """(4, n_frames): center and width of the spectrum, its entropy, and its rate of change."""
    share = np.exp(mel - mel.max(axis=0))
    share /= share.sum(axis=0)
    position = np.linspace(-1, 1, len(mel))
    center = position @ share
    width = np.sqrt(np.maximum((share * np.square(position[:, np.newaxis] - center)).sum(axis=0), 1e-8))
    entropy = -(share * np.log(share + 1e-9)).sum(axis=0)
    change = np.sqrt(np.maximum(np.square(_slope(mel)).mean(axis=0), 1e-8))
    return np.stack([center, width, entropy, change])


def _mean(x: Float64, weights: Float64) -> Float64:
    """(n_rows, n_frames), (n_frames,) → (n_rows, 1)."""
    out: Float64 = x @ weights / max(weights.sum(), 1e-3)
    return out[:, np.newaxis]


def _statistics(x: Float64, weights: Float64, *, drift: bool = False) -> Float64:
    """Nine functionals per row, ten with the drift over time; the means of all rows first."""
    mean = _mean(x, weights)
    centered = (x - mean) * (weights > 0.1)
    spread = np.sqrt(_mean(np.square(centered), weights) + 1e-6)
    z = (centered / spread).clip(-4, 4)
    squared = z * z
    out = [
        mean,
        spread,
        _mean(squared * z, weights),
        np.sqrt(_mean(squared * squared, weights)),
        # the extent of the tails: like percentiles, but smooth
        _mean(np.maximum(z - 0.7, 0), weights) * spread,
        _mean(np.maximum(-z - 0.7, 0), weights) * spread,
        _mean(np.abs(z), weights),
        centered.max(axis=1, keepdims=True),
        centered.min(axis=1, keepdims=True),
    ]
    if drift:
        time = np.linspace(0, 1, x.shape[1])[np.newaxis]
        late = time - _mean(time, weights)
        length = np.sqrt(_mean(np.square(late), weights) + 1e-6)
        out.append(_mean(late / length * centered, weights))
    return np.concatenate(out)[:, 0]


def _parts(x: Float64, speech: Float64) -> Float64:
    """The mean of each row, and the share of speech, in ten overlapping parts from first to last speech."""
    indices = np.flatnonzero(speech)
    if not len(indices):
        return np.zeros((len(x) + 1) * _N_PARTS)
    first, last = indices[0], indices[-1]
    position = (np.arange(x.shape[1]) - first + 0.5) / (last - first + 1) * _N_PARTS
    weights = np.maximum(1 - np.abs(position - (np.arange(_N_PARTS)[:, np.newaxis] + 0.5)), 0)
    total = np.maximum(weights.sum(axis=1), 1e-3)
    return np.concatenate([(x @ weights.T / total).ravel(), weights @ speech / total])


def _percentiles(voice: _VoiceFrames) -> Float64:
    """(657,) percentiles over speech of cepstrum, broad bands, energy, and the slopes of the first two.

    All 5th percentiles, …, all 95th; then the range from the 5th to the 95th, and from the 20th to the 80th.
    """
    shape = np.concatenate([voice.cepstrum[:_N_CEPSTRAL], voice.broad])
    energy = voice.energy - voice.energy[voice.speech].mean()
    x = np.concatenate([shape, energy[np.newaxis], _slope(shape)])[:, voice.speech]
    q = np.percentile(x, PERCENTILES, axis=1)
    return np.concatenate([q.ravel(), q[-1] - q[0], q[-2] - q[1]])


def _correlations(voice: _VoiceFrames) -> Float64:
    """(595,) correlations of cepstrum, its slopes, pitch and voicing during speech.

    Second-order pooling (Carreira et al. 2012) of the descriptors, scaled to correlations; each pair once,
    after Fisher's transform, which spreads values near ±1.
    """
    cepstrum = voice.cepstrum[:_N_CEPSTRAL]
    slopes = _slope(cepstrum[:_N_CEPSTRAL_SLOPES])
    x = np.concatenate([cepstrum, slopes, voice.pitch[np.newaxis], voice.voicing[np.newaxis]])
    x = x[:, voice.speech]
    x = x - x.mean(axis=1, keepdims=True)
    # the small constant keeps the rounding errors of a constant row from being amplified
    x /= x.std(axis=1, keepdims=True) + 1e-3
    r = (x @ x.T / x.shape[1])[np.triu_indices(len(x), 1)]
    out: Float64 = np.arctanh(r.clip(-HIGHEST_CORRELATION, HIGHEST_CORRELATION))
    return out


def _contours(voice: _VoiceFrames) -> Float64:
    """(460,) cepstrum, pitch, voiced or not, and energy in 20 equal parts from first to last speech.

    Every utterance is stretched to the same length; a part is the mean of three linearly interpolated points.
    Pitch is weighted by 8, voiced by 3, so that no row is negligible beside the cepstrum.
    """
    cepstrum = voice.cepstrum[:_N_CEPSTRAL]
    cepstrum = cepstrum - cepstrum[:, voice.speech].mean(axis=1, keepdims=True)
    energy = voice.energy - voice.energy[voice.speech].mean()
    rest = np.stack([8 * voice.relative_pitch, 3.0 * voice.voiced, energy])
    x = np.concatenate([cepstrum, rest])[:, voice.span]
    last = x.shape[1] - 1
    times = np.linspace(0, last, _N_CONTOUR_PARTS * _SAMPLES_PER_PART)
    before = times.astype(np.intp)
    after = np.minimum(before + 1, last)
    points = x[:, before] + (times - before) * (x[:, after] - x[:, before])
    parts: Float64 = points.reshape(len(x), _N_CONTOUR_PARTS, _SAMPLES_PER_PART).mean(axis=2)
    return parts.ravel()


def _channels(voice: _VoiceFrames) -> Float32:
    """(26, n) float32 from first to last speech: 24 cepstral coefficients, pitch, voiced or not."""
    n_mels = len(voice.mel)
    mel = np.maximum(voice.mel[:, voice.span], _DEEPEST) / 3
    # the magnitude of an orthonormal transform grows with the root of the number of bands
    cepstrum = _cosines(n_mels)[:_N_CHANNEL_CEPSTRAL] @ mel * (math.sqrt(80 / n_mels) / 2)
    pitch = np.stack([3 * voice.relative_pitch, voice.voiced])[:, voice.span]
    x = np.concatenate([cepstrum, pitch])
    out: Float32 = ((x - _CHANNEL_MEANS) / _CHANNEL_SPREADS).astype(np.float32)
    return out


def _level(voice: _VoiceFrames) -> Float64:
    """(23,) level of speech as recorded: mean, maximum and percentiles of energy, means of 16 broad bands.

    The only view that depends on the gain: useful where all recordings were made alike.
    """
    energy = voice.energy[voice.speech]
    bands = voice.broad[:, voice.speech].mean(axis=1) + voice.gain
    return np.concatenate([[energy.mean(), energy.max()], np.percentile(energy, LEVEL_PERCENTILES), bands])

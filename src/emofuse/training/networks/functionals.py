"""Functionals: statistics over time of descriptors of a log-mel spectrogram, as part of a network.

As in openSMILE's feature sets (Eyben et al. 2010): low-level descriptors, their slopes, and functionals of
both over the frames with speech. Here all of it is exported with the network, and gradients pass through it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

N_CEPSTRAL = 26
N_BROAD = 16
N_PARTS = 10
"""Number of parts of equal length into which an utterance is divided for its contours."""
N_CONTOUR_CEPSTRAL = 13
SPEECH_RANGE = 6.9
"""Frames within this of the loudest (30 dB, in nats of power) count as speech."""
VOICED_FROM = 0.5
"""Minimum voicing of a frame whose pitch counts."""


class Functionals(nn.Module):
    """Statistics of cepstrum, broad bands, spectral shape, energy, pitch and rhythm: (n, size)."""

    def __init__(self, n_mels: int, *, pitch: bool) -> None:
        super().__init__()
        if n_mels < N_CEPSTRAL:
            raise ValueError(f"functionals need {N_CEPSTRAL} mel bands, got {n_mels}")
        self.n_mels = n_mels
        self.pitch = pitch
        k = torch.arange(N_CEPSTRAL)[:, None]
        cosines = torch.cos(math.pi * k * (2 * torch.arange(n_mels) + 1) / (2 * n_mels))
        cosines[0] /= math.sqrt(2)
        broad = torch.zeros(N_BROAD, n_mels)
        for i, part in enumerate(torch.arange(n_mels).tensor_split(N_BROAD)):
            broad[i, part] = 1 / len(part)
        self.matrix: Tensor
        self.register_buffer("matrix", torch.cat([cosines * math.sqrt(2 / n_mels), broad]), persistent=False)
        n_rows = N_CEPSTRAL + N_BROAD + 5
        contours = N_PARTS * (N_CONTOUR_CEPSTRAL + 2 + 2 * pitch)
        self.size = n_rows * 19 + 4 + contours + (2 * 10 + 2 * 9 + 3 if pitch else 0)

    def forward(self, rows: Tensor, valid: Tensor) -> Tensor:
        """Statistics of each clip.

        Args:
            rows: (n, n_mels, n_frames) float32 log-mel spectrogram, followed by two rows of pitch and voicing
                where the network was made for them.
            valid: (n, 1, n_frames) float32: 1 for frames that are not padding.

        Returns:
            (n, size) float32
        """
        mel = rows[:, : self.n_mels]
        energy = mel.logsumexp(1, keepdim=True)
        loudest = (energy - 1e3 * (1 - valid)).amax(2, keepdim=True)
        speech = (energy > loudest - SPEECH_RANGE).to(mel.dtype) * valid
        mel = mel - _mean(mel.mean(1, keepdim=True), speech)
        share = mel.softmax(1)
        positions = torch.linspace(-1, 1, self.n_mels, dtype=mel.dtype, device=mel.device)[None, :, None]
        center = (share * positions).sum(1, keepdim=True)
        width = (share * (positions - center).square()).sum(1, keepdim=True).clamp(min=1e-8).sqrt()
        spread = -(share * (share + 1e-9).log()).sum(1, keepdim=True)
        change = _slope(mel).square().mean(1, keepdim=True).clamp(min=1e-8).sqrt()
        level = mel.logsumexp(1, keepdim=True)
        descriptors = torch.cat([self.matrix @ mel, center, width, spread, change, level], 1)
        n_speech, n_valid = speech.sum(2), valid.sum(2)
        rhythm = torch.cat(
            [
                n_speech / rows.shape[2],
                n_valid / rows.shape[2],
                n_speech / n_valid.clamp(min=1),
                (speech[:, :, 1:] - speech[:, :, :-1]).clamp(min=0).sum(2),
            ],
            1,
        )
        slopes = _slope(descriptors)
        parts = [_statistics(descriptors, speech, drift=True), _statistics(slopes, speech), rhythm]
        contours = [descriptors[:, :N_CONTOUR_CEPSTRAL], level]
        if self.pitch:
            contours.append(_relative_pitch(rows[:, self.n_mels :], speech))
        parts.append(_contours(torch.cat(contours, 1), speech))
        if self.pitch:
            parts.append(self._of_pitch(rows[:, self.n_mels :], speech))
        return torch.cat(parts, 1)

    def _of_pitch(self, rows: Tensor, speech: Tensor) -> Tensor:
        voicing = rows[:, 1:]
        voiced = speech * torch.sigmoid((voicing - VOICED_FROM) * 20)
        # a jump to another octave is an error of pitch tracking, not speech
        slopes = _slope(rows).clamp(-0.3, 0.3)
        rest = torch.cat(
            [
                voiced.sum(2) / speech.sum(2).clamp(min=1),
                _mean(voicing, speech)[:, :, 0],
                _mean(slopes[:, :1].abs(), voiced)[:, :, 0],
            ],
            1,
        )
        return torch.cat([_statistics(rows, voiced, drift=True), _statistics(slopes, voiced), rest], 1)


def _relative_pitch(rows: Tensor, speech: Tensor) -> Tensor:
    """Pitch relative to the clip's mean where it is voiced, 0 elsewhere; and voicing: (n, 2, n_frames)."""
    voicing = rows[:, 1:]
    voiced = speech * torch.sigmoid((voicing - VOICED_FROM) * 20)
    return torch.cat([(rows[:, :1] - _mean(rows[:, :1], voiced)) * voiced, voiced], 1)


def _contours(x: Tensor, speech: Tensor) -> Tensor:
    """The mean of each row, and the share of speech, in ten overlapping parts of the time with speech."""
    n_frames = x.shape[2]
    time = torch.arange(n_frames, dtype=x.dtype, device=x.device)[None, None]
    first = torch.where(speech > 0, time, float(n_frames)).amin(2, keepdim=True)
    last = torch.where(speech > 0, time, -1.0).amax(2, keepdim=True)
    position = (time - first + 0.5) / (last - first + 1).clamp(min=1) * N_PARTS
    centers = torch.arange(N_PARTS, dtype=x.dtype, device=x.device)[None, :, None] + 0.5
    hats = (1 - (position - centers).abs()).clamp(min=0)
    amount = hats.sum(2).clamp(min=1e-3)
    means = (x @ hats.transpose(1, 2)) / amount[:, None]
    share = (hats * speech).sum(2) / amount
    return torch.cat([means.flatten(1), share], 1)


def _mean(x: Tensor, weights: Tensor) -> Tensor:
    """(n, rows, n_frames), (n, 1, n_frames) → (n, rows, 1)."""
    return (x * weights).sum(2, keepdim=True) / weights.sum(2, keepdim=True).clamp(min=1e-3)


def _slope(x: Tensor) -> Tensor:
    """Half the difference between a frame's neighbors; 0 at both ends."""
    inner = (x[:, :, 2:] - x[:, :, :-2]) / 2
    return nn.functional.pad(inner, (1, 1))


def _statistics(x: Tensor, weights: Tensor, *, drift: bool = False) -> Tensor:
    """Nine functionals per row, ten with the drift over time: (n, rows · functionals)."""
    mean = _mean(x, weights)
    centered = (x - mean) * (weights > 0.1)
    spread = (_mean(centered.square(), weights) + 1e-6).sqrt()
    z = (centered / spread).clamp(-4, 4)
    out = [
        mean,
        spread,
        _mean(z.pow(3), weights),
        _mean(z.pow(4), weights).sqrt(),
        # the extent of the tails: like percentiles, but smooth
        _mean((z - 0.7).clamp(min=0), weights) * spread,
        _mean((-z - 0.7).clamp(min=0), weights) * spread,
        _mean(z.abs(), weights),
        centered.amax(2, keepdim=True),
        centered.amin(2, keepdim=True),
    ]
    if drift:
        n_frames = x.shape[2]
        time = torch.linspace(0, 1, n_frames, dtype=x.dtype, device=x.device)[None, None]
        center = _mean(time, weights)
        length = (_mean((time - center).square(), weights) + 1e-6).sqrt()
        out.append(_mean((time - center) / length * centered, weights))
    return torch.cat(out, 1).flatten(1)

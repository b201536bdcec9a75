"""Augmentation: random changes of training clips, drawn anew in each epoch, on whole batches.

Ranges are given for strength 1, which scales them. They were chosen on training actors of RAVDESS.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from emofuse.training.networks.voice import LOG_MEL_FLOOR

MAX_TEMPO = 0.06
"""Log of the largest change of tempo. A larger one blurs differences between emotions."""
MAX_BAND_SHIFT = 1.0
"""Largest shift, in bands of 80."""
MAX_PITCH_SHIFT = 0.05
"""Largest shift of the pitch row, in octaves."""


def _uniform(low: float, high: float, n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def augment_log_mel(rows: Tensor, strength: float, generator: Generator, *, n_mels: int) -> Tensor:
    """Change tempo, pitch, position, spectral tilt and noise floor, and mask (SpecAugment, Park et al. 2019).

    Args:
        rows: (n, n_rows, n_frames) float32: a log-mel spectrogram, followed by pitch and voicing if there
            are more rows than ``n_mels``. Padding is at the end and has the floor value in every band.
        strength: 0 changes nothing.
        generator: random number generator.
        n_mels: number of rows that are mel bands.
    """
    if strength <= 0:
        return rows
    x, other = _warp(rows, strength, generator, n_mels)
    n, _, n_frames = x.shape
    valid = (x.amax(1, keepdim=True) > LOG_MEL_FLOOR + 0.5).to(x.dtype)
    length = valid.sum((1, 2)).clamp(min=1)
    mean = (x * valid).sum((1, 2)) / (length * n_mels)
    spread = (((x - mean[:, None, None]) * valid).square().sum((1, 2)) / (length * n_mels)).sqrt()

    bands = torch.linspace(-1, 1, n_mels)
    tilt = torch.randn(n, 1, generator=generator) * 0.15 * strength * bands
    ripples = _uniform(1, 3, n, generator)[:, None] * math.pi * (bands + 1) / 2
    tilt = tilt + torch.randn(n, 1, generator=generator) * 0.1 * strength * torch.cos(ripples)
    x = x + (tilt * spread[:, None])[:, :, None] * valid

    noisy = (torch.rand(n, generator=generator) < 0.2 * strength).to(x.dtype)
    level = mean + spread * _uniform(-1.6, -0.3, n, generator)
    floor = level[:, None, None] + 0.3 * spread[:, None, None] * torch.randn(x.shape, generator=generator)
    x = torch.where((noisy[:, None, None] * valid) > 0, torch.logaddexp(x, floor), x)

    fill = mean[:, None, None].expand_as(x)
    x = torch.where(_mask(n, n_mels, 6 * strength, generator)[:, :, None] & (valid > 0), fill, x)
    x = torch.where(_mask(n, n_frames, 12 * strength, generator)[:, None, :] & (valid > 0), fill, x)
    return torch.cat([x, other], 1)


def _warp(rows: Tensor, strength: float, generator: Generator, n_mels: int) -> tuple[Tensor, Tensor]:
    """Stretch time, shift frequency and move the audio in its window; returns mel bands and other rows.

    Frames and bands are selected, not interpolated: interpolation would smooth the differences between
    neighboring frames, which help to tell emotions apart.
    """
    n, n_rows, n_frames = rows.shape
    length = (rows[:, :n_mels].amax(1) > LOG_MEL_FLOOR + 0.5).sum(1).clamp(min=1).to(torch.float32)
    tempo = torch.exp(_uniform(-MAX_TEMPO, MAX_TEMPO, n, generator) * strength)
    # audio that is longer than the window loses its start
    start = (_uniform(0, 1, n, generator) * (n_frames - length * tempo)).round()
    t = ((torch.arange(n_frames)[None] - start[:, None]) / tempo[:, None]).round().to(torch.int64)
    inside = ((t >= 0) & (t < n_frames))[:, None]
    selected = rows.gather(2, t.clamp(0, n_frames - 1)[:, None].expand(n, n_rows, n_frames))
    shift = _uniform(-1, 1, n, generator) * strength
    n_bands = (shift * MAX_BAND_SHIFT * n_mels / 80).round().to(torch.int64)
    bands = (torch.arange(n_mels)[None] - n_bands[:, None]).clamp(0, n_mels - 1)
    mel = selected[:, :n_mels].gather(1, bands[:, :, None].expand(n, n_mels, n_frames))
    mel = torch.where(inside, mel, torch.full_like(mel, LOG_MEL_FLOOR))
    other = torch.where(inside, selected[:, n_mels:], torch.zeros(()))
    if n_rows > n_mels:
        octaves = (shift * MAX_PITCH_SHIFT)[:, None] * (other[:, 1] > 0)
        other = torch.stack([other[:, 0] + octaves, other[:, 1]], 1)
    return mel, other


def _mask(n: int, size: int, widest: float, generator: Generator) -> Tensor:
    """(n, size) bool: in each row, one run of up to ``widest`` true values."""
    width = _uniform(0, widest, n, generator)[:, None]
    start = _uniform(0, 1, n, generator)[:, None] * (size - width).clamp(min=0)
    positions = torch.arange(size)[None]
    return (positions >= start) & (positions < start + width)


def augment_faces(stack: Tensor, strength: float, generator: Generator) -> Tensor:
    """Shift, scale, rotate, mirror and relight faces, in the same way over all frames of a clip.

    Args:
        stack: (n, n_frames, size, size) uint8.
        strength: 0 changes nothing; 1: shift 6 %, scale 10 %, rotation 8°, gain 20 %, offset 8 %.
        generator: random number generator.

    Returns:
        (n, n_frames, size, size) uint8
    """
    if strength <= 0:
        return stack
    n = len(stack)
    mirror = 1 - 2 * (torch.rand(n, generator=generator) < 0.5).to(torch.float32)
    angle = _uniform(-0.14, 0.14, n, generator) * strength
    zoom = torch.exp(_uniform(-0.1, 0.1, n, generator) * strength)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = torch.cos(angle) * zoom * mirror
    theta[:, 0, 1] = -torch.sin(angle) * zoom
    theta[:, 1, 0] = torch.sin(angle) * zoom * mirror
    theta[:, 1, 1] = torch.cos(angle) * zoom
    theta[:, :, 2] = (torch.rand(n, 2, generator=generator) - 0.5) * 0.24 * strength
    grid = functional.affine_grid(theta, list(stack.shape), align_corners=False)
    x = functional.grid_sample(stack.to(torch.float32), grid, padding_mode="border", align_corners=False)
    gain = torch.exp(_uniform(-0.2, 0.2, n, generator) * strength)[:, None, None, None]
    offset = _uniform(-20, 20, n, generator)[:, None, None, None] * strength
    return ((x - 128) * gain + 128 + offset).clamp(0, 255).round().to(torch.uint8)

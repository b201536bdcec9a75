"""Changes drawn anew each time a training clip is shown. All act on a batch and take their randomness.

Ranges are those at strength 1 and were chosen on training actors of RAVDESS; strength scales them.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from emofuse.training.networks.voice import LOG_MEL_FLOOR

MAX_TEMPO = 0.06
"""Log of the largest change of tempo. More of it blurs what tells emotions apart."""
MAX_BAND_SHIFT = 1.0
"""Largest shift in mel bands, of 80."""
MAX_PITCH_SHIFT = 0.05
"""Largest shift of the pitch row, in octaves."""


def _uniform(low: float, high: float, n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def augment_log_mel(rows: Tensor, strength: float, generator: Generator, *, n_mels: int) -> Tensor:
    """Tempo, pitch, place in time, tilt, noise floor and masks (SpecAugment, Park et al. 2019).

    Args:
        rows: (n, n_rows, n_frames) float32: a log-mel, and pitch and voicing under it if there are more
            rows than ``n_mels``; padding holds the floor in every band and lies at the end.
        strength: 0 changes nothing.
        generator: source of every random number.
        n_mels: rows that are mel bands.
    """
    if strength <= 0:
        return rows
    x, other = _warp(rows, strength, generator, n_mels)
    n, _, n_frames = x.shape
    heard = (x.amax(1, keepdim=True) > LOG_MEL_FLOOR + 0.5).to(x.dtype)
    length = heard.sum((1, 2)).clamp(min=1)
    mean = (x * heard).sum((1, 2)) / (length * n_mels)
    spread = (((x - mean[:, None, None]) * heard).square().sum((1, 2)) / (length * n_mels)).sqrt()

    bands = torch.linspace(-1, 1, n_mels)
    tilt = torch.randn(n, 1, generator=generator) * 0.15 * strength * bands
    ripples = _uniform(1, 3, n, generator)[:, None] * math.pi * (bands + 1) / 2
    tilt = tilt + torch.randn(n, 1, generator=generator) * 0.1 * strength * torch.cos(ripples)
    x = x + (tilt * spread[:, None])[:, :, None] * heard

    noisy = (torch.rand(n, generator=generator) < 0.2 * strength).to(x.dtype)
    level = mean + spread * _uniform(-1.6, -0.3, n, generator)
    floor = level[:, None, None] + 0.3 * spread[:, None, None] * torch.randn(x.shape, generator=generator)
    x = torch.where((noisy[:, None, None] * heard) > 0, torch.logaddexp(x, floor), x)

    fill = mean[:, None, None].expand_as(x)
    x = torch.where(_mask(n, n_mels, 6 * strength, generator)[:, :, None] & (heard > 0), fill, x)
    x = torch.where(_mask(n, n_frames, 12 * strength, generator)[:, None, :] & (heard > 0), fill, x)
    return torch.cat([x, other], 1)


def _warp(rows: Tensor, strength: float, generator: Generator, n_mels: int) -> tuple[Tensor, Tensor]:
    """Stretch time, shift frequency and move the sound in its window: mel bands, and the rows under them.

    Whole frames and bands are taken, never values between two: interpolation would smooth the very
    roughness from frame to frame that clips are told apart by.
    """
    n, n_rows, n_frames = rows.shape
    length = (rows[:, :n_mels].amax(1) > LOG_MEL_FLOOR + 0.5).sum(1).clamp(min=1).to(torch.float32)
    tempo = torch.exp(_uniform(-MAX_TEMPO, MAX_TEMPO, n, generator) * strength)
    # where the sound is longer than the window, its start is cut instead
    start = (_uniform(0, 1, n, generator) * (n_frames - length * tempo)).round()
    t = ((torch.arange(n_frames)[None] - start[:, None]) / tempo[:, None]).round().to(torch.int64)
    inside = ((t >= 0) & (t < n_frames))[:, None]
    taken = rows.gather(2, t.clamp(0, n_frames - 1)[:, None].expand(n, n_rows, n_frames))
    raised = _uniform(-1, 1, n, generator) * strength
    shift = (raised * MAX_BAND_SHIFT * n_mels / 80).round().to(torch.int64)
    bands = (torch.arange(n_mels)[None] - shift[:, None]).clamp(0, n_mels - 1)
    mel = taken[:, :n_mels].gather(1, bands[:, :, None].expand(n, n_mels, n_frames))
    mel = torch.where(inside, mel, torch.full_like(mel, LOG_MEL_FLOOR))
    other = torch.where(inside, taken[:, n_mels:], torch.zeros(()))
    if n_rows > n_mels:
        octaves = (raised * MAX_PITCH_SHIFT)[:, None] * (other[:, 1] > 0)
        other = torch.stack([other[:, 0] + octaves, other[:, 1]], 1)
    return mel, other


def _mask(n: int, size: int, widest: float, generator: Generator) -> Tensor:
    """(n, size) bool: one run of up to ``widest`` places a row."""
    width = _uniform(0, widest, n, generator)[:, None]
    start = _uniform(0, 1, n, generator)[:, None] * (size - width).clamp(min=0)
    places = torch.arange(size)[None]
    return (places >= start) & (places < start + width)


def augment_faces(stack: Tensor, strength: float, generator: Generator) -> Tensor:
    """The same shift, zoom, turn, mirror and light over all frames of a clip.

    Args:
        stack: (n, n_frames, size, size) uint8.
        strength: 0 changes nothing; 1: shift 6 %, zoom 10 %, turn 8 degrees, gain 20 %, offset 8 %.
        generator: source of every random number.

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

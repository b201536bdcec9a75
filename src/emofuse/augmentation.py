"""Changes drawn anew each time a training clip is shown. All act on a batch and take their randomness.

Ranges are those at strength 1 and were chosen on training actors of RAVDESS; strength scales them.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from emofuse.networks.voice import LOG_MEL_FLOOR

MAX_TEMPO = 0.18
"""Log of the largest change of tempo: 0.84 to 1.2 times."""
MAX_BAND_SHIFT = 3.0
"""Largest shift in mel bands: about two semitones at 80 bands."""
MAX_BAND_STRETCH = 0.06
"""Log of the largest stretch of the frequency axis, as from another vocal tract length."""


def _uniform(low: float, high: float, n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def augment_log_mel(log_mel: Tensor, strength: float, generator: Generator) -> Tensor:
    """Tempo, pitch, place in time, tilt, noise floor and masks (SpecAugment, Park et al. 2019).

    Args:
        log_mel: (n, n_mels, n_frames) float32; padding holds the floor in every band and lies at the end.
        strength: 0 changes nothing.
        generator: source of every random number.
    """
    if strength <= 0:
        return log_mel
    x = _warp(log_mel, strength, generator)
    n, n_mels, n_frames = x.shape
    heard = (x.amax(1, keepdim=True) > LOG_MEL_FLOOR + 0.5).to(x.dtype)
    length = heard.sum((1, 2)).clamp(min=1)
    mean = (x * heard).sum((1, 2)) / (length * n_mels)
    spread = (((x - mean[:, None, None]) * heard).square().sum((1, 2)) / (length * n_mels)).sqrt()

    bands = torch.linspace(-1, 1, n_mels)
    tilt = torch.randn(n, 1, generator=generator) * 0.15 * strength * bands
    ripples = _uniform(1, 3, n, generator)[:, None] * math.pi * (bands + 1) / 2
    tilt = tilt + torch.randn(n, 1, generator=generator) * 0.1 * strength * torch.cos(ripples)
    x = x + (tilt * spread[:, None])[:, :, None] * heard

    noisy = (torch.rand(n, generator=generator) < 0.4 * strength).to(x.dtype)
    level = mean + spread * _uniform(-1.6, -0.3, n, generator)
    floor = level[:, None, None] + 0.3 * spread[:, None, None] * torch.randn(x.shape, generator=generator)
    x = torch.where((noisy[:, None, None] * heard) > 0, torch.logaddexp(x, floor), x)

    fill = mean[:, None, None].expand_as(x)
    for _ in range(2):
        x = torch.where(_mask(n, n_mels, 10 * strength, generator)[:, :, None], fill, x)
        x = torch.where(_mask(n, n_frames, 24 * strength, generator)[:, None, :] & (heard > 0), fill, x)
    return x


def _warp(log_mel: Tensor, strength: float, generator: Generator) -> Tensor:
    """Stretch time and frequency and move the sound in its window, in one bilinear sampling."""
    n, n_mels, n_frames = log_mel.shape
    length = (log_mel.amax(1) > LOG_MEL_FLOOR + 0.5).sum(1).clamp(min=1).to(torch.float32)
    tempo = torch.exp(_uniform(-MAX_TEMPO, MAX_TEMPO, n, generator) * strength)
    room = n_frames - length * tempo
    # where the sound is longer than the window, its start is cut instead
    start = _uniform(0, 1, n, generator) * room
    t = (torch.arange(n_frames)[None] - start[:, None]) / tempo[:, None]
    stretch = torch.exp(_uniform(-MAX_BAND_STRETCH, MAX_BAND_STRETCH, n, generator) * strength)
    shift = _uniform(-MAX_BAND_SHIFT, MAX_BAND_SHIFT, n, generator) * strength * n_mels / 80
    f = (torch.arange(n_mels)[None] * stretch[:, None] + shift[:, None]).clamp(0, n_mels - 1)
    grid = torch.stack(
        [
            (2 * t / (n_frames - 1) - 1)[:, None, :].expand(n, n_mels, n_frames),
            (2 * f / (n_mels - 1) - 1)[:, :, None].expand(n, n_mels, n_frames),
        ],
        -1,
    )
    above = (log_mel - LOG_MEL_FLOOR)[:, None]
    return functional.grid_sample(above, grid, align_corners=True)[:, 0] + LOG_MEL_FLOOR


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

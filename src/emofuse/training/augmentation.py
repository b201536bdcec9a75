"""Augmentation: random changes of training clips, drawn anew in each epoch, on whole batches.

Ranges are given for strength 1, which scales them. They were chosen on training actors of RAVDESS.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from emofuse.training.draws import sent
from emofuse.training.networks.voice import LOG_MEL_FLOOR

MAX_TEMPO = 0.06
"""Log of the largest change of tempo. A larger one blurs differences between emotions."""
MAX_BAND_SHIFT = 1.0
"""Largest shift, in bands of 80."""
MAX_PITCH_SHIFT = 0.05
"""Largest shift of the pitch row, in octaves."""


class _Draws:
    """Random numbers from a generator of the CPU, on the device of what they change."""

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Between two bounds."""
        return sent(torch.rand(shape, generator=self.generator), self.device) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """With mean 0 and standard deviation 1."""
        return sent(torch.randn(shape, generator=self.generator), self.device)

    def chance(self, share: float, n: int) -> Tensor:
        """(n,) bool, true with a probability."""
        return sent(torch.rand(n, generator=self.generator), self.device) < share


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
    draws = _Draws(generator, rows.device)
    x, other = _warp(rows, strength, draws, n_mels)
    n, _, n_frames = x.shape
    valid = (x.amax(1, keepdim=True) > LOG_MEL_FLOOR + 0.5).to(x.dtype)
    length = valid.sum((1, 2)).clamp(min=1)
    mean = (x * valid).sum((1, 2)) / (length * n_mels)
    spread = (((x - mean[:, None, None]) * valid).square().sum((1, 2)) / (length * n_mels)).sqrt()

    bands = torch.linspace(-1, 1, n_mels, device=rows.device)
    tilt = draws.normal(n, 1) * 0.15 * strength * bands
    ripples = draws.uniform(1, 3, n)[:, None] * math.pi * (bands + 1) / 2
    tilt = tilt + draws.normal(n, 1) * 0.1 * strength * torch.cos(ripples)
    x = x + (tilt * spread[:, None])[:, :, None] * valid

    noisy = draws.chance(0.2 * strength, n).to(x.dtype)
    level = mean + spread * draws.uniform(-1.6, -0.3, n)
    floor = level[:, None, None] + 0.3 * spread[:, None, None] * draws.normal(*x.shape)
    x = torch.where((noisy[:, None, None] * valid) > 0, torch.logaddexp(x, floor), x)

    fill = mean[:, None, None].expand_as(x)
    x = torch.where(_mask(n, n_mels, 6 * strength, draws)[:, :, None] & (valid > 0), fill, x)
    x = torch.where(_mask(n, n_frames, 12 * strength, draws)[:, None, :] & (valid > 0), fill, x)
    return torch.cat([x, other], 1)


def _warp(rows: Tensor, strength: float, draws: _Draws, n_mels: int) -> tuple[Tensor, Tensor]:
    """Stretch time, shift frequency and move the audio in its window; returns mel bands and other rows.

    Frames and bands are selected, not interpolated: interpolation would smooth the differences between
    neighboring frames, which help to tell emotions apart.
    """
    n, n_rows, n_frames = rows.shape
    length = (rows[:, :n_mels].amax(1) > LOG_MEL_FLOOR + 0.5).sum(1).clamp(min=1).to(torch.float32)
    tempo = torch.exp(draws.uniform(-MAX_TEMPO, MAX_TEMPO, n) * strength)
    # audio that is longer than the window loses its start
    start = (draws.uniform(0, 1, n) * (n_frames - length * tempo)).round()
    frames = torch.arange(n_frames, device=rows.device)
    t = ((frames[None] - start[:, None]) / tempo[:, None]).round().to(torch.int64)
    inside = ((t >= 0) & (t < n_frames))[:, None]
    selected = rows.gather(2, t.clamp(0, n_frames - 1)[:, None].expand(n, n_rows, n_frames))
    shift = draws.uniform(-1, 1, n) * strength
    n_bands = (shift * MAX_BAND_SHIFT * n_mels / 80).round().to(torch.int64)
    bands = (torch.arange(n_mels, device=rows.device)[None] - n_bands[:, None]).clamp(0, n_mels - 1)
    mel = selected[:, :n_mels].gather(1, bands[:, :, None].expand(n, n_mels, n_frames))
    mel = torch.where(inside, mel, torch.full_like(mel, LOG_MEL_FLOOR))
    other = torch.where(inside, selected[:, n_mels:], 0.0)
    if n_rows > n_mels:
        octaves = (shift * MAX_PITCH_SHIFT)[:, None] * (other[:, 1] > 0)
        other = torch.stack([other[:, 0] + octaves, other[:, 1]], 1)
    return mel, other


def _mask(n: int, size: int, widest: float, draws: _Draws) -> Tensor:
    """(n, size) bool: in each row, one run of up to ``widest`` true values."""
    width = draws.uniform(0, widest, n)[:, None]
    start = draws.uniform(0, 1, n)[:, None] * (size - width).clamp(min=0)
    positions = torch.arange(size, device=width.device)[None]
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
    n, draws = len(stack), _Draws(generator, stack.device)
    mirror = 1 - 2 * draws.chance(0.5, n).to(torch.float32)
    angle = draws.uniform(-0.14, 0.14, n) * strength
    zoom = torch.exp(draws.uniform(-0.1, 0.1, n) * strength)
    theta = torch.zeros(n, 2, 3, device=stack.device)
    theta[:, 0, 0] = torch.cos(angle) * zoom * mirror
    theta[:, 0, 1] = -torch.sin(angle) * zoom
    theta[:, 1, 0] = torch.sin(angle) * zoom * mirror
    theta[:, 1, 1] = torch.cos(angle) * zoom
    theta[:, :, 2] = (draws.uniform(0, 1, n, 2) - 0.5) * 0.24 * strength
    grid = functional.affine_grid(theta, list(stack.shape), align_corners=False)
    x = functional.grid_sample(stack.to(torch.float32), grid, padding_mode="border", align_corners=False)
    gain = torch.exp(draws.uniform(-0.2, 0.2, n) * strength)[:, None, None, None]
    offset = draws.uniform(-20, 20, n)[:, None, None, None] * strength
    return ((x - 128) * gain + 128 + offset).clamp(0, 255).round().to(torch.uint8)


def augment_still_faces(images: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Rotate, scale, shift, shear, mirror, relight and partly cover faces, each differently.

    Args:
        images: (n, 48, 48) uint8.
        generator: random number generator.
        strength: scales all changes but mirroring.

    Returns:
        (n, 1, 48, 48) float32 in [0, 1].
    """
    n, side = images.shape[0], images.shape[1]

    draws = _Draws(generator, images.device)

    def between(low: float, high: float) -> Tensor:
        value = draws.uniform(low, high, n)
        center = (low + high) / 2
        return value if strength == 1 else center + (value - center) * strength

    angle, scale = between(-0.26, 0.26), between(0.82, 1.18)
    shear = between(-0.12, 0.12)
    mirror = torch.where(draws.chance(0.5, n), -1.0, 1.0)
    matrix = torch.stack(
        [
            torch.stack([angle.cos() * mirror / scale, shear - angle.sin(), between(-0.16, 0.16)], 1),
            torch.stack([angle.sin() * mirror, angle.cos() / scale, between(-0.16, 0.16)], 1),
        ],
        1,
    )
    x = images[:, None].to(torch.float32) / 255
    grid = functional.affine_grid(matrix, [n, 1, side, side], align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast, light = between(0.6, 1.4), between(-0.15, 0.15)
    x = ((x - mean) * contrast[:, None, None, None] + mean + light[:, None, None, None]).clamp(0, 1)
    size = draws.uniform(0, 1, n) * 0.45 * strength
    size = size * side * draws.chance(0.6, n)
    positions = torch.arange(side, device=images.device)
    center_x, center_y = (draws.uniform(0, 1, n) * side for _ in range(2))
    across = (positions[None] - center_x[:, None]).abs() < size[:, None] / 2
    down = (positions[None] - center_y[:, None]).abs() < size[:, None] / 2
    covered = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(covered, mean, x)

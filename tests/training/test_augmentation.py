from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from emofuse.training.augmentation import augment_faces, augment_log_mel
from emofuse.training.networks.voice import LOG_MEL_FLOOR

N_MELS = 40


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_mel(n: int = 8, n_frames: int = 60, valid: int = 45, pitch: bool = False) -> Tensor:
    x = torch.randn(n, N_MELS, n_frames, generator=seeded(1)) * 2 - 6
    x[:, :, valid:] = LOG_MEL_FLOOR
    if not pitch:
        return x
    rows = torch.rand(n, 2, n_frames, generator=seeded(2))
    rows[:, 0] += 1
    rows[:, :, valid:] = 0
    return torch.cat([x, rows], 1)


@pytest.mark.parametrize("pitch", [False, True])
def test_augmented_audio_stays_in_range(pitch: bool) -> None:
    x = log_mel(64, pitch=pitch)
    given = x.clone()
    out = augment_log_mel(x, 1.0, seeded(), n_mels=N_MELS)
    assert torch.equal(x, given)  # a new value
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()
    assert not torch.equal(out, x)
    assert torch.equal(out, augment_log_mel(x, 1.0, seeded(), n_mels=N_MELS))
    assert not torch.equal(out, augment_log_mel(x, 1.0, seeded(1), n_mels=N_MELS))
    if pitch:
        silent = ((out[:, :N_MELS] - LOG_MEL_FLOOR).abs() < 1e-4).any(1)
        assert (out[:, N_MELS:].transpose(1, 2)[silent] == 0).all()
        assert out[:, N_MELS + 1].min() >= 0
        assert out[:, N_MELS + 1].max() <= 1


def test_padding_stays_padding() -> None:
    out = augment_log_mel(log_mel(64), 1.0, seeded(), n_mels=N_MELS)
    valid = out.amax(1) > LOG_MEL_FLOOR + 0.5  # as the network hears it
    assert ((valid.sum(1) - 45).abs() <= 4).all()


def test_strength_0_changes_nothing() -> None:
    x = log_mel()
    assert torch.equal(augment_log_mel(x, 0.0, seeded(), n_mels=N_MELS), x)
    stack = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8, generator=seeded())
    assert torch.equal(augment_faces(stack, 0.0, seeded()), stack)


def test_strength_scales() -> None:
    x = log_mel(64)

    def change(strength: float) -> float:
        return float((augment_log_mel(x, strength, seeded(), n_mels=N_MELS) - x).abs().mean())

    assert 0 < change(0.1) < change(1.0) < change(3.0)


def test_silence_stays_finite() -> None:
    x = torch.full((3, N_MELS, 30), LOG_MEL_FLOOR)
    out = augment_log_mel(x, 3.0, seeded(), n_mels=N_MELS)
    assert torch.isfinite(out).all()


def test_faces_move_in_the_same_way_in_all_frames() -> None:
    frame = torch.randint(0, 256, (6, 1, 48, 48), dtype=torch.uint8, generator=seeded(3))
    stack = frame.expand(-1, 4, -1, -1).contiguous()
    out = augment_faces(stack, 1.0, seeded())
    assert out.shape == stack.shape
    assert out.dtype == torch.uint8
    assert torch.equal(out[:, :1].expand_as(out), out)
    assert not torch.equal(out, stack)
    # each clip differently
    same = augment_faces(stack[:1].expand(6, -1, -1, -1).contiguous(), 1.0, seeded())
    assert len(np.unique(same[:, 0].reshape(6, -1).numpy(), axis=0)) == 6


def test_half_of_the_faces_are_mirrored() -> None:
    stack = torch.zeros(200, 1, 48, 48, dtype=torch.uint8)
    stack[:, :, :, :24] = 200  # light on the left
    out = augment_faces(stack, 0.01, seeded())
    left = out[:, 0, :, :24].float().mean((1, 2)) > out[:, 0, :, 24:].float().mean((1, 2))
    assert 70 < int(left.sum()) < 130

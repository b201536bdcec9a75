from __future__ import annotations

import numpy as np
import pytest

from emofuse.features.voice.rocket import _kernels, random_convolutions
from tests.support.rocket_oracle import slow_convolutions


def test_kernels_are_as_documented() -> None:
    per_dilation = _kernels(26, 0)
    assert len(per_dilation) == 5
    weights = np.concatenate([kernels.weights for kernels in per_dilation]).reshape(-1, 26, 7)
    np.testing.assert_allclose(np.square(weights).sum(axis=(1, 2)), 1, rtol=1e-5)
    reads = np.any(weights != 0, axis=2).sum(axis=1)
    assert set(reads) == {1, 2, 3, 4, 5}
    without_level = np.all(np.abs(weights.sum(axis=2)) < 1e-5, axis=1).mean()
    assert 0.45 < without_level < 0.55
    biases = np.concatenate([kernels.biases for kernels in per_dilation])
    assert 0.45 < biases.std() < 0.55
    assert not per_dilation[0].weights.flags.writeable


def test_kernels_never_change() -> None:
    """Classifiers are fitted to these very kernels: with others they would silently be worthless."""
    first, *_, last = _kernels(26, 0)
    sums = [float(k.weights.sum(axis=0, dtype=float) @ np.arange(182)) for k in (first, last)]
    sums += [float(k.biases.sum(dtype=float)) for k in (first, last)]
    assert sums == pytest.approx([1189.951, 396.80589, -2.9596877, -3.3691086], rel=1e-5)


def test_another_seed_gives_other_kernels() -> None:
    channels = np.random.default_rng(0).standard_normal((26, 30)).astype(np.float32)
    np.testing.assert_allclose(
        random_convolutions(channels, 7), slow_convolutions(channels, 7), rtol=1e-4, atol=1e-4
    )
    assert np.abs(random_convolutions(channels, 7) - random_convolutions(channels, 8)).max() > 0.1

from __future__ import annotations

import numpy as np
import pytest

from emofuse.features.voice.pitch import REFERENCE_HZ, pitch_rows

HOP = 200


def voiced(hertz: float, rate: int = 16000, seconds: float = 0.6) -> np.ndarray:
    """A buzz like a voice: eight harmonics, each half as strong as the one before."""
    times = np.arange(round(seconds * rate)) / rate
    waves = [0.3 * 0.5**k * np.sin(2 * np.pi * hertz * (k + 1) * times) for k in range(8)]
    return np.asarray(sum(waves), np.float32)


def hertz_of(rows: np.ndarray) -> np.ndarray:
    return REFERENCE_HZ * 2 ** rows[0, 5:-5]


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_tone_of_220_hz(rate: int) -> None:
    times = np.arange(rate) / rate
    rows = pitch_rows(np.sin(2 * np.pi * 220 * times).astype(np.float32), rate, HOP)
    assert rows.shape == (2, 1 + rate // HOP)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(hertz_of(rows), 220, rtol=0.01)
    assert rows[1, 5:-5].min() > 0.95


@pytest.mark.parametrize("hertz", [80, 100, 123.4, 160, 200, 250, 320, 400, 500])
@pytest.mark.parametrize("level", [1.0, 0.01])
def test_voices_from_80_to_500_hz(hertz: float, level: float) -> None:
    rows = pitch_rows(voiced(hertz) * np.float32(level), 16000, HOP)
    np.testing.assert_allclose(hertz_of(rows), hertz, rtol=0.01)
    assert rows[1, 5:-5].min() > 0.9


def test_a_glide_is_tracked() -> None:
    rate = 16000
    times = np.arange(rate) / rate
    hertz = 120 * 2**times
    samples = np.sin(2 * np.pi * np.cumsum(hertz) / rate).astype(np.float32)
    rows = pitch_rows(samples, rate, HOP)
    np.testing.assert_allclose(hertz_of(rows), hertz[::HOP][5:76], rtol=0.02)


def test_noise_is_not_voiced() -> None:
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    rows = pitch_rows(noise, 16000, HOP)
    assert np.median(rows[1]) < 0.5
    assert rows[1].min() >= 0


def test_silence_is_0() -> None:
    assert not pitch_rows(np.zeros(8000, np.float32), 16000, HOP).any()
    constant = pitch_rows(np.full(16000, 0.5, np.float32), 16000, HOP)
    assert not constant[:, 10:-10].any()  # away from the edges there is only an offset


def test_frames_are_centered_like_those_of_a_log_mel() -> None:
    samples = np.concatenate([np.zeros(8000, np.float32), voiced(200)[:8000]])
    rows = pitch_rows(samples, 16000, HOP)
    assert not rows[:, : 8000 // HOP - 3].any()
    assert (rows[1, 8000 // HOP + 3 : -3] > 0.9).all()


@pytest.mark.parametrize("n", [0, 1, 50, 199, 200, 201])
def test_short_audio(n: int) -> None:
    rows = pitch_rows(voiced(200)[:n], 16000, HOP)
    assert rows.shape == (2, 1 + n // HOP)
    assert np.isfinite(rows).all()

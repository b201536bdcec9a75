from __future__ import annotations

import librosa
import numpy as np
import pytest

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Waveform
from emofuse.features.voice.segment import (
    cut_or_pad,
    resample,
    trim_silence,
    voice_segment,
)


def burst(rate: int, seed: int = 0, quiet: float = 1e-4) -> np.ndarray:
    """Half a second of near silence, 0.7 s of noise that swells, half a second of near silence."""
    rng = np.random.default_rng(seed)
    level = np.concatenate(
        [np.full(rate // 2, quiet), np.linspace(0.01, 0.5, int(0.7 * rate)), np.full(rate // 2, quiet)]
    )
    return (level * rng.uniform(-1, 1, len(level))).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
@pytest.mark.parametrize("trim_db", [20.0, 35.0, 60.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_trimming_is_librosas(rate: int, trim_db: float, seed: int) -> None:
    samples = burst(rate, seed)
    expected, _ = librosa.effects.trim(
        samples, top_db=trim_db, frame_length=round(0.025 * rate), hop_length=round(0.01 * rate)
    )
    np.testing.assert_array_equal(trim_silence(samples, rate, trim_db), expected)


def test_trimming_keeps_a_margin_within_the_audio() -> None:
    samples = burst(16000)
    tight, wide = (trim_silence(samples, 16000, 35.0, margin) for margin in (0.0, 0.1))
    assert len(wide) - len(tight) == 3200
    assert len(trim_silence(samples, 16000, 35.0, 1.0)) == len(samples)
    assert len(trim_silence(np.zeros(0, np.float32), 16000, 35.0)) == 0


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 96000])
def test_resampling_keeps_a_tone_and_equals_librosa(rate: int) -> None:
    times = np.arange(rate) / rate
    samples = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    ours = resample(samples, rate, 16000)
    reference = librosa.resample(samples, orig_sr=rate, target_sr=16000, res_type="soxr_hq")
    assert abs(len(ours) - 16000) <= 1
    n = min(len(ours), len(reference))
    np.testing.assert_allclose(ours[:n], reference[:n], atol=1e-6)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(n) / 16000)
    np.testing.assert_allclose(ours[1000:15000], expected[1000:15000], atol=1e-3)


def test_cut_or_pad() -> None:
    samples = np.arange(1, 6, dtype=np.float32)
    np.testing.assert_array_equal(cut_or_pad(samples, 3), [1, 2, 3])
    np.testing.assert_array_equal(cut_or_pad(samples, 7), [1, 2, 3, 4, 5, 0, 0])


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (96000, 6)])
def test_a_segment_has_a_fixed_length(rate: int, channels: int) -> None:
    audio = Waveform(np.tile(burst(rate), (channels, 1)), rate)
    segment, facts = voice_segment(audio, VoiceFeatures())
    assert segment.shape == (48000,) and segment.dtype == np.float32
    assert facts["sample_rate_hz"] == rate and facts["n_channels"] == channels
    assert 0.7 < facts["voiced_s"] < 1.0 < facts["sound_s"] == pytest.approx(1.7, abs=0.01)

from __future__ import annotations

import librosa
import numpy as np
import pytest

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.features.voice.inputs import voice_shape
from emofuse.features.voice.spectrogram import log_mel
from tests.support.speech import speech_like


@pytest.mark.parametrize(
    "features",
    [
        VoiceFeatures(),
        VoiceFeatures(
            sample_rate_hz=22050, n_fft=1024, win_length=1000, hop_length=333, n_mels=40, fmin_hz=0.0
        ),
        VoiceFeatures(
            sample_rate_hz=48000, n_fft=2048, win_length=2048, hop_length=512, n_mels=128, fmax_hz=None
        ),
        VoiceFeatures(n_fft=511, win_length=301, hop_length=160, n_mels=24, fmax_hz=None),
    ],
    ids=["default", "odd-hop", "wide", "odd-fft"],
)
def test_log_mel_is_librosas(features: VoiceFeatures) -> None:
    samples = speech_like(features.sample_rate_hz, features.duration_s)
    power = librosa.feature.melspectrogram(
        y=samples, sr=features.sample_rate_hz, n_fft=features.n_fft, win_length=features.win_length,
        hop_length=features.hop_length, n_mels=features.n_mels, fmin=features.fmin_hz, fmax=features.fmax_hz,
    )  # fmt: skip
    ours = log_mel(samples, features)
    assert ours.shape == voice_shape(features) and ours.dtype == np.float32
    # librosa leaves out a last frame where n_fft is odd.
    assert ours.shape[1] - power.shape[1] == features.n_fft % 2
    ours = ours[:, : power.shape[1]]
    np.testing.assert_allclose(np.exp(ours), np.maximum(power, 1e-10), rtol=1e-4, atol=1e-9)


def test_padding_is_the_floor() -> None:
    samples = np.zeros(48000, np.float32)
    np.testing.assert_allclose(log_mel(samples, VoiceFeatures()), np.log(1e-10), rtol=1e-6)

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from emofuse.training.networks.functionals import N_BROAD, N_CEPSTRAL, Functionals
from emofuse.training.networks.voice import LOG_MEL_FLOOR

N_MELS, HEARD = 32, 50
N_ROWS = N_CEPSTRAL + N_BROAD + 5
SHARES = N_ROWS * 19
"""Columns of the shares of speech and audio, which refer to the window including padding."""


def clip(n_frames: int = 60, pitch: bool = True, seed: int = 0) -> Tensor:
    """(3, rows, n_frames): audio that fades, then padding."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((3, N_MELS, HEARD)) * 1.5 - 5
    rows += 3 * np.sin(np.linspace(0, np.pi, HEARD)) - np.linspace(0, 2, N_MELS)[:, None]
    rows[:, :, -3:] -= 9  # quiet before it ends, as a trimmed recording is
    mel = np.full((3, N_MELS, n_frames), LOG_MEL_FLOOR)
    mel[:, :, :HEARD] = rows
    other = np.zeros((3, 2, n_frames))
    other[:, :, :HEARD] = rng.random((3, 2, HEARD)) + np.array([[1.0], [0.0]])
    return torch.from_numpy(np.concatenate([mel, other], 1) if pitch else mel).to(torch.float32)


def of(rows: Tensor, pitch: bool = True) -> Tensor:
    valid = (rows[:, :N_MELS].amax(1, keepdim=True) > LOG_MEL_FLOOR + 0.5).to(rows.dtype)
    with torch.no_grad():
        out: Tensor = Functionals(N_MELS, pitch=pitch)(rows, valid)
    return out


@pytest.mark.parametrize("pitch", [False, True])
def test_size(pitch: bool) -> None:
    module = Functionals(N_MELS, pitch=pitch)
    assert of(clip(pitch=pitch), pitch).shape == (3, module.size)
    assert not list(module.parameters())
    assert not module.state_dict()
    with pytest.raises(ValueError, match="functionals need 26 mel bands, got 20"):
        Functionals(20, pitch=False)


def test_more_padding_changes_nothing() -> None:
    """Except for the two shares of the window."""
    short, long = of(clip(60)), of(clip(90))
    shares = [SHARES, SHARES + 1]
    rest = np.setdiff1d(np.arange(short.shape[1]), shares)
    np.testing.assert_allclose(short[:, rest], long[:, rest], atol=1e-4)
    np.testing.assert_allclose(short[:, shares] * 60, long[:, shares] * 90, rtol=1e-5)


@pytest.mark.parametrize("gain", [-3.0, 0.7, 4.0])
def test_the_level_of_a_recording_changes_nothing(gain: float) -> None:
    quiet = clip()
    loud = quiet.clone()
    loud[:, :N_MELS, :HEARD] += gain
    np.testing.assert_allclose(of(quiet), of(loud), atol=2e-4)


def test_clips_do_not_depend_on_each_other() -> None:
    rows = clip()
    np.testing.assert_allclose(of(rows)[1], of(rows[1:2])[0], atol=1e-5)
    assert (of(rows)[0] - of(rows)[1]).abs().max() > 0.1


@pytest.mark.parametrize("valid", [0, 1, 2, 3])
def test_hardly_any_audio(valid: int) -> None:
    rows = clip()
    rows[:, :N_MELS, valid:] = LOG_MEL_FLOOR
    rows[:, N_MELS:, valid:] = 0
    assert torch.isfinite(of(rows)).all()


def test_cepstrum_is_the_cosine_transform() -> None:
    from scipy.fft import dct

    mel = np.random.default_rng(0).standard_normal(N_MELS)
    expected = dct(mel, norm="ortho")[:N_CEPSTRAL]
    matrix = Functionals(N_MELS, pitch=False).matrix[:N_CEPSTRAL].numpy()
    np.testing.assert_allclose(matrix @ mel, expected, atol=1e-5)


def test_means_are_over_frames_with_speech_alone() -> None:
    """The first functional of the first cepstral row, by the formula."""
    rows = clip(pitch=False)[:1]
    mel = rows[0].numpy().astype(np.float64)
    energy = np.logaddexp.reduce(mel, axis=0)
    speech = (energy > energy[:HEARD].max() - 6.9) & (np.arange(60) < HEARD)
    assert 10 < speech.sum() < HEARD
    mel = mel - mel.mean(0)[speech].mean()
    cepstrum = mel.sum(0) / np.sqrt(N_MELS)
    out = of(rows, pitch=False)[0].numpy()
    assert out[0] == pytest.approx(cepstrum[speech].mean(), abs=1e-3)
    # all means come first, then all standard deviations
    assert out[N_ROWS] == pytest.approx(cepstrum[speech].std(), rel=1e-3)
    assert out[SHARES] == pytest.approx(speech.sum() / 60)
    assert out[SHARES + 1] == pytest.approx(HEARD / 60)

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import librosa
import librosa.display
import matplotlib as mpl
import numpy as np
import pytest

from emofuse.core.errors import MissingExtraError
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.features.voice.inputs import voice_array, voice_shape
from emofuse.features.voice.rosred import rosred_1d, rosred_image
from emofuse.features.voice.segment import voice_segment
from emofuse.media.decoding import decode
from tests.support.speech import speech_like

mpl.use("Agg")
from typing import Any

import matplotlib.pyplot as plt

ROSRED = VoiceFeatures(
    kind="rosred-image", sample_rate_hz=48000, trim_db=60.0, trim_margin_s=0.0, fmin_hz=0.0, fmax_hz=None
)


def drawn(segment: np.ndarray) -> np.ndarray:
    """The notebooks' way: librosa's drawing by matplotlib, saved, loaded, resized."""
    mel = librosa.feature.melspectrogram(y=segment, sr=48000, n_fft=2048, hop_length=512, n_mels=128)
    figure = plt.figure()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    librosa.display.specshow(librosa.power_to_db(mel, ref=np.max), sr=48000, hop_length=512, ax=axes)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    image: Any = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.resize(image, (224, 224), interpolation=cv2.INTER_NEAREST_EXACT)[..., ::-1])


def test_image_is_the_drawing() -> None:
    segment = speech_like(48000)
    ours = rosred_image(segment, ROSRED)
    assert ours.shape == (224, 224, 3) == voice_shape(ROSRED) and ours.dtype == np.uint8
    assert np.abs(drawn(segment).astype(int) - ours).mean() < 2


def test_colors_are_matplotlibs_magma() -> None:
    theirs = np.rint(mpl.colormaps["magma"](np.arange(256))[:, :3] * 255)
    ours = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_MAGMA)[:, 0, ::-1]
    assert np.abs(theirs - ours).max() <= 1


def test_silence_gives_a_uniform_image() -> None:
    image = rosred_image(np.zeros(144000, np.float32), ROSRED)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 1


def test_statistics_are_librosas() -> None:
    features = VoiceFeatures(kind="rosred-1d", sample_rate_hz=16000, fmax_hz=None)
    samples = speech_like(16000)
    values = voice_array(samples, features)
    assert values.shape == voice_shape(features) == (364,) and values.dtype == np.float32
    mfcc = librosa.feature.mfcc(y=samples, sr=16000, n_mfcc=40)
    crossings = librosa.feature.zero_crossing_rate(samples)
    np.testing.assert_allclose(values[0], crossings.mean(), rtol=1e-3)
    np.testing.assert_allclose(values[13:53], mfcc.mean(axis=1), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(values[182 + 13 : 182 + 53], mfcc.std(axis=1), rtol=1e-3, atol=1e-2)
    silent = voice_array(np.zeros(48000, np.float32), features)
    assert np.isfinite(silent).all()


def test_statistics_without_librosa_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emofuse\[train\]'"):
        rosred_1d(np.zeros(1000, np.float32), VoiceFeatures(kind="rosred-1d"))


@pytest.mark.ravdess
def test_image_of_a_real_recording_is_the_drawing(ravdess: Path) -> None:
    for path in sorted(ravdess.glob("audio/Actor_0[12]/*-02-01-01-0[12].flac"))[:4]:
        audio = decode(path).audio
        assert audio is not None
        segment, _ = voice_segment(audio, ROSRED)
        assert np.abs(drawn(segment).astype(int) - rosred_image(segment, ROSRED)).mean() < 5

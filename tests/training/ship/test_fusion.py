"""The fusion of the shipped recognizer, against the formula."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.training.face_likelihood import likelihood_of_faces
from emofuse.training.ship.fusion import face_weights, fusion_files

N = len(EMOTIONS)


def fused(model: bytes, voice: np.ndarray, face: np.ndarray) -> np.ndarray:
    inputs = np.log(np.concatenate([voice, face]))[None].astype(np.float32)
    return np.asarray(onnxruntime.InferenceSession(model).run(["probabilities"], {"inputs": inputs})[0][0])


def test_a_speaking_face_that_shows_nothing_does_not_outvote_the_voice() -> None:
    rng = np.random.default_rng(0)
    shown = np.arange(800) % N
    logs = rng.standard_normal((800, N)) + 3 * np.eye(N)[shown]
    likelihood = likelihood_of_faces(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True), shown)
    files = fusion_files(1.2, likelihood)
    voice = np.full(N, 0.05)
    voice[[0, 4]] = 0.3, 0.4  # neutral or angry
    blank = np.array([0.49, 0.49, *[0.02 / 6] * 6])
    happy = np.array([0.02, 0.02, 0.9, *[0.06 / 5] * 5])
    by_likelihood, by_posterior = files["fusion-0.onnx"], files["baseline-fusion-0.onnx"]
    assert EMOTIONS[fused(by_posterior, voice, blank).argmax()] == "neutral"
    weak = fused(by_likelihood, voice, blank)
    assert weak[0] > weak[4] / 2  # it says something,
    assert weak[0] / weak[4] < 2.5 * (0.3 / 0.4) ** 1.2  # but little
    assert EMOTIONS[fused(by_likelihood, np.full(N, 1 / N), happy).argmax()] == "happy"
    expected = voice**1.2 * (likelihood @ happy)
    np.testing.assert_allclose(fused(by_likelihood, voice, happy), expected / expected.sum(), atol=1e-5)


@pytest.mark.parametrize("name", ["fusion-0.onnx", "baseline-fusion-0.onnx"])
def test_the_posterior_counts_by_half(name: str) -> None:
    """Where no likelihood is used, and against a person's own baseline."""
    files = fusion_files(1.2, None if name == "fusion-0.onnx" else np.full((N, N), 1 / N))
    rng = np.random.default_rng(1)
    voice, face = rng.dirichlet(np.ones(N), 2)
    expected = voice**1.2 * face**0.5
    np.testing.assert_allclose(fused(files[name], voice, face), expected / expected.sum(), atol=1e-5)


def test_the_weights_are_those_of_the_files() -> None:
    assert face_weights(None) == {"face": 0.5}
    assert list(fusion_files(1.0, None)) == ["fusion-0.onnx"]
    assert face_weights(np.eye(N)) == {"face": 1.0, "face_against_baseline": 0.5}

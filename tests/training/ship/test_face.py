from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS, FER_PLUS, FER_PLUS_TO_EMOTION
from emofuse.core.recipes.face import FacePart
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.fer2013 import read_fer2013
from emofuse.training.expression import read_faces
from emofuse.training.face_likelihood import likelihood_of_faces
from emofuse.training.networks.expression_over_time import load_expression_over_time
from emofuse.training.ship.face import ShippedFace, calibrate_face, face_from_weights
from tests.support import small_faces


def test_calibration_corrects_overconfidence(weights: Path) -> None:
    """Logits times three need three times the temperature; frequencies follow from the votes."""
    faces = small_faces.wave_images(80, 5)
    network = load_expression_over_time(weights)
    with torch.no_grad():
        network.cnn.fer_plus.weight.normal_(0, 0.02, generator=torch.Generator().manual_seed(2))
        network.cnn.fer_plus.bias.copy_(torch.tensor(np.log(faces.distribution.mean(0) + 1e-3)) * 1.5)
    once = calibrate_face(network, faces, faces)
    with torch.no_grad():
        network.cnn.fer_plus.weight.mul_(3)
        network.cnn.fer_plus.bias.mul_(3)
    thrice = calibrate_face(network, faces, faces)
    assert thrice.temperature == pytest.approx(3 * once.temperature, rel=0.01)
    assert thrice.cross_entropy == pytest.approx(once.cross_entropy, rel=1e-3)
    assert thrice.cross_entropy < thrice.cross_entropy_before
    shares = faces.distribution.sum(0) / faces.distribution.sum()
    for i, name in enumerate(FER_PLUS[:-1]):
        expected = (2 if name == "neutral" else 1) / 8
        assert np.exp(once.offsets[i]) == pytest.approx(expected / shares[i])
    assert once.offsets[-1] == 0


def test_every_emotion_of_fer_plus_has_its_shares() -> None:
    assert tuple(FER_PLUS_TO_EMOTION) == FER_PLUS
    for name, shares in FER_PLUS_TO_EMOTION.items():
        assert set(shares) <= set(EMOTIONS)
        assert sum(shares.values()) == (0 if name == "contempt" else 1)
    reached = {emotion for shares in FER_PLUS_TO_EMOTION.values() for emotion in shares}
    assert reached == set(EMOTIONS)


def test_the_likelihood_is_that_of_single_held_out_faces(weights: Path, tmp_path: Path) -> None:
    """Against NumPy: offsets, shares of each emotion, a count of the faces with a clear majority."""
    for split, n, seed in (("train", 90, 1), ("public_test", 60, 2)):
        small_faces.write_split(tmp_path, split, small_faces.wave_images(n, seed))
    part = load_recipe("out-of-the-box").face
    face = face_from_weights(weights, tmp_path, FacePart(features=part.features, network=part.network))
    faces = read_fer2013(tmp_path, "public_test")
    known = (faces.majority >= 0) & (faces.majority != FER_PLUS.index("contempt"))
    assert 0 < known.sum() == face.calibration["n_majority_faces"]
    logs = read_faces(load_expression_over_time(weights).cnn, faces.images[known])[1].astype(np.float64)
    shares = np.exp(logs / face.calibration["temperature"])
    scores = shares / shares.sum(1, keepdims=True) * np.exp(face.calibration["offsets"])
    ours = np.zeros((len(scores), len(EMOTIONS)))
    for column, name in enumerate(FER_PLUS):
        for emotion, share in FER_PLUS_TO_EMOTION[name].items():
            ours[:, EMOTIONS.index(emotion)] += share * scores[:, column]
    first = {name: next(iter(shares)) for name, shares in FER_PLUS_TO_EMOTION.items() if shares}
    labels = np.array([EMOTIONS.index(first[FER_PLUS[one]]) for one in faces.majority[known]])
    expected = likelihood_of_faces(np.log(ours / ours.sum(1, keepdims=True)), labels)
    np.testing.assert_allclose(face.likelihood, expected, atol=1e-3)  # the network is stored as float16


def test_a_face_whose_likelihood_was_not_measured_says_how_to() -> None:
    face = ShippedFace({}, {"temperature": 1.0}, 0.0, "")
    with pytest.raises(ExperimentError, match=r"--fer2013 DIR"):
        _ = face.likelihood

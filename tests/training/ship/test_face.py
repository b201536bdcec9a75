from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emofuse.core.labels import EMOTIONS, FER_PLUS, FER_PLUS_TO_EMOTION
from emofuse.training.networks.expression_over_time import load_expression_over_time
from emofuse.training.ship.face import calibrate_face
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

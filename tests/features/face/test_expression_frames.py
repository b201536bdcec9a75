from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from emofuse.core.errors import WeightsError
from emofuse.core.labels import FER_PLUS
from emofuse.features.face.boxes import crop
from emofuse.features.face.clip_track import track_face
from emofuse.features.face.expression_frames import (
    expression_network,
    expression_of,
    face_square,
)
from emofuse.features.shipped_networks import EXPRESSION_SHA256


def test_the_square_is_around_the_middle_of_the_landmarks() -> None:
    assert face_square((100, 50, 180, 150)) == (94, 54, 186, 146)
    left, top, right, bottom = face_square((3.2, 4.1, 3.4, 4.3))
    assert right - left >= 1 and bottom - top >= 1  # never empty


def test_log_probabilities_are_those_of_the_network_on_the_crop() -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 90), dtype=np.uint8)
    box = (20.0, 30.0, 70.0, 90.0)
    found = expression_of(image, box, EXPRESSION_SHA256)
    face = crop(image, face_square(box), 48)
    (outputs,) = expression_network(EXPRESSION_SHA256).run(None, {"inputs": np.stack([face, face])})
    assert outputs.shape == (2, 256 + len(FER_PLUS)) and found.dtype == np.float32
    np.testing.assert_allclose(found, np.maximum(outputs[1, 256:], -10), atol=1e-5)
    np.testing.assert_allclose(np.exp(outputs[:, 256:]).sum(1), 1, atol=1e-5)


def test_the_network_is_named_by_its_sha256() -> None:
    folder = resources.files("emofuse.features.face") / "expression"
    assert hashlib.sha256((folder / "fer-plus-frames.onnx").read_bytes()).hexdigest() == EXPRESSION_SHA256
    assert EXPRESSION_SHA256 in (folder / "README.md").read_text()
    assert "CC BY-NC-SA 4.0" in (folder / "LICENSE.txt").read_text()
    with pytest.raises(WeightsError, match="does not come with this version of emofuse"):
        expression_network("0" * 64)


def test_an_altered_or_absent_network_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expression_network.cache_clear()
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="install emofuse again"):
        expression_network(EXPRESSION_SHA256)
    (tmp_path / "expression").mkdir()
    (tmp_path / "expression" / "fer-plus-frames.onnx").write_bytes(b"other")
    with pytest.raises(WeightsError, match="is altered"):
        expression_network(EXPRESSION_SHA256)


@pytest.mark.ravdess
def test_real_faces_are_cut_as_by_dlib(
    ravdess: Path, real_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 24 people, neutral: the network says the same of both crops."""
    pytest.importorskip("mediapipe")
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))
    from emofuse.core.recipes.face import FaceFeatures
    from emofuse.core.records import FaceTrack, TimedFrames
    from emofuse.features.face.blendshapes import landmarker

    same = 0
    stills = sorted(ravdess.glob("stills/Actor_*.png"))
    for path in stills:
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
        track = track_face(TimedFrames((image,), np.zeros(1), 1), FaceFeatures())
        assert isinstance(track, FaceTrack)
        (face,) = landmarker().faces(image)
        found = expression_of(image, face.box, EXPRESSION_SHA256)
        (outputs,) = expression_network(EXPRESSION_SHA256).run(None, {"inputs": track.crops})
        same += int(found.argmax() == outputs[0, 256:].argmax())
    assert len(stills) == 24 and same >= 23

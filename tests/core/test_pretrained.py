from __future__ import annotations

import pytest

from emofuse.core.errors import WeightsError
from emofuse.core.pretrained import WEIGHTS, known_weights, weights_of_sha256

NAME = "deepface-emotion"


def test_registry() -> None:
    entry = WEIGHTS[NAME]
    assert entry.sha256 == "e8e8851d3fa05c001b1c27fd8841dfe08d7f82bb786a53ad8776725b7a1e824c"
    assert entry.url.startswith("https://") and entry.url.endswith("/" + entry.file_name)
    assert entry.licence == "MIT"
    assert list(WEIGHTS) == [NAME, "face-landmarker", "yunet", "dlib-face-recognition", "dlib-face-points"]
    assert all(
        one.url.startswith("https://") and one.url.endswith("/" + one.file_name) for one in WEIGHTS.values()
    )
    assert all(name == entry.name and len(entry.sha256) == 64 for name, entry in WEIGHTS.items())
    with pytest.raises(WeightsError, match=f"unknown weights 'none': use one of .*{NAME}"):
        known_weights("none")


def test_weights_are_known_by_their_sha256() -> None:
    known = weights_of_sha256(WEIGHTS[NAME].sha256.upper())
    assert known is WEIGHTS[NAME]
    assert known.trained_on.startswith("FER2013")
    assert all(entry.trained_on.strip() for entry in WEIGHTS.values())
    assert weights_of_sha256("0" * 64) is None

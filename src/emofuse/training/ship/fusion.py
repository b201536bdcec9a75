"""The fusion of the shipped recognizer, set beforehand: there are no faces of many actors to fit it on."""

from __future__ import annotations

from typing import Final

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.training.face_likelihood import Matrix
from emofuse.training.fusion_classifiers import LogLinearPool

NO_OFFSETS: Final = {"offset_penalty": 1e6}
"""Parameters of a pool without offsets: they are penalized to 0."""
FACE_CAUTION: Final = 0.5
"""The face counts for half of what FER2013 says it is worth.

FER2013's faces are single, posed or found images. The frames of one clip err together, and a mouth that
speaks looks like surprise or joy. By how much cannot be measured without faces of many actors, so half is a
choice that was made beforehand.
"""
LIKELIHOOD_WEIGHT: Final = 1.0
"""Weight of a likelihood: its caution is the prior of :mod:`emofuse.training.face_likelihood`."""


def fusion_files(voice_weight: float, likelihood: Matrix | None) -> dict[str, bytes]:
    """The product of voice and face, each raised to its weight, as ONNX by their names in a bundle.

    Args:
        voice_weight: measured on speakers that the voice had not seen.
        likelihood: of the face's outputs given each emotion; None: the face's own probabilities count, by
            :data:`FACE_CAUTION`.

    Returns:
        One fusion; with a likelihood, a second one of the probabilities for a face that is read against the
        person's own baseline. What a person's face looks like when it shows nothing is subtracted there.
    """
    posterior = _pool(voice_weight, FACE_CAUTION, None)
    if likelihood is None:
        return {"fusion-0.onnx": posterior}
    return {
        "fusion-0.onnx": _pool(voice_weight, LIKELIHOOD_WEIGHT, likelihood),
        "baseline-fusion-0.onnx": posterior,
    }


def face_weights(likelihood: Matrix | None) -> dict[str, float]:
    """The weights of the face in :func:`fusion_files`, as a bundle records them."""
    if likelihood is None:
        return {"face": FACE_CAUTION}
    return {"face": LIKELIHOOD_WEIGHT, "face_against_baseline": FACE_CAUTION}


def _pool(voice_weight: float, face_weight: float, likelihood: Matrix | None) -> bytes:
    pool = LogLinearPool(NO_OFFSETS, n_emotions=len(EMOTIONS))
    pool.weights = np.array([voice_weight, face_weight])
    pool.face_likelihood = likelihood
    return pool.to_onnx()

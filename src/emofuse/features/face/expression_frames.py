"""What an expression network says of each frame of a face: log-probabilities of the emotions of FER+.

The network comes with emofuse, as an ONNX graph in the folder ``expression`` beside this module, with its
origin and license. A recipe names it by its sha256.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np

from emofuse.core.errors import WeightsError
from emofuse.core.labels import FER_PLUS
from emofuse.core.records import Float32, UInt8
from emofuse.features.face.boxes import Box, crop
from emofuse.features.shipped_networks import EXPRESSION_SHA256, shipped_network
from emofuse.system.onnx_session import create_session

CROP_PX: Final = 48
_LANDMARKS_TO_SIDE: Final = 0.92
"""The side of a crop, in heights of the box around the landmarks: as dlib's box, which other recipes cut out
for this network. Over 60 frames of RAVDESS, dlib's is 0.91 ± 0.07 of them, and the network's first choice is
the same for both."""
_LEAST_LOG: Final = -10.0
"""Log-probabilities are raised to this."""


def face_square(landmarks: tuple[float, float, float, float]) -> Box:
    """The square that is cut out of a frame, from the box around a face's landmarks."""
    left, top, right, bottom = landmarks
    x, y, half = (left + right) / 2, (top + bottom) / 2, max(1.0, _LANDMARKS_TO_SIDE * (bottom - top) / 2)
    return round(x - half), round(y - half), round(x + half), round(y + half)


def expression_of(image: UInt8, landmarks: tuple[float, float, float, float], sha256: str) -> Float32:
    """What the network says of a face.

    Args:
        image: (height, width) gray.
        landmarks: left, top, right and bottom of the box around the face's landmarks, in pixels.
        sha256: of the network.

    Returns:
        (8,) float32: log-probabilities in the order of :data:`~emofuse.core.labels.FER_PLUS`, at least −10.

    Raises:
        WeightsError: there is no such network.
    """
    face = crop(image, face_square(landmarks), CROP_PX)
    outputs = expression_network(sha256).run(["outputs"], {"inputs": face[None]})[0][0]
    logs: Float32 = np.maximum(outputs[-len(FER_PLUS) :], _LEAST_LOG).astype(np.float32)
    return logs


@lru_cache(maxsize=1)
def expression_network(sha256: str) -> Any:
    """A session of the network with this sha256, opened once per process.

    Raises:
        WeightsError: it does not come with this installation, or its file is altered.
    """
    if sha256 != EXPRESSION_SHA256:
        raise WeightsError(
            f"the recipe's face features name the expression network {sha256[:16]}, which does not come with "
            f"this version of emofuse; the one that does is {EXPRESSION_SHA256}"
        )
    _, graph = shipped_network(sha256)
    return create_session(graph, device="cpu")  # one frame at a time: a GPU would only wait

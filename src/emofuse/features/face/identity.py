"""A face in a frame → its embedding, 128 numbers that are near each other for one person.

dlib's face recognition network (King 2017), a ResNet of 29 layers, reads an aligned face of 150 × 150 pixels.
Faces of one person are less than 0.6 apart, and it is right about 99.38 % of the pairs of Labeled Faces in
the Wild (Huang et al. 2007). The five points that align a face come from dlib's predictor of Kazemi and
Sullivan (2014).

**An embedding is biometric data**: it can identify a person in any other recording. Nothing here stores one.
A timeline keeps embeddings in memory while it reads a recording; a profile keeps one only on request
(``emofuse enroll --with-face``).

Both files are optional: :func:`identity_installed` tells whether they are there, and they are found in the
weights folder, or in the package that the extra ``[identity]`` installs. That package's predictor of 68
points, which has another license, is never read.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import dlib
import numpy as np

from emofuse.core.errors import WeightsError
from emofuse.core.pretrained import WEIGHTS
from emofuse.core.records import Float32, UInt8
from emofuse.features.face.boxes import Box, cut_out
from emofuse.system.model_files import find_weights, locate_weights

if TYPE_CHECKING:
    from emofuse.media.frame_sampling import Frame

NETWORK: Final = "dlib-face-recognition"
POINTS: Final = "dlib-face-points"
SIZE: Final = 128
"""Numbers of an embedding."""
SAME_PERSON: Final = 0.5
"""Embeddings that are nearer (Euclidean) are of one person. 80 frames of films of RAVDESS' actor 1 are at
most 0.38 from a still of his and at least 0.66 from the stills of the 23 others, of which no two are nearer
than 0.59 (benchmarks/identity.py)."""
LEAST_FACE_PX: Final = 40
"""Narrower faces are not embedded: the network would read four times as many pixels as there are."""

_CHIP_PX: Final = 150
_CHIP_PADDING: Final = 0.25
_PATCH_FACE_PX: Final = 150
"""A face is stored at this width at most: it fills two thirds of the chip."""
_MARGIN: Final = 0.5
"""Around the box, in widths of it, for faces that are tilted."""


@dataclass(frozen=True, slots=True)
class FacePatch:
    """A face cut out of a frame, to be embedded later.

    ``image``: (height, width, 3) uint8 RGB, the box and half its width around it; ``box``: of the face in it.
    """

    image: UInt8
    box: Box


def cut_patch(frame: Frame, box: Box) -> FacePatch | None:
    """The patch around a face; ``box`` in pixels of ``frame.image``. None: the face is too small.

    Brightness comes from the frame's gray image and color from its small one, as in video itself.
    """
    width = box[2] - box[0]
    if width < LEAST_FACE_PX:
        return None
    margin = round(_MARGIN * width)
    around = (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
    scale = min(1.0, _PATCH_FACE_PX / width)
    size = (round((around[2] - around[0]) * scale), round((around[3] - around[1]) * scale))
    small_scale = frame.small.shape[0] / frame.image.shape[0]
    in_small = tuple(round(side * small_scale) for side in around)
    color = cv2.resize(cut_out(frame.small, in_small), size, interpolation=cv2.INTER_LINEAR)
    joined = cv2.cvtColor(color, cv2.COLOR_BGR2YCrCb)
    joined[..., 0] = cv2.resize(cut_out(frame.image, around), size, interpolation=cv2.INTER_AREA)
    image = np.asarray(cv2.cvtColor(joined, cv2.COLOR_YCrCb2RGB), dtype=np.uint8)
    left, right = round(margin * scale), round((margin + width) * scale)
    return FacePatch(image, (left, left, right, round((margin + box[3] - box[1]) * scale)))


class FaceEmbedder:
    """Embeds faces. Several threads may share one object; they take turns."""

    def __init__(self, network: Path, points: Path) -> None:
        """Read the network and the predictor of points from files whose checksum was compared.

        Raises:
            WeightsError: dlib cannot read a file.
        """
        self._network: Any = _read(dlib.face_recognition_model_v1, network)
        self._points: Any = _read(dlib.shape_predictor, points)
        self._lock = threading.Lock()

    def embed(self, patch: FacePatch) -> Float32:
        """(128,) float32: the embedding, without unit; about 0.07 s on one core."""
        left, top, right, bottom = patch.box
        with self._lock:
            points = self._points(patch.image, dlib.rectangle(left, top, right - 1, bottom - 1))
            chip = dlib.get_face_chip(patch.image, points, _CHIP_PX, _CHIP_PADDING)
            values = self._network.compute_face_descriptor(chip)
        return np.array(values, dtype=np.float32)


def distance(a: Float32, b: Float32) -> float:
    """How far two embeddings are apart (Euclidean): below :data:`SAME_PERSON` for one person."""
    return float(np.linalg.norm(a - b))


def central_embedding(embeddings: Sequence[Float32]) -> tuple[Float32, int]:
    """One embedding for a person, from those of several faces.

    Args:
        embeddings: (128,) float32 each, at least one.

    Returns:
        The mean, (128,) float32, of all that are of one person with the one that has most others within
        :data:`SAME_PERSON`; and the number of these.
    """
    stacked = np.stack(embeddings)
    distances = np.linalg.norm(stacked[:, None] - stacked[None], axis=2)
    near = distances < SAME_PERSON
    order = np.lexsort((distances.sum(axis=1), -near.sum(axis=1)))
    chosen = stacked[near[order[0]]]
    return chosen.mean(axis=0).astype(np.float32), len(chosen)


class LazyEmbedder:
    """An embedder that reads its files when the first face is embedded: most recordings need none."""

    def __init__(self) -> None:
        self._embedder: FaceEmbedder | None = None

    def embed(self, patch: FacePatch) -> Float32:
        """(128,) float32: see :meth:`FaceEmbedder.embed`.

        Raises:
            WeightsError: see :func:`load_embedder`.
        """
        if self._embedder is None:
            self._embedder = load_embedder()
        return self._embedder.embed(patch)


def identity_installed() -> bool:
    """Whether both files are there; their checksums are compared when they are read."""
    return all(locate_weights(WEIGHTS[name]) is not None for name in (NETWORK, POINTS))


def load_embedder() -> FaceEmbedder:
    """The embedder, read once per process.

    Raises:
        WeightsError: a file is missing (the message says how to get it), altered, or unreadable for dlib.
    """
    return _load(find_weights(NETWORK), find_weights(POINTS))


@lru_cache(maxsize=1)
def _load(network: Path, points: Path) -> FaceEmbedder:
    return FaceEmbedder(network, points)


def _read(kind: Any, path: Path) -> Any:
    try:
        return kind(str(path))
    except RuntimeError as error:
        raise WeightsError(f"{path}: dlib cannot read this file: {error}") from None

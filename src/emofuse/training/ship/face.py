"""The face of the shipped recognizer: calibrated on FER2013 and exported as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from emofuse.core.labels import EMOTIONS, FER_PLUS, FER_PLUS_TO_EMOTION
from emofuse.corpus.fer2013 import Faces
from emofuse.recognition.bundle import FRAME_FILE
from emofuse.training.expression import read_faces
from emofuse.training.networks.expression_over_time import (
    ExpressionOfClip,
    ExpressionOfFrames,
    ExpressionOverTime,
)
from emofuse.training.networks.float16 import store_as_float16
from emofuse.training.networks.onnx_export import export_ensemble, export_frames
from emofuse.training.ship.rounding import frame_outputs, log_probabilities

_LEAST_SHARE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class FaceCalibration:
    """The expression CNN's temperature, measured on FER2013, and the frequencies of its emotions.

    ``offsets``: one logarithm per emotion of FER+; they turn FER+'s frequencies into those of eight emotions
    that are equally common (Saerens et al. 2002).
    """

    temperature: float
    offsets: tuple[float, ...]
    n_faces: int
    cross_entropy_before: float
    cross_entropy: float

    def applied_to(self, face: ExpressionOverTime) -> ExpressionOverTime:
        """The same network, calibrated."""
        return ExpressionOverTime(face.cnn, temperature=self.temperature, offsets=self.offsets).eval()


def calibrate_face(network: ExpressionOverTime, known: Faces, held_out: Faces) -> FaceCalibration:
    """Find the temperature with the lowest cross-entropy to votes on held-out faces, and FER+'s frequencies.

    Args:
        network: run on single faces.
        known: the faces that it was trained on, for the frequency of each emotion.
        held_out: faces that it was not trained on.
    """
    from scipy.optimize import minimize_scalar

    logs = read_faces(network.cnn, held_out.images)[1].astype(np.float64)
    votes = held_out.distribution.astype(np.float64)

    def cross_entropy(temperature: float) -> float:
        scores = logs / temperature
        log_posterior = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        return float(-(votes * log_posterior).sum() / votes.sum())

    found = minimize_scalar(cross_entropy, bounds=(0.25, 8.0), method="bounded")
    shares = known.distribution.sum(0, dtype=np.float64)
    shares = np.maximum(shares / shares.sum(), _LEAST_SHARE)
    ours = np.array([len(FER_PLUS_TO_EMOTION[name]) for name in FER_PLUS]) / len(EMOTIONS)
    offsets = np.where(ours > 0, np.log(np.maximum(ours, _LEAST_SHARE) / shares), 0.0)
    return FaceCalibration(
        float(found.x), tuple(offsets.tolist()), int((votes.sum(1) > 0).sum()), cross_entropy(1.0),
        cross_entropy(found.x),
    )  # fmt: skip


def export_face(face: ExpressionOverTime, n_frames: int, faces: Faces) -> tuple[dict[str, bytes], float]:
    """The face branch as ONNX, in two halves, and by how much float16 changes its probabilities.

    The windows of a timeline overlap: with two halves, each frame is read once and counts in all of them.
    """
    full = export_frames(ExpressionOfFrames(face), faces.images[0])
    small = store_as_float16(full)
    n = max(1, min(32, len(faces) // n_frames))
    frames = [frame_outputs(one, np.resize(faces.images, (n * n_frames, *faces.images.shape[1:])))
              for one in (full, small)]  # fmt: skip
    example = np.zeros((n_frames, frames[0].shape[1]), dtype=np.float32)
    clip = export_ensemble([ExpressionOfClip(face)], example)
    of_full, of_small = (log_probabilities(clip, one.reshape(n, n_frames, -1)) for one in frames)
    rounding = float(np.abs(np.exp(of_full) - np.exp(of_small)).max())
    return {FRAME_FILE: small, "face.onnx": clip}, rounding

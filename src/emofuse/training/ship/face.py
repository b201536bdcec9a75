"""The face of the shipped recognizer: calibrated on FER2013 and exported as ONNX, or taken from a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import (
    EMOTIONS,
    FER_PLUS,
    FER_PLUS_TO_EMOTION,
    FER_PLUS_TO_EMOTION_VERSION,
)
from emofuse.core.recipes.face import FacePart
from emofuse.corpus.fer2013 import Faces, read_fer2013
from emofuse.recognition.bundle import FRAME_FILE, Bundle, load_bundle
from emofuse.system.checksums import file_digest
from emofuse.training.expression import read_faces
from emofuse.training.face_likelihood import Matrix, likelihood_of_faces
from emofuse.training.networks.expression_over_time import (
    N_FRAME_OUTPUTS,
    ExpressionOfClip,
    ExpressionOfFrames,
    ExpressionOverTime,
    load_expression_over_time,
)
from emofuse.training.networks.float16 import store_as_float16
from emofuse.training.networks.onnx_export import export_ensemble, export_frames
from emofuse.training.ship.rounding import frame_outputs, log_probabilities

_CLIP_FILE: Final = "face.onnx"
_LEAST_SHARE: Final = 1e-3
_LIKELIHOOD: Final = "likelihood"
_EMOTION_OF: Final = {
    name: EMOTIONS.index(max(shares, key=lambda emotion: (shares[emotion], -EMOTIONS.index(emotion))))
    for name, shares in FER_PLUS_TO_EMOTION.items()
    if shares
}
"""The emotion of each class of FER+; neutral, which is also calm, counts as neutral."""


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
        return ExpressionOverTime(
            face.cnn, temperature=self.temperature, offsets=self.offsets, pooling=face.pooling
        ).eval()


@dataclass(frozen=True, slots=True)
class ShippedFace:
    """The face branch of a bundle, whatever voice it goes with."""

    files: dict[str, bytes]
    """Its ONNX networks by their names in a bundle."""
    calibration: Mapping[str, Any]
    """A :class:`FaceCalibration` as a bundle records it."""
    rounding: float
    """By how much float16 changes its probabilities."""
    pretrained_sha256: str
    """Of the weights that it was exported from."""

    @property
    def likelihood(self) -> Matrix:
        """(8, 8), of what it outputs given each emotion: :mod:`emofuse.training.face_likelihood`.

        Raises:
            ExperimentError: it was shipped before that was measured.
        """
        if _LIKELIHOOD not in self.calibration:
            raise ExperimentError(
                "the recipe has fusion.face_likelihood, and the bundle that the face is taken from does not "
                "say how likely its outputs are: also name FER2013 (--fer2013 DIR), on which it is measured"
            )
        return np.array(self.calibration[_LIKELIHOOD], dtype=np.float64)


def face_from_weights(weights: Path, fer2013: Path, part: FacePart) -> ShippedFace:
    """Calibrate and export an expression CNN.

    Raises:
        WeightsError, CorpusError: the weights or FER2013 are not what they should be.
    """
    face = load_expression_over_time(weights, part.network.pooling)
    faces = read_fer2013(fer2013, "public_test")
    calibration = calibrate_face(face, read_fer2013(fer2013, "train"), faces)
    files, rounding = export_face(calibration.applied_to(face), part.features.n_frames, faces)
    measured = _with_likelihood(asdict(calibration), files, faces)
    return ShippedFace(files, measured, rounding, file_digest(weights, "sha256"))


def face_from_bundle(folder: Path, part: FacePart, fer2013: Path | None = None) -> ShippedFace:
    """The face of a bundle that was shipped before, byte for byte, with what was measured of it then.

    If the recipe pools frames in another way, the half that pools them is exported again.

    Args:
        folder: the bundle; its checksums are compared.
        part: of the recipe that the face is wanted for.
        fer2013: folder of FER2013; the likelihood of the face's outputs is measured on its public_test, on
            which nothing of the face was trained. None: what the bundle says of it, if it does.

    Raises:
        BundleError: there is no such bundle, or it is altered.
        ExperimentError: it was not shipped, or its face is another than the recipe's.
        CorpusError: FER2013 is not what it should be.
    """
    bundle = load_bundle(folder)
    facts = bundle.provenance
    if not _is_same(bundle.recipe.face, part) or "fer_plus_to_emotion" not in facts:
        raise ExperimentError(
            f"{folder}: its face is another than the recipe's: name a bundle of emofuse ship"
        )
    if facts["fer_plus_to_emotion"]["version"] != FER_PLUS_TO_EMOTION_VERSION:
        raise ExperimentError(
            f"{folder}: its face was calibrated for another map of FER+: name its weights and FER2013"
        )
    files = {name: bundle.read(name) for name in (FRAME_FILE, _CLIP_FILE)}
    if bundle.recipe.face.network.pooling != part.network.pooling:
        files[_CLIP_FILE] = _pooled_clip(bundle, part)
    calibration: Mapping[str, Any] = facts["face"]
    if fer2013 is not None:
        calibration = _with_likelihood(calibration, files, read_fer2013(fer2013, "public_test"))
    rounding = facts["float16_largest_difference"]["face"]
    return ShippedFace(files, calibration, rounding, facts["pretrained_sha256"])


def _is_same(face: FacePart, wanted: FacePart) -> bool:
    """Whether both read the same frames in the same way; how frames are pooled, and what such a face is not
    trained by, may differ."""
    return face.features == wanted.features and face.network.kind == wanted.network.kind


def _pooled_clip(bundle: Bundle, part: FacePart) -> bytes:
    """The half of a bundle's face that pools frames, exported again for a recipe's pooling."""
    pooling = ExpressionOfClip(bundle.provenance["face"]["offsets"], part.network.pooling)
    return export_ensemble([pooling], np.zeros((part.features.n_frames, N_FRAME_OUTPUTS), dtype=np.float32))


def _with_likelihood(
    calibration: Mapping[str, Any], files: Mapping[str, bytes], faces: Faces
) -> dict[str, Any]:
    """What is known of a face, and how likely its outputs are, from held-out faces with a majority label."""
    emotions = np.array([_EMOTION_OF.get(name, -1) for name in FER_PLUS])
    labels = np.where(faces.majority >= 0, emotions[faces.majority], -1)
    known = labels >= 0
    outputs = frame_outputs(files[FRAME_FILE], faces.images[known])
    with torch.inference_mode():  # of a single frame, which no pooling changes
        logs = ExpressionOfClip(calibration["offsets"])(torch.from_numpy(outputs)[:, None])[1].numpy()
    matrix = likelihood_of_faces(logs, labels[known])
    return {**calibration, _LIKELIHOOD: matrix.round(6).tolist(), "n_majority_faces": int(known.sum())}


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
    clip = export_ensemble([ExpressionOfClip(face.offsets.tolist(), face.pooling)], example)
    of_full, of_small = (log_probabilities(clip, one.reshape(n, n_frames, -1)) for one in frames)
    rounding = float(np.abs(np.exp(of_full) - np.exp(of_small)).max())
    return {FRAME_FILE: small, _CLIP_FILE: clip}, rounding

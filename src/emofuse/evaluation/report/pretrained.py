"""What the parts of a recognizer were trained on before the run. If it is not known, the card says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from emofuse.core.errors import ExperimentError
from emofuse.core.pretrained import WeightFile, weights_of_sha256
from emofuse.evaluation.results import Results

__all__ = ["OwnEmbedding", "Pretrained", "pretrained_parts"]

Kind = Literal["expression", "blendshapes", "cnn"]
FaceSource = Literal["dlib", "yunet", "action-units", "drawn-units"]

_KINDS: Final[dict[str | None, Kind]] = {
    "expression": "expression", "lstm": "blendshapes", "ensemble": "blendshapes",
}  # fmt: skip
"""What is pretrained in a face network of this kind; in all others it is a CNN."""


class OwnEmbedding(NamedTuple):
    """What the person who made the recipe says of the file that makes its embeddings, or of their table."""

    modality: str
    kind: str
    sha256: str
    trained_on: str
    licence: str


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What was not fitted in the run itself.

    ``kind``: the network that starts from a file; None if every parameter was fitted in the run.
    ``weights``: that file's entry in the registry; None if it is not registered, or without a file.
    ``face_source``: where the input of the face network comes from.
    ``embeddings``: files and tables of the user's own that voice and face are read from.
    """

    kind: Kind | None
    sha256: str | None
    weights: WeightFile | None
    face_source: FaceSource | None
    embeddings: tuple[OwnEmbedding, ...] = ()


def pretrained_parts(results: Results) -> Pretrained:
    """What each part was trained on that was not fitted in the run itself.

    Raises:
        ExperimentError: ``pretrained_sha256`` is missing or invalid, or it is null although the recipe starts
            from pretrained weights: an unknown origin must not look like none.
    """
    if "pretrained_sha256" not in results:
        raise ExperimentError(
            "results.json has no pretrained_sha256, so a model card cannot say what pretrained parts were "
            "trained on: evaluate again"
        )
    sha256 = results["pretrained_sha256"]
    face = ((results.get("recipe") or {}).get("settings") or {}).get("face") or {}
    network = face.get("network") or {}
    source = (network.get("emotion_cnn") or {}).get("source", "scratch")
    has_face = "face" in results.get("systems", {"face": {}})
    if not has_face:
        source = "scratch"  # nothing started from those weights
    if sha256 is None and network.get("kind") == "lrcn" and source != "scratch":
        raise ExperimentError(
            f"results.json has no pretrained_sha256, but the recipe's CNN comes from {source!r}: a model "
            "card cannot say what it was trained on: evaluate again"
        )
    if sha256 is not None and (not isinstance(sha256, str) or not sha256):
        raise ExperimentError(f"results.json: pretrained_sha256 is {sha256!r}, not a sha256: evaluate again")
    synthetic = bool((results.get("corpus") or {}).get("synthetic"))
    return Pretrained(
        kind=None if sha256 is None else _KINDS.get(network.get("kind"), "cnn"),
        sha256=sha256,
        weights=None if sha256 is None else weights_of_sha256(sha256),
        face_source=_face_source(face, synthetic=synthetic) if has_face else None,
        embeddings=_embeddings(results),
    )


def _embeddings(results: Results) -> tuple[OwnEmbedding, ...]:
    settings = (results.get("recipe") or {}).get("settings") or {}
    found = []
    for modality in settings.get("modalities", ("voice", "face")):
        features = (settings.get(modality) or {}).get("features") or {}
        embedding = features.get("embedding")
        if embedding is not None:
            facts = (str(embedding.get(key, "?")) for key in ("sha256", "trained_on", "licence"))
            found.append(OwnEmbedding(modality, str(features.get("kind")), *facts))
    return tuple(found)


def _face_source(face: Mapping[str, Any], *, synthetic: bool) -> FaceSource | None:
    features = face.get("features") or {}
    if features.get("kind") == "au-table":
        return "drawn-units" if synthetic else "action-units"
    if features.get("kind") in ("stack", "onnx"):
        return "yunet" if features.get("detector") == "yunet" else "dlib"
    return None

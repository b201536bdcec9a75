"""What the parts of a recogniser had seen before the run that measured it. Never silent: unknown is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emofuse.core.errors import ExperimentError
from emofuse.core.pretrained import weights_of_sha256
from emofuse.evaluation.report.markdown import code, esc

__all__ = ["pretrained_parts"]

_SEARCHED: Final = (
    "Faces were found by dlib's frontal face detector. It had been fitted on pictures of Labeled Faces in "
    "the Wild. It finds faces and names no expressions."
)
_SEARCHED_BY_YUNET: Final = (
    "Faces were found by YuNet, a network that had been fitted on WIDER FACE. It finds faces and names no "
    "expressions."
)
_ACTION_UNITS: Final = (
    "The face is read from a table of action units. emofuse did not measure them; another program did. For "
    "the published table of RAVDESS it is OpenFace, whose detectors had been fitted on other video of faces "
    "(DISFA among it; its wiki lists all, page Datasets)."
)
_DRAWN_UNITS: Final = "The face is read from a table that came with the synthetic corpus."


def pretrained_parts(results: Mapping[str, Any]) -> tuple[str, ...]:
    """What each part had seen that was not fitted in the run itself: one line of Markdown each.

    Raises:
        ExperimentError: ``pretrained_sha256`` is missing or is no sha256, or it is null although the recipe
            starts from pre-trained weights. What is not known must not look like nothing.
    """
    if "pretrained_sha256" not in results:
        raise ExperimentError(
            "results.json has no pretrained_sha256, so a model card cannot say what pre-trained parts had "
            "seen: evaluate again"
        )
    sha256 = results["pretrained_sha256"]
    settings = (results.get("recipe") or {}).get("settings") or {}
    face = settings.get("face") or {}
    lines = [_pretrained_cnn(sha256, face.get("network") or {}, _fitted_on(results))]
    kind = (face.get("features") or {}).get("kind")
    synthetic = (results.get("corpus") or {}).get("synthetic")
    if kind == "au-table":
        lines.append(_DRAWN_UNITS if synthetic else _ACTION_UNITS)
    elif kind == "stack":
        yunet = (face.get("features") or {}).get("detector") == "yunet"
        lines.append(_SEARCHED_BY_YUNET if yunet else _SEARCHED)
    return tuple(lines)


def _pretrained_cnn(sha256: object, network: Mapping[str, Any], fitted_on: str) -> str:
    source = (network.get("emotion_cnn") or {}).get("source", "scratch")
    if sha256 is None:
        if network.get("kind") == "lrcn" and source != "scratch":
            raise ExperimentError(
                f"results.json has no pretrained_sha256, but the recipe's CNN comes from {source!r}: a model "
                "card cannot say what it had seen: evaluate again"
            )
        return f"Networks and fusion: nothing pre-trained: every parameter was fitted on {fitted_on}."
    if not isinstance(sha256, str) or not sha256:
        raise ExperimentError(f"results.json: pretrained_sha256 is {sha256!r}, not a sha256: evaluate again")
    if network.get("kind") == "expression":
        return (
            f"The expression CNN, sha256 {code(sha256)}, comes from `emofuse faces train`, which learns from "
            "FER2013 and the votes of FER+: pictures of faces from the web, none of them of this corpus. "
            f"Every other parameter was fitted on {fitted_on}."
        )
    part = (
        "The Face Landmarker, whose blendshapes the face network reads"
        if network.get("kind") == "lstm"
        else "The face network's CNN"
    )
    known = weights_of_sha256(sha256)
    if known is None:
        return (
            f"{part}: a file of your own, sha256 {code(sha256)}: what it had seen is not "
            "known here. If it had seen the people who are tested, the figures are flattered. Every other "
            f"parameter was fitted on {fitted_on}."
        )
    return (
        f"{part}: {code(known.name)}, sha256 {code(sha256)}, licence {esc(known.licence)}, "
        f"trained on {esc(known.trained_on)}. Every other parameter was fitted on {fitted_on}."
    )


def _fitted_on(results: Mapping[str, Any]) -> str:
    part = "actors" if results.get("speaker_independent") else "clips"
    return f"the training {part} of each fold"

"""The folder of a run: what its results depend on, so that an interrupted run resumes only as itself."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypedDict

from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.system.array_files import read_arrays
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import read_json

MARKS_FILE: Final = "run.json"

_PACKAGES: Final = (
    "emofuse", "numpy", "torch", "scikit-learn", "optuna", "av", "soxr", "dlib-bin",
    "opencv-python-headless", "onnxruntime", "mediapipe",
)  # fmt: skip


class RunMarks(TypedDict, total=False):
    """What run.json holds: hashes of everything that the results of a run depend on."""

    recipe: str
    pretrained_sha256: str | None
    protocol: str
    leak_protocol: str
    """Of the speaker-independent folds of a leakage audit."""
    condition: str
    """Key of a leakage condition."""
    corpus: str
    """Fingerprint of the features, known once they are extracted."""
    device: str
    precision: str
    """Of :class:`~emofuse.training.compute.Compute`, where they are not the default."""
    trials: str
    """``shared``, where settings depend on the order in which shared trials ended."""


def check_run(run: Path, wanted: Mapping[str, object]) -> None:
    """Check that a folder holds no run of anything else, as far as ``wanted`` tells.

    Args:
        run: the folder.
        wanted: marks of the run, as :class:`RunMarks`; those that are not known yet are left out. Without
            ``device``, ``precision`` and ``trials`` it is one of a CPU in float32, with trials of its own.

    Raises:
        ExperimentError: it does.
    """
    found = read_marks(run)
    if found is None:
        return
    defaults: dict[str, object] = {"device": None, "precision": None, "trials": None}
    differing = [key for key, value in (defaults | dict(wanted)).items() if found.get(key) != value]
    if differing:
        raise ExperimentError(
            f"{run} holds another run ({', '.join(differing)} differ): give another folder or remove it"
        )


def claim_run(run: Path, wanted: Mapping[str, object]) -> None:
    """Mark a folder as that of one run, or check that it already is.

    Args:
        run: the folder.
        wanted: all marks of the run, as :class:`RunMarks`.

    Raises:
        ExperimentError: the folder holds a run of anything else.
    """
    check_run(run, wanted)
    if not (run / MARKS_FILE).is_file():
        write_json(run / MARKS_FILE, wanted)


def read_marks(run: Path) -> dict[str, Any] | None:
    """The marks of a run folder; None where there are none."""
    path = run / MARKS_FILE
    if not path.is_file():
        return None
    marks = read_run_json(path)
    if not isinstance(marks, dict):
        raise ExperimentError(f"{path} is damaged: give another folder or remove this one")
    return marks


def read_run_json(path: Path) -> Any:
    """The content of a JSON file of a run.

    Raises:
        ExperimentError: it cannot be read, or is damaged.
    """
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise ExperimentError(_damaged(path, error)) from None


def read_run_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file of a run.

    Raises:
        ExperimentError: it cannot be read, or is damaged.
    """
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise ExperimentError(_damaged(path, error)) from None


def read_run_weights(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file of a run.

    Raises:
        ExperimentError: it cannot be read, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise ExperimentError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} cannot be read ({error}): remove it and repeat the command, which computes it again"


def write_json(path: Path, data: object) -> None:
    """Write a JSON file, whole or not at all."""
    write_atomically(path, (json.dumps(data, indent=1) + "\n").encode())


def software() -> dict[str, str]:
    """Versions of everything that the results depend on."""
    out = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "absent"
    return out

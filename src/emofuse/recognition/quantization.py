"""A bundle with its convolutions in whole numbers of 8 bits: smaller, and faster where networks take long.

Each layer's range is measured on recordings (calibration); the rest of the network stays as it is. Networks
without convolutions stay as they are: there is nothing to be gained. What the change does to answers is
measured on other recordings than those of the calibration.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import BundleError, EmofuseError, FeatureError, MissingExtraError
from emofuse.core.progress import OnProgress
from emofuse.core.records import Features
from emofuse.features.extraction import extract
from emofuse.recognition.bundle import FRAME_FILE, Bundle, check_free, save_bundle
from emofuse.recognition.onnx_session import create_session, fold_constants
from emofuse.recognition.recognizer import Recognizer

LEAST_FILES: Final = 4
_QUANTIZED: Final = ("Conv", "Relu", "Clip", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat")
_TIMED_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class QuantizedNetwork:
    """One network before and after: bytes, and milliseconds a clip in one thread."""

    name: str
    bytes_before: int
    bytes_after: int
    ms_before: float
    ms_after: float


@dataclass(frozen=True, slots=True)
class Quantized:
    """What became of a bundle, on recordings that the calibration did not use."""

    bundle: Bundle
    networks: tuple[QuantizedNetwork, ...]
    compared: int
    """Recordings that both bundles read."""
    winners_changed: int
    largest_change: float
    """Of any probability."""
    skipped: tuple[str, ...]
    """Recordings that could not be read, and why."""


def quantize(
    bundle: Bundle, files: Sequence[str | Path], out: Path, *, on_progress: OnProgress | None = None
) -> Quantized:
    """Write a copy of a bundle whose convolutions are computed in 8 bits.

    Args:
        bundle: the bundle; it stays as it is.
        files: recordings like those to be read. Every second one calibrates, the others compare.
        out: folder of the new bundle.
        on_progress: told of each recording that is read.

    Raises:
        BundleError: ``out`` is not empty, or no network of the bundle has convolutions.
        FeatureError: too few of the recordings can be read.
        MissingExtraError: the part of the package that trains is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("train", "making a bundle of 8 bits") from None
    check_free(out)
    inputs = {name: modality for name, modality in _inputs(bundle).items() if _convolves(onnx, bundle, name)}
    if not inputs:
        raise BundleError(
            f"{bundle.folder}: no network of this bundle has convolutions, 8 bits would make nothing faster"
        )
    known, skipped = _read(bundle, files, set(inputs.values()), on_progress)
    contents = {name: bundle.read(name) for name in bundle.files}
    networks = []
    for name, modality in inputs.items():
        arrays = [_batch(features, modality, name) for features in known[::2]]
        before = contents[name]
        contents[name] = _in_8_bits(before, arrays)
        networks.append(
            QuantizedNetwork(
                name, len(before), len(contents[name]), _ms(before, arrays), _ms(contents[name], arrays)
            )
        )
    old = _answers(bundle, known[1::2])
    with tempfile.TemporaryDirectory(prefix="emofuse-") as folder:
        new = _answers(_saved(bundle, contents, Path(folder, "draft"), {}), known[1::2])
    change = float(np.abs(new - old).max())
    made = _saved(
        bundle, contents, out,
        {"networks": sorted(inputs), "calibrated_on": len(known[::2]), "largest_change": round(change, 4)},
    )  # fmt: skip
    winners = int((new.argmax(1) != old.argmax(1)).sum())
    return Quantized(made, tuple(networks), len(old), winners, change, tuple(skipped))


def _inputs(bundle: Bundle) -> dict[str, str]:
    """The networks that read what is extracted, and which modality."""
    face = FRAME_FILE if FRAME_FILE in bundle.files else "face.onnx"
    return {"voice.onnx": "voice", face: "face"}


def _convolves(onnx: Any, bundle: Bundle, name: str) -> bool:
    return any(node.op_type == "Conv" for node in onnx.load_from_string(bundle.read(name)).graph.node)


def _read(
    bundle: Bundle, files: Sequence[str | Path], wanted: set[str], on_progress: OnProgress | None
) -> tuple[list[Features], list[str]]:
    known, skipped = [], []
    for done, file in enumerate(files, 1):
        try:
            features = extract(file, bundle.recipe)
        except EmofuseError as error:
            skipped.append(str(error))
        else:
            missing = {"voice": features.voice_missing, "face": features.face_missing}
            reasons = [f"no {name} ({missing[name]})" for name in sorted(wanted) if missing[name]]
            if reasons:
                skipped.append(f"{file}: {', '.join(reasons)}")
            else:
                known.append(features)
        if on_progress is not None:
            on_progress("reading", done, len(files))
    if len(known) < LEAST_FILES:
        first = f": {skipped[0]}" if skipped else ""
        raise FeatureError(
            f"{len(known)} of {len(files)} recordings can be used, and {LEAST_FILES} are needed{first}"
        )
    return known, skipped


def _batch(features: Features, modality: str, name: str) -> NDArray[Any]:
    array = features.voice if modality == "voice" else features.face
    assert array is not None
    return array if name == FRAME_FILE else array[None]


def _in_8_bits(network: bytes, arrays: Sequence[NDArray[Any]]) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Arrays(CalibrationDataReader):  # type: ignore[misc]
        """What ranges are measured on."""

        def __init__(self) -> None:
            self.left = iter(arrays)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            array = next(self.left, None)
            return None if array is None else {"inputs": array}

    with tempfile.TemporaryDirectory(prefix="emofuse-") as folder, _quiet():
        plain, small = Path(folder, "plain.onnx"), Path(folder, "int8.onnx")
        fold_constants(network, plain)  # weights are stored in 16 bits and widened by the network itself
        quantize_static(
            plain, small, Arrays(), quant_format=QuantFormat.QOperator, op_types_to_quantize=list(_QUANTIZED),
            # unsigned by unsigned: signed weights overflow on processors that are a few years old
            activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8, per_channel=True,
        )  # fmt: skip
        return small.read_bytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on the root logger what is done here already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _ms(network: bytes, arrays: Sequence[NDArray[Any]]) -> float:
    """Of one clip in one thread: the least of about half a second of runs."""
    session = create_session(network)
    took: list[float] = []
    end = time.perf_counter() + _TIMED_S
    while time.perf_counter() < end or len(took) < 3:
        began = time.perf_counter()
        session.run(None, {"inputs": arrays[len(took) % len(arrays)]})
        took.append(time.perf_counter() - began)
    return 1000 * min(took)


def _answers(bundle: Bundle, known: Sequence[Features]) -> NDArray[np.float64]:
    recognizer = Recognizer(bundle)
    said = [recognizer.predict_features(features).probabilities for features in known]
    return np.stack([one for one in said if one is not None])


def _saved(bundle: Bundle, contents: dict[str, bytes], folder: Path, facts: dict[str, Any]) -> Bundle:
    return save_bundle(
        folder, files=contents, recipe=bundle.recipe, emotions=bundle.emotions, licence=bundle.licence,
        provenance={**bundle.provenance, "int8": facts}, action_units=bundle.action_units,
    )  # fmt: skip

"""A bundle with int8 convolutions: smaller, and faster where the networks take long.

The range of each layer is measured on recordings (calibration); the rest of the network is unchanged.
Networks without convolutions are unchanged too, since they would not become faster. The effect on predictions
is measured on recordings that were not used for calibration.
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
from emofuse.recognition.recognizer import Recognizer
from emofuse.system.onnx_session import create_session, fold_constants, onnx_runtime
from emofuse.system.shared_settings import SharedSetting

MIN_FILES: Final = 4
_QUANTIZED_OPS: Final = (
    "Conv", "Relu", "Clip", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat",
)  # fmt: skip
_TIMING_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class QuantizedNetwork:
    """One network before and after: bytes, and milliseconds per clip in one thread."""

    name: str
    bytes_before: int
    bytes_after: int
    ms_before: float
    ms_after: float


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantized bundle, compared with the original on recordings that calibration did not use."""

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
    """Write a copy of a bundle with int8 convolutions.

    Args:
        bundle: the bundle; it is not changed.
        files: recordings like those to be read: every second one for calibration, the others for comparison.
        out: folder of the new bundle.
        on_progress: called for each recording.

    Raises:
        BundleError: ``out`` is not empty, or no network of the bundle has convolutions.
        FeatureError: too few of the recordings can be read.
        MissingExtraError: the training part of the package is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("train", "quantizing a bundle") from None
    check_free(out)
    modality_of = {
        name: modality
        for name, modality in _input_networks(bundle).items()
        if _has_convolutions(onnx, bundle, name)
    }
    if not modality_of:
        raise BundleError(
            f"{bundle.folder}: no network of this bundle has convolutions, so int8 would not make it faster"
        )
    usable, skipped = _read(bundle, files, set(modality_of.values()), on_progress)
    contents = {name: bundle.read(name) for name in bundle.files}
    networks = []
    for name, modality in modality_of.items():
        arrays = [_batch(features, modality, name) for features in usable[::2]]
        before = contents[name]
        contents[name] = _to_int8(before, arrays)
        sizes = len(before), len(contents[name])
        networks.append(
            QuantizedNetwork(name, *sizes, _clip_ms(before, arrays), _clip_ms(contents[name], arrays))
        )
    expected = _probabilities(bundle, usable[1::2])
    with tempfile.TemporaryDirectory(prefix="emofuse-") as folder:
        draft = _save_copy(bundle, contents, Path(folder, "draft"), {})
        found = _probabilities(draft, usable[1::2])
    change = float(np.abs(found - expected).max())
    quantized = _save_copy(
        bundle, contents, out,
        {
            "networks": sorted(modality_of), "calibrated_on": len(usable[::2]),
            "largest_change": round(change, 4),
        },
    )  # fmt: skip
    n_changed = int((found.argmax(1) != expected.argmax(1)).sum())
    return Quantized(quantized, tuple(networks), len(expected), n_changed, change, tuple(skipped))


def _input_networks(bundle: Bundle) -> dict[str, str]:
    """The networks that read extracted features, and of which modality."""
    face = FRAME_FILE if FRAME_FILE in bundle.files else "face.onnx"
    networks = {"voice": "voice.onnx", "face": face}
    return {networks[modality]: modality for modality in bundle.modalities}


def _has_convolutions(onnx: Any, bundle: Bundle, name: str) -> bool:
    return any(node.op_type == "Conv" for node in onnx.load_from_string(bundle.read(name)).graph.node)


def _read(
    bundle: Bundle, files: Sequence[str | Path], modalities: set[str], on_progress: OnProgress | None
) -> tuple[list[Features], list[str]]:
    usable, skipped = [], []
    for done, file in enumerate(files, 1):
        try:
            features = extract(file, bundle.recipe)
        except EmofuseError as error:
            skipped.append(str(error))
        else:
            missing = {"voice": features.voice_missing, "face": features.face_missing}
            reasons = [f"no {name} ({missing[name]})" for name in sorted(modalities) if missing[name]]
            if reasons:
                skipped.append(f"{file}: {', '.join(reasons)}")
            else:
                usable.append(features)
        if on_progress is not None:
            on_progress("reading", done, len(files))
    if len(usable) < MIN_FILES:
        first = f": {skipped[0]}" if skipped else ""
        raise FeatureError(
            f"{len(usable)} of {len(files)} recordings can be used, and {MIN_FILES} are needed{first}"
        )
    return usable, skipped


def _batch(features: Features, modality: str, name: str) -> NDArray[Any]:
    array = features.voice if modality == "voice" else features.face
    assert array is not None
    return array if name == FRAME_FILE else array[None]


def _to_int8(network: bytes, arrays: Sequence[NDArray[Any]]) -> bytes:
    onnx_runtime()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Arrays(CalibrationDataReader):  # type: ignore[misc]
        """The calibration data."""

        def __init__(self) -> None:
            self.remaining = iter(arrays)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            array = next(self.remaining, None)
            return None if array is None else {"inputs": array}

    with tempfile.TemporaryDirectory(prefix="emofuse-") as folder, _no_warnings():
        folded_path, quantized_path = Path(folder, "plain.onnx"), Path(folder, "int8.onnx")
        fold_constants(network, folded_path)  # the weights are stored in 16 bits
        quantize_static(
            folded_path, quantized_path, Arrays(), quant_format=QuantFormat.QOperator,
            op_types_to_quantize=list(_QUANTIZED_OPS),
            # both unsigned: signed weights overflow on processors that are a few years old
            activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8, per_channel=True,
        )  # fmt: skip
        return quantized_path.read_bytes()


_DISABLED_LOGS: Final = SharedSetting(lambda: logging.root.manager.disable, logging.disable)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Suppress advice that the quantizer logs on the root logger, and that is followed here already."""
    with _DISABLED_LOGS.held(logging.WARNING):
        yield


def _clip_ms(network: bytes, arrays: Sequence[NDArray[Any]]) -> float:
    """Milliseconds per clip in one thread: the minimum over about half a second of runs."""
    session = create_session(network)
    times_s: list[float] = []
    end = time.perf_counter() + _TIMING_S
    while time.perf_counter() < end or len(times_s) < 3:
        start = time.perf_counter()
        session.run(None, {"inputs": arrays[len(times_s) % len(arrays)]})
        times_s.append(time.perf_counter() - start)
    return 1000 * min(times_s)


def _probabilities(bundle: Bundle, clips: Sequence[Features]) -> NDArray[np.float64]:
    recognizer = Recognizer(bundle)
    probabilities = [recognizer.predict_features(features).probabilities for features in clips]
    return np.stack([one for one in probabilities if one is not None])


def _save_copy(bundle: Bundle, contents: dict[str, bytes], folder: Path, about: dict[str, Any]) -> Bundle:
    return save_bundle(
        folder, files=contents, recipe=bundle.recipe, emotions=bundle.emotions, licence=bundle.licence,
        provenance={**bundle.provenance, "int8": about}, action_units=bundle.action_units,
        dimensions=bundle.dimensions,
    )  # fmt: skip

"""Outputs of ONNX networks, to measure what rounding to float16 changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.system.onnx_session import create_session


def differences(model: bytes, other: bytes, inputs: NDArray[Any]) -> tuple[float, int]:
    """The largest difference between the probabilities of two ONNX networks, and how many answers differ."""
    one, two = (np.exp(log_probabilities(m, inputs)) for m in (model, other))
    return float(np.abs(one - two).max()), int((one.argmax(1) != two.argmax(1)).sum())


def log_probabilities(model: bytes, inputs: NDArray[Any]) -> NDArray[np.float64]:
    """(n, n_emotions) log-probabilities of an ONNX network."""
    return _run(model, "log_probabilities", inputs).astype(np.float64)


def frame_outputs(model: bytes, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The outputs of an ONNX network for each frame."""
    return _run(model, "outputs", frames).astype(np.float32)


def _run(model: bytes, output: str, inputs: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(create_session(model).run([output], {"inputs": inputs})[0])

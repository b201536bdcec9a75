"""ONNX Runtime sessions, all with the same options."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def create_session(network: bytes, *, threads: int = 1) -> Any:
    """A session that runs a network on the CPU.

    Args:
        network: the content of an ONNX file.
        threads: that one run may use.
    """
    return _open(network, _options(threads))


def fold_constants(network: bytes, out: Path) -> None:
    """Write a network with its constants computed, and batch norms folded into convolutions, to ``out``."""
    import onnxruntime

    options = _options(threads=1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    _open(network, options)


def _options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # as fast, and memory stays flat over thousands of files
    return options


def _open(network: bytes, options: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

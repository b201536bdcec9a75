"""ONNX Runtime sessions, all with the same options, and without its telemetry."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

_NO_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"
_IMPORTING: Final = threading.Lock()


def onnx_runtime() -> Any:
    """The module ``onnxruntime``, which then sends nothing to anybody. It is imported nowhere else.

    From version 1.29 on, it tells its maker which models run, and keeps a number of the machine in the
    user's cache folder, unless the environment forbids it at the moment of its import. Where the caller has
    imported it before, it is at least told to send no more.
    """
    with _IMPORTING:
        if "onnxruntime" not in sys.modules:
            before = os.environ.get(_NO_TELEMETRY)
            os.environ[_NO_TELEMETRY] = "1"
            try:
                import onnxruntime
            finally:
                if before is None:
                    del os.environ[_NO_TELEMETRY]
                else:
                    os.environ[_NO_TELEMETRY] = before
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def create_session(network: bytes, *, threads: int = 1) -> Any:
    """A session that runs a network on the CPU.

    Args:
        network: the content of an ONNX file.
        threads: that one run may use.
    """
    return _open(network, _options(threads))


def fold_constants(network: bytes, out: Path) -> None:
    """Write a network with its constants computed, and batch norms folded into convolutions, to ``out``."""
    options = _options(threads=1)
    options.graph_optimization_level = onnx_runtime().GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    _open(network, options)


def _options(threads: int) -> Any:
    options = onnx_runtime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # as fast, and memory stays flat over thousands of files
    return options


def _open(network: bytes, options: Any) -> Any:
    return onnx_runtime().InferenceSession(network, options, providers=["CPUExecutionProvider"])

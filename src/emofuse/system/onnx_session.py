"""ONNX Runtime sessions, all with the same options, and without its telemetry."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from emofuse.core.devices import Device, DeviceChoice
from emofuse.core.errors import DeviceError
from emofuse.system.shared_settings import ignored_warnings

_NO_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"
_IMPORTING: Final = threading.Lock()
_GPU_PROVIDER: Final = "CUDAExecutionProvider"
_CPU_PROVIDER: Final = "CPUExecutionProvider"
_ERROR, _FATAL = 3, 4
_NEGATION: Final = (
    b'\x08\x07:2\n\x0b\n\x01x\x12\x01y"\x03Neg\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""An ONNX file: y = -x."""

_CURRENT: Final[ContextVar[Device]] = ContextVar("emofuse_session_device", default="cpu")


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


def usable_device(choice: DeviceChoice) -> Device:
    """What sessions can run on, of what a user asks for.

    Raises:
        DeviceError: ``cuda`` is asked for, and ONNX Runtime cannot use a GPU.
    """
    if choice == "cpu":
        return "cpu"
    problem = _gpu_problem()
    if choice == "cuda" and problem is not None:
        raise DeviceError(f"{problem}, or leave out --device cuda")
    return "cpu" if problem is not None else "cuda"


@lru_cache(maxsize=1)
def _gpu_problem() -> str | None:
    """Why ONNX Runtime cannot use a GPU, and what to do; None: it can."""
    onnxruntime = onnx_runtime()
    if _GPU_PROVIDER not in onnxruntime.get_available_providers():
        return (
            f"no GPU can be used: this ONNX Runtime ({onnxruntime.__version__}) has no CUDA provider. "
            "Replace it: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )
    options = _options(threads=1)
    options.log_severity_level = _FATAL  # what it would print is what is returned here
    if _GPU_PROVIDER not in _open(_NEGATION, options, "cuda").get_providers():
        return (
            f"no GPU can be used: the CUDA provider of ONNX Runtime {onnxruntime.__version__} does not "
            "start. See whether nvidia-smi lists a GPU, and install the CUDA and cuDNN that it needs"
        )
    return None


@contextmanager
def sessions_on(device: Device) -> Iterator[None]:
    """Sessions that are created in here, in this thread, run on a device unless they are told another."""
    token = _CURRENT.set(device)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def session_device() -> Device:
    """What :func:`sessions_on` says here; the CPU where nothing does."""
    return _CURRENT.get()


def create_session(network: bytes, *, threads: int = 1, device: Device | None = None) -> Any:
    """A session that runs a network.

    Args:
        network: the content of an ONNX file.
        threads: that one run may use on the CPU.
        device: from :func:`usable_device`; None: as :func:`session_device`. What a GPU cannot compute is
            computed on the CPU.
    """
    return _open(network, _options(threads), device or session_device())


def fold_constants(network: bytes, out: Path) -> None:
    """Write a network with its constants computed, and batch norms folded into convolutions, to ``out``."""
    onnxruntime = onnx_runtime()
    options = _options(threads=1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    _open(network, options, "cpu")


def _options(threads: int) -> Any:
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR
    options.enable_cpu_mem_arena = False  # as fast, and memory stays flat over thousands of files
    return options


def _open(network: bytes, options: Any, device: Device) -> Any:
    onnxruntime = onnx_runtime()
    if device == "cpu":
        return onnxruntime.InferenceSession(network, options, providers=[_CPU_PROVIDER])
    # float32 as on the CPU: TF32 has 10 bits of mantissa
    gpu = (_GPU_PROVIDER, {"use_tf32": "0"})
    with ignored_warnings(UserWarning):  # of a provider that does not start, which get_providers() tells
        return onnxruntime.InferenceSession(network, options, providers=[gpu, _CPU_PROVIDER])

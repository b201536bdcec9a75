"""On what networks are trained, a CPU or a GPU, and in which number format.

The choice is made once, around a whole run, by :func:`computing`; whatever trains asks
:func:`current_compute`. :class:`~emofuse.training.resources.Resources` takes it to other processes.
Published figures are those of a CPU in float32, which is the default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from emofuse.core.devices import Device, DeviceChoice
from emofuse.core.errors import DeviceError
from emofuse.system.shared_settings import ignored_warnings
from emofuse.training.run_folder import RunMarks

Precision = Literal["float32", "bfloat16"]
"""Of the products in training; everything else is float32 or float64."""


class ComputeEntry(TypedDict, total=False):
    """What results say of it; ``card`` and ``cuda``, the version of CUDA, are those of a GPU."""

    device: str
    precision: str
    card: str
    cuda: str


@dataclass(frozen=True, slots=True)
class Compute:
    """Where training computes, and how."""

    device: Device = "cpu"
    precision: Precision = "float32"

    @classmethod
    def of(cls, device: DeviceChoice = "cpu", precision: Precision = "float32") -> Compute:
        """The choice of a user.

        Raises:
            DeviceError: ``device`` is ``cuda``, and PyTorch can use no GPU.
        """
        if device == "cpu":
            return cls("cpu", precision)
        import torch

        with ignored_warnings(UserWarning):  # of an old driver: the error says it
            found = torch.cuda.is_available()
        if device == "cuda" and not found:
            raise DeviceError(_no_gpu(torch.__version__, torch.version.cuda))
        return cls("cuda" if found else "cpu", precision)

    @property
    def marks(self) -> RunMarks:
        """What tells a run's folder from another's; nothing for the default."""
        marks: RunMarks = {}
        if self.device != CPU.device:
            marks["device"] = self.device
        if self.precision != CPU.precision:
            marks["precision"] = self.precision
        return marks

    def entry(self) -> ComputeEntry:
        """What results say of it."""
        if self.device == "cpu":
            return {"device": "cpu", "precision": self.precision}
        import torch

        return {
            "device": self.device,
            "precision": self.precision,
            "card": torch.cuda.get_device_name(),
            "cuda": str(torch.version.cuda),
        }


CPU: Final = Compute()
"""The default, on which published figures rest."""


def _no_gpu(version: str, cuda: str | None) -> str:
    if cuda is None:
        return (
            f"no GPU can be used: this PyTorch ({version}) is built for the CPU alone. Install one that is "
            "built for CUDA (https://pytorch.org/get-started), or leave out --device cuda"
        )
    return (
        f"no GPU can be used: PyTorch {version}, built for CUDA {cuda}, finds none. See whether nvidia-smi "
        "lists one and CUDA_VISIBLE_DEVICES does not hide it, or leave out --device cuda"
    )


_CURRENT: Final[ContextVar[Compute]] = ContextVar("emofuse_compute", default=CPU)


def current_compute() -> Compute:
    """What :func:`computing` says here; a CPU and float32 where nothing does."""
    return _CURRENT.get()


@contextmanager
def computing(compute: Compute) -> Iterator[None]:
    """Train on this, in the block and in this thread alone."""
    token = _CURRENT.set(compute)
    try:
        yield
    finally:
        _CURRENT.reset(token)

"""Export of trained networks to ONNX, for prediction without torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emofuse.system.shared_settings import SharedSetting, ignored_warnings


class Ensemble(nn.Module):
    """Networks that read the same features, side by side, and their mean."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, …) → features (n, n_networks, n_features) and log-probabilities.

        The latter are of each network, (n, n_networks, n_emotions), and of all together, (n, n_emotions).
        """
        outputs = [network(inputs) for network in self.networks]
        features = torch.stack([features for features, _ in outputs], 1)
        logs = torch.stack([logits.log_softmax(1) for _, logits in outputs], 1)
        return features, logs, logs.mean(1).log_softmax(1)


class _Mean(nn.Module):
    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([network(inputs) for network in self.networks]).mean(0)


class _Probabilities(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.network(inputs)[1]
        return logits.softmax(1)


def export_ensemble(networks: Sequence[nn.Module], example: NDArray[Any]) -> bytes:
    """ONNX of networks that read the same features.

    Args:
        networks: trained networks.
        example: raw features of one clip without the batch axis, for their shape and dtype.

    Returns:
        A model ``inputs`` (n, …) → ``features`` (n, n_networks, n_features), ``member_log_probabilities``
        (n, n_networks, n_emotions), ``log_probabilities`` (n, n_emotions).
    """
    inputs = torch.from_numpy(np.stack([example, example]))
    names = ["features", "member_log_probabilities", "log_probabilities"]
    return _export(Ensemble(networks), inputs, names)


def export_ratings(networks: Sequence[nn.Module], example: NDArray[Any]) -> bytes:
    """ONNX of the mean of networks that output ratings: ``inputs`` (n, …) → ``ratings`` (n, n_dimensions).

    ``example``: as of :func:`export_ensemble`.
    """
    return _export(_Mean(networks), torch.from_numpy(np.stack([example, example])), ["ratings"])


def export_probabilities(network: nn.Module, n_inputs: int) -> bytes:
    """ONNX of a fusion network: ``inputs`` (n, n_inputs) → ``probabilities`` (n, n_emotions)."""
    return _export(_Probabilities(network), torch.zeros(2, n_inputs), ["probabilities"])


def export_frames(network: nn.Module, example: NDArray[Any]) -> bytes:
    """ONNX of a network that reads single frames: ``inputs`` (n, height, width) → ``outputs`` (n, …)."""
    return _export(network, torch.from_numpy(np.stack([example, example])), ["outputs"])


def export_over_time(network: nn.Module, example: NDArray[Any], most: int) -> bytes:
    """ONNX of a network that reads a sequence: ``inputs`` (n_values, n_times) → ``outputs``.

    Args:
        network: reads one sequence, without a batch axis.
        example: (n_values, n_times) of any length.
        most: the largest n_times.
    """
    times = torch.export.Dim("n_times", min=2, max=most)
    return _export(network, torch.from_numpy(example), ["outputs"], {1: times})


_LOGGER: Final = logging.getLogger("torch.onnx")
_LOG_LEVEL: Final = SharedSetting(lambda: _LOGGER.level, _LOGGER.setLevel)


def _export(
    module: nn.Module, inputs: Tensor, output_names: list[str], dynamic: dict[int, Any] | None = None
) -> bytes:
    """``dynamic``: axes of any length; None: the first one, of clips."""
    if dynamic is None:
        dynamic = {0: torch.export.Dim("n", min=1)}
    with ignored_warnings(), _LOG_LEVEL.held(logging.ERROR):
        program = torch.onnx.export(
            module.eval(),
            (inputs,),
            input_names=["inputs"],
            output_names=output_names,
            dynamic_shapes=(dynamic,),
            opset_version=18,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        # the source file and line that each node came from: of no use to whoever reads a bundle
        del node.metadata_props[:]
        node.doc_string = ""
    return bytes(model.SerializeToString())

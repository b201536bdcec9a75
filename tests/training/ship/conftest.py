"""Weights for the tests of what is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from emofuse.training.networks.expression_cnn import CompactExpressionCnn


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compact network, untrained."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("cnn") / "weights.safetensors"
    path.write_bytes(save(CompactExpressionCnn().state_dict(), {"architecture": "compact"}))
    return path

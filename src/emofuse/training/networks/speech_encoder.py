"""The first blocks of the encoder of Whisper base (Radford et al. 2022), read from weights, exported to ONNX.

The graph that comes with emofuse was made from OpenAI's model ``base``; whoever has another copy of the
weights makes a graph of their own with ``emofuse weights encoder``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core.errors import WeightsError
from emofuse.core.recipes.voice import ENCODER_DURATION_S
from emofuse.features.voice.speech_encoder import N_BANDS, N_BLOCKS, WIDTH
from emofuse.training.networks.onnx_export import export_over_time

MAX_BYTES: Final = 2**30
"""Of a weight file: all of Whisper's ``base`` has a seventh of it."""
_POSITIONS: Final = round(ENCODER_DURATION_S * 50)
"""Of the 1,500 positions; the longest utterance has so many."""
_POSITION_NAME: Final = "positional_embedding"
_HUGGING_FACE: Final = {
    "self_attn_layer_norm": "attn_ln",
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}
"""What Hugging Face calls the parts of a block, and what OpenAI calls them."""


class _Block(nn.Module):
    """Attention and a dense network, each on normalized values and added to what it read."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attn_ln = nn.LayerNorm(width)
        self.attn = nn.ModuleDict(
            {name: nn.Linear(width, width, bias=name != "key") for name in ("query", "key", "value", "out")}
        )
        self.mlp_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) → (n, width)."""
        y = self.attn_ln(x)
        n, width = x.shape
        query, key, value = (
            self.attn[name](y).view(n, self.heads, width // self.heads).transpose(0, 1)
            for name in ("query", "key", "value")
        )
        weights = (query @ key.transpose(1, 2) * (width // self.heads) ** -0.5).softmax(-1)
        x = x + self.attn["out"]((weights @ value).transpose(0, 1).reshape(n, width))
        out: Tensor = x + self.mlp(self.mlp_ln(x))
        return out


class SpeechEncoder(nn.Module):
    """Two convolutions, positions, and the first blocks of the encoder."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(N_BANDS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positional_embedding: Tensor
        self.register_buffer("positional_embedding", torch.zeros(_POSITIONS, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(N_BLOCKS))

    def forward(self, mel: Tensor) -> Tensor:
        """(80, n_frames) log-mel → (n_blocks, n_frames / 2, width): what each block gives."""
        x = functional.gelu(self.conv1(mel[None]))
        x = functional.gelu(self.conv2(x))[0].T
        x = x + self.positional_embedding[: x.shape[0]]
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return torch.stack(found)


def read_encoder(path: Path) -> SpeechEncoder:
    """The encoder of a safetensors file of Whisper, with OpenAI's or Hugging Face's names of tensors.

    More blocks than are used may be there, and a decoder. Values of any float type become float32.

    Raises:
        WeightsError: the file cannot be read, or holds no such encoder.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.stat().st_size > MAX_BYTES:
            raise WeightsError(f"{path}: too large for an encoder: more than {MAX_BYTES >> 20} MiB")
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file: {error}") from None
    state = _openai_names(tensors)
    try:
        encoder = SpeechEncoder(WIDTH, heads=WIDTH // 64)
        found = {name: state[name].float() for name in encoder.state_dict()}
        found[_POSITION_NAME] = found[_POSITION_NAME][:_POSITIONS]
        encoder.load_state_dict(found)
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise WeightsError(f"{path}: not the weights of an encoder of Whisper: {problem}") from None
    return encoder.eval()


def _openai_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the encoder by the names that OpenAI gives them."""
    inner = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    return {
        _openai_name(name.removeprefix("encoder.")): tensor
        for name, tensor in inner.items()
        if not name.startswith("decoder.")
    }


def _openai_name(name: str) -> str:
    if name == "embed_positions.weight":
        return _POSITION_NAME
    if not name.startswith("layers."):
        return name
    _, number, part = name.split(".", 2)
    stem, _, kind = part.rpartition(".")
    return f"blocks.{number}.{_HUGGING_FACE.get(stem, stem)}.{kind}"


def export_encoder(encoder: SpeechEncoder) -> bytes:
    """ONNX: ``inputs`` (80, n_frames) float32 → ``outputs`` (n_blocks, n_frames / 2, width) float32."""
    return export_over_time(
        encoder, np.zeros((N_BANDS, 200), np.float32), most=round(ENCODER_DURATION_S * 100)
    )


def store_as_int8(model: bytes) -> bytes:
    """The same model with its matrices and filters as int8, one scale for each output.

    Only what is stored is rounded; all is computed in float32, so that processors agree.
    """
    import onnx
    from onnx import helper, numpy_helper

    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    weights = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm")}
    nodes: list[Any] = []
    for tensor in list(graph.initializer):
        if tensor.name not in weights:
            continue
        name = tensor.name
        rounded, scales = _rounded(numpy_helper.to_array(tensor))
        graph.initializer.remove(tensor)
        graph.initializer.extend(
            [
                numpy_helper.from_array(rounded, f"{name}.int8"),
                numpy_helper.from_array(scales, f"{name}.scale"),
            ]
        )
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], axis=0))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _rounded(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(n_out, …) as int8, and the (n_out,) scales to multiply it with."""
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    scales = np.maximum(largest / 127, np.finfo(np.float32).tiny)
    return np.rint(values / scales).astype(np.int8), scales.ravel().astype(np.float32)

"""Whisper's encoder in plain NumPy, and its log-mel by librosa: the graph and the features must agree.

Written from Radford et al. 2022 and from the arithmetic that the weights were trained with, not from emofuse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
_erf = np.vectorize(math.erf)


def log_mel(samples: NDArray[np.float32]) -> Float64:
    """(80, n_samples // 160) of 16 kHz sound."""
    spectrum = librosa.stft(
        samples.astype(np.float64), n_fft=400, hop_length=160, window="hann", pad_mode="reflect"
    )
    power = np.abs(spectrum[:, :-1]) ** 2
    logs = np.log10(np.maximum(librosa.filters.mel(sr=16000, n_fft=400, n_mels=80) @ power, 1e-10))
    return np.asarray((np.maximum(logs, logs.max() - 8) + 4) / 4)


def blocks(mel: NDArray[Any], weights: Mapping[str, NDArray[Any]], n_blocks: int = 3) -> Float64:
    """(80, n_frames) → (n_blocks, n_frames / 2, width), with OpenAI's names of tensors."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    x = _gelu(_convolution(np.asarray(mel, dtype=np.float64), w["conv1.weight"], w["conv1.bias"], 1))
    x = _gelu(_convolution(x, w["conv2.weight"], w["conv2.bias"], 2)).T
    x = x + w["positional_embedding"][: len(x)]
    heads, found = x.shape[1] // 64, []
    for k in range(n_blocks):
        p = f"blocks.{k}"
        y = _normalized(x, w[f"{p}.attn_ln.weight"], w[f"{p}.attn_ln.bias"])
        query = y @ w[f"{p}.attn.query.weight"].T + w[f"{p}.attn.query.bias"]
        key = y @ w[f"{p}.attn.key.weight"].T
        value = y @ w[f"{p}.attn.value.weight"].T + w[f"{p}.attn.value.bias"]
        mixed = [
            _softmax(q @ k_.T / 8) @ v
            for q, k_, v in zip(*(np.split(one, heads, axis=1) for one in (query, key, value)), strict=True)
        ]
        x = x + np.concatenate(mixed, axis=1) @ w[f"{p}.attn.out.weight"].T + w[f"{p}.attn.out.bias"]
        y = _normalized(x, w[f"{p}.mlp_ln.weight"], w[f"{p}.mlp_ln.bias"])
        hidden = _gelu(y @ w[f"{p}.mlp.0.weight"].T + w[f"{p}.mlp.0.bias"])
        x = x + hidden @ w[f"{p}.mlp.2.weight"].T + w[f"{p}.mlp.2.bias"]
        found.append(x)
    return np.stack(found)


def _convolution(x: Float64, weight: Float64, bias: Float64, stride: int) -> Float64:
    padded = np.pad(x, ((0, 0), (1, 1)))
    spans = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::stride]
    return np.asarray(np.einsum("oik,itk->ot", weight, spans, optimize=True) + bias[:, None])


def _gelu(x: Float64) -> Float64:
    return np.asarray(x * 0.5 * (1 + _erf(x / math.sqrt(2))))


def _normalized(x: Float64, weight: Float64, bias: Float64) -> Float64:
    centered = x - x.mean(1, keepdims=True)
    return np.asarray(centered / np.sqrt(x.var(1, keepdims=True) + 1e-5) * weight + bias)


def _softmax(x: Float64) -> Float64:
    powers = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def weights_of_graph(graph: bytes) -> dict[str, NDArray[Any]]:
    """The weights that an exported graph holds, whether as they were or in int8 with their scales."""
    import onnx
    from onnx import numpy_helper

    found = {
        one.name: numpy_helper.to_array(one) for one in onnx.load_model_from_string(graph).graph.initializer
    }
    weights: dict[str, NDArray[Any]] = {}
    for name, value in found.items():
        if name.endswith(".int8"):
            plain = name.removesuffix(".int8")
            scales = found[f"{plain}.scale"].reshape(-1, *[1] * (value.ndim - 1))
            weights[plain] = value.astype(np.float32) * scales
        elif not name.endswith(".scale"):
            weights[name] = value
    return weights

"""The encoder read from files that the tests make in both layouts, and from the original where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from emofuse.core.errors import WeightsError
from emofuse.features.voice.speech_encoder import SHIPPED_SHA256, read_encoder_graph
from emofuse.system.onnx_session import create_session
from emofuse.training.networks.speech_encoder import export_encoder, read_encoder, store_as_int8
from tests.support import whisper_oracle

WIDTH = 512
NAMES = {
    "attn_ln": "self_attn_layer_norm",
    "attn.query": "self_attn.q_proj",
    "attn.key": "self_attn.k_proj",
    "attn.value": "self_attn.v_proj",
    "attn.out": "self_attn.out_proj",
    "mlp_ln": "final_layer_norm",
    "mlp.0": "fc1",
    "mlp.2": "fc2",
}


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[np.float16]]:
    """Random weights of four blocks, and some of a decoder."""
    rng = np.random.default_rng(0)

    def layer(n_out: int, *n_in: int) -> NDArray[np.float16]:
        scale = np.sqrt(1 / np.prod(n_in))
        out: NDArray[np.float16] = (rng.standard_normal((n_out, *n_in)) * scale).astype(np.float16)
        return out

    out = {
        "conv1.weight": layer(WIDTH, 80, 3),
        "conv2.weight": layer(WIDTH, WIDTH, 3),
        "positional_embedding": layer(1500, WIDTH),
    }
    for name in ("conv1.bias", "conv2.bias"):
        out[name] = layer(WIDTH, WIDTH)[0]
    for k in range(4):
        for name in NAMES:
            n_out = 4 * WIDTH if name == "mlp.0" else WIDTH
            n_in = 4 * WIDTH if name == "mlp.2" else WIDTH
            part = f"blocks.{k}.{name}"
            out[f"{part}.weight"] = layer(WIDTH, WIDTH)[0] + 1 if name.endswith("_ln") else layer(n_out, n_in)
            if name != "attn.key":
                out[f"{part}.bias"] = layer(n_out, WIDTH)[:, 0].copy()
    return out


def test_both_layouts_give_the_same_encoder(weights: dict[str, NDArray[np.float16]], tmp_path: Path) -> None:
    openai = {f"encoder.{name}": value for name, value in weights.items()}
    openai["decoder.ln.weight"] = np.zeros(3, np.float16)
    other = {"model.decoder.layer_norm.weight": np.zeros(3, np.float16)}
    for name, value in weights.items():
        new = name.replace("positional_embedding", "embed_positions.weight").replace("blocks.", "layers.")
        for ours, theirs in NAMES.items():
            new = new.replace(f".{ours}.", f".{theirs}.")
        other[f"model.encoder.{new}"] = value
    save_file(openai, tmp_path / "openai.safetensors")
    save_file(other, tmp_path / "other.safetensors")
    mel = np.random.default_rng(1).standard_normal((80, 61)).astype(np.float32)
    with torch.no_grad():
        found = [
            read_encoder(tmp_path / f"{name}.safetensors")(torch.from_numpy(mel)).numpy()
            for name in ("openai", "other")
        ]
    assert np.array_equal(*found)
    np.testing.assert_allclose(found[0], whisper_oracle.blocks(mel, weights), atol=1e-3)


def test_graphs_agree_with_the_arithmetic(weights: dict[str, NDArray[np.float16]], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "w.safetensors")
    graph = export_encoder(read_encoder(tmp_path / "w.safetensors"))
    for n_frames in (20, 333, 1000):
        mel = np.random.default_rng(1).standard_normal((80, n_frames)).astype(np.float32)
        expected = whisper_oracle.blocks(mel, weights)
        (found,) = create_session(graph).run(None, {"inputs": mel})
        assert found.shape == (3, (n_frames + 1) // 2, WIDTH)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    small = store_as_int8(graph)
    assert len(small) < len(graph) / 3.5
    assert store_as_int8(graph) == small
    (rounded,) = create_session(small).run(None, {"inputs": mel})
    stored = whisper_oracle.blocks(mel, whisper_oracle.weights_of_graph(small))
    np.testing.assert_allclose(rounded, stored, atol=1e-3)
    assert np.corrcoef(rounded[2].ravel(), expected[2].ravel())[0, 1] > 0.999


@pytest.mark.parametrize(
    ("change", "problem"),
    [("missing", "not the weights of an encoder"), ("shape", "not the weights"), ("text", "not a readable")],
)
def test_other_files_are_named(
    change: str, problem: str, weights: dict[str, NDArray[np.float16]], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    if change == "text":
        path.write_text("no weights")
    else:
        changed = dict(weights)
        if change == "missing":
            del changed["blocks.1.mlp.0.bias"]
        else:
            changed["conv1.weight"] = changed["conv1.weight"][:384].copy()
        save_file(changed, path)
    with pytest.raises(WeightsError, match=problem):
        read_encoder(path)


@pytest.mark.ravdess
def test_the_shipped_graph_is_made_from_the_original(real_weights: Path) -> None:
    """Each stored weight is the original's, rounded to the nearest of 255 steps; the rest is equal."""
    original = load_file(real_weights / "whisper_base_encoder_first3.safetensors")
    stored = whisper_oracle.weights_of_graph(read_encoder_graph(SHIPPED_SHA256))
    for name, value in original.items():
        exact = value.astype(np.float32)[:500] if name == "positional_embedding" else value.astype(np.float32)
        step = np.zeros(1)
        if exact.ndim > 1 and name != "positional_embedding":
            step = np.abs(exact).max(axis=tuple(range(1, exact.ndim)), keepdims=True) / 127
        assert (np.abs(stored[name] - exact) <= step * 0.51).all(), name

"""The expression CNN over time, against NumPy; as a branch of a recipe; large tensors in float16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save

from emofuse import Recognizer
from emofuse.core.errors import RecipeError, WeightsError
from emofuse.core.labels import EMOTIONS, FER_PLUS
from emofuse.core.recipes.load import load_recipe, parse_recipe
from emofuse.corpus.load import load_corpus
from emofuse.recognition.bundle import load_bundle
from emofuse.system.checksums import file_digest
from emofuse.training.expression import read_faces
from emofuse.training.networks.expression_cnn import CompactExpressionCnn
from emofuse.training.networks.expression_over_time import (
    ExpressionOfClip,
    ExpressionOverTime,
    load_expression_over_time,
)
from emofuse.training.networks.float16 import store_as_float16
from emofuse.training.networks.onnx_export import export_ensemble
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train

# written out by hand: FER+'s order to ours
TO_OURS = {
    "neutral": 0.5 * (np.eye(8)[0] + np.eye(8)[1]), "happiness": np.eye(8)[2], "surprise": np.eye(8)[7],
    "sadness": np.eye(8)[3], "anger": np.eye(8)[4], "disgust": np.eye(8)[6], "fear": np.eye(8)[5],
    "contempt": np.zeros(8),
}  # fmt: skip


@pytest.fixture(scope="module")
def stacks() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 6))
    return np.kron(coarse, np.ones((8, 8))).astype(np.uint8)


@pytest.fixture(scope="module")
def cnn(stacks: np.ndarray) -> CompactExpressionCnn:
    """Untrained, except for a last layer that separates these images."""
    torch.manual_seed(4)
    network = CompactExpressionCnn().eval()
    with torch.no_grad():
        faces = torch.from_numpy(stacks.reshape(-1, 1, 48, 48)).float() / 255
        logits = network(faces)[1]
        scale = 1.5 / logits.std(0)
        network.fer_plus.weight.mul_(scale[:, None])
        network.fer_plus.bias.copy_((network.fer_plus.bias - logits.mean(0)) * scale)
    return network


def by_numpy(cnn: Any, stacks: np.ndarray, temperature: float, offsets: np.ndarray) -> np.ndarray:
    """Step by step: frames, their mean, the offsets, the mapping."""
    rows = []
    for stack in stacks:
        logs = read_faces(cnn, stack)[1].astype(np.float64)
        tempered = [frame / temperature for frame in logs]
        tempered = [frame - np.log(np.exp(frame).sum()) for frame in tempered]
        mean = sum(tempered) / len(tempered) + offsets
        shares = sum(np.exp(mean[i]) * TO_OURS[name] for i, name in enumerate(FER_PLUS))
        rows.append(np.asarray(shares) / np.sum(shares))
    return np.array(rows)


def test_outputs_agree_with_numpy(cnn: CompactExpressionCnn, stacks: np.ndarray) -> None:
    offsets = np.linspace(-0.7, 0.7, 8)
    network = ExpressionOverTime(cnn, temperature=1.7, offsets=offsets.tolist()).eval()
    with torch.no_grad():
        features, logs = network(torch.from_numpy(stacks))
    expected = by_numpy(cnn, stacks, 1.7, offsets)
    np.testing.assert_allclose(logs.exp().numpy(), expected, atol=1e-5)
    assert features.shape == (3, 256)
    np.testing.assert_allclose(expected[:, 0], expected[:, 1])
    assert np.ptp(expected, axis=0).max() > 0.05
    plain = by_numpy(cnn, stacks, 1.0, np.zeros(8))
    assert np.abs(plain - expected).max() > 0.01


def peaks_by_numpy(logs: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Step by step: a root of the weighted mean of squared probabilities; (n_frames, 8) → (8,)."""
    total, squares = 0.0, np.zeros(8)
    for frame in logs.astype(np.float64) + offsets:
        shares = np.exp(frame) / np.exp(frame).sum()
        weight = 1.05 - shares[FER_PLUS.index("neutral")]
        total += weight
        squares += weight * shares**2
    roots = np.sqrt(squares / total)
    ours: np.ndarray = np.sum([roots[i] * TO_OURS[name] for i, name in enumerate(FER_PLUS)], axis=0)
    return np.asarray(ours / ours.sum())


def test_peaks_agree_with_numpy(cnn: CompactExpressionCnn, stacks: np.ndarray) -> None:
    offsets = np.linspace(-0.7, 0.7, 8)
    settings: Any = {"temperature": 1.7, "offsets": offsets.tolist()}
    network = ExpressionOverTime(cnn, **settings, pooling="peaks").eval()
    with torch.no_grad():
        frames = network.frames(torch.from_numpy(stacks.reshape(-1, 48, 48)))
        features, logs = network(torch.from_numpy(stacks))
        mean_features, mean = ExpressionOverTime(cnn, **settings).eval()(torch.from_numpy(stacks))
    expected = np.stack([peaks_by_numpy(clip[:, -8:], offsets) for clip in frames.numpy().reshape(3, 4, -1)])
    np.testing.assert_allclose(logs.exp().numpy(), expected, atol=1e-5)
    assert (logs - mean).abs().max() > 0.01
    torch.testing.assert_close(features, mean_features)


def clip_of(frames: list[dict[str, float]], pooling: Any) -> np.ndarray:
    """The probabilities of a clip whose frames have these shares of FER+; the rest is spread evenly."""
    rows = []
    for shares in frames:
        row = np.full(len(FER_PLUS), (1 - sum(shares.values())) / (len(FER_PLUS) - len(shares)))
        for name, share in shares.items():
            row[FER_PLUS.index(name)] = share
        rows.append(np.concatenate([np.zeros(256), np.log(row)]))
    stack = torch.tensor(np.stack(rows)[None], dtype=torch.float32)
    with torch.no_grad():
        return np.asarray(ExpressionOfClip([0.0] * 8, pooling)(stack)[1][0].exp())


def test_of_equal_frames_peaks_is_the_frame() -> None:
    """A still is a clip of equal frames: pooling cannot change what is seen on it."""
    frame = {"neutral": 0.6, "happiness": 0.2, "sadness": 0.1}
    np.testing.assert_allclose(clip_of([frame] * 20, "peaks"), clip_of([frame], "mean"), atol=1e-6)


def test_few_frames_with_an_expression_outweigh_many_without() -> None:
    neutral, happy = {"neutral": 0.95}, {"happiness": 0.95}
    clip = [neutral] * 14 + [happy] * 6
    assert EMOTIONS[clip_of(clip, "mean").argmax()] in ("neutral", "calm")
    assert EMOTIONS[clip_of(clip, "peaks").argmax()] == "happy"
    assert EMOTIONS[clip_of([neutral] * 20, "peaks").argmax()] in ("neutral", "calm")
    # the more frames show it, the surer
    shares = [
        clip_of([neutral] * (20 - n) + [happy] * n, "peaks")[EMOTIONS.index("happy")] for n in range(21)
    ]
    assert (np.diff(shares) > 0).all()


def test_peaks_of_extreme_frames_are_numbers() -> None:
    frames = np.full((1, 5, 264), 0.0, dtype=np.float32)
    frames[..., -8:] = -80.0
    frames[0, :, -8] = 0.0  # certainly neutral: in float32 the others are nothing
    with torch.no_grad():
        logs = ExpressionOfClip([0.0] * 8, "peaks")(torch.from_numpy(frames))[1]
    assert torch.isfinite(logs).all()
    assert logs[0].exp()[:2].sum() == pytest.approx(1)


def test_exported_peaks_have_the_same_outputs(stacks: np.ndarray, cnn: CompactExpressionCnn) -> None:
    """In one network, and in the half that reads frames that were read before."""
    network = ExpressionOverTime(cnn, pooling="peaks").eval()
    with torch.no_grad():
        frames = network.frames(torch.from_numpy(stacks.reshape(-1, 48, 48))).reshape(3, 4, -1)
        expected = network(torch.from_numpy(stacks))[1].numpy()
    clip = ExpressionOfClip([0.0] * 8, "peaks")
    halves = export_ensemble([clip], frames[0].numpy()), export_ensemble([network], stacks[0])
    for data, inputs in zip(halves, (frames.numpy(), stacks), strict=True):
        found = onnxruntime.InferenceSession(data).run(["log_probabilities"], {"inputs": inputs})[0]
        np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=1e-5)


def test_exported_it_has_the_same_outputs_at_half_the_size(
    cnn: CompactExpressionCnn, stacks: np.ndarray
) -> None:
    network = ExpressionOverTime(cnn, temperature=1.3).eval()
    model = export_ensemble([network], stacks[0])
    small = store_as_float16(model)
    assert len(small) < 0.52 * len(model)
    expected = by_numpy(cnn, stacks, 1.3, np.zeros(8))
    for data, tolerance in ((model, 1e-5), (small, 5e-3)):
        outputs = onnxruntime.InferenceSession(data).run(["log_probabilities"], {"inputs": stacks})[0]
        np.testing.assert_allclose(np.exp(outputs), expected, atol=tolerance)


def test_float16_skips_small_tensors_and_large_values() -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    tensors = {
        "matrix": rng.normal(size=(64, 64)),
        "wide": rng.normal(size=(64, 64)) * 1e5,
        "vector": rng.normal(size=4096),
        "small": rng.normal(size=(4, 4)),
    }
    shape: list[str | int | None] = ["n", 64]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "matrix"], ["y"]),
            helper.make_node("MatMul", ["y", "wide"], ["z"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = store_as_float16(model.SerializeToString())
    kinds = {t.name: t.data_type for t in onnx.load_model_from_string(data).graph.initializer}
    assert kinds.pop("matrix.float16") == TensorProto.FLOAT16
    assert kinds == dict.fromkeys(("wide", "vector", "small"), TensorProto.FLOAT)
    x = rng.normal(size=(5, 64)).astype(np.float32)
    outputs = onnxruntime.InferenceSession(data).run(None, {"x": x})[0]
    rounded = tensors["matrix"].astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(outputs, x @ rounded @ tensors["wide"].astype(np.float32), rtol=1e-2, atol=50)


RECIPE = """
extends = "{film}"
name = "small-expression"
[face.network]
kind = "expression"
expression_weights = "weights.safetensors"
[fusion]
inputs = "probabilities"
members = "none"
classifiers = ["pool"]
"""


def test_a_recipe_can_train_a_voice_beside_it(
    cnn: CompactExpressionCnn, video_folder: Path, video_toml: Path, video_clips: dict[str, Path],
    tmp_path: Path, store: Any,
) -> None:  # fmt: skip
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(save(cnn.state_dict(), {"architecture": "compact"}))
    toml = tmp_path / "r.toml"
    toml.write_text(RECIPE.format(film=video_toml))
    recipe = load_recipe(toml)
    assert recipe.face.network.expression_weights == str(weights)
    train(load_corpus(video_folder), recipe, tmp_path / "bundle", Resources(store=store))
    facts = load_bundle(tmp_path / "bundle").provenance
    assert facts["pretrained_sha256"] == file_digest(weights, "sha256")
    outputs = Recognizer.load(tmp_path / "bundle").predict(video_clips["happy"])
    assert outputs.used == ("voice", "face")
    assert outputs.face is not None
    assert outputs.face[EMOTIONS.index("calm")] == pytest.approx(
        outputs.face[EMOTIONS.index("neutral")], rel=1e-4
    )


def test_weights_must_exist(video_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"face\.network\.expression_weights"):
        load_expression_over_time(None)
    with pytest.raises(WeightsError, match=r"face\.network\.expression_weights"):
        train(load_corpus(video_folder), load_recipe("out-of-the-box"), tmp_path / "b")


@pytest.mark.parametrize(
    ("face", "words"),
    [
        ({"network": {"kind": "expression"}, "features": {"size": 64}}, "features.size must be 48"),
        ({"network": {"expression_weights": "w"}}, "expression_weights goes with network.kind"),
        ({"network": {"pooling": "peaks"}}, "pooling goes with network.kind"),
        (
            {"network": {"kind": "expression"}, "features": {"kind": "au-table", "table": "t.csv"}},
            "'expression' reads features 'stack'",
        ),
    ],
)
def test_inconsistent_recipes_are_rejected(face: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_recipe({"name": "r", "face": face})

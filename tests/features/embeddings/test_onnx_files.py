from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from emofuse.core.errors import FeatureError, WeightsError
from emofuse.core.recipes.embedding import Embedding
from emofuse.features.embeddings.onnx_files import embed_face, embed_voice, kept_file, open_network
from emofuse.features.voice.speech_encoder import SHIPPED_SHA256, encode_speech
from tests.features.embeddings.test_pooled import embedding
from tests.support import embedding_graphs as graphs

SOUND = (0.1 * np.sin(np.arange(24000) * 0.05)).astype(np.float32)
CROPS = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_EMBEDDINGS", str(tmp_path / "tried"))
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "weights"))


def of_graph(graph: Any, folder: Path, size: int = 12, **more: Any) -> Embedding:
    return embedding(size, file=str(folder / "e.onnx"), sha256=graphs.saved(graph, folder / "e.onnx"), **more)


def test_the_built_in_encoder_with_its_spectrum_in_the_graph(tmp_path: Path) -> None:
    own = of_graph(graphs.whisper_from_samples(), tmp_path, 1536, views=3)
    for sound in (SOUND, SOUND[:900]):  # the second is padded to 0.2 s
        expected = encode_speech(sound, SHIPPED_SHA256, 12)
        np.testing.assert_allclose(embed_voice(sound, own, 12), expected, atol=1e-3)


@pytest.mark.parametrize("over_time", [True, False])
def test_with_a_batch_and_without_the_values_are_the_same(tmp_path: Path, over_time: bool) -> None:
    pooling = ("mean", "std") if over_time else ()
    found = [
        embed_voice(
            SOUND,
            of_graph(
                graphs.voice_bands(batch=batch, over_time=over_time), tmp_path / str(batch), pooling=pooling
            ),
        )
        for batch in (False, True)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert found[0].shape == ((24,) if over_time else (12,))


def test_crops_as_bytes_and_as_floats_of_three_channels(tmp_path: Path) -> None:
    gray = of_graph(graphs.face_means(), tmp_path / "gray", 8)
    colored = graphs.face_means(channels=3, kind=TensorProto.FLOAT)
    own = of_graph(colored, tmp_path / "color", 8)
    weights = onnx.numpy_helper.to_array(colored.graph.initializer[0])
    values = np.repeat(CROPS[:, None], 3, 1).reshape(3, -1) / 255 @ weights
    np.testing.assert_allclose(embed_face(CROPS, own)[:8], values.mean(0), atol=1e-5)
    assert embed_face(CROPS, gray).shape == (16,)
    with pytest.raises(FeatureError, match=r"face\.features\.size"):
        embed_face(CROPS[:, :32, :32], gray)


def test_a_file_is_found_in_the_weights_folder(tmp_path: Path) -> None:
    own = of_graph(graphs.voice_bands(), tmp_path)
    expected = embed_voice(SOUND, own)
    kept = kept_file(own.sha256)
    kept.parent.mkdir(parents=True, exist_ok=True)
    Path(str(own.file)).rename(kept)
    for file in (own.file, None):
        np.testing.assert_array_equal(embed_voice(SOUND, own.model_copy(update={"file": file})), expected)
    kept.unlink()
    with pytest.raises(WeightsError, match=f"put it there, or as .*{kept.name}"):
        embed_voice(SOUND, own.model_copy(update={"file": str(tmp_path / "gone.onnx")}))


def test_outputs_are_chosen_by_name(tmp_path: Path) -> None:
    graph = graphs.voice_bands()
    graph.graph.output.append(graphs.value("sizes", [1, 12, "t"]))
    own = of_graph(graph, tmp_path)
    assert embed_voice(SOUND, own.model_copy(update={"output": "one"})).shape == (24,)
    with pytest.raises(FeatureError, match="has no output 'other': it has one, sizes"):
        embed_voice(SOUND, own.model_copy(update={"output": "other"}))
    with pytest.raises(FeatureError, match=r"gives \(1, 12, \d+\) values"):
        embed_voice(SOUND, own.model_copy(update={"output": "sizes"}))


def test_what_the_recipe_says_is_compared(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"gives \(\d+, 12\) values, and the recipe reads \(n_times, 16\)"):
        embed_voice(SOUND, of_graph(graphs.voice_bands(), tmp_path, 16))
    with pytest.raises(FeatureError, match=r"takes pooling = \[\]"):
        embed_voice(SOUND, of_graph(graphs.voice_bands(over_time=False), tmp_path))


def memory_bomb(n_values: int = 2**46) -> onnx.ModelProto:
    """Zeros, of which the sum is taken: more than any process can address."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["samples", "sum"], ["out"]),
    ]
    constants = [graphs.constant("shape", np.array([n_values]))]
    return graphs.model(nodes, [graphs.value("samples", ["n"])], [graphs.value("out", ["n"])], constants)


def not_a_number() -> onnx.ModelProto:
    nodes = [helper.make_node("Log", ["samples"], ["out"])]
    return graphs.model(nodes, [graphs.value("samples", ["n"])], [graphs.value("out", ["n"])])


def two_inputs() -> onnx.ModelProto:
    nodes = [helper.make_node("Add", ["samples", "other"], ["out"])]
    inputs = [graphs.value("samples", ["n"]), graphs.value("other", ["n"])]
    return graphs.model(nodes, inputs, [graphs.value("out", ["n"])])


def whole_numbers() -> onnx.ModelProto:
    nodes = [helper.make_node("Abs", ["samples"], ["out"])]
    kind = TensorProto.INT64
    return graphs.model(nodes, [graphs.value("samples", ["n"], kind)], [graphs.value("out", ["n"], kind)])


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (memory_bomb, "was tried in a process of its own, and failed"),
        (two_inputs, r"must have one input, samples at 16 kHz.*it has samples tensor\(float\)"),
        (whole_numbers, r"must have one input, samples at 16 kHz.*tensor\(int64\)"),
        (lambda: b"no such file", "not an ONNX file"),
    ],
)
def test_files_that_are_not_run(tmp_path: Path, make: Any, problem: str) -> None:
    with pytest.raises(WeightsError, match=problem) as caught:
        embed_voice(SOUND, of_graph(make(), tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")
def test_memory_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="was tried in a process of its own, and failed"):
        embed_voice(SOUND, of_graph(memory_bomb(2**32), tmp_path))


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    own = of_graph(not_a_number(), tmp_path, 24000, pooling=())
    with pytest.raises(FeatureError, match="not finite"):
        embed_voice(-np.abs(SOUND) - 1, own)


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    own = of_graph(graphs.voice_bands(), tmp_path)
    graphs.saved(graphs.voice_bands(13), tmp_path / "e.onnx")
    with pytest.raises(WeightsError, match="wrong sha256: the recipe says"):
        open_network("voice", own)


def test_a_file_is_tried_once_a_machine(tmp_path: Path) -> None:
    own = of_graph(graphs.voice_bands(), tmp_path)
    open_network("voice", own)
    (marker,) = (tmp_path / "tried").iterdir()
    before = marker.stat().st_mtime_ns, threading.active_count()
    open_network("voice", own.model_copy(update={"file": str(tmp_path / "." / "e.onnx")}))
    assert (marker.stat().st_mtime_ns, threading.active_count()) == before

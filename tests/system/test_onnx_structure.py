from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from emofuse.system.onnx_structure import check_onnx
from tests.support import embedding_graphs as graphs


def looped() -> onnx.ModelProto:
    """Counts to 2^60."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["x", "x"], ["twice"]),
        ],
        "body",
        [
            graphs.value("i", [], TensorProto.INT64), graphs.value("going", [], TensorProto.BOOL),
            graphs.value("x", ["n"]),
        ],
        [graphs.value("goes_on", [], TensorProto.BOOL), graphs.value("twice", ["n"])],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["times", "", "samples"], ["out"], body=body)
    constants = [graphs.constant("times", np.int64(2**60))]
    return graphs.model([loop], [graphs.value("samples", ["n"])], [graphs.value("out", ["n"])], constants)


def inside(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in a branch."""
    del model.graph.input[:]
    branch = helper.make_node("If", ["yes"], ["out"], then_branch=model.graph, else_branch=model.graph)
    constants = [graphs.constant("yes", np.bool_(True))]
    return graphs.model([branch], [graphs.value("samples", ["n"])], [graphs.value("out", ["n"])], constants)


def custom() -> onnx.ModelProto:
    model = graphs.voice_bands()
    model.graph.node[2].domain = "com.example"
    return model


def external() -> onnx.ModelProto:
    model = graphs.voice_bands()
    tensor = next(one for one in model.graph.initializer if one.name == "kernels")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model


def external_by_name_alone() -> onnx.ModelProto:
    model = external()
    for tensor in model.graph.initializer:
        tensor.ClearField("data_location")
    return model


def external_constant() -> onnx.ModelProto:
    model = graphs.voice_bands()
    tensor = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))
    return model


def huge() -> onnx.ModelProto:
    model = graphs.voice_bands()
    model.graph.initializer[2].dims[:] = [2**20, 2**20]
    return model


def with_function() -> onnx.ModelProto:
    model = graphs.voice_bands()
    function = helper.make_function(
        "mine", "f", ["x"], ["y"], [helper.make_node("Abs", ["x"], ["y"])], [helper.make_opsetid("", 17)]
    )
    model.functions.append(function)
    return model


def nested() -> onnx.ModelProto:
    model = graphs.voice_bands()
    for _ in range(12):
        model = inside(model)
    return model


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (looped, "'Loop' loops"), (lambda: inside(looped()), "'Loop' loops"),
        (custom, r"'Abs' is a custom one, of 'com\.example'"), (external, "another file"),
        (external_by_name_alone, "another file"), (external_constant, "another file"),
        (huge, "declares a tensor of 1099511627776 values"), (with_function, "operators of its own"),
        (nested, "nested more than 8 deep"),
    ],
)  # fmt: skip
def test_what_is_not_run(make: Callable[[], onnx.ModelProto], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_onnx(make().SerializeToString())


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"PK\3\4 a zip file", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x3a\x00"],
)
def test_what_is_no_onnx_file(content: bytes) -> None:
    with pytest.raises(ValueError, match="not an ONNX file"):
        check_onnx(content)


def test_a_file_that_is_cut_off() -> None:
    content = graphs.voice_bands().SerializeToString()
    for length in range(0, len(content), 97):
        with pytest.raises(ValueError, match="not an ONNX file"):
            check_onnx(content[:length])


def test_files_of_the_package_and_others_pass() -> None:
    check_onnx(graphs.whisper_from_samples())
    check_onnx(graphs.face_means().SerializeToString())
    check_onnx(inside(graphs.voice_bands()).SerializeToString())


def test_a_large_file_is_walked_without_a_copy() -> None:
    rng = np.random.default_rng(0)
    weights = graphs.constant("w", rng.standard_normal((4096, 2048)).astype(np.float32))
    node = helper.make_node("MatMul", ["samples", "w"], ["out"])
    content = graphs.model(
        [node], [graphs.value("samples", [1, 4096])], [graphs.value("out", [1, 2048])], [weights]
    ).SerializeToString()
    tracemalloc.start()
    check_onnx(content)
    assert tracemalloc.get_traced_memory()[1] < 100_000 < len(content)
    tracemalloc.stop()

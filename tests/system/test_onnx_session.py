from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emofuse.system.onnx_session import create_session, fold_constants


@pytest.fixture
def network() -> bytes:
    """``inputs`` + weights, which are stored in 16 bits and widened in the network."""
    weights = numpy_helper.from_array(np.array([1.0, 2.5, -3.0], np.float16), "weights")
    nodes = [
        helper.make_node("Cast", ["weights"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["inputs", "wide"], ["outputs"]),
    ]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("inputs", "outputs")]
    graph = helper.make_graph(nodes, "sum", value[:1], value[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_runs_with_as_many_threads_as_asked(network: bytes, threads: int) -> None:
    session = create_session(network, threads=threads)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    (outputs,) = session.run(["outputs"], {"inputs": np.ones(3, np.float32)})
    np.testing.assert_array_equal(outputs, [2.0, 3.5, -2.0])


def test_constants_are_folded(network: bytes, tmp_path: Path) -> None:
    fold_constants(network, tmp_path / "folded.onnx")
    folded = onnx.load(tmp_path / "folded.onnx")
    assert [node.op_type for node in folded.graph.node] == ["Add"]
    (outputs,) = create_session((tmp_path / "folded.onnx").read_bytes()).run(
        None, {"inputs": np.zeros(3, np.float32)}
    )
    np.testing.assert_array_equal(outputs, [1.0, 2.5, -3.0])

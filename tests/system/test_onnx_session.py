from __future__ import annotations

import os
import re
import subprocess
import sys
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


def test_nothing_is_sent_and_nothing_is_kept_for_it(tmp_path: Path) -> None:
    """As in a new user's home; only the moment of the import matters."""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "LOCALAPPDATA": str(tmp_path)}
    # in continuous integration, ONNX Runtime is silent anyway
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")
    }
    code = (
        "import os, sys\n"
        "from emofuse.recognition.recognizer import Recognizer\n"
        "Recognizer.load(None)\n"
        "assert 'onnxruntime' in sys.modules\n"
        "print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
    )
    environment = {**inherited, **home, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"  # the environment is as before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_it_is_imported_in_one_place() -> None:
    """Elsewhere it could be imported first, with its telemetry."""
    package = Path(__file__).parents[2] / "src" / "emofuse"
    imports = re.compile(r"^ *(import|from) onnxruntime", re.MULTILINE)
    found = {
        path.relative_to(package).as_posix(): text
        for path in package.rglob("*.py")
        if imports.search(text := path.read_text(encoding="utf-8"))
    }
    assert set(found) == {"system/onnx_session.py", "recognition/quantization.py"}
    assert re.search(r"onnx_runtime\(\)\n    from onnxruntime", found["recognition/quantization.py"])

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

from emofuse.core.errors import DeviceError
from emofuse.system import onnx_session
from emofuse.system.onnx_session import (
    create_session,
    fold_constants,
    onnx_runtime,
    session_device,
    sessions_on,
    usable_device,
)


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


def has_cuda() -> bool:
    try:
        return usable_device("cuda") == "cuda"
    except DeviceError:
        return False


without_cuda = pytest.mark.skipif(has_cuda(), reason="there is a GPU")


def test_the_cpu_is_the_default_and_always_usable(network: bytes) -> None:
    assert usable_device("cpu") == session_device() == "cpu"
    assert create_session(network).get_providers() == ["CPUExecutionProvider"]


@without_cuda
def test_auto_is_the_cpu_where_no_gpu_can_be_used() -> None:
    assert usable_device("auto") == "cpu"


@without_cuda
def test_a_gpu_that_cannot_be_used_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match=r"no GPU can be used: .*onnxruntime.*leave out --device cuda"):
        usable_device("cuda")


@without_cuda
def test_a_provider_that_does_not_start_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is installed as it seems, but where a driver or a library is missing it leaves all to the CPU."""
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx_runtime(), "get_available_providers", lambda: providers)
    onnx_session._gpu_problem.cache_clear()
    try:
        assert usable_device("auto") == "cpu"
        with pytest.raises(DeviceError, match="does not start"):
            usable_device("cuda")
    finally:
        onnx_session._gpu_problem.cache_clear()


def test_the_probe_is_a_network() -> None:
    onnx.checker.check_model(onnx.load_model_from_string(onnx_session._NEGATION))
    (outputs,) = create_session(onnx_session._NEGATION).run(None, {"x": np.ones(1, np.float32)})
    np.testing.assert_array_equal(outputs, [-1.0])


def test_a_device_holds_in_its_block_alone() -> None:
    with sessions_on("cuda"):
        assert session_device() == "cuda"
    assert session_device() == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not has_cuda(), reason="no GPU that ONNX Runtime can use")
def test_a_gpu_gives_what_the_cpu_gives(network: bytes) -> None:
    session = create_session(network, device="cuda")
    assert session.get_providers()[0] == "CUDAExecutionProvider"
    (outputs,) = session.run(["outputs"], {"inputs": np.ones(3, np.float32)})
    np.testing.assert_array_equal(outputs, [2.0, 3.5, -2.0])

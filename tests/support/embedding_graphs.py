"""ONNX files that make embeddings, and recipes that read them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from emofuse.features.voice.spectrogram import _mel_filters, _window
from emofuse.features.voice.speech_encoder import shipped_encoder

OPSET = 17
N_FFT, HOP, N_MELS, RATE = 400, 160, 80, 16000


def constant(name: str, values: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def value(name: str, shape: Sequence[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def spectrum() -> onnx.ModelProto:
    """(n,) samples at 16 kHz → (80, n // 160): the log-mel spectrogram of Whisper, by convolution."""
    angles = 2 * np.pi * np.outer(np.arange(N_FFT // 2 + 1), np.arange(N_FFT)) / N_FFT
    waves = np.stack([np.cos(angles), np.sin(angles)]) * _window(N_FFT, N_FFT)
    kernels = waves.reshape(-1, 1, N_FFT).astype(np.float32)
    filters = _mel_filters(RATE, N_FFT, N_MELS, 0.0, RATE / 2)[0]
    make = helper.make_node
    nodes = [
        make("Pad", ["samples", "around"], ["padded"], mode="reflect"),
        make("Unsqueeze", ["padded", "first_two"], ["batch"]),
        make("Conv", ["batch", "kernels"], ["spectra"], strides=[HOP]),
        make("Squeeze", ["spectra", "first"], ["one"]),
        make("Slice", ["one", "zero", "last", "time"], ["without_last"]),
        make("Mul", ["without_last", "without_last"], ["squares"]),
        make("Split", ["squares", "halves"], ["real", "imaginary"], axis=0),
        make("Add", ["real", "imaginary"], ["power"]),
        make("MatMul", ["filters", "power"], ["mel"]),
        make("Max", ["mel", "least"], ["floored"]),
        make("Log", ["floored"], ["natural"]),
        make("Div", ["natural", "log_ten"], ["logs"]),
        make("ReduceMax", ["logs"], ["loudest"], keepdims=0),
        make("Sub", ["loudest", "eight"], ["floor"]),
        make("Max", ["logs", "floor"], ["near"]),
        make("Add", ["near", "four"], ["shifted"]),
        make("Div", ["shifted", "four"], ["log_mel"]),
    ]
    half = N_FFT // 2
    constants = [
        constant("around", np.array([half, half])), constant("first_two", np.array([0, 1])),
        constant("first", np.array([0])), constant("zero", np.array([0])), constant("last", np.array([-1])),
        constant("time", np.array([1])), constant("halves", np.array([half + 1, half + 1])),
        constant("kernels", kernels), constant("filters", filters),
        constant("least", np.float32(1e-10)), constant("log_ten", np.float32(np.log(10))),
        constant("eight", np.float32(8)), constant("four", np.float32(4)),
    ]  # fmt: skip
    return model(nodes, [value("samples", ["n"])], [value("log_mel", [N_MELS, "t"])], constants)


def whisper_from_samples() -> bytes:
    """(n,) samples at 16 kHz → (n_times, 1536): the speech encoder that comes with emofuse, its blocks beside
    each other, with its spectrum in the graph."""
    encoder = compose.add_prefix(onnx.load_from_string(shipped_encoder()), "encoder/")
    first = spectrum()
    version = next(one.version for one in encoder.opset_import if one.domain == "")
    first = onnx.version_converter.convert_version(first, version)
    first.ir_version = encoder.ir_version
    source, target = encoder.graph.input[0].name, encoder.graph.output[0].name
    joined = compose.merge_models(first, encoder, [("log_mel", source)])
    graph = joined.graph
    make = helper.make_node
    graph.node.extend([
        make("Transpose", [target], ["by_time"], perm=[1, 0, 2]),
        make("Reshape", ["by_time", "flat"], ["values"]),
        make("Cast", ["values"], ["embedding"], to=TensorProto.FLOAT),
    ])  # fmt: skip
    graph.initializer.append(constant("flat", np.array([0, -1])))
    del graph.output[:]
    graph.output.append(value("embedding", ["t", 1536]))
    content: bytes = joined.SerializeToString()
    return content


def voice_bands(size: int = 12, *, batch: bool = False, over_time: bool = True) -> onnx.ModelProto:
    """(n,) or (1, n) samples → (t, size), (1, t, size), (size,) or (1, size): loudness in some bands."""
    rng = np.random.default_rng(3)
    times = np.arange(256) / RATE
    waves = [np.sin(2 * np.pi * (100 * 1.4**k) * times + rng.uniform(0, 6)) for k in range(size)]
    kernels = (np.hanning(256) * np.stack(waves))[:, None].astype(np.float32)
    make = helper.make_node
    nodes = [
        make("Unsqueeze", ["samples", "axes"], ["batched"]),
        make("Conv", ["batched", "kernels"], ["found"], strides=[128]),
        make("Abs", ["found"], ["sizes"]),
        make("Add", ["sizes", "least"], ["some"]),
        make("Log", ["some"], ["logs"]),
        make("Transpose", ["logs"], ["over_time"], perm=[0, 2, 1]),
    ]
    name = "over_time"
    if not over_time:
        nodes.append(make("ReduceMean", [name], ["mean"], axes=[1], keepdims=0))
        name = "mean"
    if not batch:
        nodes.append(make("Squeeze", [name, "zero"], ["one"]))
        name = "one"
    shape = [*(["b"] if batch else []), *(["t"] if over_time else []), size]
    constants = [
        constant("axes", np.array([1] if batch else [0, 1])), constant("zero", np.array([0])),
        constant("kernels", kernels), constant("least", np.float32(1e-3)),
    ]  # fmt: skip
    return model(nodes, [value("samples", ["b", "n"] if batch else ["n"])], [value(name, shape)], constants)


def face_means(size: int = 8, *, channels: int = 0, kind: int = TensorProto.UINT8) -> onnx.ModelProto:
    """(n, side, side), or (n, channels, side, side), crops → (n, size): projections of the pixels."""
    rng = np.random.default_rng(5)
    side, width = 48, max(channels, 1) * 48 * 48
    make = helper.make_node
    nodes = [
        make("Cast", ["crops"], ["floats"], to=TensorProto.FLOAT),
        make("Flatten", ["floats"], ["flat"], axis=1),
        make("MatMul", ["flat", "weights"], ["out"]),
    ]
    weights = (rng.standard_normal((width, size)) / width).astype(np.float32)
    shape = ["n", *([channels] if channels else []), side, side]
    return model(
        nodes, [value("crops", shape, kind)], [value("out", ["n", size])], [constant("weights", weights)]
    )


def saved(graph: onnx.ModelProto | bytes, path: Path) -> str:
    """Write a graph; return its sha256."""
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()

"""Storing large tensors of an ONNX model in float16, so that a bundle is small; it computes in float32."""

from __future__ import annotations

from typing import Final

import numpy as np

LEAST_VALUES: Final = 1024
"""Smaller tensors stay float32: scales and offsets, where precision matters and size does not."""
_LARGEST: Final = 6e4
"""Tensors with larger values stay float32: the largest value of float16 is 65,504."""


def store_as_float16(model: bytes) -> bytes:
    """The same model with large float32 matrices and filters stored as float16, each followed by a Cast.

    ONNX Runtime folds the Casts when it loads the model. Vectors stay float32.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < LEAST_VALUES or not np.abs(values).max() < _LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [f"{name}.float16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())

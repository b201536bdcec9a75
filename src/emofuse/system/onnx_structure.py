"""What an ONNX file holds, read without running it, and without the package onnx: is it safe to open?

An ONNX file is a program from elsewhere. ONNX Runtime would read other files that it names, and loop as often
as it says. Here its messages (protocol buffers, https://onnx.ai/onnx/api/classes.html) are walked first: only
the operators of the standard are let through, without loops, and only weights that the file itself holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LARGEST_BYTES: Final = 2**30
"""Of an ONNX file."""
_MOST_NODES: Final = 100_000
_DEEPEST: Final = 8
"""Levels of graphs inside of graphs."""
_STANDARD: Final = frozenset((b"", b"ai.onnx"))
"""Domains of operators whose meaning the standard defines."""
_LOOPS: Final = frozenset((b"Loop", b"Scan", b"SequenceMap"))
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES: Final = 10
_VALUES_PER_BYTE: Final = 2
"""Of the smallest type, of four bits."""
_EXTERNAL: Final = 1

Value = memoryview | int


def check_onnx(content: bytes) -> None:
    """Check that an ONNX file is whole, holds all of its weights, and has standard operators without loops.

    Args:
        content: of the file.

    Raises:
        ValueError: it is no ONNX file, damaged or too large, or has what is not run here; the text says what.
    """
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"it is larger than {LARGEST_BYTES >> 20} MiB")
    walk = _Walk()
    graphs = 0
    for number, value in _fields(memoryview(content)):
        if number == 7:  # graph
            graphs += 1
            walk.graph(_message(value), 1)
        elif number == 25:  # functions
            raise ValueError("it defines operators of its own (functions), which are not run")
        elif number == 20:  # training_info
            raise ValueError("it holds instructions for training: export it for inference")
    if graphs != 1 or not walk.n_nodes:
        raise ValueError("it is not an ONNX file: it has no network")


@dataclass(slots=True)
class _Walk:
    """The messages inside of a model, one after the other."""

    n_nodes: int = 0

    def graph(self, data: memoryview, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError(f"its graphs are nested more than {_DEEPEST} deep")
        for number, value in _fields(data):
            if number == 1:
                self._node(_message(value), depth)
            elif number == 5:  # initializer
                _check_tensor(_message(value))
            elif number == 15:  # sparse_initializer
                raise ValueError("it holds sparse tensors, which are not read")

    def _node(self, data: memoryview, depth: int) -> None:
        self.n_nodes += 1
        if self.n_nodes > _MOST_NODES:
            raise ValueError(f"it has more than {_MOST_NODES} operators")
        kind = domain = b""
        attributes = []
        for number, value in _fields(data):
            if number == 4:
                kind = bytes(_message(value))
            elif number == 7:
                domain = bytes(_message(value))
            elif number == 5:
                attributes.append(_message(value))
        name = f"{kind[:60].decode('ascii', 'replace')!r}"
        if domain not in _STANDARD:
            of = f"{domain[:60].decode('ascii', 'replace')!r}"
            raise ValueError(f"its operator {name} is a custom one, of {of}: only those of ONNX are run")
        if kind in _LOOPS:
            raise ValueError(f"its operator {name} loops, nobody knows how often: export it without loops")
        for attribute in attributes:
            self._attribute(attribute, depth)

    def _attribute(self, data: memoryview, depth: int) -> None:
        for number, value in _fields(data):
            if number in (5, 10):  # t, tensors
                _check_tensor(_message(value))
            elif number in (6, 11):  # g, graphs
                self.graph(_message(value), depth + 1)
            elif number in (22, 23):  # sparse tensors
                raise ValueError("it holds sparse tensors, which are not read")


def _check_tensor(data: memoryview) -> None:
    """Weights lie in the file, and there are as many of them as it says."""
    n_values = 1
    for number, value in _fields(data):
        if number == 13 or (number == 14 and value == _EXTERNAL):
            raise ValueError(
                "it keeps its weights in another file (external data): save it as one, by "
                "torch.onnx.export(…, external_data=False) or onnx.save_model(model, path)"
            )
        if number == 1:
            for side in _integers(value):
                if side > LARGEST_BYTES:
                    raise ValueError("it declares a tensor that is too large")
                n_values *= side
    if n_values > max(1, _VALUES_PER_BYTE * len(data)):
        raise ValueError(f"it declares a tensor of {n_values} values in {len(data)} bytes")


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message: their numbers, and integers or bytes.

    Raises:
        ValueError: the message ends early, or is none.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise ValueError("it is not an ONNX file, or damaged")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError("it is not an ONNX file, or damaged")
        if size > end - at:
            raise ValueError("it is not an ONNX file, or cut off")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where the next field starts."""
    value = 0
    for shift, byte in enumerate(data[at : at + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    raise ValueError("it is not an ONNX file, or cut off")


def _integers(value: Value) -> Iterator[int]:
    """The integers of a repeated field, of which several may lie in one."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        one, at = _varint(value, at)
        yield one


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("it is not an ONNX file, or damaged")  # noqa: TRY004 - it is about the file
    return value

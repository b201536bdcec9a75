from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.system.array_files import read_arrays


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def member(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A .npy file with any header."""
    text = header.encode("latin-1")
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text + data


def archive(content: bytes, *, packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as file:
        file.writestr("a.npy", content)
    return buffer.getvalue()


def header(shape: str, descr: str = "'<f8'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)),
        np.array("one text"),
        np.array(["Änne", "お"]),
        np.array(3),
        np.zeros((0, 5), np.float32),
        np.array([], dtype=str),
        np.array([True, False]),
        np.frombuffer(b'{"a": 1}', np.uint8),
        np.arange(3.0).astype(">f8"),
        np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]),
        np.zeros(400_000),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_of_numpy(tmp_path: Path, array: np.ndarray, save: Any) -> None:
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        save(file, a=array, b=np.ones(2))
    with np.load(path, allow_pickle=False) as arrays:
        wanted = arrays["a"]
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        found = read_arrays(source)
        assert list(found) == ["a", "b"]
        assert found["a"].dtype == wanted.dtype
        assert found["a"].flags.f_contiguous == wanted.flags.f_contiguous
        assert found["a"].flags.writeable
        np.testing.assert_array_equal(found["a"], wanted, strict=True)
    assert list(read_arrays(path, ["b", "c"])) == ["b"]


@pytest.mark.parametrize(
    "content",
    [
        archive(member(header("(12500000000000,)"))),  # 91 TiB in 187 bytes, or thereabouts
        archive(member(header("(12500000000000,)")), packed=True),
        archive(member(header("(3000000, 3000000, 3000000)"), b"\0" * 8)),
        archive(member(header("(9223372036854775807, 9223372036854775807)"), b"\0" * 8)),
        archive(member(header("(-1,)"), b"\0" * 8)),
        archive(member(header("(12500000000000,)", descr="'<U0'"))),
        archive(member(header("(12500000000000,)", descr="'|V0'"))),
        archive(member(header("(1,)", descr="'<U9999999999'"))),
        archive(member(header("(2,)"), b"\0" * 8)),
        archive(member(header("(2,)"), b"\0" * 24)),
        archive(member(header("(" * 4000 + ")" * 4000))),
        archive(member(header("(2,)", descr="[" * 4000), b"\0" * 16)),
        archive(member(header("(2,)", descr="'|O'"), pickle.dumps([1, 2]))),
        archive(member(header("(1,)"), b"\0" * 8, version=b"\x03\x00")),
        archive(member(header("(1,)"), b"\0" * 8, version=b"\x09\x00")),
        archive(b"nothing"),
        archive(b""),
        npz(a=np.zeros(9))[:-30],
        npz(a=np.zeros(9)).replace(b"\0\0\0\0\0\0\0\0", b"\1\0\0\0\0\0\0\0"),
        b"",
        member(header("(1,)"), b"\0" * 8),
    ],
)
def test_a_damaged_file_is_a_value_error_and_takes_no_memory(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            read_arrays(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 20 * 2**20


def test_what_unpacks_to_more_than_the_limit_is_not_unpacked() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(3 * 2**17), b=np.zeros(2**17))
    assert len(buffer.getvalue()) < 10_000
    assert len(read_arrays(buffer, limit_bytes=2**22 + 1000)["a"]) == 3 * 2**17
    with pytest.raises(ValueError, match="more than 4 MiB"):
        read_arrays(buffer, limit_bytes=2**22)
    assert list(read_arrays(buffer, ["b"], limit_bytes=2**22)) == ["b"]  # the rest stays packed


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "a.npz")

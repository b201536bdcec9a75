"""Read ``.npz`` and ``.npy`` files that others may have written: no more memory is asked for than they hold.

NumPy believes a header: 187 bytes can ask for 91 TiB. Here the shape that an array declares is compared with
the bytes that the archive has of it, and their sum with a limit, before memory is asked for. No pickle is
loaded.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

LARGEST_BYTES: Final = 2 * 2**30
"""Of all arrays of a file, unpacked, where the caller sets no other limit."""
_MOST_ARRAYS: Final = 10_000
_SUFFIX: Final = ".npy"
_CHUNK_BYTES: Final = 2**20
_MALFORMED: Final = (
    OSError, KeyError, TypeError, IndexError, AttributeError, EOFError, NotImplementedError, RuntimeError,
    OverflowError, MemoryError, SyntaxError, tokenize.TokenError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Everything that NumPy and zipfile are known to raise for a malformed file, RecursionError too."""


def read_arrays(
    source: Path | bytes | IO[bytes],
    names: Iterable[str] | None = None,
    *,
    limit_bytes: int = LARGEST_BYTES,
) -> Mapping[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file, by name.

    Args:
        source: the file: its path, its content, or open in binary mode.
        names: which arrays are read, of those that are there; None: all.
        limit_bytes: all of them together may take this much.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is no such file, damaged, or declares more than it holds or than the limit.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_arrays(file, names, limit_bytes=limit_bytes)
    wanted = None if names is None else frozenset(names)
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = _members(archive, wanted)
            if sum(member.file_size for member in members.values()) > limit_bytes:
                raise ValueError(f"its arrays take more than {limit_bytes / 2**20:.0f} MiB")
            return {name: _array(archive, member) for name, member in members.items()}
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from None  # NumPy's have several lines
    except _MALFORMED as error:
        raise ValueError(f"not an .npz file, or damaged ({type(error).__name__})") from None


def map_array(path: Path, *, limit_bytes: int = LARGEST_BYTES) -> NDArray[Any]:
    """The array of an ``.npy`` file, which stays on disk until it is used, and is not to be written.

    Args:
        path: of the file.
        limit_bytes: the array may take this much.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is no such file, damaged, or holds Python objects or more than the limit.
    """
    with path.open("rb") as file:
        try:
            shape, fortran_order, dtype = _header(file, path.name, path.stat().st_size)
            if math.prod(shape) * dtype.itemsize > limit_bytes:
                raise ValueError(f"its array takes more than {limit_bytes / 2**20:.0f} MiB")
            order: Any = "F" if fortran_order else "C"
            if not math.prod(shape):
                return np.empty(shape, dtype)
            return np.memmap(file, dtype, "r", file.tell(), shape, order)
        except ValueError as error:
            raise ValueError(" ".join(str(error).split())) from None
        except _MALFORMED as error:
            raise ValueError(f"not an .npy file, or damaged ({type(error).__name__})") from None


def _members(archive: zipfile.ZipFile, wanted: frozenset[str] | None) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MOST_ARRAYS:
        raise ValueError(f"it holds more than {_MOST_ARRAYS} arrays")
    found = {info.filename.removesuffix(_SUFFIX): info for info in infos if info.filename.endswith(_SUFFIX)}
    return {name: info for name, info in found.items() if wanted is None or name in wanted}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, read once what its header declares is what the archive has of it."""
    with archive.open(member) as file:
        shape, fortran_order, dtype = _header(file, member.filename, member.file_size)
        n_values = math.prod(shape)
        flat = np.empty(n_values, dtype=dtype)
        if n_values:
            _fill(file, flat.view(np.uint8))
    return flat.reshape(shape[::-1]).T if fortran_order else flat.reshape(shape)


def _header(file: IO[bytes], name: str, n_bytes: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array, once what its header declares is what the file has of it.

    ``n_bytes``: of the file, its header included.
    """
    version = npy.read_magic(file)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError(f"{name} is of a version that is not read")
    try:
        shape, fortran_order, dtype = read_header(file)
    except ValueError:  # NumPy's text names objects of Python
        raise ValueError(f"{name} has a header that is damaged") from None
    n_values = math.prod(shape)
    if dtype.hasobject or (n_values and not dtype.itemsize):
        raise ValueError(f"{name} holds no numbers or text")
    n_declared, n_held = n_values * dtype.itemsize, n_bytes - file.tell()
    if min(shape, default=0) < 0 or n_declared != n_held:
        raise ValueError(f"{name} declares {n_declared} bytes and holds {n_held}")
    return shape, fortran_order, dtype


def _fill(file: IO[bytes], buffer: NDArray[np.uint8]) -> None:
    done = 0
    while chunk := file.read(_CHUNK_BYTES):
        buffer[done : done + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        done += len(chunk)
    if done != len(buffer):
        raise EOFError

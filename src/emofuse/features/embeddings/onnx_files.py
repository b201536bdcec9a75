"""ONNX files of one's own, found by the sha256 that a recipe names: checked, tried out apart, then run.

A file is looked for where the recipe or the bundle says, then in the weights folder; one that comes with
emofuse is found by its sha256 alone, and is trusted. Of any other the structure is read
(:mod:`emofuse.system.onnx_structure`); and before it is run here for the first time, it is run once in a
process of its own, which may crash, hang or ask for too much memory without harm. That it passed is
remembered beside other caches, by sha256 and version of ONNX Runtime.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.devices import Device
from emofuse.core.errors import FeatureError, WeightsError
from emofuse.core.recipes.embedding import Embedding
from emofuse.core.recipes.voice import ENCODER_RATE_HZ
from emofuse.core.records import Float32, UInt8
from emofuse.features.embeddings.pooled import pooled
from emofuse.features.shipped_networks import comes_with_emofuse, shipped_network
from emofuse.system.atomic_write import write_atomically
from emofuse.system.cache_dirs import cache_folder
from emofuse.system.isolated_workers import Handler, Lost, Reply, Request, Task, isolated
from emofuse.system.json_files import read_bounded, read_json
from emofuse.system.memory import leave_no_core, limit_memory
from emofuse.system.model_files import weights_folder
from emofuse.system.onnx_session import create_session, onnx_runtime, session_device
from emofuse.system.onnx_structure import LARGEST_BYTES, check_onnx

SHORTEST_S: Final = 0.2
"""Shorter sound is padded to this."""
COPIED_BYTES: Final = 512 * 2**20
"""A bundle holds a copy of a file up to this size."""
MOST_VALUES: Final = 2**26
"""That a file may give of one recording."""

Modality = Literal["voice", "face"]

_TRIAL: Final = "emofuse.features.embeddings.onnx_files:load_trial"
_TRIAL_S: Final = 300.0
_TRIAL_BYTES: Final = 4 * 2**30
"""Of memory that a file may ask for while it is tried, apart from three times its size."""
_TRIAL_FRAMES: Final = 4
_FACE_RANKS: Final = {3: "(n, height, width)", 4: "(n, channels, height, width)"}


@dataclass(frozen=True, slots=True)
class _Network:
    """A file that is open, and its input."""

    session: Any
    path: Path
    input: str
    shape: tuple[int | None, ...]
    """None: a side of any length."""
    dtype: Any
    outputs: tuple[str, ...]

    def run(self, values: NDArray[Any], output: str | None) -> NDArray[Any]:
        """What it gives of an input, as one of its outputs.

        Raises:
            FeatureError: it fails, or has no such output.
        """
        name = self.outputs[0] if output is None else output
        if name not in self.outputs:
            raise FeatureError(
                f"{self.path.name} has no output {name!r}: it has {', '.join(self.outputs)[:500]}"
            )
        try:
            found: NDArray[Any] = np.asarray(self.session.run([name], {self.input: values})[0])
        except Exception as error:  # ONNX Runtime has errors of its own
            raise FeatureError(f"{self.path.name} cannot read this: {_line(error)}") from None
        if found.size > MOST_VALUES:
            raise FeatureError(f"{self.path.name} gives {found.size} values of one recording, too many")
        return found


def embed_voice(samples: Float32, embedding: Embedding, n_parts: int = 0) -> Float32:
    """What an ONNX file says of an utterance.

    Args:
        samples: (n_samples,) float32 at 16 kHz, full scale ±1; padded with zeros to 0.2 s, or to the length
            that the file's input has.
        embedding: the recipe's.
        n_parts: see :func:`~emofuse.features.embeddings.pooled.pooled`.

    Returns:
        (n_values,) float32.

    Raises:
        WeightsError: there is no such file, it is altered, or not one that is run.
        FeatureError: it fails, or gives what the recipe does not say.
    """
    return _voice_values(open_network("voice", embedding), samples, embedding, n_parts)


def embed_face(crops: UInt8, embedding: Embedding) -> Float32:
    """What an ONNX file says of a face.

    Args:
        crops: (n_frames, size, size) uint8 gray; a file with three channels gets each three times, one that
            reads floats gets 0 to 1.
        embedding: the recipe's.

    Returns:
        (n_values,) float32.

    Raises:
        WeightsError, FeatureError: as :func:`embed_voice`.
    """
    return _face_values(open_network("face", embedding, crops.shape[1]), crops, embedding)


def _voice_values(network: _Network, samples: Float32, embedding: Embedding, n_parts: int = 0) -> Float32:
    fixed = network.shape[-1]
    least = fixed or round(SHORTEST_S * ENCODER_RATE_HZ)
    if fixed is not None and len(samples) > fixed:
        raise FeatureError(
            f"{network.path.name} reads {fixed} samples: set duration_s = {fixed / ENCODER_RATE_HZ:g}"
        )
    padded = np.pad(samples, (0, max(0, least - len(samples))))
    batched = padded.reshape((1,) * (len(network.shape) - 1) + (-1,))
    values = network.run(batched, embedding.output)
    if len(network.shape) > 1:
        values = _only(values, network)
    return pooled(values, embedding, network.path.name, n_parts)


def _only(values: NDArray[Any], network: _Network) -> NDArray[Any]:
    """Those of the one recording in a batch."""
    if values.ndim < 2 or len(values) != 1:
        raise FeatureError(
            f"{network.path.name} reads a batch of recordings, and gives {values.shape} for one: its output "
            "must have the batch first"
        )
    one: NDArray[Any] = values[0]
    return one


def _face_values(network: _Network, crops: UInt8, embedding: Embedding) -> Float32:
    given: NDArray[Any] = crops
    if len(network.shape) == 4:
        channels = network.shape[1] or 1
        given = np.repeat(crops[:, None], channels, axis=1)
    sides = network.shape[-2:]
    if any(side not in (None, crops.shape[1]) for side in sides):
        raise FeatureError(f"{network.path.name} reads faces of {sides}: set face.features.size to that")
    if network.shape[0] not in (None, len(crops)):
        raise FeatureError(f"{network.path.name} reads {network.shape[0]} frames: set n_frames to that")
    if network.dtype != np.uint8:
        given = given.astype(np.float32) / np.float32(255)
    values = network.run(given, embedding.output)
    if not embedding.over_time and values.ndim == 2:
        values = _only(values, network)
    return pooled(values, embedding, network.path.name)


def open_network(modality: Modality, embedding: Embedding, crop_px: int = 0) -> _Network:
    """The open file of a recipe, opened once per process and device.

    Args:
        modality: what it reads.
        embedding: the recipe's.
        crop_px: the side of the crops of a face.

    Raises:
        WeightsError: there is no such file, it is altered, or not one that is run.
    """
    return _opened(modality, embedding.sha256, embedding.file, crop_px, session_device())


@lru_cache(maxsize=4)
def _opened(modality: Modality, sha256: str, file: str | None, crop_px: int, device: Device) -> _Network:
    path, content = _read(sha256, file)
    if comes_with_emofuse(sha256):
        return _open(path, content, modality, device)
    _check_structure(path, content)
    passed = _passed(sha256, modality, crop_px)
    if not _passed_before(passed):
        _try_apart(path, passed)
    return _open(path, content, modality, device)


def read_embedding(embedding: Embedding) -> bytes:
    """The content of the ONNX file of a recipe.

    Raises:
        WeightsError: there is no such file, or it is altered.
    """
    return _read(embedding.sha256, embedding.file)[1]


def kept_file(sha256: str) -> Path:
    """Where a file is looked for whose recipe or bundle says no place, or one where it no longer is."""
    return weights_folder() / f"embedding-{sha256[:16]}.onnx"


def _read(sha256: str, file: str | None) -> tuple[Path, bytes]:
    if comes_with_emofuse(sha256):
        return shipped_network(sha256)
    kept = kept_file(sha256)
    path = kept if file is None or (kept.is_file() and not Path(file).is_file()) else Path(file)
    try:
        content = read_bounded(path, LARGEST_BYTES)
    except OSError as error:
        raise WeightsError(
            f"{path}: the ONNX file that the recipe names cannot be read ({error.strerror or error}): "
            f"put it there, or as {kept}"
        ) from None
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsError(f"{path}: wrong sha256: the recipe says {sha256}, the file has {found}")
    return path, content


def _check_structure(path: Path, content: bytes) -> None:
    try:
        check_onnx(content)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from None


def _open(path: Path, content: bytes, modality: Modality, device: Device) -> _Network:
    try:
        session = create_session(content, device=device)
        inputs, outputs = session.get_inputs(), tuple(one.name for one in session.get_outputs())
    except Exception as error:  # ONNX Runtime has errors of its own
        raise WeightsError(f"{path} cannot be run: {_line(error)}") from None
    wants = {
        "voice": "samples at 16 kHz, (n,) or (1, n) float32",
        "face": f"crops of a face, {' or '.join(_FACE_RANKS.values())} uint8 or float32",
    }[modality]
    kinds = {"voice": {"tensor(float)": np.float32}}.get(
        modality, {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
    )
    shape = tuple(side if isinstance(side, int) else None for side in inputs[0].shape) if inputs else ()
    fits = len(inputs) == 1 and inputs[0].type in kinds and bool(outputs)
    if modality == "voice":
        fits = fits and 1 <= len(shape) <= 3 and all(side in (None, 1) for side in shape[:-1])
    else:
        fits = fits and len(shape) in _FACE_RANKS
        fits = fits and (len(shape) == 3 or shape[1] in (None, 1, 3))
    if not fits:
        found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)[:300] or "none"
        raise WeightsError(f"{path} must have one input, {wants}; it has {found}")
    return _Network(session, path, inputs[0].name, shape, kinds[inputs[0].type], outputs)


def _try_apart(path: Path, trial: Mapping[str, str | int]) -> None:
    """Run a file once in a process of its own, and remember that it went well.

    Raises:
        WeightsError: it did not.
    """
    setup = {**trial, "file": str(path.absolute())}
    with contextlib.closing(isolated(_TRIAL, setup, [Task(0, {}, _TRIAL_S)], 1)) as replies:
        _, reply = next(replies)
    problem = reply.reason if isinstance(reply, Lost) else reply["error"]
    if problem is not None:
        raise WeightsError(f"{path} was tried in a process of its own, and failed: {problem}")
    with contextlib.suppress(OSError):
        write_atomically(_marker(trial), json.dumps(trial).encode())


def _passed(sha256: str, modality: Modality, crop_px: int) -> dict[str, str | int]:
    """What a trial depends on."""
    version = onnx_runtime().__version__
    return {"sha256": sha256, "modality": modality, "crop_px": crop_px, "onnxruntime": version}


def _passed_before(trial: Mapping[str, str | int]) -> bool:
    try:
        return bool(read_json(_marker(trial)) == trial)
    except (OSError, ValueError):
        return False


def _marker(trial: Mapping[str, str | int]) -> Path:
    return cache_folder("embeddings", variable="EMOFUSE_EMBEDDINGS") / f"{trial['sha256']}.json"


def load_trial(setup: Mapping[str, Any]) -> Handler:
    """In a process of its own: try a file."""

    def tried(_: Request) -> Reply:
        path = Path(str(setup["file"]))
        leave_no_core()
        limit_memory(_TRIAL_BYTES + 3 * path.stat().st_size)
        try:
            content = _read(setup["sha256"], str(path))[1]
            network = _open(path, content, setup["modality"], "cpu")
            network.run(_trial_input(network, setup), None)
        except (WeightsError, FeatureError) as error:
            return {"error": str(error)}
        except MemoryError:
            return {"error": "it asks for more memory than it may"}
        return {"error": None}

    return tried


def _trial_input(network: _Network, setup: Mapping[str, Any]) -> NDArray[Any]:
    """A second of quiet noise, or some crops."""
    rng = np.random.default_rng(0)
    if setup["modality"] == "voice":
        n_samples = network.shape[-1] or ENCODER_RATE_HZ
        sound = 0.01 * rng.standard_normal(n_samples).astype(np.float32)
        return sound.reshape((1,) * (len(network.shape) - 1) + (-1,))
    middle = (1,) * (len(network.shape) - 3)
    defaults = (_TRIAL_FRAMES, *middle, setup["crop_px"], setup["crop_px"])
    crops = rng.integers(0, 256, [side or other for side, other in zip(network.shape, defaults, strict=True)])
    return crops.astype(np.uint8) if network.dtype == np.uint8 else crops.astype(np.float32) / np.float32(255)


def _line(error: Exception) -> str:
    """The first line of an error, without its number in ONNX Runtime."""
    first = str(error).partition("\n")[0] or type(error).__name__
    return first.rpartition(" : ")[2][:300]

"""What a speech encoder says of an utterance: mean and spread over time of what each of its blocks gives.

The encoder is the beginning of Whisper's (Radford et al. 2022; MIT), trained on 680,000 hours of speech in
many languages, as an ONNX graph. A recipe names the graph by its sha256. One of the model ``base`` comes
with emofuse; others lie in the weights folder (``emofuse weights encoder``).
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any, Final

import numpy as np

from emofuse.core.devices import Device
from emofuse.core.errors import WeightsError
from emofuse.core.recipes.voice import ENCODER_DURATION_S, ENCODER_RATE_HZ
from emofuse.core.records import Float32
from emofuse.features.embeddings.pooled import PARTS
from emofuse.features.voice.spectrogram import mel_power
from emofuse.system.model_files import weights_folder
from emofuse.system.onnx_session import create_session, session_device

N_BANDS: Final = 80
N_BLOCKS: Final = 3
"""Of the encoder: what later blocks give is about words, and tells less about how they are said."""
WIDTH: Final = 512
"""Values that a block gives at a time."""
SHORTEST_S: Final = 0.2
"""Shorter sound is padded to this."""
_FILE: Final = "whisper-base-first3.onnx"
SHIPPED_SHA256: Final = "55f855d40fd1a27dc3a904160ea855d81a8867ce2f2802e0260459cfa14e5ea6"
"""Of the graph that comes with emofuse."""
_STFT: Final = (400, 400, 160)
_LEAST_POWER: Final = np.float32(1e-10)
_RANGE: Final = np.float32(8)
"""Powers of ten below the loudest: what is further below is raised to it."""


def encoder_size(n_parts: int = 0) -> int:
    """Number of values of an utterance."""
    return N_BLOCKS * WIDTH * (2 + n_parts)


def encoder_views(n_before: int = 0, n_parts: int = 0) -> dict[str, slice]:
    """Where the values of each block are, and those of the parts if there are any.

    Args:
        n_before: how many other values come before.
        n_parts: of the utterance.
    """
    size = 2 * WIDTH
    views = {f"block-{k + 1}": slice(n_before + k * size, n_before + (k + 1) * size) for k in range(N_BLOCKS)}
    if n_parts:
        views[PARTS] = slice(n_before + N_BLOCKS * size, n_before + encoder_size(n_parts))
    return views


def encode_speech(samples: Float32, sha256: str, n_parts: int = 0) -> Float32:
    """What the encoder says of an utterance.

    Args:
        samples: (n_samples,) float32 at 16 kHz, full scale ±1; padded with zeros to 0.2 s, cut to 10 s.
        sha256: of the graph.
        n_parts: equal parts of time, whose means follow.

    Returns:
        (3072 + 1536 · n_parts,) float32: for each block the mean over time of its 512 values, then their
        standard deviations; then for each part the means of all blocks.

    Raises:
        WeightsError: there is no such graph, or it is none of an encoder.
    """
    shortest, longest = round(SHORTEST_S * ENCODER_RATE_HZ), round(ENCODER_DURATION_S * ENCODER_RATE_HZ)
    samples = samples[:longest]
    samples = np.pad(samples, (0, max(0, shortest - len(samples))))
    blocks = (
        _session(sha256, session_device())
        .run(None, {"inputs": whisper_log_mel(samples)})[0]
        .astype(np.float64)
    )
    values = [np.stack([blocks.mean(1), blocks.std(1)], axis=1).ravel()]
    edges = np.linspace(0, blocks.shape[1], n_parts + 1)
    for first, last in pairwise(edges):
        part = blocks[:, int(first) : max(int(first) + 1, math.ceil(last))]
        values.append(part.mean(1).ravel())
    return np.concatenate(values).astype(np.float32)


def whisper_log_mel(samples: Float32) -> Float32:
    """(80, n_samples // 160) float32: what Whisper reads of 16 kHz sound, floored 8 powers of ten below its
    loudest value, and brought near ±1."""
    power = mel_power(samples, ENCODER_RATE_HZ, _STFT, N_BANDS, (0.0, None), beyond_ends="reflect")[:, :-1]
    logs = np.log10(np.maximum(power, _LEAST_POWER))
    out: Float32 = (np.maximum(logs, logs.max() - _RANGE) + np.float32(4)) / np.float32(4)
    return out


def shipped_encoder() -> bytes:
    """The graph that comes with emofuse."""
    return (resources.files(__package__) / "whisper" / _FILE).read_bytes()


def read_encoder_graph(sha256: str) -> bytes:
    """The graph with this sha256: the one that comes with emofuse, or one from the weights folder.

    Raises:
        WeightsError: neither is it.
    """
    if sha256 == SHIPPED_SHA256:
        graph = shipped_encoder()
        where = f"the speech encoder that comes with emofuse, {_FILE}"
    else:
        path = weights_folder() / encoder_file(sha256)
        where = str(path)
        try:
            graph = path.read_bytes()
        except OSError as error:
            raise WeightsError(
                f"{path}: the speech encoder that the recipe names cannot be read "
                f"({error.strerror or error}): make it from the weights with `emofuse weights encoder`"
            ) from None
    found = hashlib.sha256(graph).hexdigest()
    if found != sha256:
        raise WeightsError(f"{where}: wrong sha256: expected {sha256}, got {found}")
    return graph


def encoder_file(sha256: str) -> str:
    """The name of a graph in the weights folder."""
    return f"speech-encoder-{sha256[:16]}.onnx"


@lru_cache(maxsize=2)
def _session(sha256: str, device: Device) -> Any:
    try:
        return create_session(read_encoder_graph(sha256), device=device)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"the speech encoder {sha256[:16]} cannot be run: {error}") from None

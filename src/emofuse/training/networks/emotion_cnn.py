"""The Emotion CNN that DeepFace ships, and the conversion of its published Keras weights to PyTorch.

The weights are read from HDF5 array by array, without Keras; nothing in the file is executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own abbreviation

from emofuse.core.errors import WeightsError
from emofuse.core.labels import FER2013
from emofuse.system.checksums import verify_sha256
from emofuse.training.draws import Dropout

N_FEATURES: Final = 1024
"""Width of the second dense layer, the LRCN's input."""
DROPOUT: Final = 0.2
LARGEST_ARRAYS_BYTES: Final = 1 << 30
"""HDF5 stores an unwritten array in no space, so that its declared size is checked before it is read."""


class EmotionCnn(nn.Module):
    """A face crop to the seven classes of FER2013: DeepFace's network, 1,485,831 parameters.

    Input (n, 1, 48, 48) float32 in [0, 1]. No layer pads. Side of the image after each step: 48, conv 44,
    max-pool 20, conv 18, conv 16, average-pool 7, conv 5, conv 3, average-pool 1.
    """

    def __init__(self) -> None:
        """Random weights, as PyTorch draws them; :func:`load_keras_weights` loads the published ones."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 5)
        self.conv2 = nn.Conv2d(64, 64, 3)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.conv4 = nn.Conv2d(64, 128, 3)
        self.conv5 = nn.Conv2d(128, 128, 3)
        self.dense1 = nn.Linear(128, N_FEATURES)
        self.dense2 = nn.Linear(N_FEATURES, N_FEATURES)
        self.output = nn.Linear(N_FEATURES, len(FER2013))
        self.dropout = Dropout(DROPOUT)

    def features(self, x: Tensor) -> Tensor:
        """(n, 1, 48, 48) in [0, 1] to (n, 1024), the second dense layer after its ReLU."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 5, 2)
        x = F.relu(self.conv3(F.relu(self.conv2(x))))
        x = F.avg_pool2d(x, 3, 2)
        x = F.relu(self.conv5(F.relu(self.conv4(x))))
        x = F.avg_pool2d(x, 3, 2)
        # Keras flattens as height, width, channels, which is the order of the first dense kernel's rows. At
        # 48×48 one pixel is left and the orders agree; with the permutation they agree by construction.
        x = x.permute(0, 2, 3, 1).flatten(1)
        x = self.dropout(F.relu(self.dense1(x)))
        return F.relu(self.dense2(x))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 48, 48) in [0, 1] to (n, 7) logits, in the order of :data:`emofuse.core.labels.FER2013`."""
        logits: Tensor = self.output(self.dropout(self.features(x)))
        return logits

    def layers(self) -> tuple[nn.Conv2d | nn.Linear, ...]:
        """The layers with weights, from input to output: the order of a Keras weight file."""
        convolutions = (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5)
        return (*convolutions, self.dense1, self.dense2, self.output)


def standardize_images(faces: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over each image of (n, 1, height, width)."""
    centered = faces - faces.mean((2, 3), keepdim=True)
    return centered / (centered.square().mean((2, 3), keepdim=True) + 1e-4).sqrt()


def load_keras_weights(model: EmotionCnn, path: Path, *, sha256: str | None) -> None:
    """Load a Keras weight file into ``model``: all of it, or nothing.

    Args:
        model: changed in place.
        path: an HDF5 file as Keras' ``save_weights`` or ``save`` writes it.
        sha256: digest that the file must have, or None for a file of your own.

    Raises:
        WeightsError: the sha256 differs; the file is not HDF5 or not of this layout; a layer is missing, is
            unexpected, or has another shape (named, with expected and actual); a value is not finite.
    """
    if sha256 is not None:
        verify_sha256(path, sha256)
    found: dict[str, list[NDArray[np.float32]]] = {}
    for name, array in read_hdf5(path).items():
        found.setdefault(name.rpartition("/")[0], []).append(array)
    wanted = model.layers()
    if len(found) != len(wanted):
        raise WeightsError(
            f"{path}: the Emotion CNN has {len(wanted)} layers with weights, "
            f"the file has {len(found)} ({', '.join(found)})"
        )
    pairs = [
        (layer, *_kernel_and_bias(path, name, layer, arrays))
        for layer, (name, arrays) in zip(wanted, found.items(), strict=True)
    ]
    with torch.no_grad():
        for layer, kernel, bias in pairs:
            assert layer.bias is not None
            layer.weight.copy_(torch.from_numpy(kernel))
            layer.bias.copy_(torch.from_numpy(bias))


def read_hdf5(path: Path) -> dict[str, NDArray[np.float32]]:
    """The weight arrays of a Keras HDF5 file as float32, by ``layer/name``, in the order of the layers.

    Reads what ``save_weights`` writes, what ``save`` writes (below a group ``model_weights``), lists of names
    that Keras split over several attributes, and names that older versions truncated.

    Raises:
        WeightsError: the file cannot be read, is not HDF5, is not of this layout, or links to other files.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    if not h5py.is_hdf5(path):
        raise WeightsError(f"{path}: not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            return dict(_arrays(path, file))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: damaged HDF5 file: {error}") from error


def _arrays(path: Path, file: Any) -> Iterator[tuple[str, NDArray[np.float32]]]:
    root = file
    if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
        root = _member(path, file, "model_weights", h5py.Group)
    n_bytes = 0
    for layer_name in _names(path, root, "layer_names"):
        group = _member(path, root, layer_name, h5py.Group)
        for weight_name in _names(path, group, "weight_names"):
            dataset = _weight(path, group, layer_name, weight_name)
            n_bytes += dataset.size * 4
            if n_bytes > LARGEST_ARRAYS_BYTES:
                raise WeightsError(f"{path}: the arrays are larger than {LARGEST_ARRAYS_BYTES} bytes")
            short = dataset.name.rpartition("/")[2].partition(":")[0]
            yield f"{layer_name}/{short}", np.asarray(dataset[()], dtype=np.float32)


def _weight(path: Path, group: Any, layer_name: str, weight_name: str) -> Any:
    """The array that ``weight_name`` names, exactly or, where it was truncated, as a prefix."""
    datasets: dict[str, Any] = {}
    _walk(path, group, "", datasets)
    matches = [name for name in datasets if name == weight_name] or [
        name for name in datasets if name.startswith(weight_name)
    ]
    if len(matches) != 1:
        raise WeightsError(f"{path}: layer {layer_name} has {len(matches)} arrays for the name {weight_name}")
    dataset = datasets[matches[0]]
    if dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual:
        raise WeightsError(f"{path}: layer {layer_name}: {weight_name} is not a plain array of numbers")
    return dataset


def _walk(path: Path, group: Any, prefix: str, datasets: dict[str, Any]) -> None:
    for name in group:
        member = _member(path, group, name, (h5py.Group, h5py.Dataset))
        if isinstance(member, h5py.Dataset):
            datasets[prefix + name] = member
        elif prefix.count("/") < 8:  # Keras nests twice; a cycle of hard links would not end
            _walk(path, member, f"{prefix}{name}/", datasets)


def _member(path: Path, group: Any, name: str, kind: Any) -> Any:
    """A group or array inside the file; links are not followed."""
    link = group.get(name, getlink=True)
    if link is None:
        raise WeightsError(f"{path}: no {name} in {group.name}: not a Keras weight file")
    if not isinstance(link, h5py.HardLink):
        raise WeightsError(f"{path}: {name} is a link, which is not followed")
    member = group[name]
    if not isinstance(member, kind):
        raise WeightsError(f"{path}: {name} in {group.name} is of the wrong kind")
    return member


def _names(path: Path, group: Any, attribute: str) -> list[str]:
    """A list of names that Keras stored as an attribute, or as several where it exceeds HDF5's 64 kB."""
    chunks = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(chunks)}" in group.attrs:
        chunks.append(f"{attribute}{len(chunks)}")
    if not chunks:
        raise WeightsError(f"{path}: {group.name} has no attribute {attribute}: not a Keras weight file")
    values = [value for chunk in chunks for value in np.atleast_1d(group.attrs[chunk])]
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]


def _kernel_and_bias(
    path: Path, name: str, layer: nn.Conv2d | nn.Linear, arrays: list[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One layer's kernel and bias in PyTorch's order, checked against the layer.

    Keras has (height, width, in, out) and (in, out), PyTorch (out, in, height, width) and (out, in).
    """
    if len(arrays) != 2:
        raise WeightsError(f"{path}: layer {name} has {len(arrays)} arrays, wanted a kernel and a bias")
    bias, kernel = sorted(arrays, key=lambda array: array.ndim)
    out_in = tuple(layer.weight.shape)
    wanted = (*out_in[2:], out_in[1], out_in[0])
    for part, want, got in (("kernel", wanted, kernel.shape), ("bias", (out_in[0],), bias.shape)):
        if got != want:
            raise WeightsError(f"{path}: layer {name}: {part} has shape {got}, wanted {want}")
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise WeightsError(f"{path}: layer {name} has values that are not finite")
    order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
    return np.ascontiguousarray(kernel.transpose(order)), np.ascontiguousarray(bias)

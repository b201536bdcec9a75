"""The Emotion CNN against an independent forward pass in plain NumPy, in Keras' layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from emofuse.core.errors import WeightsError
from emofuse.training.networks.emotion_cnn import EmotionCnn, load_keras_weights, read_hdf5

# The arrays of the published file, in Keras' order: (height, width, in, out) and (in, out).
SHAPES = {
    "conv2d_1": (5, 5, 1, 64),
    "conv2d_2": (3, 3, 64, 64),
    "conv2d_3": (3, 3, 64, 64),
    "conv2d_4": (3, 3, 64, 128),
    "conv2d_5": (3, 3, 128, 128),
    "dense_1": (128, 1024),
    "dense_2": (1024, 1024),
    "dense_3": (1024, 7),
}
ORDER = (
    *("conv2d_1", "max_pooling2d_1", "conv2d_2", "conv2d_3", "average_pooling2d_1", "conv2d_4", "conv2d_5"),
    *("average_pooling2d_2", "flatten_1", "dense_1", "dropout_1", "dense_2", "dropout_2", "dense_3"),
)
Arrays = dict[str, tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    rng = np.random.default_rng(7)
    return {
        name: (
            (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32),
            (rng.standard_normal(shape[-1]) * 0.1).astype(np.float32),
        )
        for name, shape in SHAPES.items()
    }


def write(path: Path, arrays: Arrays, *, below: str | None = None, weights: str = "{}/{}:0") -> Path:
    """A file as Keras 2's ``save_weights`` writes it; ``below``: as ``save`` does."""
    with h5py.File(path, "w") as file:
        root = file if below is None else file.create_group(below)
        root.attrs["layer_names"] = [name.encode() for name in ORDER if name in arrays or name not in SHAPES]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.0.6"
        for layer in ORDER:
            group = root.create_group(layer)
            pair = arrays.get(layer)
            names = [weights.format(layer, part) for part in ("kernel", "bias")] if pair else []
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name, array in zip(names, pair or (), strict=True):
                group[name] = array
    return path


@pytest.fixture
def weight_file(tmp_path: Path, arrays: Arrays) -> Path:
    return write(tmp_path / "weights.h5", arrays)


def numpy_features(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    """(n, 48, 48, 1) to (n, 1024), channels last, float64."""

    def conv(x: np.ndarray, name: str) -> np.ndarray:
        kernel, bias = arrays[name]
        windows = sliding_window_view(x, kernel.shape[:2], axis=(1, 2))  # (n, h, w, in, kh, kw)
        sums = np.einsum("nhwckl,klco->nhwo", windows, kernel, optimize=True)
        return np.asarray(np.maximum(sums + bias, 0))

    def pool(x: np.ndarray, size: int, how: Callable[..., np.ndarray]) -> np.ndarray:
        return np.asarray(how(sliding_window_view(x, (size, size), axis=(1, 2))[:, ::2, ::2], axis=(-2, -1)))

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        kernel, bias = arrays[name]
        return np.asarray(np.maximum(x @ kernel + bias, 0))

    x = pool(conv(x.astype(np.float64), "conv2d_1"), 5, np.max)
    x = pool(conv(conv(x, "conv2d_2"), "conv2d_3"), 3, np.mean)
    x = pool(conv(conv(x, "conv2d_4"), "conv2d_5"), 3, np.mean)
    return dense(dense(x.reshape(len(x), -1), "dense_1"), "dense_2")


def test_parameter_counts() -> None:
    model = EmotionCnn()
    assert sum(p.numel() for p in model.parameters()) == 1_485_831
    assert sum(p.numel() for p in model.dense2.parameters()) == 1_049_600


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"below": "model_weights"},
        {"weights": "{0}/{0}/{1}:0"},
        {"weights": "{}_{}"},
    ],
)
def test_agrees_with_numpy(tmp_path: Path, arrays: Arrays, layout: dict[str, str]) -> None:
    path = write(tmp_path / "weights.h5", arrays, **layout)
    model = EmotionCnn().eval()
    load_keras_weights(model, path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    x = np.random.default_rng(3).random((4, 48, 48, 1), dtype=np.float32)
    features = numpy_features(arrays, x)
    kernel, bias = arrays["dense_3"]
    logits = features @ kernel + bias
    with torch.no_grad():
        batch = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
        got_features, got_logits = model.features(batch).numpy(), model(batch).numpy()
    assert got_features.shape == (4, 1024)
    assert got_logits.shape == (4, 7)
    assert features.max() > 0.1  # zeros would agree with anything
    np.testing.assert_allclose(got_features, features, atol=1e-4)
    np.testing.assert_allclose(got_logits, logits, atol=1e-4)
    assert np.ptp(logits, axis=0).min() > 1e-3


def test_dropout_is_active_in_training_only(weight_file: Path) -> None:
    model = EmotionCnn()
    load_keras_weights(model, weight_file, sha256=None)
    x = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    assert not torch.equal(model.train()(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


def test_read_hdf5_gives_all_arrays_in_order(weight_file: Path, arrays: Arrays) -> None:
    read = read_hdf5(weight_file)
    assert list(read) == [f"{name}/{part}" for name in SHAPES for part in ("kernel", "bias")]
    for name, (kernel, bias) in arrays.items():
        np.testing.assert_array_equal(read[f"{name}/kernel"], kernel)
        np.testing.assert_array_equal(read[f"{name}/bias"], bias)
    assert sum(array.size for array in read.values()) == 1_485_831


def test_truncated_names_and_split_names(tmp_path: Path, arrays: Arrays) -> None:
    path = write(tmp_path / "weights.h5", arrays, weights="{0}/{0}/{1}:0")
    with h5py.File(path, "r+") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:5], names[5:]
        for layer in SHAPES:
            group = file[layer]
            group.attrs["weight_names"] = [name[:-3] for name in group.attrs["weight_names"]]
    assert list(read_hdf5(path).values())[2].shape == (3, 3, 64, 64)
    load_keras_weights(EmotionCnn(), path, sha256=None)


def test_wrong_shape_names_layer_and_shapes_and_changes_nothing(tmp_path: Path, arrays: Arrays) -> None:
    bad = arrays | {"dense_2": (np.zeros((1024, 512), np.float32), arrays["dense_2"][1])}
    path = write(tmp_path / "weights.h5", bad)
    model = EmotionCnn()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"layer dense_2: kernel .*\(1024, 512\), wanted \(1024, 1024\)"):
        load_keras_weights(model, path, sha256=None)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_kernel_in_pytorchs_order_is_rejected(tmp_path: Path, arrays: Arrays) -> None:
    kernel, bias = arrays["conv2d_4"]
    path = write(tmp_path / "w.h5", arrays | {"conv2d_4": (kernel.transpose(3, 2, 0, 1), bias)})
    with pytest.raises(WeightsError, match=r"conv2d_4: kernel has shape \(128, 64, 3, 3\)"):
        load_keras_weights(EmotionCnn(), path, sha256=None)


def test_wrong_bias(tmp_path: Path, arrays: Arrays) -> None:
    path = write(tmp_path / "w.h5", arrays | {"dense_3": (arrays["dense_3"][0], np.zeros(8, np.float32))})
    with pytest.raises(WeightsError, match=r"layer dense_3: bias has shape \(8,\), wanted \(7,\)"):
        load_keras_weights(EmotionCnn(), path, sha256=None)


def test_missing_layer(tmp_path: Path, arrays: Arrays) -> None:
    path = write(tmp_path / "w.h5", {name: pair for name, pair in arrays.items() if name != "dense_3"})
    with pytest.raises(WeightsError, match="has 8 layers with weights, the file has 7"):
        load_keras_weights(EmotionCnn(), path, sha256=None)


def test_missing_array(weight_file: Path) -> None:
    with h5py.File(weight_file, "r+") as file:
        del file["dense_1/dense_1/bias:0"]
    with pytest.raises(WeightsError, match="layer dense_1 has 0 arrays for the name dense_1/bias:0"):
        read_hdf5(weight_file)


def test_not_finite(tmp_path: Path, arrays: Arrays) -> None:
    bias = arrays["conv2d_1"][1].copy()
    bias[3] = np.nan
    path = write(tmp_path / "w.h5", arrays | {"conv2d_1": (arrays["conv2d_1"][0], bias)})
    with pytest.raises(WeightsError, match="layer conv2d_1 has values that are not finite"):
        load_keras_weights(EmotionCnn(), path, sha256=None)


def test_wrong_sha256(weight_file: Path) -> None:
    with pytest.raises(WeightsError, match=f"wrong sha256: expected {'0' * 64}, got [0-9a-f]{{64}}"):
        load_keras_weights(EmotionCnn(), weight_file, sha256="0" * 64)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        load_keras_weights(EmotionCnn(), tmp_path / "absent.h5", sha256=None)


@pytest.mark.parametrize("data", [b"", b"not HDF5", b"\x80\x04cos\nsystem\n"])
def test_not_hdf5(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="not an HDF5 file"):
        read_hdf5(path)


def test_truncated_hdf5(weight_file: Path) -> None:
    weight_file.write_bytes(weight_file.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="damaged HDF5 file"):
        read_hdf5(weight_file)


def test_hdf5_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(WeightsError, match="not a Keras weight file"):
        read_hdf5(path)


def test_links_to_other_files_are_not_followed(tmp_path: Path, weight_file: Path) -> None:
    path = tmp_path / "link.h5"
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink(weight_file.name, "/")
    with pytest.raises(WeightsError, match="is a link"):
        read_hdf5(path)


def test_array_outside_the_file_is_not_read(tmp_path: Path, weight_file: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(28))
    with h5py.File(weight_file, "r+") as file:
        group = file["dense_3"]
        del group["dense_3/bias:0"]
        group.create_dataset("dense_3/bias:0", (7,), "f4", external=[(str(tmp_path / "secret"), 0, 28)])
    with pytest.raises(WeightsError, match="not a plain array"):
        read_hdf5(weight_file)


def test_endless_array_is_not_read(weight_file: Path) -> None:
    with h5py.File(weight_file, "r+") as file:
        del file["dense_2/dense_2/kernel:0"]
        file["dense_2"].create_dataset("dense_2/kernel:0", (10**6, 10**6), "f4", chunks=(1000, 1000))
    with pytest.raises(WeightsError, match="larger than"):
        read_hdf5(weight_file)


def test_cycle_of_groups_ends(weight_file: Path) -> None:
    with h5py.File(weight_file, "r+") as file:
        file["dense_2/ring"] = file["dense_2"]
    assert len(read_hdf5(weight_file)) == 16

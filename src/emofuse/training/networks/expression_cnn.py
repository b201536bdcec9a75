"""Expression networks, which read a single face: a compact one, and DeepFace's in the form that is trained.

Both read (n, 1, 48, 48) float32 in [0, 1]. In training they have outputs for two label sets at once: the
seven classes of FER2013 and the eight of FER+, which share all layers but the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core.errors import WeightsError
from emofuse.core.labels import FER2013, FER_PLUS
from emofuse.training.draws import Dropout
from emofuse.training.networks.emotion_cnn import N_FEATURES, EmotionCnn, standardize_images

WIDTHS: Final = (32, 32, 64, 128, 256)
"""Channels of the stem and of the four stages, whose maps have sides of 24, 24, 12, 6 and 3 pixels."""
DEPTHS: Final = (1, 1, 2, 1)
"""Residual blocks per stage."""


class _Block(nn.Module):
    """Two 3×3 convolutions with a shortcut (He et al. 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(n_out)
        self.second = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(n_out)
        shortcut: list[nn.Module] = [nn.AvgPool2d(2)] if stride == 2 else []
        if n_in != n_out:
            shortcut += [nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class CompactExpressionCnn(nn.Module):
    """A small residual network with 1.5 million parameters, most of them in the last stages.

    Every face is first scaled to mean 0 and standard deviation 1, so that light and camera matter less.
    """

    def __init__(
        self, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS, dropout: float = 0.3
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(),
        ]  # fmt: skip
        n_in = widths[0]
        for stage, (n_out, depth) in enumerate(zip(widths[1:], depths, strict=True)):
            for block in range(depth):
                layers.append(_Block(n_in, n_out, 2 if stage > 0 and block == 0 else 1))
                n_in = n_out
        self.layers = nn.Sequential(*layers)
        self.dropout = Dropout(dropout)
        self.fer_plus = nn.Linear(n_in, len(FER_PLUS))
        self.fer2013 = nn.Linear(n_in, len(FER2013))

    def features(self, faces: Tensor) -> Tensor:
        """(n, 1, 48, 48) in [0, 1] → (n, 256)."""
        pooled: Tensor = self.layers(standardize_images(faces)).mean((2, 3))
        return pooled

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, 48, 48) in [0, 1] → logits of FER2013 (n, 7) and of FER+ (n, 8)."""
        x = self.dropout(self.features(faces))
        return self.fer2013(x), self.fer_plus(x)


class NormalizedEmotionCnn(nn.Module):
    """The Emotion CNN with batch normalization after every layer, which :meth:`fold` merges into the layers.

    The published network has no normalization and can hardly be trained from scratch. After a convolution
    without padding, batch normalization is linear, so that the network trained here *is* the published one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cnn = EmotionCnn()
        convolutions = (self.cnn.conv1, self.cnn.conv2, self.cnn.conv3, self.cnn.conv4, self.cnn.conv5)
        self.norms = nn.ModuleList(
            [nn.BatchNorm2d(layer.out_channels) for layer in convolutions]
            + [nn.BatchNorm1d(N_FEATURES), nn.BatchNorm1d(N_FEATURES)]
        )
        self.dropout = Dropout(0.4)
        self.fer_plus = nn.Linear(N_FEATURES, len(FER_PLUS))

    def features(self, faces: Tensor) -> Tensor:
        """(n, 1, 48, 48) in [0, 1] → (n, 1024)."""
        cnn, norms = self.cnn, self.norms
        x = functional.max_pool2d(functional.relu(norms[0](cnn.conv1(faces))), 5, 2)
        x = functional.relu(norms[2](cnn.conv3(functional.relu(norms[1](cnn.conv2(x))))))
        x = functional.avg_pool2d(x, 3, 2)
        x = functional.relu(norms[4](cnn.conv5(functional.relu(norms[3](cnn.conv4(x))))))
        x = functional.avg_pool2d(x, 3, 2)
        x = x.permute(0, 2, 3, 1).flatten(1)
        x = self.dropout(functional.relu(norms[5](cnn.dense1(x))))
        return functional.relu(norms[6](cnn.dense2(x)))

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, 48, 48) in [0, 1] → logits of FER2013 (n, 7) and of FER+ (n, 8)."""
        x = self.dropout(self.features(faces))
        return self.cnn.output(x), self.fer_plus(x)

    @torch.no_grad()
    def fold(self) -> EmotionCnn:
        """The published network with the outputs that this one has in evaluation mode."""
        with torch.random.fork_rng(devices=[]):  # its first weights do not matter
            folded = EmotionCnn()
        folded.load_state_dict(self.cnn.state_dict())
        layers = folded.layers()
        for layer, norm in zip(layers, self.norms, strict=False):
            assert isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d)
            assert norm.running_mean is not None and norm.running_var is not None
            assert layer.bias is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            layer.weight.mul_(scale.reshape(-1, *[1] * (layer.weight.dim() - 1)))
            layer.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
        return folded.eval()


NETWORKS: Final[dict[str, type[CompactExpressionCnn] | type[EmotionCnn]]] = {
    "emotion": EmotionCnn,
    "compact": CompactExpressionCnn,
}
"""The network of a weight file of `emofuse faces train`, by the architecture that its metadata names."""


def read_architecture(path: Path) -> str:
    """The architecture of a weight file that `emofuse faces train` wrote: a key of :data:`NETWORKS`.

    Raises:
        WeightsError: the file is absent, damaged, or names none of them.
    """
    with _opened(path) as file:
        name = (file.metadata() or {}).get("architecture")
    if name not in NETWORKS:
        raise WeightsError(
            f"{path}: its metadata names {f'the architecture {name!r}' if name else 'no architecture'}, "
            f"wanted {' or '.join(NETWORKS)}: give a weights.safetensors of `emofuse faces train`"
        )
    return str(name)


def check_architecture(path: Path, wanted: str) -> None:
    """Check that a weight file is of one architecture; only the file's header is read.

    Raises:
        WeightsError: it is of another one; or as :func:`read_architecture`.
    """
    if (name := read_architecture(path)) != wanted:
        raise WeightsError(
            f"{path}: these are weights of the {name} network, wanted the {wanted} network's: "
            f"train it with `emofuse faces train --architecture {wanted}`"
        )


def load_expression_weights(network: CompactExpressionCnn | EmotionCnn, path: Path) -> None:
    """Load a weight file of `emofuse faces train` into a network: all of it, or nothing.

    Args:
        network: changed in place.
        path: a safetensors file.

    Raises:
        WeightsError: the file is absent, damaged, of another architecture or of none; an array is missing, is
            unexpected, or has another shape or type (named, with expected and actual); a value is not finite.
    """
    check_architecture(path, next(name for name, kind in NETWORKS.items() if isinstance(network, kind)))
    wanted = network.state_dict()
    with _opened(path) as file:
        names = set(file.keys())
        if names != set(wanted):
            missing, more = sorted(set(wanted) - names), sorted(names - set(wanted))
            raise WeightsError(
                f"{path}: missing arrays: {', '.join(missing) or 'none'}; "
                f"arrays too many: {', '.join(more) or 'none'}"
            )
        for name, want in wanted.items():
            # before it is read: a file may declare an array of any size
            shape = tuple(file.get_slice(name).get_shape())
            if shape != tuple(want.shape):
                raise WeightsError(f"{path}: {name} has shape {shape}, wanted {tuple(want.shape)}")
        arrays = {name: file.get_tensor(name) for name in wanted}
    for name, array in arrays.items():
        if array.dtype != wanted[name].dtype:
            raise WeightsError(f"{path}: {name} is {array.dtype}, wanted {wanted[name].dtype}")
        if not array.isfinite().all():
            raise WeightsError(f"{path}: {name} has values that are not finite")
    network.load_state_dict(arrays)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file, or damaged: {error}") from error

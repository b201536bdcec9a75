"""Training: one network, one split, one plain loop; and inference with a trained network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.part import Training
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.training.augmentation import augment_faces, augment_log_mel
from emofuse.training.concordance_loss import concordance_loss
from emofuse.training.draws import sent
from emofuse.training.supervision import LEFT_OUT, Supervision
from emofuse.training.torch_settings import autocast, device_of, placed, reproducible


@dataclass(frozen=True, slots=True)
class Epoch:
    """The loss of one pass over the training clips, and held-out figures where they were computed."""

    epoch: int
    train_loss: float
    held_out_loss: float | None = None
    held_out_accuracy: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A trained network in evaluation mode, its learning curve, and its outputs for the clips that it scores.

    ``features``: (n, n_features) float32; ``log_probabilities``: (n, n_emotions) float64. A network that was
    refitted for a bundle scores no clips.
    """

    network: nn.Module
    curve: list[Epoch]
    features: NDArray[np.float32]
    log_probabilities: NDArray[np.float64]

    @classmethod
    def with_outputs(
        cls,
        network: nn.Module,
        curve: list[Epoch],
        inputs: NDArray[Any],
        *,
        n_emotions: int,
        batch_size: int = 32,
    ) -> TrainedNetwork:
        """Run the network, which tells ``n_emotions`` apart, on (n, …) raw features."""
        if len(inputs):
            return cls(network, curve, *infer(network, inputs, batch_size=batch_size))
        return cls(network, curve, np.zeros((0, 1), np.float32), np.zeros((0, n_emotions)))


@dataclass(frozen=True, slots=True)
class Examples:
    """Raw features of some clips, and their emotions. ``inputs``: (n, …), ``labels``: (n,) int64."""

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    supervision: Supervision | None = None
    """Which emotions each clip is evidence about, and how it counts; None: about all, the same."""
    ratings: NDArray[np.float32] | None = None
    """(n, n_dimensions) standardized ratings, NaN where a clip was not rated; given, they are learned."""

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise ValueError(f"{len(self.inputs)} inputs but {len(self.labels)} labels")


Augment = Callable[[Tensor, torch.Generator], Tensor]


def augmentation_for(features: VoiceFeatures | FaceFeatures, settings: Training) -> Augment | None:
    """The augmentation for a kind of features, or None."""
    strength = settings.augmentation.strength
    if strength > 0 and isinstance(features, VoiceFeatures) and features.kind == "log-mel":
        n_mels = features.n_mels
        return lambda x, generator: augment_log_mel(x, strength, generator, n_mels=n_mels)
    if strength > 0 and features.kind == "stack":
        return lambda x, generator: augment_faces(x, strength, generator)
    return None


_MOST_ON_GPU_BYTES: Final = 2 * 2**30
"""Features up to this size are on the GPU while a network is trained on them; of more, batch after batch."""


def train_network(
    build: Callable[[], nn.Module],
    examples: Examples,
    settings: Training,
    *,
    n_emotions: int,
    seed: int,
    augment: Augment | None = None,
    held_out: Examples | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[nn.Module, list[Epoch]]:
    """Train a network from the weights that ``build`` gives it.

    Args:
        build: makes the network; called with torch's generator set to ``seed``.
        examples: the clips to train on; nothing is fitted on any others.
        settings: epochs, batch size, learning rate, patience, augmentation.
        n_emotions: width of the output.
        seed: for weights, order, augmentation and dropout.
        augment: changes each batch of inputs in training.
        held_out: clips of training actors that are kept aside, and evaluated after each epoch. With
            ``patience`` they decide when to stop and which epoch's weights are kept; otherwise they change
            nothing.
        on_epoch: called after every epoch.

    Returns:
        The trained network in evaluation mode, on the CPU, and its learning curve.

    Raises:
        ExperimentError: there are too few clips for one batch, or the loss is not finite.
        DeviceError: the GPU's memory is full.
    """
    if settings.patience is not None and held_out is None:
        raise ValueError("patience needs held-out examples")
    if len(examples.labels) < 2:
        raise ExperimentError(f"{len(examples.labels)} clips are too few to train on")
    with reproducible(seed) as device:
        network = build().to(device)
        one_pass = _epoch_runner(
            network, examples, settings, n_emotions=n_emotions, seed=seed, augment=augment
        )
        curve: list[Epoch] = []
        best: tuple[float, int, dict[str, Tensor]] | None = None
        for number in range(1, settings.epochs + 1):
            train_loss = one_pass()
            if not np.isfinite(train_loss):
                raise ExperimentError(f"epoch {number}: the loss is not a number: lower learning_rate")
            epoch = _evaluated(network, number, train_loss, held_out)
            curve.append(epoch)
            if on_epoch is not None:
                on_epoch(epoch)
            if settings.patience is not None:
                assert epoch.held_out_loss is not None
                if best is None or epoch.held_out_loss < best[0]:
                    best = (epoch.held_out_loss, number, copy.deepcopy(network.state_dict()))
                elif number - best[1] >= settings.patience:
                    break
        if best is not None:
            network.load_state_dict(best[2])
        if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
            raise ExperimentError("after the last step some weights are not numbers: lower learning_rate")
        return network.to("cpu").eval(), curve


def _epoch_runner(
    network: nn.Module,
    examples: Examples,
    settings: Training,
    *,
    n_emotions: int,
    seed: int,
    augment: Augment | None,
) -> Callable[[], float]:
    """A function that trains for one epoch, where the network is, and returns the mean loss."""
    n, device = len(examples.labels), device_of(network)
    batch_size = min(settings.batch_size, n)
    # an incomplete last batch is left for the next epoch: batch normalization fails on a single clip
    n_batches = n // batch_size
    order = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.from_numpy(np.ascontiguousarray(examples.inputs))
    if inputs.nbytes <= _MOST_ON_GPU_BYTES:
        inputs = inputs.to(device)
    smoothing = settings.augmentation.label_smoothing
    loss_of: Callable[[Tensor, Tensor, Tensor], Tensor]
    if examples.ratings is None:
        targets = soft_targets(examples.labels, n_emotions, smoothing, examples.supervision).to(device)
        loss_of = CrossEntropy(examples.supervision, device)
    else:
        targets = torch.from_numpy(examples.ratings).to(device)
        loss_of = _disagreement
    optimizer = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad],
        settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    n_steps = n_batches * settings.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: one_cycle(step, n_steps) if settings.schedule == "one-cycle" else 1.0
    )

    def one_pass() -> float:
        network.train()
        losses = []
        indices = sent(torch.from_numpy(order.permutation(n)), device)
        for batch in indices[: n_batches * batch_size].reshape(n_batches, batch_size):
            x, y = inputs[batch.to(inputs.device)].to(device), targets[batch]
            if augment is not None:
                x = augment(x, generator)
            if settings.augmentation.mixup > 0:
                x, y = _mix(x, y, settings.augmentation.mixup, order)
            with autocast():
                logits = network(x)[1]
            loss = loss_of(logits.float(), y, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        return mean_loss(losses)

    return one_pass


def _disagreement(outputs: Tensor, ratings: Tensor, _: Tensor) -> Tensor:
    """1 - CCC of a batch; with members, (n, n_members, n_dimensions), averaged over them too."""
    if outputs.dim() == 3:
        return torch.stack([concordance_loss(one, ratings) for one in outputs.unbind(1)]).mean()
    return concordance_loss(outputs, ratings)


def mean_loss(losses: Sequence[Tensor]) -> float:
    """The mean of the batches' losses, read once: a GPU is not waited for after each of them."""
    total = 0.0
    for loss in torch.stack(list(losses)).tolist():
        total += loss
    return total / len(losses)


def one_cycle(step: int, n_steps: int) -> float:
    """The factor on the learning rate: up over the first fifth, then down along a cosine (Smith 2018)."""
    rise = max(1, n_steps // 5)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise)))


def _mix(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix every clip of a batch with another (mixup, Zhang et al. 2018)."""
    share = float(rng.beta(alpha, alpha))
    share = max(share, 1 - share)
    other = sent(torch.from_numpy(rng.permutation(len(x))), x.device)
    dtype = x.dtype
    mixed = share * x.to(torch.float32) + (1 - share) * x[other].to(torch.float32)
    if not dtype.is_floating_point:
        mixed = mixed.round()
    return mixed.to(dtype), share * y + (1 - share) * y[other]


def soft_targets(
    labels: NDArray[np.int64], n_emotions: int, smoothing: float, supervision: Supervision | None
) -> Tensor:
    """(n, n_emotions) float32 targets of (n,) labels, each smoothed over its clip's own emotions."""
    if supervision is not None:
        return torch.from_numpy(supervision.soft_targets(labels, smoothing)).float()
    one_hot = functional.one_hot(torch.from_numpy(labels), n_emotions).float()
    return one_hot * (1 - smoothing) + smoothing / n_emotions


class CrossEntropy:
    """The mean cross-entropy of clips, each over its own emotions; with members, averaged over them too.

    Args:
        supervision: of all clips; None: each is evidence about every emotion, and counts the same.
        device: of the logits; the CPU where it is left out.
    """

    def __init__(self, supervision: Supervision | None, device: torch.device | None = None) -> None:
        self._known = self._weights = None
        if supervision is not None:
            self._known = torch.from_numpy(supervision.known).to(device)
            self._weights = torch.from_numpy(supervision.weights).float().to(device)

    def __call__(self, logits: Tensor, targets: Tensor, clips: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            logits: (n, n_emotions), or (n, n_members, n_emotions).
            targets: (n, n_emotions) float32.
            clips: (n,) indices of the clips among all.
        """
        n_members = 1
        if logits.dim() == 3:
            n_members = logits.shape[1]
            targets = targets[:, None].expand(-1, n_members, -1).flatten(0, 1)
            logits = logits.flatten(0, 1)
        if self._known is None or self._weights is None:
            return functional.cross_entropy(logits, targets)
        # a clip that was mixed with one of another corpus keeps the emotions of both
        known = self._known[clips].repeat_interleave(n_members, 0) | (targets > 0)
        losses = functional.cross_entropy(logits.masked_fill(~known, LEFT_OUT), targets, reduction="none")
        return (losses * self._weights[clips].repeat_interleave(n_members)).mean()


def _evaluated(network: nn.Module, number: int, train_loss: float, held_out: Examples | None) -> Epoch:
    if held_out is None or len(held_out.labels) == 0:
        return Epoch(number, train_loss)
    if held_out.ratings is not None:
        outputs = torch.from_numpy(raw_outputs(_Outputs(network), held_out.inputs))
        loss = float(concordance_loss(outputs, torch.from_numpy(held_out.ratings).double()))
        return Epoch(number, train_loss, loss)
    _, log_probabilities = infer(network, held_out.inputs)
    if held_out.supervision is not None:
        log_probabilities = np.where(held_out.supervision.known, log_probabilities, LEFT_OUT)
        log_probabilities -= np.logaddexp.reduce(log_probabilities, axis=1, keepdims=True)
    right = log_probabilities[np.arange(len(held_out.labels)), held_out.labels]
    weights = None if held_out.supervision is None else held_out.supervision.weights
    mean = -right.mean() if weights is None else -(weights * right).mean()
    accuracy = float((log_probabilities.argmax(1) == held_out.labels).mean())
    return Epoch(number, train_loss, float(mean), accuracy)


def infer(
    network: nn.Module, inputs: NDArray[Any], *, batch_size: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Run a network on clips.

    Returns:
        The feature layer, (n, n_features) float32, and log-probabilities, (n, n_emotions) float64.

    Raises:
        DeviceError: the GPU's memory is full.
    """
    network.eval()
    features, logs = [], []
    with reproducible() as device, placed(network, device), torch.inference_mode():
        for i in range(0, len(inputs), batch_size):
            x = torch.from_numpy(np.ascontiguousarray(inputs[i : i + batch_size]))
            f, logits = network(x.to(device))
            features.append(f.cpu().numpy().astype(np.float32))
            logs.append(logits.double().log_softmax(1).cpu().numpy())
    return np.concatenate(features), np.concatenate(logs)


class _Outputs(nn.Module):
    """A network without its feature layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.network(inputs)[1]
        return outputs


def raw_outputs(network: nn.Module, inputs: NDArray[Any], *, batch_size: int = 32) -> NDArray[np.float64]:
    """Run a network of one output on clips: (n, n_outputs) float64, as they are.

    Raises:
        DeviceError: the GPU's memory is full.
    """
    network.eval()
    found = []
    with reproducible() as device, placed(network, device), torch.inference_mode():
        for i in range(0, len(inputs), batch_size):
            x = torch.from_numpy(np.ascontiguousarray(inputs[i : i + batch_size]))
            found.append(network(x.to(device)).double().cpu().numpy())
    return np.concatenate(found)

"""Fitting networks that weigh the parts of an utterance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.part import AttentionPooling
from emofuse.training.draws import sent
from emofuse.training.loop import CrossEntropy, Epoch, mean_loss, one_cycle, soft_targets
from emofuse.training.networks.attention_pooling import AttentionNetworks, PartsView
from emofuse.training.supervision import Supervision
from emofuse.training.torch_settings import autocast, reproducible


def train_attention(
    variants: Sequence[NDArray[np.float32]],
    labels: NDArray[np.int64],
    view: PartsView,
    settings: AttentionPooling,
    *,
    n_emotions: int,
    seed: int,
    supervision: Supervision | None = None,
) -> tuple[AttentionNetworks, list[Epoch]]:
    """Fit the networks on some clips.

    Args:
        variants: (n, n_values) features of the clips, then of the same clips at other speeds or degraded.
        labels: (n,) emotions.
        view: which columns are the parts.
        settings: how many networks, how large, how trained.
        n_emotions: width of the output.
        seed: random seed.
        supervision: which emotions each clip is evidence about, and how it counts; None: about all, the same.

    Returns:
        The networks in evaluation mode, on the CPU, and their mean learning curve.

    Raises:
        ExperimentError: there are too few clips, or training diverges.
        DeviceError: the GPU's memory is full.
    """
    if len(labels) < 2:
        raise ExperimentError("networks need at least two clips to train on")
    with reproducible(seed) as device:
        networks = AttentionNetworks(view, n_emotions, settings)
        own = [torch.from_numpy(rows[:, view.columns]) for rows in variants]
        every_part = own[0].reshape(len(labels) * view.n_parts, -1)  # the same for all parts
        networks.mean.copy_(every_part.mean(0).repeat(view.n_parts))
        networks.spread.copy_((every_part.std(0, correction=0) + 1e-6).repeat(view.n_parts))
        whole = PartsView(slice(0, own[0].shape[1]), view.n_parts)
        standard = AttentionNetworks(whole, n_emotions, settings)
        standard.load_state_dict(networks.state_dict())
        parts = torch.stack([standard.parts(rows) for rows in own]).to(device)
        smoothing = settings.training.augmentation.label_smoothing
        targets = soft_targets(labels, n_emotions, smoothing, supervision).to(device)
        cross_entropy = CrossEntropy(supervision, device)
        networks.to(device)
        curves = [
            _fit(member, parts, targets, settings, seed + k, cross_entropy)
            for k, member in enumerate(networks.members)
        ]
        networks.to("cpu")
    if not all(torch.isfinite(one).all() for one in networks.state_dict().values()):
        raise ExperimentError("some weights of the attention networks are not numbers: lower learning_rate")
    losses = np.mean(curves, axis=0) if curves else []
    return networks.eval(), [Epoch(number, float(loss)) for number, loss in enumerate(losses, 1)]


def _fit(
    member: nn.Module,
    parts: Tensor,
    targets: Tensor,
    settings: AttentionPooling,
    seed: int,
    cross_entropy: CrossEntropy,
) -> list[float]:
    """Train one network; return its mean loss in each epoch.

    Args:
        member: the network.
        parts: (n_variants, n, n_parts, n_values): every clip is met in one variant each time.
        targets: (n, n_emotions).
        settings: the training's.
        seed: of the order of clips and of their variants.
        cross_entropy: the loss.
    """
    training, n = settings.training, len(targets)
    noise = training.augmentation.noise
    batch_size = min(training.batch_size, n)
    n_batches = n // batch_size
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        member.parameters(), training.learning_rate, weight_decay=training.weight_decay
    )
    member.train()
    curve = []
    for epoch in range(training.epochs):
        order = sent(torch.randperm(n, generator=generator), parts.device)
        variant = sent(torch.randint(len(parts), (n,), generator=generator), parts.device)
        losses = []
        for i in range(n_batches):
            for group in optimizer.param_groups:
                step = epoch * n_batches + i
                group["lr"] = training.learning_rate * one_cycle(step, n_batches * training.epochs)
            batch = slice(i * batch_size, (i + 1) * batch_size)
            clips = order[batch]
            x = parts[variant[batch], clips]
            if noise:  # the same on all parts
                drawn = torch.randn(len(x), 1, x.shape[2], generator=generator)
                x = x + noise * sent(drawn, x.device)
            with autocast():
                _, logits = member(x)
            loss = cross_entropy(logits.float(), targets[clips], clips)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
        curve.append(mean_loss(losses))
    return curve

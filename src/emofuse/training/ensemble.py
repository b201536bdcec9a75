"""Fitting an ensemble: principal components, a kernel machine, dense networks, a linear model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.part import Ensemble, Training
from emofuse.system.shared_settings import ignored_warnings
from emofuse.training.draws import dropout, sent
from emofuse.training.kernel_machine import fit_kernel
from emofuse.training.loop import CrossEntropy, Epoch, mean_loss, one_cycle, soft_targets
from emofuse.training.networks.descriptor_ensemble import (
    CLIP,
    DescriptorEnsemble,
    Fitted,
    Layout,
    dense,
)
from emofuse.training.supervision import Supervision, fit_logistic, targets_of
from emofuse.training.torch_settings import autocast, reproducible

INPUT_DROPOUT = 0.3


def train_ensemble(
    variants: Sequence[NDArray[np.float32]],
    labels: NDArray[np.int64],
    speakers: NDArray[np.str_],
    layout: Layout,
    settings: Ensemble,
    training: Training,
    *,
    n_emotions: int,
    seed: int,
    supervision: Supervision | None = None,
) -> tuple[DescriptorEnsemble, list[Epoch]]:
    """Fit an ensemble on some clips.

    Args:
        variants: (n, n_values) features of the clips, then of the same clips at other speeds or degraded.
        labels: (n,) emotions.
        speakers: (n,) speaker ids.
        layout: which columns of a row are which view.
        settings: the ensemble's.
        training: how its dense networks are trained.
        n_emotions: width of the output.
        seed: random seed of the dense networks.
        supervision: which emotions each clip is evidence about, and how it counts; None: about all, the same.

    Returns:
        The ensemble in evaluation mode, on the CPU, and the learning curve of its dense networks.

    Raises:
        ExperimentError: there are too few clips or actors.
        DeviceError: the GPU's memory is full.
    """
    if len(labels) < 2 or len(set(speakers.tolist())) < 2:
        raise ExperimentError("an ensemble needs clips of at least two actors to train on")
    if len(np.unique(labels)) < 2:
        raise ExperimentError("an ensemble needs clips of at least two emotions to train on")
    with reproducible(seed) as device:
        values = [torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for v in variants]
        if layout.root:
            values = [v.clamp(min=0).sqrt() for v in values]
        # on the CPU: axes of equal variance are known but for a rotation, which rounding decides
        fitted, parts = standard_components(values, speakers, layout, settings)
        fitted.supports = [support.to(device) for support in fitted.supports]
        targets = torch.from_numpy(targets_of(labels, n_emotions, supervision)).to(device)
        fit_kernel(fitted, targets, speakers, layout, settings, len(values), supervision)
        curve: list[Epoch] = []
        joined = [torch.cat(part, 1).to(device) for part in parts]
        if settings.networks:
            fitted.dense, curve = _fit_dense(
                joined, labels, n_emotions, settings, training, seed, supervision
            )
        if settings.linear is not None:
            fitted.linear = _fit_linear(joined[0], labels, settings.linear, n_emotions, supervision)
        return DescriptorEnsemble(layout, fitted).to("cpu").eval(), curve


def standard_components(
    values: Sequence[Tensor], speakers: NDArray[np.str_], layout: Layout, settings: Ensemble
) -> tuple[Fitted, list[list[Tensor]]]:
    """Standardize by the clips as recorded, and find components; also each variant's components."""
    mean, spread = values[0].mean(0), values[0].std(0, correction=0) + 1e-6
    fitted = Fitted(mean, spread, [], [], [], torch.empty(0), settings.gamma, 1.0)
    parts: list[list[Tensor]] = [[] for _ in values]
    for first, last in layout.views:
        # no view may read some columns, which can be most of them
        own = slice(first, last)
        standard = [((v[:, own] - mean[own]) / spread[own]).clamp(-CLIP, CLIP) for v in values]
        all_variants = torch.cat(standard)
        center = all_variants.mean(0)
        basis = _principal_axes(all_variants - center, settings.components)
        if settings.person_damping > 0:
            components = (standard[0] - center).double() @ basis
            basis = basis @ _damping(components, speakers, settings.person_damping)
        components = (all_variants - center).double() @ basis
        basis = (basis / components.square().sum(1).mean().clamp(min=1e-12).sqrt()).float()
        fitted.centres.append(center)
        fitted.bases.append(basis)
        fitted.supports.append((all_variants - center) @ basis)
        for part, z in zip(parts, standard, strict=True):
            part.append((z - center) @ basis)
    return fitted, parts


def _principal_axes(centered: Tensor, most: int) -> Tensor:
    """(n, d) → (d, c) orthonormal axes of largest variance, each with its largest entry positive."""
    n, d = centered.shape
    c = min(most, n - 1, d)
    if d <= most:
        return torch.eye(d, dtype=torch.float64)
    # randomized (Halko et al. 2011): accurate enough, and many times faster than all axes
    axes = torch.svd_lowrank(centered, q=min(c + 20, n, d), niter=4)[2][:, :c].double()
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    signed: Tensor = axes * signs
    return signed


def _damping(components: Tensor, speakers: NDArray[np.str_], strength: float) -> Tensor:
    """(c, c): shrinks the directions in which the actors' means differ.

    With S the covariance of the actors' means, (1 + strength · S)^(-1/2) up to a rotation: scaled
    eigenvectors as columns.
    """
    means = torch.stack([components[torch.from_numpy(speakers == s)].mean(0) for s in np.unique(speakers)])
    means = means - means.mean(0)
    covariance = means.T @ means / len(means)
    variances, axes = torch.linalg.eigh(covariance)
    damping: Tensor = axes / (1 + strength * variances.clamp(min=0)).sqrt()
    return damping


def _fit_dense(
    variants: Sequence[Tensor],
    labels: NDArray[np.int64],
    n_emotions: int,
    settings: Ensemble,
    training: Training,
    seed: int,
    supervision: Supervision | None = None,
) -> tuple[list[Tensor], list[Epoch]]:
    """Every member sees the clips in its own order, each time one variant, with noise and dropout."""
    members, n = settings.networks, len(labels)
    stacked = torch.stack(list(variants))
    # unit variance per component on average, as the initial weights expect
    scale = stacked[0].square().mean().clamp(min=1e-12).rsqrt()
    stacked, device = stacked * scale, stacked.device
    widths = (stacked.shape[2], settings.hidden, settings.hidden, n_emotions)
    layers: list[Tensor] = []
    for n_in, n_out in pairwise(widths):
        bound = (3 / n_in) ** 0.5
        layers.append(torch.empty(members, n_in, n_out).uniform_(-bound, bound).to(device))
        layers.append(torch.zeros(members, 1, n_out, device=device))
    for layer in layers:
        layer.requires_grad_()
    smoothing = training.augmentation.label_smoothing
    soft = soft_targets(labels, n_emotions, smoothing, supervision).to(device)
    cross_entropy = CrossEntropy(supervision, device)
    optimizer = torch.optim.AdamW(layers, training.learning_rate, weight_decay=training.weight_decay)
    batch_size = min(training.batch_size, n)
    n_batches = n // batch_size
    generator = torch.Generator().manual_seed(seed)
    curve = []
    for epoch in range(training.epochs):
        order = torch.stack([torch.randperm(n, generator=generator) for _ in range(members)])
        variant = torch.randint(len(variants), order.shape, generator=generator)
        order, variant = sent(order, device), sent(variant, device)
        losses = []
        for i in range(n_batches):
            step = epoch * n_batches + i
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * one_cycle(step, n_batches * training.epochs)
            batch = slice(i * batch_size, (i + 1) * batch_size)
            x = stacked[variant[:, batch], order[:, batch]]
            x = x + training.augmentation.noise * sent(torch.randn(x.shape, generator=generator), device)
            x = dropout(x, INPUT_DROPOUT)
            with autocast():
                _, logits = dense(x, layers, settings.dropout)
            clips = order[:, batch].flatten()
            loss = cross_entropy(logits.float().flatten(0, 1), soft[clips], clips)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
        curve.append(Epoch(epoch + 1, mean_loss(losses)))
    trained = [layer.detach() for layer in layers]
    if not all(torch.isfinite(layer).all() for layer in trained):
        raise ExperimentError("some weights of the dense networks are not numbers: lower learning_rate")
    return [trained[0] * scale, *trained[1:]], curve


def _fit_linear(
    joined: Tensor,
    labels: NDArray[np.int64],
    strength: float,
    n_emotions: int,
    supervision: Supervision | None = None,
) -> list[Tensor]:
    """Logistic regression; C refers to components whose variances add up to their number."""
    from sklearn.linear_model import LogisticRegression

    scale = float(joined.square().mean().clamp(min=1e-12).rsqrt())
    x = joined.double().cpu().numpy() * scale
    if supervision is None:
        with ignored_warnings(UserWarning):  # many labels of few clips each look like numbers to it
            model = LogisticRegression(C=strength, max_iter=1000).fit(x, labels)
        classes, coefficients, intercepts = model.classes_, model.coef_, model.intercept_
        if len(classes) == 2:
            coefficients = np.concatenate([-coefficients, coefficients]) / 2
            intercepts = np.concatenate([-intercepts, intercepts]) / 2
    else:
        classes, coefficients, intercepts = fit_logistic(x, labels, supervision, strength)
    weights = np.zeros((x.shape[1], n_emotions))
    offset = np.full(n_emotions, -30.0)
    weights[:, classes] = coefficients.T * scale
    offset[classes] = intercepts
    return [torch.from_numpy(weights).float(), torch.from_numpy(offset).float()]

"""The loss of networks that output ratings: 1 - CCC, averaged over dimensions."""

from __future__ import annotations

import torch
from torch import Tensor


def concordance_loss(outputs: Tensor, ratings: Tensor) -> Tensor:
    """1 - CCC of a batch, averaged over dimensions, from 0 (best) to 2.

    A rating that is NaN does not count. A dimension without two different ratings in the batch has no CCC;
    its mean squared error stands in, so that a batch of few rated clips still teaches something.

    Args:
        outputs: (n, n_dimensions) standardized ratings.
        ratings: (n, n_dimensions), the truth; NaN where a clip was not rated.
    """
    losses = []
    for predicted, truth in zip(outputs.T, ratings.T, strict=True):
        rated = ~torch.isnan(truth)
        p, t = predicted[rated], truth[rated]
        if not len(t):
            continue
        variance = t.var(correction=0)
        if float(variance.detach()) <= 0:
            losses.append((p - t).square().mean())
            continue
        covariance = ((p - p.mean()) * (t - t.mean())).mean()
        apart = (p.mean() - t.mean()).square()
        losses.append(1 - 2 * covariance / (p.var(correction=0) + variance + apart))
    if not losses:
        return outputs.sum() * 0.0
    return torch.stack(losses).mean()

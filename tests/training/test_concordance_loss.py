"""The loss of ratings is 1 - CCC, and a batch without any still has a gradient that is a number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.core.rating_metrics import concordance
from emofuse.training.concordance_loss import concordance_loss


def test_the_loss_is_one_minus_the_metric_averaged_over_dimensions() -> None:
    rng = np.random.default_rng(0)
    truth, outputs = rng.normal(0, 1, (20, 2)), rng.normal(0.3, 0.8, (20, 2))
    truth[::4, 1] = np.nan
    wanted = 1 - np.mean([concordance(truth[:, i], outputs[:, i]) for i in range(2)])
    found = concordance_loss(torch.from_numpy(outputs), torch.from_numpy(truth))
    assert float(found) == pytest.approx(wanted)


def test_a_batch_without_different_ratings_is_learned_by_its_error() -> None:
    outputs = torch.tensor([[1.0], [2.0], [5.0]], requires_grad=True)
    nan = float("nan")
    loss = concordance_loss(outputs, torch.tensor([[3.0], [3.0], [nan]]))
    assert float(loss.detach()) == pytest.approx((4 + 1) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert outputs.grad.flatten().tolist() == [-2, -1, 0]


def test_a_batch_without_ratings_teaches_nothing_and_breaks_nothing() -> None:
    outputs = torch.ones((3, 2), requires_grad=True)
    loss = concordance_loss(outputs, torch.full((3, 2), float("nan")))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert outputs.grad is not None
    assert not outputs.grad.any()

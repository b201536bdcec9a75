"""benchmarks/low_rank_encoder.py on a small drawn problem: what is trained, what is not, and on whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.low_rank_encoder import (
    ADAPTED,
    RANK,
    Head,
    Utterances,
    adapted,
    run_fold,
    summary,
    tables,
    train,
)
from emofuse.corpus.folds import Fold
from emofuse.features.voice.speech_encoder import WIDTH
from emofuse.training.networks.speech_encoder import SpeechEncoder
from tests.support import whisper_oracle


@pytest.fixture(scope="module")
def block() -> nn.Module:
    torch.manual_seed(1)
    return SpeechEncoder(WIDTH, heads=WIDTH // 64).blocks[2].eval()


@pytest.fixture(scope="module")
def utterances() -> Utterances:
    """Of two emotions, which differ in how the first values go together."""
    rng = np.random.default_rng(2)
    labels = np.arange(48) % 2
    values = []
    for label in labels:
        drawn = rng.normal(size=(int(rng.integers(4, 9)), WIDTH))
        drawn[:, 1] = drawn[:, 0] * (1 if label else -1)
        values.append(drawn.astype(np.float16))
    return Utterances(values, labels.astype(np.int64), np.repeat(["a", "b", "c", "d"], 12))


def fold(train_rows: range, test_rows: range) -> Fold:
    return Fold(0, "fold 1", tuple(train_rows), tuple(test_rows), ("d",))


def test_a_changed_block_is_the_block_at_first(block: nn.Module, utterances: Utterances) -> None:
    changed = adapted(block, RANK, seed=0)
    with torch.inference_mode():
        for row in range(3):
            before = utterances.before(row)
            torch.testing.assert_close(summary(changed, before), summary(block, before))
    trained = [name for name, one in changed.named_parameters() if one.requires_grad]
    assert len(trained) == 2 * len(ADAPTED)
    assert all(name.endswith((".first", ".second")) for name in trained)


def test_the_summary_is_mean_and_deviation_of_block_3() -> None:
    torch.manual_seed(1)
    encoder = SpeechEncoder(WIDTH, heads=WIDTH // 64).eval()
    mel = np.random.default_rng(3).normal(size=(80, 20)).astype(np.float32)
    weights = {name: one.numpy() for name, one in encoder.state_dict().items()}
    wanted = whisper_oracle.blocks(mel, weights)
    with torch.inference_mode():
        found = summary(encoder.blocks[2], torch.from_numpy(wanted[1].astype(np.float32))).numpy()
    np.testing.assert_allclose(found, np.concatenate([wanted[2].mean(0), wanted[2].std(0)]), atol=1e-4)


def test_training_changes_the_low_rank_parts_alone(block: nn.Module, utterances: Utterances) -> None:
    before = {name: one.clone() for name, one in block.state_dict().items()}
    changed, rows = adapted(block, RANK, seed=0), np.arange(36)
    fixed = {name: one.clone() for name, one in changed.state_dict().items() if ".base." in name}

    def summaries(chosen: np.ndarray) -> torch.Tensor:
        return torch.stack([summary(changed, utterances.before(int(row))) for row in chosen])

    with torch.no_grad():
        head = Head(summaries(rows), seed=0)
    losses = train(head, changed, summaries, rows, utterances.labels, epochs=4, seed=0)
    assert losses[-1] < losses[0]
    for name, one in changed.state_dict().items():
        if name in fixed:
            assert torch.equal(one, fixed[name])
        elif name.endswith(".second"):
            assert one.abs().max() > 0
    assert all(torch.equal(one, before[name]) for name, one in block.state_dict().items())


def test_both_arms_of_a_fold_answer_for_its_test_clips(block: nn.Module, utterances: Utterances) -> None:
    found = run_fold(utterances, block, fold(range(36), range(36, 48)), seed=0)
    assert found["test"] == list(range(36, 48))
    for arm in ("frozen", "low-rank"):
        assert len(found["answers"][arm]) == 12
    # the frozen arm and the other begin with the same layer, and part from there on
    assert found["losses"]["frozen"] != found["losses"]["low-rank"]
    assert run_fold(utterances, block, fold(range(36), range(36, 48)), seed=0)["answers"] == found["answers"]
    lines = list(tables([found], utterances, seed=0))
    assert [line.count("|") for line in lines] == [5] * 4
    right = np.mean(np.array(found["answers"]["frozen"]) == utterances.labels[36:])
    assert lines[2].startswith(f"| fold 1 | {100 * right:.1f} (")


def test_a_speaker_in_both_parts_is_refused(block: nn.Module, utterances: Utterances) -> None:
    with pytest.raises(AssertionError):
        run_fold(utterances, block, fold(range(40), range(36, 48)), seed=0)

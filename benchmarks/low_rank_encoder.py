"""Low-rank fine-tuning of the third block of the speech encoder, against the same block frozen.

    python benchmarks/low_rank_encoder.py --ravdess DIR --weights whisper_base_encoder_first3.safetensors \\
        --work WORK [--folds 1 2]

Each utterance becomes the mean and standard deviation over time of what block 3 gives of it, and one linear
layer reads the emotion. That layer is first trained with the block as it is. From there on, both arms train
for the same number of epochs, on the same clips in the same order: in one the layer alone, in the other also
low-rank changes of the block's query, value and dense matrices (Hu et al. 2021). All settings were fixed
before the first run. Folds are those of the protocol six-fold; utterances are read at their own speed only.
What block 2 gives is kept in the folder WORK, and so is each fold that is done. A fold takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core import metrics
from emofuse.core.labels import EMOTIONS, emotion_index
from emofuse.core.recipes.load import load_recipe
from emofuse.core.records import Take
from emofuse.corpus.folds import Fold, get_protocol
from emofuse.corpus.load import load_corpus
from emofuse.features.voice.segment import voice_segment
from emofuse.features.voice.speech_encoder import WIDTH, whisper_log_mel
from emofuse.media.decoding import decode
from emofuse.system.atomic_write import write_atomically
from emofuse.training.loop import one_cycle
from emofuse.training.networks.speech_encoder import SpeechEncoder, read_encoder

RANK = 8
DROPOUT = 0.3
LABEL_SMOOTHING = 0.1
WEIGHT_DECAY = 0.05
BATCH = 16
FIRST_EPOCHS = 30
"""Of the linear layer on the frozen block, before the arms part."""
EPOCHS = 8
"""Of both arms."""
HEAD_RATE, RANK_RATE = 1e-3, 1e-3
"""Highest learning rates, of the layer and of the low-rank changes."""
N_RESAMPLES = 2000
ARMS = ("frozen", "low-rank")
ADAPTED = ("attn.query", "attn.value", "mlp.0", "mlp.2")

Rows = NDArray[np.int64]


class LowRank(nn.Module):
    """A frozen linear layer and a change of it of low rank, which is nothing at first."""

    def __init__(self, base: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        first = torch.randn(rank, base.in_features, generator=generator) * base.in_features**-0.5
        self.first = nn.Parameter(first)
        self.second = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) → (n, n_out)."""
        out: Tensor = self.base(x) + functional.linear(functional.linear(x, self.first), self.second)
        return out


def adapted(block: nn.Module, rank: int, seed: int) -> nn.Module:
    """A block that computes the same at first, of which the low-rank changes alone can be trained."""
    copy = type(block)(WIDTH, WIDTH // 64)
    copy.load_state_dict(block.state_dict())
    copy.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name in ADAPTED:
        above, _, last = name.rpartition(".")
        linear = copy.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(copy.get_submodule(above), last, LowRank(linear, rank, generator))
    return copy


def summary(block: nn.Module, before: Tensor) -> Tensor:
    """(n_times, 512) what block 2 gave → (1024,) mean and deviation over time of what block 3 makes of it."""
    after: Tensor = block(before)
    return torch.cat([after.mean(0), after.std(0, correction=0)])


@dataclass(frozen=True)
class Utterances:
    """What block 2 gives of each utterance, whose it is, and what it expresses."""

    values: Sequence[NDArray[np.float16]]
    """(n_times, 512) of each."""
    labels: Rows
    speakers: NDArray[np.str_]

    def before(self, row: int) -> Tensor:
        """Of one utterance, as float32."""
        return torch.from_numpy(self.values[row].astype(np.float32))


class Head(nn.Module):
    """Standardizes by the training clips, drops some values, and weighs the rest."""

    def __init__(self, summaries: Tensor, seed: int) -> None:
        super().__init__()
        self.mean, self.spread = summaries.mean(0), summaries.std(0, correction=0) + 1e-6
        self.linear = nn.Linear(summaries.shape[1], len(EMOTIONS))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, summaries: Tensor) -> Tensor:
        """(n, 1024) → (n, 8) logits."""
        x = (summaries - self.mean) / self.spread
        if self.training:
            kept = torch.rand(x.shape, generator=self.generator) >= DROPOUT
            x = x * kept / (1 - DROPOUT)
        logits: Tensor = self.linear(x)
        return logits


def train(
    head: Head,
    block: nn.Module | None,
    summarize: Callable[[Rows], Tensor],
    rows: Rows,
    labels: Rows,
    epochs: int,
    seed: int,
) -> list[float]:
    """Train a head, and a block's low-rank changes if there is one; the mean loss of each epoch."""
    groups = [{"params": list(head.parameters()), "rate": HEAD_RATE}]
    if block is not None:
        changes = [one for one in block.parameters() if one.requires_grad]
        groups.append({"params": changes, "rate": RANK_RATE})
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    generator = torch.Generator().manual_seed(seed)
    n_batches = len(rows) // BATCH
    losses = []
    head.train()
    for epoch in range(epochs):
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        total = 0.0
        for number in range(n_batches):
            step = one_cycle(epoch * n_batches + number, epochs * n_batches)
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * step
            batch = order[number * BATCH : (number + 1) * BATCH]
            loss = functional.cross_entropy(
                head(summarize(batch)), torch.from_numpy(labels[batch]), label_smoothing=LABEL_SMOOTHING
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss.detach())
        losses.append(total / n_batches)
    head.eval()
    return losses


def run_fold(utterances: Utterances, block: nn.Module, fold: Fold, seed: int) -> dict[str, Any]:
    """Both arms of one fold: what they answer for its test clips, their losses, and the time."""
    began_s = time.monotonic()
    rows, test = np.asarray(fold.train), np.asarray(fold.test)
    assert not set(utterances.speakers[rows]) & set(utterances.speakers[test])

    def summaries(of: nn.Module, chosen: Rows) -> Tensor:
        return torch.stack([summary(of, utterances.before(int(row))) for row in chosen])

    with torch.no_grad():
        every = summaries(block, np.arange(len(utterances.labels)))

    def frozen(chosen: Rows) -> Tensor:
        return every[torch.from_numpy(chosen)]

    first = Head(frozen(rows), seed)
    train(first, None, frozen, rows, utterances.labels, FIRST_EPOCHS, seed)
    found: dict[str, Any] = {"fold": fold.name, "test": test.tolist(), "answers": {}, "losses": {}}
    for arm in ARMS:
        head = Head(frozen(rows), seed + 1)
        head.linear.load_state_dict(first.linear.state_dict())
        own = adapted(block, RANK, seed) if arm == "low-rank" else block

        def read(chosen: Rows, own: nn.Module = own) -> Tensor:
            return frozen(chosen) if own is block else summaries(own, chosen)

        trained = None if own is block else own
        found["losses"][arm] = train(head, trained, read, rows, utterances.labels, EPOCHS, seed)
        with torch.no_grad():
            found["answers"][arm] = head(read(test)).argmax(1).tolist()
    found["minutes"] = (time.monotonic() - began_s) / 60
    return found


def read_utterances(takes: Sequence[Take], encoder: SpeechEncoder, work: Path) -> Utterances:
    """What block 2 gives of every take; from the folder ``work`` if it is there."""
    path = work / "block-2.npz"
    if not path.is_file():
        features = load_recipe("whisper-only").voice.features
        values = []
        for number, take in enumerate(takes, 1):
            assert take.voice is not None
            audio = decode(take.voice.path).audio
            assert audio is not None, take.take
            segment, _ = voice_segment(audio, features)
            with torch.inference_mode():
                blocks = encoder(torch.from_numpy(whisper_log_mel(segment)))
            values.append(blocks[1].numpy().astype(np.float16))
            print(f"\rread {number} of {len(takes)}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        with write_atomically(path) as file:
            np.savez(file, values=np.concatenate(values), lengths=np.array([len(one) for one in values]))
    with np.load(path) as kept:
        values = np.split(kept["values"], np.cumsum(kept["lengths"])[:-1])
    assert len(values) == len(takes), f"{path} is of other takes: remove it"
    return Utterances(
        values,
        np.array([emotion_index(str(take.emotion)) for take in takes], dtype=np.int64),
        np.array([take.speaker for take in takes]),
    )


def tables(found: Sequence[dict[str, Any]], utterances: Utterances, seed: int) -> Iterator[str]:
    """Accuracy of both arms, by fold and over all folds that were run, and what the changes gain."""
    yield "| accuracy % | block 3 frozen | low-rank changes | difference |"
    yield "| --- | --- | --- | --- |"
    parts = [(str(one["fold"]), [one]) for one in found]
    for name, part in [*parts, ("all of these", list(found))]:
        rows = np.concatenate([one["test"] for one in part])
        truth, speakers = utterances.labels[rows], utterances.speakers[rows]
        answers = {arm: np.concatenate([one["answers"][arm] for one in part]) for arm in ARMS}
        cells = []
        for arm in ARMS:
            low, high = metrics.bootstrap_interval(
                metrics.accuracy, truth, answers[arm], speakers, seed=seed, n_resamples=N_RESAMPLES
            )
            cells.append(
                f"{100 * metrics.accuracy(truth, answers[arm]):.1f} ({100 * low:.1f} to {100 * high:.1f})"
            )
        gain = metrics.accuracy(truth, answers["low-rank"]) - metrics.accuracy(truth, answers["frozen"])
        low, high = metrics.bootstrap_difference(
            metrics.accuracy, truth, answers["low-rank"], answers["frozen"], speakers, seed=seed,
            n_resamples=N_RESAMPLES,
        )  # fmt: skip
        cells.append(f"{100 * gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})")
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ravdess", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of Whisper base, as safetensors")
    parser.add_argument("--work", type=Path, required=True, help="folder of what is kept")
    parser.add_argument("--folds", type=int, nargs="+", help="numbers from 1; default: all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    takes = [t for t in load_corpus(given.ravdess).takes() if t.voice is not None and t.emotion is not None]
    encoder = read_encoder(given.weights)
    utterances = read_utterances(takes, encoder, given.work)
    found = []
    for fold in get_protocol("six-fold").folds(takes):
        if given.folds and fold.index + 1 not in given.folds:
            continue
        path = given.work / f"fold-{fold.index + 1}-seed-{given.seed}.json"
        if not path.is_file():
            result = run_fold(utterances, encoder.blocks[2], fold, given.seed)
            write_atomically(path, json.dumps(result).encode())
        found.append(json.loads(path.read_text(encoding="utf-8")))
        print(f"fold {fold.index + 1}: {found[-1]['minutes']:.1f} minutes", file=sys.stderr, flush=True)
    for line in tables(found, utterances, given.seed):
        print(line)


if __name__ == "__main__":
    main()

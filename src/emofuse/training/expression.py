"""Training the networks that read one face's expression, on FER2013 and FER+.

Epochs are fixed beforehand and the last one's weights are kept: public_test is looked at, and nothing is
chosen by it while a network trains. A run that is killed goes on from its last epoch, to the same weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core.errors import CorpusError, ExperimentError
from emofuse.core.labels import FER2013, FER_PLUS
from emofuse.core.metrics import accuracy, bootstrap_interval, confusion_matrix
from emofuse.corpus.fer2013 import Faces, clean_training_faces
from emofuse.system.atomic_write import write_atomically
from emofuse.system.checksums import file_digest
from emofuse.training.loop import one_cycle
from emofuse.training.networks.emotion_cnn import EmotionCnn
from emofuse.training.networks.expression_cnn import (
    NETWORKS,
    CompactExpressionCnn,
    NormalisedEmotionCnn,
    check_architecture,
    load_expression_weights,
    read_architecture,
)
from emofuse.training.run_folder import check_run, claim_run, write_json

Architecture = Literal["emotion", "compact"]
OnEpoch = Callable[[int, int], None]
"""Told how many epochs are done and how many there are: where a run begins or goes on, then after each."""


@dataclass(frozen=True, slots=True)
class ExpressionSettings:
    """How an expression network is trained."""

    architecture: Architecture
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 0.1
    """The highest of the one cycle, of stochastic gradient descent with Nesterov's momentum 0.9."""
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    """Of the labels of FER2013; the votes of FER+ are soft as they are."""
    fer_share: float = 0.5
    """Weight of FER2013's labels in the loss; the rest is FER+'s."""
    gentle_epochs: int = 0
    """The last so many epochs change faces less, by :data:`GENTLE`: the network ends on faces as they are."""
    bfloat16: bool = True
    """Multiply in bfloat16: twice as fast where the processor knows it, the same result within noise."""
    teacher_share: float = 0.7
    """Weight of a teacher's answers in the loss, where there is a teacher (Hinton et al. 2015)."""
    teacher_temperature: float = 2.0
    """What the teacher's and the network's logits are divided by before they are compared."""
    threads: int = 1
    seed: int = 0


GENTLE: Final = 0.3
"""Share of the usual changes in the gentle epochs."""

DEFAULTS: Final[dict[Architecture, ExpressionSettings]] = {
    "emotion": ExpressionSettings("emotion", learning_rate=0.05, fer_share=0.6, gentle_epochs=4),
    "compact": ExpressionSettings("compact", fer_share=0.25),
}


@dataclass(frozen=True, slots=True)
class ExpressionFigures:
    """What a network reaches on held-out faces, each by one look at each face, without averaging."""

    fer2013_accuracy: float
    """On FER2013's labels, all faces."""
    fer2013_n: int
    fer_plus_majority_accuracy: float
    """On FER+'s majority labels: faces of which more than half of the counted votes name one emotion."""
    fer_plus_majority_n: int
    fer_plus_most_voted_accuracy: float
    """On the emotion with the most votes, ties and «unknown» left out."""
    fer_plus_most_voted_n: int


@dataclass(frozen=True, slots=True)
class LabelSetResult:
    """What a network reaches on one label set of held-out faces.

    ``interval``: 95 % for ``accuracy``, pictures drawn anew; ``confusion``: (n_classes, n_classes) int64,
    one row a true class.
    """

    labels: str
    classes: tuple[str, ...]
    n: int
    accuracy: float
    interval: tuple[float, float]
    confusion: NDArray[np.int64]


def build_expression_network(architecture: Architecture) -> CompactExpressionCnn | NormalisedEmotionCnn:
    """The network of that name, with random weights from torch's current seed."""
    return CompactExpressionCnn() if architecture == "compact" else NormalisedEmotionCnn()


def train_expression(
    faces: Faces,
    held_out: Faces,
    settings: ExpressionSettings,
    folder: Path,
    *,
    teacher: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> ExpressionFigures:
    """Train an expression network and leave its weights and figures in a folder.

    Args:
        faces: to train on; blanks, doubles and those also held out are left out first.
        held_out: to look at after each epoch.
        settings: architecture, epochs, seed.
        folder: gets weights.safetensors, results.json and, while it trains, checkpoint.safetensors.
        teacher: weights of a compact network trained on the same faces; its answers are learnt too.
        on_epoch: told where the run begins or goes on, and of every epoch.

    Raises:
        ExperimentError: the folder holds another run, or there are too few faces.
        WeightsError: the teacher's file is absent, damaged or of another architecture.
    """
    if on_epoch is None:
        on_epoch = _quiet
    kept, cleaning = clean_training_faces(faces, held_out)
    if len(kept) < settings.batch_size:
        raise ExperimentError(f"{len(kept)} faces are fewer than one batch of {settings.batch_size}")
    results_path = folder / "results.json"
    wanted: dict[str, Any] = {
        "settings": asdict(settings), "n_faces": len(faces), "n_held_out": len(held_out),
    }  # fmt: skip
    if teacher is not None:
        check_architecture(teacher, "compact")
        wanted["teacher_sha256"] = file_digest(teacher)
    # a run without a teacher must not go on as one that had a teacher
    check_run(folder, {"teacher_sha256": None, **wanted})
    claim_run(folder, wanted)
    if results_path.is_file():
        on_epoch(settings.epochs, settings.epochs)
        return ExpressionFigures(**json.loads(results_path.read_text())["figures"])
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            run = _Run(kept, settings, load_expression(teacher) if teacher else None)
            curve = run.resume(folder / "checkpoint.safetensors")
            on_epoch(len(curve), settings.epochs)
            for epoch in range(len(curve) + 1, settings.epochs + 1):
                loss = run.one_pass(epoch)
                if not np.isfinite(loss):
                    raise ExperimentError(f"epoch {epoch}: the loss is no longer a number")
                figures = measure(run.network, held_out)
                curve.append({"epoch": epoch, "train_loss": loss, **asdict(figures)})
                run.keep(folder / "checkpoint.safetensors", curve)
                on_epoch(epoch, settings.epochs)
            network = run.network.eval()
    finally:
        torch.set_num_threads(before)
    final = network.fold() if isinstance(network, NormalisedEmotionCnn) else network
    weights = {name: value.contiguous() for name, value in final.state_dict().items()}
    figures = measure(network, held_out)
    metadata = {"architecture": settings.architecture, "trained_on": "FER2013 and FER+, research use"}
    write_atomically(folder / "weights.safetensors", _in_order(save(weights, metadata)))
    results = {
        "settings": asdict(settings),
        "parameters": sum(value.numel() for value in final.parameters()),
        "training_faces": len(kept),
        "left_out": asdict(cleaning),
        "teacher_sha256": wanted.get("teacher_sha256"),
        "figures": asdict(figures),
        "curve": curve,
    }
    write_json(results_path, results)
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return figures


def _in_order(data: bytes) -> bytes:
    """A safetensors file with its head in order: safetensors shuffles metadata, and with it the sha256."""
    end = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:end])
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def _quiet(_done: int, _total: int) -> None:
    """Tell nobody."""


class _Run:
    """What changes while a network trains."""

    def __init__(self, faces: Faces, settings: ExpressionSettings, teacher: nn.Module | None) -> None:
        self.settings = settings
        self.teacher = teacher.to(memory_format=torch.channels_last) if teacher else None  # type: ignore[call-overload]
        self.network = build_expression_network(settings.architecture).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.images = torch.from_numpy(faces.images)
        self.labels = torch.from_numpy(faces.emotion)
        self.shares = torch.from_numpy(faces.distribution)
        self.n_batches = len(faces) // settings.batch_size
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            settings.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=settings.weight_decay,
        )

    def one_pass(self, epoch: int) -> float:
        """Once over the faces; everything random in it follows from the seed and the epoch."""
        settings = self.settings
        seed = settings.seed * 100_003 + epoch
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.images), generator=generator)[: self.n_batches * settings.batch_size]
        strength = GENTLE if epoch > settings.epochs - settings.gentle_epochs else 1.0
        self.network.train()
        total = 0.0
        for i, batch in enumerate(order.reshape(self.n_batches, -1)):
            step = (epoch - 1) * self.n_batches + i
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * one_cycle(step, self.n_batches * settings.epochs)
            faces = augment_still_faces(self.images[batch], generator, strength)
            faces = faces.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
                fer, plus = self.network(faces)
            loss = self._loss(fer.float(), plus.float(), batch)
            if self.teacher is not None:
                taught = self._beside_teacher(self.teacher, faces, (fer.float(), plus.float()))
                loss = (1 - settings.teacher_share) * loss + settings.teacher_share * taught
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            total += loss.item()
        return total / self.n_batches

    def _loss(self, fer: Tensor, plus: Tensor, batch: Tensor) -> Tensor:
        settings = self.settings
        shares = self.shares[batch]
        by_votes = -(shares * plus.log_softmax(1)).sum() / shares.sum().clamp(min=1)
        by_label = functional.cross_entropy(fer, self.labels[batch], label_smoothing=settings.label_smoothing)
        return settings.fer_share * by_label + (1 - settings.fer_share) * by_votes

    def _beside_teacher(self, teacher: nn.Module, faces: Tensor, said: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy to what the teacher says of the same changed faces, each label set by its share."""
        settings, heat = self.settings, self.settings.teacher_temperature
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
            wanted = teacher(faces)
        by_set = [
            -((want.float() / heat).softmax(1) * (one / heat).log_softmax(1)).sum(1).mean() * heat**2
            for want, one in zip(wanted, said, strict=True)
        ]
        taught: Tensor = settings.fer_share * by_set[0] + (1 - settings.fer_share) * by_set[1]
        return taught

    def keep(self, path: Path, curve: list[dict[str, Any]]) -> None:
        """Write all that the next epoch needs."""
        state = {f"network/{k}": v.contiguous() for k, v in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state[f"momentum/{name}"] = self.optimizer.state[parameter]["momentum_buffer"].contiguous()
        text = np.frombuffer(json.dumps(curve).encode(), dtype=np.uint8)
        state["curve"] = torch.from_numpy(text.copy())
        write_atomically(path, save(state))

    def resume(self, path: Path) -> list[dict[str, Any]]:
        """Take up what :meth:`keep` wrote: the curve so far, empty where nothing was."""
        if not path.is_file():
            return []
        state = load(path.read_bytes())
        self.network.load_state_dict(
            {k.removeprefix("network/"): v for k, v in state.items() if k.startswith("network/")}
        )
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter]["momentum_buffer"] = state[f"momentum/{name}"]
        curve: list[dict[str, Any]] = json.loads(state["curve"].numpy().tobytes())
        return curve


def augment_still_faces(images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Turn, scale, shift, shear, mirror, relight and partly cover faces, each in its own way.

    Args:
        images: (n, 48, 48) uint8.
        generator: source of all chance.
        strength: share of the usual changes; mirroring is as usual.

    Returns:
        (n, 1, 48, 48) float32 in [0, 1].
    """
    n, side = images.shape[0], images.shape[1]

    def between(low: float, high: float) -> Tensor:
        value = torch.rand(n, generator=generator) * (high - low) + low
        middle = (low + high) / 2
        return value if strength == 1 else middle + (value - middle) * strength

    angle, scale = between(-0.26, 0.26), between(0.82, 1.18)
    shear = between(-0.12, 0.12)
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    matrix = torch.stack(
        [
            torch.stack([angle.cos() * mirror / scale, shear - angle.sin(), between(-0.16, 0.16)], 1),
            torch.stack([angle.sin() * mirror, angle.cos() / scale, between(-0.16, 0.16)], 1),
        ],
        1,
    )
    x = images[:, None].to(torch.float32) / 255
    grid = functional.affine_grid(matrix, [n, 1, side, side], align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast, light = between(0.6, 1.4), between(-0.15, 0.15)
    x = ((x - mean) * contrast[:, None, None, None] + mean + light[:, None, None, None]).clamp(0, 1)
    size = torch.rand(n, generator=generator) * 0.45 * strength
    size = size * side * (torch.rand(n, generator=generator) < 0.6)
    places = torch.arange(side)
    centre_x, centre_y = (torch.rand(n, generator=generator) * side for _ in range(2))
    across = (places[None] - centre_x[:, None]).abs() < size[:, None] / 2
    down = (places[None] - centre_y[:, None]).abs() < size[:, None] / 2
    covered = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(covered, mean, x)


def measure(network: nn.Module, faces: Faces) -> ExpressionFigures:
    """A network's figures on faces it was not trained on."""
    fer, plus = read_faces(network, faces.images)
    majority, most_voted = faces.majority, faces.most_voted

    def on(labels: NDArray[np.int64]) -> float:
        known = labels >= 0
        return float((plus.argmax(1)[known] == labels[known]).mean()) if known.any() else float("nan")

    return ExpressionFigures(
        float((fer.argmax(1) == faces.emotion).mean()),
        len(faces),
        on(majority),
        int((majority >= 0).sum()),
        on(most_voted),
        int((most_voted >= 0).sum()),
    )


def load_expression(path: Path) -> CompactExpressionCnn | EmotionCnn:
    """The network of a weight file that :func:`train_expression` wrote, in evaluation mode.

    The Emotion CNN answers for FER2013's classes alone, the compact network for FER+'s too.

    Raises:
        WeightsError: the file is absent, damaged, or holds something else.
    """
    network = NETWORKS[read_architecture(path)]()
    load_expression_weights(network, path)
    return network.eval()


def assess(
    network: nn.Module, faces: Faces, *, seed: int = 0, n_resamples: int = 2000
) -> tuple[LabelSetResult, ...]:
    """A trained network's figures, intervals and confusions on held-out faces, one a label set.

    Args:
        network: of :func:`load_expression`, or one that is still being trained.
        faces: that it was not trained on.
        seed: of the bootstrap.
        n_resamples: how often pictures are drawn anew; one that is there twice is drawn as one.

    Raises:
        CorpusError: no face has a label of one of the sets.
    """
    sets = [("FER2013", FER2013, faces.emotion)]
    answers = read_faces(network, faces.images)
    if len(answers) == 2:
        sets += [("FER+ majority", FER_PLUS, faces.majority), ("FER+ most voted", FER_PLUS, faces.most_voted)]
    _, pictures = np.unique(faces.images.reshape(len(faces), -1), axis=0, return_inverse=True)
    results = []
    for labels, classes, truth in sets:
        known = truth >= 0
        if not known.any():
            raise CorpusError(f"none of the {len(faces)} faces has a label of {labels}")
        said, meant = answers[0 if labels == "FER2013" else 1].argmax(1)[known], truth[known]
        interval = bootstrap_interval(
            accuracy, meant, said, pictures[known], seed=seed, n_resamples=n_resamples
        )
        confusion = confusion_matrix(meant, said, len(classes))
        results.append(
            LabelSetResult(labels, classes, len(meant), accuracy(meant, said), interval, confusion)
        )
    return tuple(results)


def read_faces(
    network: nn.Module, images: NDArray[np.uint8], *, batch_size: int = 256
) -> tuple[NDArray[np.float32], ...]:
    """Log-probabilities of FER2013 (n, 7) and, where the network has them, of FER+ (n, 8); in float32."""
    network.eval()
    answers = []
    with torch.inference_mode():
        for i in range(0, len(images), batch_size):
            x = torch.from_numpy(images[i : i + batch_size])[:, None].to(torch.float32) / 255
            logits = network(x.contiguous(memory_format=torch.channels_last))
            logits = logits if isinstance(logits, tuple) else (logits,)
            answers.append([one.log_softmax(1).numpy() for one in logits])
    return tuple(np.concatenate(one) for one in zip(*answers, strict=True))

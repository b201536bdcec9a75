"""Training expression networks, which read a single face, on FER2013 and FER+.

The number of epochs is fixed, and the weights of the last are kept: public_test is evaluated in training, but
nothing is chosen by it. A killed run resumes after its last epoch, and ends with the same weights.
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
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core.errors import CorpusError, ExperimentError
from emofuse.core.labels import FER2013, FER_PLUS
from emofuse.core.metrics import accuracy, bootstrap_interval, confusion_matrix
from emofuse.corpus.fer2013 import Faces, clean_training_faces, read_fer2013
from emofuse.system.atomic_write import write_atomically
from emofuse.system.checksums import file_digest
from emofuse.system.file_lock import locked_folder
from emofuse.system.json_files import parse_json
from emofuse.training.augmentation import augment_still_faces
from emofuse.training.compute import current_compute
from emofuse.training.draws import sent
from emofuse.training.loop import mean_loss, one_cycle
from emofuse.training.networks.emotion_cnn import EmotionCnn
from emofuse.training.networks.expression_cnn import (
    NETWORKS,
    CompactExpressionCnn,
    NormalizedEmotionCnn,
    check_architecture,
    load_expression_weights,
    read_architecture,
)
from emofuse.training.run_folder import check_run, claim_run, read_run_json, read_run_weights, write_json
from emofuse.training.torch_settings import device_of, reproducible

Architecture = Literal["emotion", "compact"]
OnEpoch = Callable[[int, int], None]
"""Called with the number of finished epochs and of all: where a run starts or resumes, then after each."""


@dataclass(frozen=True, slots=True)
class ExpressionSettings:
    """How an expression network is trained."""

    architecture: Architecture
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 0.1
    """The peak of the one-cycle schedule, for stochastic gradient descent with Nesterov momentum 0.9."""
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    """Of FER2013's labels; FER+'s votes are soft labels already."""
    fer_share: float = 0.5
    """Weight of FER2013's labels in the loss; the rest is FER+'s."""
    gentle_epochs: int = 0
    """Number of final epochs with weaker augmentation (:data:`GENTLE`), closer to real faces."""
    bfloat16: bool = True
    """Multiply in bfloat16: twice as fast on processors that support it, with equal results within noise."""
    teacher_share: float = 0.7
    """Weight of a teacher's outputs in the loss, where there is a teacher (Hinton et al. 2015)."""
    teacher_temperature: float = 2.0
    """Divisor of the teacher's and the network's logits before they are compared."""
    threads: int = 1
    seed: int = 0


GENTLE: Final = 0.3
"""Strength of the augmentation in the gentle epochs."""

DEFAULTS: Final[dict[Architecture, ExpressionSettings]] = {
    "emotion": ExpressionSettings("emotion", learning_rate=0.05, fer_share=0.6, gentle_epochs=4),
    "compact": ExpressionSettings("compact", fer_share=0.25),
}


@dataclass(frozen=True, slots=True)
class ExpressionFigures:
    """Accuracy of a network on held-out faces, from one forward pass per face, without averaging."""

    fer2013_accuracy: float
    """On FER2013's labels, all faces."""
    fer2013_n: int
    fer_plus_majority_accuracy: float
    """On FER+'s majority labels: faces where more than half of the counted votes are for one emotion."""
    fer_plus_majority_n: int
    fer_plus_most_voted_accuracy: float
    """On the emotion with the most votes, without ties and 'unknown'."""
    fer_plus_most_voted_n: int


@dataclass(frozen=True, slots=True)
class LabelSetResult:
    """Accuracy of a network on one label set of held-out faces.

    ``interval``: 95 % bootstrap interval of ``accuracy`` over images; ``confusion``: (n_classes, n_classes)
    int64, one row per true class.
    """

    labels: str
    classes: tuple[str, ...]
    n: int
    accuracy: float
    interval: tuple[float, float]
    confusion: NDArray[np.int64]


def build_expression_network(architecture: Architecture) -> CompactExpressionCnn | NormalizedEmotionCnn:
    """A network of that architecture, with random weights from torch's current seed."""
    return CompactExpressionCnn() if architecture == "compact" else NormalizedEmotionCnn()


def train_expression(
    faces: Faces,
    held_out: Faces,
    settings: ExpressionSettings,
    folder: Path,
    *,
    teacher: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> ExpressionFigures:
    """Train an expression network and write its weights and figures into a folder.

    Args:
        faces: to train on; blank images, duplicates and those that are also held out are removed first.
        held_out: to evaluate after each epoch.
        settings: architecture, epochs, seed.
        folder: gets weights.safetensors, results.json and, during training, checkpoint.safetensors.
        teacher: weights of a compact network trained on the same faces, whose outputs are learned as well.
        on_epoch: called where the run starts or resumes, and after every epoch.

    Raises:
        ExperimentError: the folder holds another run or is in use, or there are too few faces.
        WeightsError: the teacher's file is absent, damaged or of another architecture.
    """
    with locked_folder(folder):
        return train_in_locked(faces, held_out, settings, folder, teacher, on_epoch or _quiet)


def train_from_files(
    data: Path, settings: ExpressionSettings, folder: Path, teacher: Path | None
) -> ExpressionFigures:
    """A task: :func:`train_expression` on the files of FER2013, in a folder that the caller keeps locked."""
    faces, held_out = (read_fer2013(data, split) for split in ("train", "public_test"))
    return train_in_locked(faces, held_out, settings, folder, teacher, _quiet)


def train_in_locked(
    faces: Faces,
    held_out: Faces,
    settings: ExpressionSettings,
    folder: Path,
    teacher: Path | None,
    on_epoch: OnEpoch,
) -> ExpressionFigures:
    """As :func:`train_expression`, in a folder that the caller keeps locked."""
    retained, cleaning = clean_training_faces(faces, held_out)
    if len(retained) < settings.batch_size:
        raise ExperimentError(f"{len(retained)} faces are fewer than one batch of {settings.batch_size}")
    results_path = folder / "results.json"
    marks: dict[str, Any] = {
        "settings": asdict(settings), "n_faces": len(faces), "n_held_out": len(held_out),
    }  # fmt: skip
    if teacher is not None:
        check_architecture(teacher, "compact")
        marks["teacher_sha256"] = file_digest(teacher)
    if (device := current_compute().device) != "cpu":
        marks["device"] = device
    # a run that had a teacher must not resume without it
    check_run(folder, {"teacher_sha256": None, **marks})
    claim_run(folder, marks)
    if results_path.is_file():
        on_epoch(settings.epochs, settings.epochs)
        return ExpressionFigures(**read_run_json(results_path)["figures"])
    network, curve = _train_epochs(retained, held_out, settings, folder, teacher, on_epoch)
    final = network.fold() if isinstance(network, NormalizedEmotionCnn) else network
    weights = {name: value.contiguous() for name, value in final.state_dict().items()}
    figures = measure(network, held_out)
    metadata = {"architecture": settings.architecture, "trained_on": "FER2013 and FER+, research use"}
    write_atomically(folder / "weights.safetensors", _with_sorted_metadata(save(weights, metadata)))
    results = {
        "settings": asdict(settings),
        "parameters": sum(value.numel() for value in final.parameters()),
        "training_faces": len(retained),
        "left_out": asdict(cleaning),
        "teacher_sha256": marks.get("teacher_sha256"),
        "compute": {
            **current_compute().entry(),
            "precision": "bfloat16" if settings.bfloat16 else "float32",
        },
        "figures": asdict(figures),
        "curve": curve,
    }
    write_json(results_path, results)
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return figures


def _train_epochs(
    faces: Faces,
    held_out: Faces,
    settings: ExpressionSettings,
    folder: Path,
    teacher: Path | None,
    on_epoch: OnEpoch,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """The trained network in evaluation mode, and its curve; resumes from the folder's checkpoint."""
    checkpoint = folder / "checkpoint.safetensors"
    with reproducible(settings.seed, threads=settings.threads) as device:
        run = _Run(faces, settings, load_expression(teacher) if teacher else None, device)
        curve = run.resume(checkpoint)
        on_epoch(len(curve), settings.epochs)
        for epoch in range(len(curve) + 1, settings.epochs + 1):
            loss = run.train_epoch(epoch)
            if not np.isfinite(loss):
                raise ExperimentError(f"epoch {epoch}: the loss is not a number")
            figures = measure(run.network, held_out)
            curve.append({"epoch": epoch, "train_loss": loss, **asdict(figures)})
            run.save(checkpoint, curve)
            on_epoch(epoch, settings.epochs)
        return run.network.to("cpu").eval(), curve


def _with_sorted_metadata(data: bytes) -> bytes:
    """A safetensors file with sorted metadata: safetensors shuffles it, and with it the sha256."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def _quiet(_done: int, _total: int) -> None:
    """The default where nobody watches."""


class _Run:
    """The state of training: network, optimizer and data."""

    def __init__(
        self, faces: Faces, settings: ExpressionSettings, teacher: nn.Module | None, device: torch.device
    ) -> None:
        def ready(network: nn.Module) -> nn.Module:
            return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

        self.settings, self.device = settings, device
        self.teacher = ready(teacher) if teacher else None
        self.network = ready(build_expression_network(settings.architecture))
        self.images = torch.from_numpy(faces.images).to(device)
        self.labels = torch.from_numpy(faces.emotion).to(device)
        self.shares = torch.from_numpy(faces.distribution).to(device)
        self.n_batches = len(faces) // settings.batch_size
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            settings.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=settings.weight_decay,
        )

    def train_epoch(self, epoch: int) -> float:
        """Train for one epoch; everything random in it follows from the seed and the epoch."""
        settings = self.settings
        seed = settings.seed * 100_003 + epoch
        torch.default_generator.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.images), generator=generator)[: self.n_batches * settings.batch_size]
        order = sent(order, self.device)
        strength = GENTLE if epoch > settings.epochs - settings.gentle_epochs else 1.0
        self.network.train()
        losses = []
        for i, batch in enumerate(order.reshape(self.n_batches, -1)):
            step = (epoch - 1) * self.n_batches + i
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * one_cycle(step, self.n_batches * settings.epochs)
            faces = augment_still_faces(self.images[batch], generator, strength)
            faces = faces.contiguous(memory_format=torch.channels_last)
            with self._autocast():
                fer, plus = self.network(faces)
            loss = self._loss(fer.float(), plus.float(), batch)
            if self.teacher is not None:
                distillation = self._distillation_loss(self.teacher, faces, (fer.float(), plus.float()))
                loss = (1 - settings.teacher_share) * loss + settings.teacher_share * distillation
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            losses.append(loss.detach())
        return mean_loss(losses)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.bfloat16)

    def _loss(self, fer: Tensor, plus: Tensor, batch: Tensor) -> Tensor:
        settings = self.settings
        shares = self.shares[batch]
        by_votes = -(shares * plus.log_softmax(1)).sum() / shares.sum().clamp(min=1)
        by_label = functional.cross_entropy(fer, self.labels[batch], label_smoothing=settings.label_smoothing)
        return settings.fer_share * by_label + (1 - settings.fer_share) * by_votes

    def _distillation_loss(self, teacher: nn.Module, faces: Tensor, logits: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy to the teacher's outputs for the same augmented faces, label sets by their shares."""
        settings, temperature = self.settings, self.settings.teacher_temperature
        with torch.no_grad(), self._autocast():
            targets = teacher(faces)
        by_set = [
            -((target.float() / temperature).softmax(1) * (one / temperature).log_softmax(1)).sum(1).mean()
            * temperature**2
            for target, one in zip(targets, logits, strict=True)
        ]
        loss: Tensor = settings.fer_share * by_set[0] + (1 - settings.fer_share) * by_set[1]
        return loss

    def save(self, path: Path, curve: list[dict[str, Any]]) -> None:
        """Write everything that the next epoch needs."""
        state = {f"network/{k}": v.contiguous() for k, v in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state[f"momentum/{name}"] = self.optimizer.state[parameter]["momentum_buffer"].contiguous()
        text = np.frombuffer(json.dumps(curve).encode(), dtype=np.uint8)
        state["curve"] = torch.from_numpy(text.copy())
        write_atomically(path, save(state))

    def resume(self, path: Path) -> list[dict[str, Any]]:
        """Load what :meth:`save` wrote; returns the learning curve, empty where there is none."""
        if not path.is_file():
            return []
        state = read_run_weights(path)
        self.network.load_state_dict(
            {k.removeprefix("network/"): v for k, v in state.items() if k.startswith("network/")}
        )
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter]["momentum_buffer"] = state[f"momentum/{name}"].to(self.device)
        curve: list[dict[str, Any]] = parse_json(state["curve"].numpy().tobytes())
        return curve


def measure(network: nn.Module, faces: Faces) -> ExpressionFigures:
    """Accuracy of a network on faces that it was not trained on."""
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

    The Emotion CNN has outputs for FER2013's classes only, the compact network for FER+'s as well.

    Raises:
        WeightsError: the file is absent, damaged, or holds something else.
    """
    network = NETWORKS[read_architecture(path)]()
    load_expression_weights(network, path)
    return network.eval()


def assess(
    network: nn.Module, faces: Faces, *, seed: int = 0, n_resamples: int = 2000
) -> tuple[LabelSetResult, ...]:
    """Accuracies, intervals and confusion matrices on held-out faces, one result per label set.

    Args:
        network: from :func:`load_expression`, or one that is being trained.
        faces: faces that it was not trained on.
        seed: of the bootstrap.
        n_resamples: number of bootstrap resamples over images; duplicates are resampled together.

    Raises:
        CorpusError: no face has a label of one of the sets.
    """
    sets = [("FER2013", FER2013, faces.emotion)]
    outputs = read_faces(network, faces.images)
    if len(outputs) == 2:
        sets += [("FER+ majority", FER_PLUS, faces.majority), ("FER+ most voted", FER_PLUS, faces.most_voted)]
    _, image_ids = np.unique(faces.images.reshape(len(faces), -1), axis=0, return_inverse=True)
    results = []
    for labels, classes, truth in sets:
        known = truth >= 0
        if not known.any():
            raise CorpusError(f"none of the {len(faces)} faces has a label of {labels}")
        predicted, expected = outputs[0 if labels == "FER2013" else 1].argmax(1)[known], truth[known]
        interval = bootstrap_interval(
            accuracy, expected, predicted, image_ids[known], seed=seed, n_resamples=n_resamples
        )
        confusion = confusion_matrix(expected, predicted, len(classes))
        results.append(
            LabelSetResult(labels, classes, len(expected), accuracy(expected, predicted), interval, confusion)
        )
    return tuple(results)


def read_faces(
    network: nn.Module, images: NDArray[np.uint8], *, batch_size: int = 256
) -> tuple[NDArray[np.float32], ...]:
    """Log-probabilities of FER2013 (n, 7) and, where the network has them, of FER+ (n, 8); float32."""
    network.eval()
    outputs, device = [], device_of(network)
    with torch.inference_mode():
        for i in range(0, len(images), batch_size):
            x = torch.from_numpy(images[i : i + batch_size]).to(device)[:, None].to(torch.float32) / 255
            logits = network(x.contiguous(memory_format=torch.channels_last))
            logits = logits if isinstance(logits, tuple) else (logits,)
            outputs.append([one.log_softmax(1).cpu().numpy() for one in logits])
    return tuple(np.concatenate(one) for one in zip(*outputs, strict=True))

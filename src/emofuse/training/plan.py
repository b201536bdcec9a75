"""Fitting one recogniser on one set of training takes: networks that leave actors out, then a fusion.

Networks are jobs that can run in any order, in any process, and be taken up again after a break: each
writes what it says of the takes it was asked about, and is skipped where that is already there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.pretrained import known_weights
from emofuse.core.recipes.fusion import LEAST_LOG_PROBABILITY, Classifier
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import inner_folds
from emofuse.system.atomic_write import write_atomically
from emofuse.system.download import file_digest
from emofuse.training.fusion_classifiers import FusionClassifier, make_classifier
from emofuse.training.tuning import Tuned, tune

ModalityName = Literal["voice", "face"]
MODALITIES: tuple[ModalityName, ...] = ("voice", "face")
Branch = Literal["voice", "face", "both"]
"""What one network reads; ``both`` sees voice and face at once."""
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The features of every take, on disk, and whose they are. Row i is take i."""

    folder: Path
    labels: Rows
    speakers: NDArray[np.str_]
    has: dict[ModalityName, NDArray[np.bool_]]
    n_voice_versions: int = 1
    """How often each recording is there: as it is, then at the recipe's other speeds."""

    def load(self, modality: ModalityName, version: int = 0) -> NDArray[Any]:
        """(n_takes, …) raw features; rows without the modality hold zeros. Mapped, not read."""
        path = self.folder / (f"{modality}-{version}.npy" if version else f"{modality}.npy")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    def having(self, branch: Branch, rows: Rows) -> Rows:
        """Those of the rows that have what a network reads."""
        wanted = MODALITIES if branch == "both" else (branch,)
        return rows[np.logical_and.reduce([self.has[modality][rows] for modality in wanted])]


@dataclass(frozen=True, slots=True)
class NetworkJob:
    """One network: the rows it trains on, those it stops on, and those it is asked about."""

    plan: str
    member: int
    modality: Branch
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    score: tuple[int, ...]
    enrolled: bool = False
    """Reads features that are standardised by each person's own recordings."""
    test: tuple[int, ...] = ()
    """Those of ``score`` that are asked about after few clips as well; none but where ``enrolled``."""

    @property
    def name(self) -> str:
        """Folder of this job's results."""
        return f"{self.plan}/{job_name(self.member, self.modality, self.enrolled)}"


def job_name(member: int, branch: Branch, enrolled: bool) -> str:
    """Folder of one network's results within its plan."""
    return f"member-{member}-{branch}" + ("-enrolled" if enrolled else "")


@dataclass(frozen=True, slots=True)
class Member:
    """One pair of networks: who trains it, who stops it, and on whose answers the fusion is fitted."""

    index: int
    network_rows: Rows
    stopping_rows: Rows
    fusion_rows: Rows


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is fitted on ``train``; ``test`` is only asked about."""

    name: str
    train: Rows
    test: Rows
    members: tuple[Member, ...]
    refitted: Member | None = None
    """Trained on all of ``train``, to answer about ``test``; None: the members' mean answers."""

    @property
    def answering(self) -> list[int]:
        """The members whose answers about ``test`` count."""
        return [m.index for m in self.members] if self.refitted is None else [self.refitted.index]


def make_plan(name: str, inputs: Inputs, train: Sequence[int], test: Sequence[int], recipe: Recipe) -> Plan:
    """Part the training actors as the recipe's fusion asks.

    Raises:
        ExperimentError: there are too few training actors.
    """
    train_rows = np.asarray(train, dtype=np.int64)
    whose = inputs.speakers[train_rows]
    speakers = sorted(set(whose.tolist()))
    patience = any(part.training.patience for part in (recipe.voice, recipe.face))
    least = 3 if patience else 2
    if len(speakers) < least:
        raise ExperimentError(f"{name}: {len(speakers)} training actors are too few, {least} are needed")
    groups = inner_folds(speakers, min(recipe.fusion.inner_folds, len(speakers)))
    if patience and len(groups) < 3:
        raise ExperimentError("patience needs fusion.inner_folds of 3 or more: one part stops the networks")
    wanted = recipe.fusion.members if recipe.fusion.inputs == "features" else None
    if recipe.fusion.inputs == "features" and min(len(group) for group in groups) < 2:
        raise ExperimentError(
            f"{name}: {len(speakers)} training actors in {len(groups)} inner folds leave a fusion one actor, "
            "and its settings are chosen on actors it has not seen: lower fusion.inner_folds"
        )
    members = []
    for k in range(wanted or len(groups)):
        fusion = np.isin(whose, groups[k])
        stopping = np.isin(whose, groups[(k + 1) % len(groups)]) & patience
        rest = ~fusion & ~stopping
        members.append(Member(k, train_rows[rest], train_rows[stopping], train_rows[fusion]))
    nobody = np.zeros(0, dtype=np.int64)
    refitted = Member(len(members), train_rows, nobody, nobody) if recipe.fusion.refit else None
    return Plan(name, train_rows, np.asarray(test, dtype=np.int64), tuple(members), refitted)


def branches(recipe: Recipe, enrolled: bool) -> tuple[Branch, ...]:
    """The networks that stand side by side, and in whose order the fusion reads them."""
    if enrolled and recipe.enrolment is not None and recipe.enrolment.both is not None:
        return (*MODALITIES, "both")
    return MODALITIES


def network_jobs(plan: Plan, inputs: Inputs, recipe: Recipe) -> list[NetworkJob]:
    """The networks that a plan needs, those for enrolled people last.

    Raises:
        ExperimentError: a modality has too few clips to train on.
    """
    jobs = _network_jobs(plan, inputs, recipe, enrolled=False)
    if recipe.enrolment is not None:
        jobs += _network_jobs(plan, inputs, recipe, enrolled=True)
    return jobs


def _network_jobs(plan: Plan, inputs: Inputs, recipe: Recipe, *, enrolled: bool) -> list[NetworkJob]:
    jobs = []
    everybody = plan.members if plan.refitted is None else (*plan.members, plan.refitted)
    for member in everybody:
        answers = member.index in plan.answering
        for branch in branches(recipe, enrolled):

            def having(rows: Rows, branch: Branch = branch) -> tuple[int, ...]:
                return tuple(int(i) for i in inputs.having(branch, rows))

            patience = branch != "both" and getattr(recipe, branch).training.patience is not None
            # without patience nothing is learnt from the stopping actors: they train as well
            rows = member.network_rows
            if not patience:
                rows = np.sort(np.concatenate([rows, member.stopping_rows]))
            train = having(rows)
            held_out = having(member.stopping_rows if patience else member.fusion_rows)
            if len(train) < 2 or (patience and not held_out):
                raise ExperimentError(f"{plan.name}: too few clips with a {branch} to train on")
            if is_ensemble(branch, recipe) and len(set(inputs.speakers[list(train)].tolist())) < 2:
                raise ExperimentError(
                    f"{plan.name}: an ensemble trains on clips of at least two actors beside those that the "
                    f"fusion learns from: there are too few actors with a {branch}"
                )
            test = having(plan.test) if answers else ()
            score = (*having(member.fusion_rows), *test)
            jobs.append(
                NetworkJob(
                    plan.name, member.index, branch, train, held_out, score,
                    enrolled=enrolled, test=test if enrolled else (),
                )
            )  # fmt: skip
    return jobs


def derive_seed(seed: int, *names: object) -> int:
    """A seed for one part of a run, from the run's seed and the part's names."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def pretrained_sha256(recipe: Recipe) -> str | None:
    """The sha256 of the pre-trained weights that a recipe's face needs; None where it needs none.

    Those behind blendshapes are looked for when features are extracted, unless the store has them all.

    Raises:
        WeightsError: they are missing or altered; better said before hours of work than after.
    """
    if recipe.face.network.kind == "expression":
        from emofuse.training.networks.expression_over_time import load_expression_over_time

        load_expression_over_time(recipe.face.network.expression_weights)
        return file_digest(Path(str(recipe.face.network.expression_weights)), "sha256")
    if recipe.face.features.kind == "blendshapes":
        return known_weights("face-landmarker").sha256
    if recipe.face.network.kind != "lrcn":
        return None
    from emofuse.training.networks.face import find_emotion_cnn_weights

    path = find_emotion_cnn_weights(recipe.face.network.emotion_cnn)
    return None if path is None else file_digest(path, "sha256")


def run_network_job(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> None:
    """Train one network and write what it says; nothing is done where that is already written.

    Writes ``outputs.npz`` (rows, features, log_probabilities), ``weights.safetensors`` and, last,
    ``curve.json`` into ``work``/job.name.
    """
    folder = work / job.name
    if (folder / "curve.json").is_file():
        return
    if is_ensemble(job.modality, recipe):
        from emofuse.training.ensemble_jobs import run_ensemble_job

        run_ensemble_job(job, inputs, recipe, folder)
        return
    from safetensors.torch import save

    from emofuse.training.loop import Epoch, Examples, augmentation_for, infer, train_network

    assert job.modality != "both"
    part = getattr(recipe, job.modality)
    features = inputs.load(job.modality)

    def examples(rows: Sequence[int]) -> Examples:
        return Examples(np.ascontiguousarray(features[list(rows)]), inputs.labels[list(rows)])

    def build() -> Any:
        assert job.modality != "both"
        return build_network(recipe, job.modality, features.shape[1:])

    seed = derive_seed(recipe.seed, job.plan, job.member, job.modality)
    held_out = examples(job.held_out) if job.held_out else None
    n_emotions = len(EMOTIONS)
    if part.network.kind == "expression":
        # trained elsewhere, on other faces
        network, curve = build(), list[Epoch]()
    elif part.network.kind == "lrcn":
        from emofuse.training.lrcn import train_lrcn

        network, curve = train_lrcn(
            build, examples(job.train), part, n_emotions=n_emotions, seed=seed, held_out=held_out
        )
    else:
        network, curve = train_network(
            build,
            examples(job.train),
            part.training,
            n_emotions=n_emotions,
            seed=seed,
            augment=augmentation_for(part.features, part.training),
            held_out=held_out,
        )
    # a network that was refitted for a bundle is asked about nobody
    layer, logs = np.zeros((0, 1), np.float32), np.zeros((0, n_emotions))
    if job.score:
        layer, logs = infer(network, np.ascontiguousarray(features[list(job.score)]))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "weights.safetensors", save(network.state_dict()))
    with write_atomically(folder / "outputs.npz") as file:
        np.savez(file, rows=np.asarray(job.score), features=layer, log_probabilities=logs)
    write_atomically(folder / "curve.json", json.dumps([epoch.as_dict() for epoch in curve]).encode())


def is_ensemble(branch: Branch, recipe: Recipe) -> bool:
    """Whether a branch is one of :mod:`emofuse.training.networks.descriptor_ensemble`."""
    return branch == "both" or getattr(recipe, branch).network.kind == "ensemble"


def build_network(recipe: Recipe, modality: ModalityName, input_shape: Sequence[int]) -> Any:
    """The recipe's network for a modality, untrained."""
    if modality == "voice":
        from emofuse.training.networks.voice import build_voice_network

        return build_voice_network(recipe.voice, input_shape, len(EMOTIONS))
    if recipe.face.network.kind == "expression":
        from emofuse.training.networks.expression_over_time import load_expression_over_time

        return load_expression_over_time(recipe.face.network.expression_weights)
    from emofuse.training.networks.face import build_face_network

    return build_face_network(
        recipe.face.network, input_shape, len(EMOTIONS), noise=recipe.face.training.augmentation.noise
    )


def load_network(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> Any:
    """A network that :func:`run_network_job` has trained."""
    from safetensors.torch import load

    if is_ensemble(job.modality, recipe):
        from emofuse.training.ensemble_jobs import load_ensemble

        return load_ensemble(job, recipe, work)
    assert job.modality != "both"
    network = build_network(recipe, job.modality, inputs.load(job.modality).shape[1:])
    network.load_state_dict(load((work / job.name / "weights.safetensors").read_bytes()))
    return network.eval()


@dataclass(frozen=True, slots=True)
class Answers:
    """What the pairs of networks say of some takes.

    ``features``: (n_members, n_takes, n_features) float32; ``logs``: (n_members, n_takes, n_emotions).
    """

    features: NDArray[np.float32]
    logs: NDArray[np.float64]

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """(n_takes, n_emotions): the members' mean log-probabilities, made to sum to 1 again."""
        mean = self.logs.mean(0)
        return np.asarray(mean - np.logaddexp.reduce(mean, axis=1, keepdims=True), dtype=np.float64)


def read_answers(
    plan: Plan, branch: Branch, rows: Rows, members: Sequence[int], work: Path, *, enrolled: bool = False
) -> Answers:
    """What some of a plan's networks have said of ``rows``."""
    features, logs = [], []
    for member in members:
        path = work / plan.name / job_name(member, branch, enrolled) / "outputs.npz"
        with np.load(path, allow_pickle=False) as said:
            place = {int(row): i for i, row in enumerate(said["rows"])}
            where = [place[int(row)] for row in rows]
            features.append(said["features"][where])
            logs.append(said["log_probabilities"][where])
    return Answers(np.stack(features), np.stack(logs))


def join_inputs(recipe: Recipe, answers: Sequence[Answers], member: int | None) -> NDArray[np.float32]:
    """What the fusion reads: (n_takes, n_inputs) float32, voice first.

    For ``features`` the joined feature layers of one member, for ``probabilities`` the log-probabilities.
    """
    if recipe.fusion.inputs == "features":
        assert member is not None
        return np.concatenate([said.features[member] for said in answers], axis=1)
    return join_logs([said.log_probabilities for said in answers])


def join_logs(logs: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Log-probabilities of several networks side by side, none lower than counts."""
    return np.asarray(np.maximum(np.concatenate(logs, axis=1), LEAST_LOG_PROBABILITY), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class FittedFusion:
    """The classifiers of late fusion, each as its members, and the one that inner folds chose."""

    classifiers: dict[Classifier, list[FusionClassifier]]
    tuned: list[Tuned]
    chosen: Classifier

    def predict(
        self, classifier: Classifier, recipe: Recipe, answers: Sequence[Answers]
    ) -> NDArray[np.float64]:
        """(n_takes, n_emotions) probabilities, the mean over the members."""
        members = self.classifiers[classifier]
        per_member = recipe.fusion.inputs == "features"
        said = [
            model.predict_proba(join_inputs(recipe, answers, k if per_member else None))
            for k, model in enumerate(members)
        ]
        return np.asarray(np.mean(said, axis=0), dtype=np.float64)


def fit_fusion(
    plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, *, enrolled: bool = False
) -> FittedFusion:
    """Tune and fit every classifier on answers about training actors that the networks had not seen.

    Raises:
        ExperimentError: too few takes with both a voice and a face.
    """
    sets = list(enumerate(_fusion_sets(plan, inputs, recipe, work, enrolled)))
    stance = "enrolled-" if enrolled else ""
    classifiers: dict[Classifier, list[FusionClassifier]] = {}
    tuned: list[Tuned] = []
    for name in recipe.fusion.classifiers:
        classifiers[name] = []
        for index, (X, rows) in sets:
            y, groups = inputs.labels[rows], inputs.speakers[rows]
            seed = derive_seed(recipe.seed, plan.name, index, stance + name)
            storage = work / plan.name / f"tuning-{stance}{index}.sqlite3"
            best = tune(
                name, X, y, groups, recipe.fusion, n_emotions=len(EMOTIONS), seed=seed, storage=storage
            )
            model = make_classifier(name, best.parameters, recipe.fusion, n_emotions=len(EMOTIONS), seed=seed)
            classifiers[name].append(model.fit(X, y))
            tuned.append(best)
    scores = {
        name: float(np.mean([t.score for t in tuned if t.classifier == name]))
        for name in recipe.fusion.classifiers
    }
    return FittedFusion(classifiers, tuned, min(scores, key=lambda name: scores[name]))


def _fusion_sets(
    plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, enrolled: bool
) -> list[tuple[NDArray[np.float32], Rows]]:
    """What each fusion is fitted on, and whose rows they are."""
    parts = []
    for member in plan.members:
        rows = inputs.having("both", member.fusion_rows)
        if len(rows) < 2:
            raise ExperimentError(f"{plan.name}: too few takes with both a voice and a face to fuse")
        answers = [
            read_answers(plan, branch, rows, [member.index], work, enrolled=enrolled)
            for branch in branches(recipe, enrolled)
        ]
        parts.append((join_inputs(recipe, answers, 0), rows))
    if recipe.fusion.inputs == "features":
        return parts
    return [(np.concatenate([X for X, _ in parts]), np.concatenate([rows for _, rows in parts]))]

"""The leakage audit: one recipe under every leakage condition; the honest ones are evaluate, unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.metrics import accuracy, bootstrap_difference
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import Fold, FoldPlan, Protocol, get_protocol
from emofuse.evaluation.cross_validation import evaluate, fused_choice, predictions
from emofuse.evaluation.fold_audit import check_folds
from emofuse.evaluation.fold_outputs import plan_name
from emofuse.evaluation.leakage.conditions import CONDITIONS, RANDOM_FOLDS, SHORTCUTS, LeakageCondition
from emofuse.evaluation.leakage.fitting import flattering_fusion, flattering_job, scoring_plan, selecting
from emofuse.evaluation.results import (
    MAIN_SYSTEMS,
    RESULTS_FILE,
    CorpusEntry,
    RecipeEntry,
    Results,
    Stopwatch,
    SystemFigures,
    corpus_entry,
    read_results,
    run_results,
    write_results,
)
from emofuse.evaluation.run_files import PREDICTIONS_FILE, Scores, read_run, write_predictions
from emofuse.evaluation.system_metrics import system_figures
from emofuse.features.extraction import MODALITIES
from emofuse.recognition.bundle import licence_text
from emofuse.system.atomic_write import write_atomically
from emofuse.system.file_lock import locked_folder
from emofuse.training.compute import ComputeEntry
from emofuse.training.dataset import Dataset, Inputs, need_labels, read_dataset
from emofuse.training.jobs import pretrained_sha256, run_network_jobs
from emofuse.training.plan import is_ensemble, make_plan, network_jobs
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import RunMarks, check_run, claim_run, software, write_json


class ConditionEntry(TypedDict):
    """One leakage condition and its figures."""

    key: str
    title: str
    folder: str
    flattered: bool
    leaks: list[str]
    protocol: str
    systems: dict[str, SystemFigures]
    fused_choice: dict[str, str]
    notes: list[str]
    seconds: float


class Difference(TypedDict):
    """By how much accuracy rises, with its paired 95 % interval over speakers, on ``n`` takes."""

    difference: float
    ci95: list[float]
    n: int


class ShortcutEntry(TypedDict):
    """What one shortcut adds: accuracy under condition ``of`` less that under ``over``."""

    shortcut: str
    of: str
    over: str
    systems: dict[str, Difference]


class LeakageResults(TypedDict):
    """What leak.json holds."""

    schema: int
    recipe: RecipeEntry
    protocols: dict[str, str]
    corpus: CorpusEntry
    seed: int
    notes: list[str]
    conditions: list[ConditionEntry]
    differences: list[ShortcutEntry]
    software: dict[str, str]
    compute: ComputeEntry


def leak(
    corpus: Corpus,
    recipe: Recipe,
    protocol: str,
    run: Path,
    resources: Resources = ONE_PROCESS,
) -> LeakageResults:
    """Measure a recipe under every condition of :data:`CONDITIONS`.

    Args:
        corpus: the takes.
        recipe: what is fitted, and how. Enrollment is left out.
        protocol: name of the speaker-independent folds of the conditions c and d.
        run: folder of the results, with a folder per condition; an interrupted run in it resumes.
        resources: executor, device, stored features, progress.

    Returns:
        What ``run``/leak.json holds.

    Raises:
        ExperimentError: the protocol does not keep speakers apart, ``run`` holds another run or is in use,
            or the corpus is too small.
    """
    need_labels(corpus, "a leakage audit")
    with locked_folder(run), resources.computing():
        return _leak(corpus, recipe, protocol, run, resources)


def _leak(corpus: Corpus, recipe: Recipe, protocol: str, run: Path, resources: Resources) -> LeakageResults:
    folds_of = {"random": get_protocol(RANDOM_FOLDS), "strangers": get_protocol(protocol)}
    if not folds_of["strangers"].speaker_independent:
        raise ExperimentError(
            f"a leakage audit needs folds that keep people apart, to compare {RANDOM_FOLDS} with, and "
            f"{protocol} does not"
        )
    audit = _Audit.open(corpus, recipe, folds_of, run, resources)
    found: LeakageResults = {
        "schema": 1,
        "recipe": {"name": recipe.name, "hash": audit.recipe.hash()},
        "protocols": {name: one.name for name, one in folds_of.items()},
        "corpus": audit.corpus_entry,
        "seed": recipe.seed,
        "notes": [*_notes(recipe), *resources.notes(recipe)],
        "conditions": [_entry(condition, audit.measure(condition), recipe) for condition in CONDITIONS],
        "differences": _differences(run, recipe.seed),
        "software": software(),
        "compute": resources.compute.entry(),
    }
    del found["corpus"]["licence"]  # every condition's results.json has it
    write_json(run / "leak.json", found)
    audit.dataset.forget()
    return found


@dataclass(frozen=True, slots=True)
class _Audit:
    """What all leakage conditions share."""

    corpus: Corpus
    recipe: Recipe
    run: Path
    dataset: Dataset
    protocols: Mapping[str, Protocol]
    splits: Mapping[str, FoldPlan]
    marks: RunMarks
    resources: Resources

    @classmethod
    def open(
        cls,
        corpus: Corpus,
        recipe: Recipe,
        protocols: Mapping[str, Protocol],
        run: Path,
        resources: Resources,
    ) -> _Audit:
        """Read the corpus, and fail early if any leakage condition cannot be run."""
        plain = recipe.model_copy(update={"enrolment": None})
        marks: RunMarks = {
            "recipe": plain.hash(),
            "pretrained_sha256": pretrained_sha256(plain, corpus),
            **resources.marks(plain),
        }
        of_audit: RunMarks = {**marks, "leak_protocol": protocols["strangers"].hash()}
        check_run(run, of_audit)
        dataset = read_dataset(corpus, plain, run / "work", resources)
        _check_modalities(corpus, dataset)
        splits = {name: one.plan(dataset.takes) for name, one in protocols.items()}
        marks["corpus"] = of_audit["corpus"] = dataset.fingerprint
        claim_run(run, of_audit)
        licence = licence_text(corpus.licence, corpus.name)
        write_atomically(run / "work" / "LICENSE.txt", licence.encode())
        for name, split in splits.items():
            check_folds(split.folds, dataset, speaker_independent=protocols[name].speaker_independent)
            for fold in split.folds:
                _check_feasible(fold, dataset.inputs, plain)
        return cls(corpus, plain, run, dataset, protocols, splits, marks, resources)

    @property
    def corpus_entry(self) -> CorpusEntry:
        """What results say of the corpus."""
        return corpus_entry(self.corpus, clips=len(self.dataset.takes), actors=self.dataset.n_speakers)

    def measure(self, condition: LeakageCondition) -> Results:
        """The results.json of a leakage condition, measured unless it is there."""
        folder = self.run / condition.folder
        protocol = self.protocols[condition.folds]
        marks: RunMarks = {**self.marks, "protocol": protocol.hash()}
        check_run(folder, marks)
        if (folder / RESULTS_FILE).is_file() and (folder / PREDICTIONS_FILE).is_file():
            results = read_results(folder / RESULTS_FILE)
        elif condition.selects_on_test:
            results = self._flatter(condition, folder, marks)
        else:
            results = evaluate(self.corpus, self.recipe, protocol.name, folder, self._resources(condition))
        if condition.leaks and not results.get("flattered"):
            results = _marked(results, condition)
            write_results(folder, results)
        return results

    def _resources(self, condition: LeakageCondition) -> Resources:
        """The audit's, with stages named after the leakage condition."""

        def on_progress(stage: str, done: int, total: int) -> None:
            self.resources.on_progress(f"({condition.key}) {stage}", done, total)

        return replace(self.resources, on_progress=on_progress)

    def _flatter(self, condition: LeakageCondition, folder: Path, marks: RunMarks) -> Results:
        """Fit with an eye on the test clips, and score these."""
        stopwatch = Stopwatch()
        claim_run(folder, {**marks, "condition": condition.key})
        protocol, split = self.protocols[condition.folds], self.splits[condition.folds]
        inputs, recipe, resources = self.dataset.inputs, self.recipe, self._resources(condition)
        # a+ queries the networks of a: no others are trained
        network_work = (self.run / CONDITIONS[0].folder if condition.has_seen else folder) / "work"
        networks = [
            flattering_job(fold, modality, inputs, recipe) for fold in split.folds for modality in MODALITIES
        ]
        run_network_jobs(networks, inputs, selecting(recipe), network_work, resources)
        plans = [scoring_plan(fold, split.folds, seen=condition.has_seen) for fold in split.folds]
        fusions = [
            (plan, inputs, recipe, network_work, folder / "work" / plan_name(fold))
            for plan, fold in zip(plans, split.folds, strict=True)
        ]
        fused = resources.map("fusions", flattering_fusion, fusions)
        table = predictions(split.folds, plans, self.dataset, recipe, network_work, fused)
        write_predictions(folder, table, inputs.emotions)
        results = run_results(
            recipe,
            protocol,
            self.corpus_entry,
            {"systems": system_figures(table, split.folds, recipe, {})},
            pretrained_sha256=self.marks["pretrained_sha256"],
            notes=[*split.notes, *self.dataset.notes, *resources.notes(recipe)],
            fused_choice=fused_choice(split.folds, fused),
            emotions=inputs.emotions,
            compute=resources.compute.entry(),
            stopwatch=stopwatch,
        )
        # never without its mark: unmarked figures would look honest
        results = _marked(results, condition)
        write_results(folder, results)
        return results


def _marked(results: Results, condition: LeakageCondition) -> Results:
    """Results that say first that they are flattered, and what leaks."""
    marked: Results = {"schema": results["schema"], "flattered": True, "condition": condition.key, **results}
    marked["notes"] = [*_leaks(condition), *results["notes"]]
    return marked


def _check_modalities(corpus: Corpus, dataset: Dataset) -> None:
    """Fail early on a corpus of one modality: there is no fusion to choose on the test fold."""
    absent = [modality for modality in MODALITIES if modality not in dataset.inputs.modalities]
    if absent:
        raise ExperimentError(
            f"{corpus.root}: no take has a {absent[0]}: a leakage audit needs voice and face, because one of "
            "the shortcuts that it measures is a fusion chosen on the test fold (emofuse evaluate needs one)"
        )


def _check_feasible(fold: Fold, inputs: Inputs, recipe: Recipe) -> None:
    """Fail early if a fold cannot be run under every leakage condition."""
    for modality in MODALITIES:
        flattering_job(fold, modality, inputs, recipe)
    if not len(inputs.having("both", np.array(fold.test))):
        raise ExperimentError(f"{fold.name}: no test take has both a voice and a face to choose a fusion on")
    network_jobs(make_plan(fold.name, inputs, fold.train, fold.test, recipe), inputs, recipe)


def _leaks(condition: LeakageCondition) -> list[str]:
    return [f"FLATTERED: {leaking}" for leaking in condition.leaks]


def _notes(recipe: Recipe) -> list[str]:
    notes = [
        "selection on the test fold trains one pair of networks per fold, on the whole training part, and "
        "fits the fusion on its outputs for its own training clips, as the notebooks did; nested selection "
        "is what emofuse evaluate does, so a difference between the two includes that as well",
        "nested selection splits the training part by actors, where the folds are random too: the fusion is "
        "fitted on outputs for speakers that the networks had not seen",
    ]
    if recipe.enrolment is not None:
        notes.append("the recipe's enrollment is left out: no speaker is enrolled")
    chosen = [m for m in MODALITIES if is_ensemble(m, recipe)]
    if chosen:
        notes.append(f"{' and '.join(chosen)}: an ensemble, which has no epoch to choose on the test fold")
    if recipe.fusion.refit:
        notes.append("nested selection scores with one pair of networks refitted on the whole training part")
    return notes


def _entry(condition: LeakageCondition, results: Results, recipe: Recipe) -> ConditionEntry:
    names = (*MODALITIES, *(f"fused:{name}" for name in recipe.fusion.classifiers), "fused")
    return {
        "key": condition.key,
        "title": condition.title,
        "folder": condition.folder,
        "flattered": bool(condition.leaks),
        "leaks": list(condition.leaks),
        "protocol": results["protocol"],
        "systems": {name: _accuracies(results["systems"][name]) for name in names},
        "fused_choice": results["fused_choice"],
        "notes": results["notes"],
        "seconds": results["seconds"],
    }


def _accuracies(figures: SystemFigures) -> SystemFigures:
    return {
        "accuracy": figures["accuracy"],
        "accuracy_ci95": figures["accuracy_ci95"],
        "uar": figures["uar"],
        "uar_ci95": figures["uar_ci95"],
        "n": figures["n"],
    }


def _differences(run: Path, seed: int) -> list[ShortcutEntry]:
    """What each shortcut adds, on the takes that both conditions score, with paired intervals over actors."""
    scores = {one.key: read_run(run / one.folder).scores for one in CONDITIONS}
    return [
        {
            "shortcut": shortcut,
            "of": more,
            "over": less,
            "systems": {
                name: _difference(scores[more][name], scores[less][name], seed) for name in MAIN_SYSTEMS
            },
        }
        for shortcut, more, less in SHORTCUTS
    ]


def _difference(more: Scores, less: Scores, seed: int) -> Difference:
    _, here, there = np.intersect1d(more.takes, less.takes, return_indices=True)
    truth, actors = more.truth[here], more.actors[here]
    first, second = more.predicted[here], less.predicted[there]
    interval = bootstrap_difference(accuracy, truth, first, second, actors, seed=seed)
    return {
        "difference": accuracy(truth, first) - accuracy(truth, second),
        "ci95": list(interval),
        "n": len(truth),
    }

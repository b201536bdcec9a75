"""One recipe under every condition; the honest ones are cross_validation.evaluate, unchanged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.metrics import accuracy, bootstrap_difference
from emofuse.core.progress import OnProgress, ignore_progress
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import Fold, FoldPlan, Protocol, get_protocol
from emofuse.evaluation.cross_validation import (
    evaluate,
    fold_predictions,
    write_predictions,
)
from emofuse.evaluation.fold_audit import audit_folds
from emofuse.evaluation.leakage.conditions import CONDITIONS, RANDOM_FOLDS, SHORTCUTS, Condition
from emofuse.evaluation.leakage.fitting import asked_plan, flattering_fusion, flattering_job, selecting
from emofuse.evaluation.results import Scores, read_results, read_run
from emofuse.evaluation.system_metrics import fold_name, system_figures
from emofuse.features.store import FeatureStore
from emofuse.recognition.bundle import licence_text
from emofuse.system.atomic_write import write_atomically
from emofuse.system.process_pool import in_processes
from emofuse.training.dataset import MODALITIES, Dataset, Inputs, read_dataset
from emofuse.training.jobs import pretrained_sha256, run_network_jobs
from emofuse.training.plan import is_ensemble, make_plan, network_jobs
from emofuse.training.run_folder import RunMarks, check_run, claim_run, software, write_json


def leak(
    corpus: Corpus,
    recipe: Recipe,
    protocol: str,
    run: Path,
    *,
    jobs: int = 1,
    store: FeatureStore | None = None,
    on_progress: OnProgress = ignore_progress,
) -> dict[str, Any]:
    """Measure a recipe under every condition of :data:`CONDITIONS`.

    Args:
        corpus: the takes.
        recipe: what is fitted, and how. Enrolment is left out.
        protocol: name of the speaker-independent folds of the conditions c and d.
        run: folder of the results, one folder a condition; a run that was broken off goes on where it was.
        jobs: processes. The figures do not depend on it.
        store: where features are kept; None computes them anew.
        on_progress: told of every step.

    Returns:
        What ``run``/leak.json holds.

    Raises:
        ExperimentError: the protocol does not keep people apart, ``run`` holds another run, or the corpus
            is too small.
    """
    folds_of = {"random": get_protocol(RANDOM_FOLDS), "strangers": get_protocol(protocol)}
    if not folds_of["strangers"].speaker_independent:
        raise ExperimentError(
            f"the leak meter needs folds that keep people apart, to hold {RANDOM_FOLDS} against them, and "
            f"{protocol} does not"
        )
    meter = _Meter.open(corpus, recipe, folds_of, run, jobs=jobs, store=store, on_progress=on_progress)
    records = [_record(condition, meter.measure(condition), recipe) for condition in CONDITIONS]
    found = {
        "schema": 1,
        "recipe": {"name": recipe.name, "hash": meter.recipe.hash()},
        "protocols": {name: one.name for name, one in folds_of.items()},
        "corpus": {
            "name": corpus.name,
            "clips": len(meter.dataset.takes),
            "actors": len(set(meter.dataset.inputs.speakers.tolist())),
            "synthetic": corpus.synthetic,
        },
        "seed": recipe.seed,
        "notes": _notes(recipe),
        "conditions": records,
        "differences": _differences(run, recipe.seed),
        "software": software(),
    }
    write_json(run / "leak.json", found)
    meter.dataset.forget()
    return found


@dataclass(frozen=True, slots=True)
class _Meter:
    """What all conditions share."""

    corpus: Corpus
    recipe: Recipe
    run: Path
    dataset: Dataset
    protocols: Mapping[str, Protocol]
    plans: Mapping[str, FoldPlan]
    marks: RunMarks
    jobs: int
    store: FeatureStore | None
    on_progress: OnProgress

    @classmethod
    def open(
        cls,
        corpus: Corpus,
        recipe: Recipe,
        protocols: Mapping[str, Protocol],
        run: Path,
        *,
        jobs: int,
        store: FeatureStore | None,
        on_progress: OnProgress,
    ) -> _Meter:
        """Read the corpus, and see that nothing stands in the way of any condition before one is begun."""
        plain = recipe.model_copy(update={"enrolment": None})
        marks: RunMarks = {"recipe": plain.hash(), "pretrained_sha256": pretrained_sha256(plain)}
        place: RunMarks = {**marks, "leak_protocol": protocols["strangers"].hash()}
        check_run(run, place)
        dataset = read_dataset(corpus, plain, run / "work", jobs=jobs, store=store, on_progress=on_progress)
        plans = {name: one.plan(dataset.takes) for name, one in protocols.items()}
        marks["corpus"] = dataset.fingerprint
        claim_run(run, {**place, "corpus": dataset.fingerprint})
        licence = licence_text(corpus.licence, corpus.name)
        write_atomically(run / "work" / "LICENSE.txt", licence.encode())
        for name, plan in plans.items():
            independent = protocols[name].speaker_independent
            audit_folds(plan.folds, dataset.takes, dataset.inputs, speaker_independent=independent)
            for fold in plan.folds:
                _see_that_it_can_be_run(fold, dataset.inputs, plain)
        return cls(corpus, plain, run, dataset, protocols, plans, marks, jobs, store, on_progress)

    def measure(self, condition: Condition) -> dict[str, Any]:
        """The results.json of a condition, measured unless it is there."""
        folder = self.run / condition.folder
        protocol = self.protocols[condition.folds]
        marks: RunMarks = {**self.marks, "protocol": protocol.hash()}
        check_run(folder, marks)
        if (folder / "results.json").is_file() and (folder / "predictions.csv").is_file():
            results = read_results(folder / "results.json")
        elif condition.selects_on_test:
            results = self._flatter(condition, folder, marks)
        else:
            results = evaluate(
                self.corpus, self.recipe, protocol.name, folder,
                jobs=self.jobs, store=self.store, on_progress=self._progress(condition),
            )  # fmt: skip
        if condition.leaks and not results.get("flattered"):
            results = {"flattered": True, "condition": condition.key, **results}
            results["notes"] = [*_leaks(condition), *results["notes"]]
            write_json(folder / "results.json", results)
        return results

    def _progress(self, condition: Condition) -> OnProgress:
        return lambda stage, done, total: self.on_progress(f"({condition.key}) {stage}", done, total)

    def _flatter(self, condition: Condition, folder: Path, marks: RunMarks) -> dict[str, Any]:
        """Fit with an eye on the test clips, and score these."""
        started, clock = datetime.now(UTC), time.monotonic()
        claim_run(folder, {**marks, "condition": condition.key})
        protocol, plan = self.protocols[condition.folds], self.plans[condition.folds]
        inputs, recipe, on_progress = self.dataset.inputs, self.recipe, self._progress(condition)
        # a+ asks the networks of a: no others are trained
        network_work = (self.run / CONDITIONS[0].folder if condition.has_seen else folder) / "work"
        networks = [
            flattering_job(fold, modality, inputs, recipe) for fold in plan.folds for modality in MODALITIES
        ]
        run_network_jobs(networks, inputs, selecting(recipe), network_work, self.jobs, on_progress)
        asked = [asked_plan(fold, plan.folds, seen=condition.has_seen) for fold in plan.folds]
        folders = [folder / "work" / f"fold-{fold_name(fold)}" for fold in plan.folds]
        fusions = [(one, inputs, recipe, network_work, to) for one, to in zip(asked, folders, strict=True)]
        fused = list(
            in_processes(
                flattering_fusion, fusions, self.jobs, lambda n: on_progress("fusions", n, len(fusions))
            )
        )
        table = [
            row
            for fold, one, said in zip(plan.folds, asked, fused, strict=True)
            for row in fold_predictions(fold, one, self.dataset, recipe, network_work, said)
        ]
        write_predictions(folder / "predictions.csv", table)
        results = {
            "schema": 1,
            "flattered": True,
            "condition": condition.key,
            "protocol": protocol.name,
            "protocol_hash": protocol.hash(),
            "speaker_independent": protocol.speaker_independent,
            "recipe": {
                "name": recipe.name, "hash": recipe.hash(), "settings": recipe.model_dump(mode="json"),
            },
            "pretrained_sha256": self.marks["pretrained_sha256"],
            "seed": recipe.seed,
            "corpus": {
                "name": self.corpus.name,
                "clips": len(self.dataset.takes),
                "actors": len(set(inputs.speakers.tolist())),
                "synthetic": self.corpus.synthetic,
                "licence": self.corpus.licence,
            },
            "notes": [*_leaks(condition), *plan.notes, *self.dataset.notes],
            "systems": system_figures(table, plan.folds, recipe),
            "fused_choice": {
                fold_name(f): said["chosen"] for f, said in zip(plan.folds, fused, strict=True)
            },
            "software": software(),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
        }  # fmt: skip
        write_json(folder / "results.json", results)
        return results


def _see_that_it_can_be_run(fold: Fold, inputs: Inputs, recipe: Recipe) -> None:
    for modality in MODALITIES:
        if not inputs.has[modality][list(fold.test)].any():
            raise ExperimentError(f"{fold.name}: no test take has a {modality}, so nothing is measured")
        flattering_job(fold, modality, inputs, recipe)
    if not len(inputs.having("both", np.array(fold.test))):
        raise ExperimentError(f"{fold.name}: no test take has both a voice and a face to choose a fusion on")
    network_jobs(make_plan(fold.name, inputs, fold.train, fold.test, recipe), inputs, recipe)


def _leaks(condition: Condition) -> list[str]:
    return [f"FLATTERED: {leaking}" for leaking in condition.leaks]


def _notes(recipe: Recipe) -> list[str]:
    notes = [
        "selection on the test fold trains one pair of networks a fold, on the whole training part, and fits "
        "the fusion on its answers about its own training clips, as the notebooks did; nested selection is "
        "what emofuse evaluate does, so a difference between the two holds that as well",
        "nested selection parts the training part by actors, where the folds are random too: the fusion is "
        "fitted on answers about people whom the networks had not seen",
    ]
    if recipe.enrolment is not None:
        notes.append("the recipe's enrolment is left out: nobody's recordings are known beforehand")
    chosen = [m for m in MODALITIES if is_ensemble(m, recipe)]
    if chosen:
        notes.append(f"{' and '.join(chosen)}: an ensemble, which has no epoch to choose on the test fold")
    if recipe.fusion.refit:
        notes.append("nested selection answers with one pair of networks refitted on the whole training part")
    return notes


def _record(condition: Condition, results: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    names = (*MODALITIES, *(f"fused:{name}" for name in recipe.fusion.classifiers), "fused")
    kept = ("accuracy", "accuracy_ci95", "uar", "uar_ci95", "n")
    return {
        "key": condition.key,
        "title": condition.title,
        "folder": condition.folder,
        "flattered": bool(condition.leaks),
        "leaks": list(condition.leaks),
        "protocol": results["protocol"],
        "systems": {name: {key: results["systems"][name][key] for key in kept} for name in names},
        "fused_choice": results["fused_choice"],
        "notes": results["notes"],
        "seconds": results["seconds"],
    }


def _differences(run: Path, seed: int) -> list[dict[str, Any]]:
    """What each shortcut adds, on the takes that both conditions score, with paired intervals over actors."""
    scores = {one.key: read_run(run / one.folder).scores for one in CONDITIONS}
    return [
        {
            "shortcut": shortcut,
            "of": more,
            "over": less,
            "systems": {
                name: _difference(scores[more][name], scores[less][name], seed)
                for name in (*MODALITIES, "fused")
            },
        }
        for shortcut, more, less in SHORTCUTS
    ]


def _difference(more: Scores, less: Scores, seed: int) -> dict[str, Any]:
    _, here, there = np.intersect1d(more.takes, less.takes, return_indices=True)
    truth, actors = more.truth[here], more.actors[here]
    first, second = more.predicted[here], less.predicted[there]
    interval = bootstrap_difference(accuracy, truth, first, second, actors, seed=seed)
    return {
        "difference": accuracy(truth, first) - accuracy(truth, second),
        "ci95": list(interval),
        "n": len(truth),
    }

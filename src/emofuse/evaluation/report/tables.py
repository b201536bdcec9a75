"""The rows of the report's tables, from what a run holds. Columns and captions are in the templates."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from emofuse.core.metrics import accuracy, bootstrap_difference, confusion_matrix, recall_per_class, uar
from emofuse.core.number_format import MISSING, number, percent
from emofuse.evaluation.rater_figures import RaterFigures
from emofuse.evaluation.report.selection import (
    CLEAN,
    by_group,
    clip_steps,
    degradation_names,
    group_keys,
    named,
)
from emofuse.evaluation.results import (
    SYSTEMS,
    CoverageFigures,
    EnrollmentPoint,
    FoldFigures,
    GroupEntry,
    Results,
    RobustnessFigures,
    in_order,
    natural,
    title,
)
from emofuse.evaluation.run_files import Scores
from emofuse.training.corpus_figures import CorpusFigures

_FIGURES: Final = (
    ("accuracy", percent, max),
    ("uar", percent, max),
    ("f1_macro", percent, max),
    ("log_loss", number, min),
    ("ece", percent, min),
)
"""Key, formatter, and which value is the best."""

_HOT: Final = 0.75
"""Above this share, a cell of a confusion matrix is so dark that its text must be light."""

Row = dict[str, Any]


def system_rows(systems: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Every system with every figure; the best value of each column is marked."""
    best = {}
    for key, _, choose in _FIGURES:
        values = [system[key] for system in systems.values() if system.get(key) is not None]
        best[key] = choose(values) if values else None
    rows = []
    for name in in_order(systems):
        system = systems[name]
        figures = [
            {
                "text": formatted(system.get(key)),
                "bounds": system.get(f"{key}_ci95"),
                "best": system.get(key) is not None and system[key] == best[key],
            }
            for key, formatted, _ in _FIGURES
        ]
        n = sum(fold.get("n") or 0 for fold in system.get("folds", ()))
        rows.append({**named(name), "figures": figures, "n": n})
    return rows


def gain_rows(scores: Mapping[str, Scores], seed: int) -> list[Row]:
    """What fusion adds to each modality, on the clips that both classified, with paired intervals."""
    rows = []
    for name in ("voice", "face"):
        if "fused" not in scores or name not in scores:
            continue
        pair = _shared(scores["fused"], scores[name])
        if pair is None:
            continue
        fused, single = pair
        row: Row = {"over": title(name), "n": len(fused.takes)}
        for key, metric in (("accuracy", accuracy), ("uar", uar)):
            gain = metric(fused.truth, fused.predicted) - metric(single.truth, single.predicted)
            bounds = bootstrap_difference(
                metric, fused.truth, fused.predicted, single.predicted, fused.actors, seed=seed
            )
            row[key] = {"difference": gain, "bounds": bounds}
        rows.append(row)
    return rows


def fold_rows(results: Results, names: Sequence[str]) -> list[Row]:
    """Accuracy and UAR of each named system in each fold."""
    by_fold: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name in names:
        for ordinal, fold in enumerate(results["systems"][name]["folds"], start=1):
            by_fold.setdefault(str(fold.get("fold", ordinal)), {})[name] = fold
    chosen = results.get("fused_choice") or {}
    rows = []
    for label in sorted(by_fold, key=natural):
        folds = by_fold[label]
        actors = {str(actor) for actor in next(iter(folds.values())).get("test_actors", ())}
        of_systems = [folds.get(name, {}) for name in names]
        rows.append(
            {
                "name": label,
                "actors": ", ".join(sorted(actors, key=natural)) or MISSING,
                "n": max((fold.get("n") or 0) for fold in folds.values()),
                "figures": [{key: fold.get(key) for key in ("accuracy", "uar")} for fold in of_systems],
                "chosen": chosen.get(label, MISSING),
            }
        )
    return rows


def spread(folds: Sequence[FoldFigures]) -> Row:
    """Mean and standard deviation of accuracy over folds; None if there are too few folds."""
    values = [fold["accuracy"] for fold in folds if fold.get("accuracy") is not None]
    return {
        "mean": statistics.fmean(values) if values else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
    }


def confusion_rows(scores: Scores, emotions: Sequence[str]) -> list[Row]:
    """For each acted emotion (rows) how often each emotion was predicted (cells), as a share of the row."""
    counts = confusion_matrix(scores.truth, scores.predicted, len(emotions))
    rows = []
    for i, acted in enumerate(emotions):
        n = int(counts[i].sum())
        cells = []
        for j, predicted in enumerate(emotions):
            share = counts[i, j] / n if n else 0.0
            marks = {"hot": share > _HOT, "right": i == j, "none": counts[i, j] == 0}
            kind = " ".join(mark for mark, holds in marks.items() if holds)
            cells.append({"predicted": predicted, "n": int(counts[i, j]), "share": share, "kind": kind})
        rows.append({"acted": acted, "n": n, "cells": cells})
    return rows


def recall_rows(scores: Mapping[str, Scores], names: Sequence[str], emotions: Sequence[str]) -> list[Row]:
    """Recall of each emotion by the named systems; None without clips. The best of each row is marked."""
    recalls = {n: recall_per_class(scores[n].truth, scores[n].predicted, len(emotions)) for n in names}
    counts = np.bincount(scores[names[-1]].truth, minlength=len(emotions))
    rows = []
    for i, emotion in enumerate(emotions):
        found = {name: None if np.isnan(recalls[name][i]) else float(recalls[name][i]) for name in names}
        best = max((recall for recall in found.values() if recall is not None), default=None)
        cells = [
            {"system": name, "recall": recall, "best": recall is not None and recall == best}
            for name, recall in found.items()
        ]
        rows.append({"emotion": emotion, "n": int(counts[i]), "cells": cells})
    return rows


def most_common_mistakes(scores: Scores, emotions: Sequence[str], most: int = 3) -> list[Row]:
    """The most common mistakes, by share of the acted emotion."""
    counts = confusion_matrix(scores.truth, scores.predicted, len(emotions))
    acted = counts.sum(axis=1)
    pairs = [
        (counts[i, j] / acted[i], emotions[i], emotions[j], int(counts[i, j]), int(acted[i]))
        for i in range(len(emotions))
        for j in range(len(emotions))
        if i != j and counts[i, j]
    ]
    return [
        {"acted": one, "predicted": other, "n": n, "of": of}
        for _, one, other, n, of in sorted(pairs, reverse=True)[:most]
    ]


def tuning_rows(tuning: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The hyperparameters that were chosen on inner folds."""

    def order(item: Mapping[str, Any]) -> tuple[tuple[int, str], int]:
        known = list(SYSTEMS)
        name = f"fused:{item.get('classifier')}"
        return natural(str(item.get("fold", ""))), known.index(name) if name in known else len(known)

    return [
        {
            "best": ", ".join(f"{key} = {_shown(value)}" for key, value in (item.get("best") or {}).items())
            or MISSING,
            "score": item.get("score"),
            **{key: item.get(key, MISSING) for key in ("fold", "classifier", "trials")},
        }
        for item in sorted(tuning, key=order)
    ]


def coverage_rows(blocks: Mapping[str, CoverageFigures], names: Sequence[str]) -> list[Row]:
    """Accuracy when only the most confident share is to be answered, and from which confidence on.

    With thresholds that training actors set, also the share that was answered; older results have none.
    """
    points = [blocks[name].get("beforehand") or blocks[name].get("at") or {} for name in names]
    found: list[dict[float, Any]] = [{float(k): point for k, point in one.items()} for one in points]
    keys = ("answered", "accuracy", "ci95", "threshold")
    return [
        {"share": share, "points": [{key: one.get(share, {}).get(key) for key in keys} for one in found]}
        for share in sorted({share for one in found for share in one})
    ]


def group_rows(
    groups: Mapping[str, Sequence[GroupEntry]], names: Sequence[str], kinds: Sequence[str]
) -> list[Row]:
    """Accuracy and UAR of the named systems on each group of these kinds."""
    found = by_group({name: groups[name] for name in names})
    rows = []
    for key in group_keys(found, kinds):
        records = [records.get(key, {}) for records in found.values()]
        size = max((r for r in records if r), key=lambda r: r.get("n") or 0)
        figures = ("accuracy", "accuracy_ci95", "uar", "uar_ci95")
        rows.append(
            {
                "kind": key[0],
                "value": key[1],
                "records": [{figure: record.get(figure) for figure in figures} for record in records],
                "n": size.get("n"),
                "n_actors": size.get("n_actors"),
            }
        )
    return rows


def corpus_rows(by_system: Mapping[str, Sequence[CorpusFigures]], names: Sequence[str]) -> list[Row]:
    """Accuracy and UAR of the named systems on each of several corpora, over the corpus' own emotions."""
    found = [{one["name"]: one for one in by_system[name]} for name in names]
    figures = ("accuracy", "accuracy_ci95", "uar", "uar_ci95")
    rows = []
    for corpus in dict.fromkeys(one["name"] for name in names for one in by_system[name]):
        records = [by_name.get(corpus, {}) for by_name in found]
        known = next(record for record in records if record)
        rows.append(
            {
                "name": corpus,
                "emotions": known.get("emotions") or [],
                "n": max(record.get("n") or 0 for record in records),
                "n_actors": known.get("n_actors"),
                "records": [{figure: record.get(figure) for figure in figures} for record in records],
            }
        )
    return rows


def rater_rows(by_system: Mapping[str, RaterFigures], names: Sequence[str]) -> list[Row]:
    """How many raters the named systems agree with, and how close their probabilities are to the shares."""
    rows = []
    for name in names:
        found = by_system[name]
        bounds = found.get("log_loss_ci95")
        rows.append(
            {
                **named(name),
                "agreement": found.get("agreement"),
                "agreement_ci95": found.get("agreement_ci95"),
                "log_loss": number(found.get("log_loss")),
                "log_loss_ci95": " to ".join(map(number, bounds)) if bounds else None,
                "n": found.get("n"),
            }
        )
    return rows


def rater_bounds(found: RaterFigures) -> Row:
    """What raters reach themselves, and what nothing can exceed; None where it is not known."""
    return {key: found.get(key) for key in ("between_raters", "highest", "entropy")}


def enrollment_rows(systems: Mapping[str, Sequence[EnrollmentPoint]], names: Sequence[str]) -> list[Row]:
    """Accuracy of each system by number of enrolled clips; ``draws``: the fewest and the most."""
    found = [{str(point["clips"]): point for point in systems[name]} for name in names]
    rows = []
    for step in clip_steps(systems):
        points = [by_step.get(step, {}) for by_step in found]
        draws = sorted({int(point["draws"]) for point in points if point.get("draws") is not None})
        rows.append(
            {
                "clips": step,
                "points": [{key: point.get(key) for key in ("accuracy", "ci95")} for point in points],
                "draws": draws[:1] + draws[1:][-1:],
            }
        )
    return rows


def robustness_rows(records: Sequence[RobustnessFigures], names: Sequence[str]) -> list[Row]:
    """Accuracy of each system under each degradation, and its change against clean recordings."""
    found = {(str(record["condition"]), record["system"]): record for record in records}
    rows = []
    for condition in degradation_names(records):
        cells = []
        for name in names:
            record, clean = found.get((condition, name), {}), found.get((CLEAN, name), {})
            known = condition != CLEAN and "accuracy" in record and "accuracy" in clean
            change = record["accuracy"] - clean["accuracy"] if known else None
            cells.append({"accuracy": record.get("accuracy"), "ci95": record.get("ci95"), "change": change})
        sizes = [r["n"] for name in names if "n" in (r := found.get((condition, name), {}))]
        rows.append({"condition": condition, "cells": cells, "n": max(sizes, default=MISSING)})
    return rows


def _shared(first: Scores, second: Scores) -> tuple[Scores, Scores] | None:
    """The takes that two systems share, in the same order; None if they share none."""
    _, i, j = np.intersect1d(first.takes, second.takes, return_indices=True)
    if not len(i):
        return None
    return first.chosen(i), second.chosen(j)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

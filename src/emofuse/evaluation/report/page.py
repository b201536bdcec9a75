"""The report page of a run: one section for each question about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from emofuse.core.label_names import are_emotions
from emofuse.core.metrics import reliability
from emofuse.core.number_format import spelled
from emofuse.evaluation.report import charts, condition_charts, tables
from emofuse.evaluation.report.provenance import reproduction, settings, skipped, versions
from emofuse.evaluation.report.ratings import rating_facts
from emofuse.evaluation.report.selection import (
    CLEAN,
    GROUP_KINDS,
    degradation_names,
    main_systems,
    named,
)
from emofuse.evaluation.report.svg import css_colors
from emofuse.evaluation.results import MAIN_SYSTEMS, in_order, title
from emofuse.evaluation.run_files import Run
from emofuse.features.extraction import MODALITIES
from emofuse.system.templates import render_html

Facts = dict[str, Any]
"""What the template of a section uses."""
_MOST_NAMED: Final = 12


def render(run: Run) -> str:
    """The report as one HTML page that fetches nothing over the network."""
    results = run.results
    corpus = results.get("corpus", {})
    sections = [{"key": key, "title": heading, "facts": find(run)} for key, heading, find in _SECTIONS]
    return render_html(
        __package__,
        "report.html.j2",
        recipe=results.get("recipe", {}).get("name", "recipe"),
        corpus={
            "name": corpus.get("name", "corpus"),
            "clips": corpus.get("clips"),
            "actors": corpus.get("actors", "?"),
            "synthetic": bool(corpus.get("synthetic")),
        },
        protocol=results.get("protocol", "?"),
        speaker_independent=bool(results.get("speaker_independent")),
        notes=results.get("notes") or [],
        told_apart=_told_apart(run.emotions),
        read_from=" and ".join(name for name in MODALITIES if name in run.systems) or "voice and face",
        sections=[section for section in sections if section["facts"] is not None],
    )


def _told_apart(emotions: Sequence[str]) -> str:
    """What the run tells apart, as the beginning of a sentence."""
    if not emotions:
        return "Ratings on numeric scales"
    n = spelled(len(emotions)).capitalize()
    if are_emotions(emotions):
        return f"{n} acted emotions"
    return f"{n} labels ({', '.join(emotions)})" if len(emotions) <= _MOST_NAMED else f"{n} labels"


def _headline(run: Run) -> Facts | None:
    systems = run.results["systems"]
    if not systems:
        return None
    cards: list[str] = [name for name in ("fused", "voice", "face") if name in run.systems]
    cards = cards or [run.systems[0]]
    return {
        "cards": [
            {
                **named(name),
                "accuracy": systems[name].get("accuracy"),
                "bounds": systems[name].get("accuracy_ci95"),
            }
            for name in cards
        ],
        "chart": charts.accuracy_by_system(
            {name: systems[name] for name in run.systems}, _majority_share(run)
        ),
        "systems": tables.system_rows({name: systems[name] for name in run.systems}),
        "n_emotions": len(run.emotions),
        "chance": 1 / len(run.emotions),
        "fused": "fused" in run.systems,
        "gains": tables.gain_rows(
            {name: found for name, found in run.scores.items() if name in run.systems}, _seed(run)
        ),
    }


def _majority_share(run: Run) -> float | None:
    """Share of the most common emotion: the accuracy of always predicting it."""
    if not run.scores:
        return None
    truth = max((scores.truth for scores in run.scores.values()), key=len)
    return float(np.bincount(truth).max() / len(truth))


def _folds(run: Run) -> Facts | None:
    systems = run.results["systems"]
    names = [name for name in run.systems if systems[name].get("folds")]
    if not names:
        return None
    return {
        "systems": [
            {**named(name), "head": name.removeprefix("fused:"), **tables.spread(systems[name]["folds"])}
            for name in names
        ],
        "rows": tables.fold_rows(run.results, names),
        "chosen": bool(run.results.get("fused_choice")),
    }


def _mistakes(run: Run) -> Facts | None:
    names = _main_scores(run)
    if not names:
        return None
    return {
        "heads": (heads := _heads(run.emotions)),
        "numbered": bool(heads[0][1] == "1" and heads[0][0][:3] != "1"),
        "colors": css_colors(run.emotions),
        "leading": title(names[-1]),
        "most_common": tables.most_common_mistakes(run.scores[names[-1]], run.emotions),
        "matrices": [
            {**named(name), "rows": tables.confusion_rows(run.scores[name], run.emotions)} for name in names
        ],
        "systems": [named(name) for name in names],
        "recalls": tables.recall_rows(run.scores, names, run.emotions),
    }


def _heads(emotions: Sequence[str]) -> list[tuple[str, str]]:
    """Each label with the head of its column: its first letters, or its number where these are no name."""
    heads = [emotion[:3] for emotion in emotions]
    if len({head.casefold() for head in heads}) < len(heads):
        heads = [str(number) for number in range(1, len(emotions) + 1)]
    return list(zip(emotions, heads, strict=True))


def _actors(run: Run) -> Facts | None:
    chosen = {name: run.scores[name] for name in _main_scores(run)}
    if not chosen or len(np.unique(next(iter(chosen.values())).actors)) < 2:
        return None
    return {
        "chart": charts.accuracy_by_actor(chosen),
        "systems": [named(name) for name in chosen],
        "leading": title(list(chosen)[-1]),
    }


def _calibration(run: Run) -> Facts | None:
    name = next((n for n in ("fused", *run.systems) if n in run.scores and n in run.systems), None)
    if name is None:
        return None
    scores = run.scores[name]
    system = run.results["systems"].get(name) or {}
    return {
        "chart": charts.reliability_diagram(reliability(scores.truth, scores.probabilities)),
        "title": title(name),
        "ece": system.get("ece"),
        "bounds": None if system.get("ece") is None else system.get("ece_ci95"),
    }


def _abstaining(run: Run) -> Facts | None:
    systems = run.results["systems"]
    blocks = {name: systems[name]["coverage"] for name in run.systems if systems[name].get("coverage")}
    if not blocks:
        return None
    names = main_systems(blocks)
    return {
        "chart": condition_charts.coverage_curves(blocks),
        "systems": [named(name) for name in names],
        "rows": tables.coverage_rows(blocks, names),
        "beforehand": any("beforehand" in blocks[name] for name in names),
    }


def _groups(run: Run) -> Facts | None:
    found = run.results.get("groups") or {}
    groups = {name: records for name, records in found.items() if records and name in run.systems}
    if not groups:
        return None
    names = main_systems(groups)
    rows = tables.group_rows(groups, names, GROUP_KINDS)
    return {
        "chart": condition_charts.accuracy_by_group(groups) if rows else None,
        "systems": [named(name) for name in names],
        "leading": title(names[-1]),
        "rows": rows,
        "actors": tables.group_rows(groups, names, ("actor",)),
    }


def _corpora(run: Run) -> Facts | None:
    corpora = run.results.get("corpora") or {}
    by_system = {name: found for name, found in corpora.items() if found and name in run.systems}
    if not by_system:
        return None
    names = main_systems(by_system)
    return {
        "systems": [named(name) for name in names],
        "rows": tables.corpus_rows(by_system, names),
        "parts": run.results.get("corpus", {}).get("parts") or [],
        "n_emotions": len(run.emotions),
        "calm": "calm" in run.emotions,
    }


def _raters(run: Run) -> Facts | None:
    found = run.results.get("raters") or {}
    by_system = {name: figures for name, figures in found.items() if name in run.systems}
    if not by_system:
        return None
    names = main_systems(by_system)
    return {
        "rows": tables.rater_rows(by_system, names),
        "bounds": tables.rater_bounds(by_system[names[-1]]),
    }


def _enrollment(run: Run) -> Facts | None:
    systems = (run.results.get("enrolment") or {}).get("systems") or {}
    if not any(systems.values()):
        return None
    names = in_order(systems)
    return {
        "chart": condition_charts.enrollment_curves(systems),
        "systems": [named(name) for name in main_systems(systems)],
        "all_systems": [named(name) for name in names],
        "rows": tables.enrollment_rows(systems, names),
    }


def _robustness(run: Run) -> Facts | None:
    records = run.results.get("robustness") or []
    if not records:
        return None
    names = in_order({record["system"]: None for record in records})
    return {
        "chart": condition_charts.accuracy_by_degradation(records),
        "systems": [named(name) for name in main_systems(dict.fromkeys(names))],
        "clean": CLEAN in degradation_names(records),
        "all_systems": [named(name) for name in names],
        "rows": tables.robustness_rows(records, names),
    }


def _maps(run: Run) -> Facts | None:
    projections = []
    fused = run.scores.get("fused")
    for data in run.maps:
        if len(data.takes) < 3:
            continue
        correct = None
        if fused is not None and np.isin(data.takes, fused.takes).all():
            found = dict(zip(fused.takes, fused.predicted == fused.truth, strict=True))
            correct = np.array([found[take] for take in data.takes], dtype=bool)
        chart, method = charts.feature_map(data, correct, run.emotions, seed=_seed(run))
        projections.append(
            {
                "chart": chart,
                "method": method,
                "fold": data.name.rpartition("fold-")[2],
                "correctness_known": correct is not None,
            }
        )
    return {"projections": projections, "colors": css_colors(run.emotions)} if projections else None


def _learning(run: Run) -> Facts | None:
    found = []
    for modality in ("voice", "face"):
        curves = [c for c in run.details.get("curves") or [] if c.get("modality") == modality]
        if any(curve.get("epochs") for curve in curves):
            chart = charts.learning_curves(curves, modality)
            found.append({"name": modality, "n": len(curves), "chart": chart})
    return {"modalities": found} if found else None


def _tuning(run: Run) -> Facts | None:
    tuning = run.details.get("tuning")
    return {"rows": tables.tuning_rows(tuning)} if tuning else None


def _examples(run: Run) -> Facts | None:
    sources: Mapping[str, Mapping[str, Any]] = run.details.get("sources") or {}
    examples = [
        {
            "take": example.take,
            "acted": example.emotion,
            "predicted": example.predicted,
            "sources": {name: path for name, path in (sources.get(example.take) or {}).items() if path},
            "strip": charts.face_strip(example),
            "spectrogram": charts.spectrogram(example),
            "probabilities": list(zip(run.emotions, example.probabilities.tolist(), strict=True)),
        }
        for example in run.examples
    ]
    return {"examples": examples, "colors": css_colors(run.emotions)} if examples else None


def _main_scores(run: Run) -> list[str]:
    return [name for name in MAIN_SYSTEMS if name in run.scores and name in run.systems]


def _seed(run: Run) -> int:
    return int(run.results.get("seed", 0))


_SECTIONS: Final[tuple[tuple[str, str, Callable[[Run], Facts | None]], ...]] = (
    ("results", "Results", _headline),
    ("ratings", "Ratings", rating_facts),
    ("folds", "Folds", _folds),
    ("mistakes", "Confusions", _mistakes),
    ("actors", "Actors", _actors),
    ("corpora", "Corpora", _corpora),
    ("raters", "Raters", _raters),
    ("groups", "Groups", _groups),
    ("calibration", "Calibration", _calibration),
    ("abstaining", "Abstaining", _abstaining),
    ("enrolment", "Enrolled speakers", _enrollment),
    ("robustness", "Degraded recordings", _robustness),
    ("map", "Feature map", _maps),
    ("learning", "Learning curves", _learning),
    ("tuning", "Tuning", _tuning),
    ("examples", "Example mistakes", _examples),
    ("skipped", "Skipped clips and notes", skipped),
    ("settings", "Settings", settings),
    ("versions", "Versions and license", versions),
    ("reproduce", "How to reproduce", reproduction),
)
"""Key (the anchor, and the name of the macro in the template), heading, and what finds its facts."""

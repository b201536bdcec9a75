"""The model card: what a recognizer is, what it can do and what it must not be used for, from a run alone.

Every figure comes from results.json; only differences and ranges of such figures are computed here.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from emofuse.core.number_format import MISSING, number
from emofuse.evaluation.report.pretrained import pretrained_parts
from emofuse.evaluation.report.provenance import duration
from emofuse.evaluation.report.ratings import HEADINGS, rating_range, rating_rows
from emofuse.evaluation.report.selection import GROUP_KINDS, main_systems, named
from emofuse.evaluation.report.tables import (
    corpus_rows,
    coverage_rows,
    enrollment_rows,
    group_rows,
    rater_bounds,
    rater_rows,
    robustness_rows,
)
from emofuse.evaluation.results import GroupEntry, Results, SystemFigures, in_order, shown, title
from emofuse.evaluation.run_files import Run
from emofuse.recognition.bundle import NON_COMMERCIAL
from emofuse.system.templates import render_markdown

__all__ = ["about_corpus", "is_ravdess", "model_card"]

_FIGURES: Final = (
    "accuracy", "accuracy_ci95", "uar", "uar_ci95", "f1_macro", "log_loss", "ece", "ece_ci95", "n",
)  # fmt: skip


def model_card(run: Run) -> str:
    """The model card of a run, as Markdown. Sections without any data in results.json are left out.

    Raises:
        ExperimentError: results.json does not say what pretrained parts were trained on.
    """
    results = run.results
    systems = [_system(name, results["systems"][name]) for name in shown(results["systems"])]
    recipe = results.get("recipe") or {}
    rated = results.get("dimensions") or []
    corpus = about_corpus(results)
    known = run.systems
    groups = {name: rows for name, rows in (results.get("groups") or {}).items() if rows and name in known}
    group_names = main_systems(groups)
    corpora = {
        name: found for name, found in (results.get("corpora") or {}).items() if found and name in known
    }
    corpus_names = main_systems(corpora)
    raters = {name: found for name, found in (results.get("raters") or {}).items() if name in known}
    rater_names = main_systems(raters)
    return render_markdown(
        __package__,
        "model-card.md.j2",
        emotions=run.emotions,
        dimensions=[
            {"name": one["name"], "range": rating_range(one), "rows": rating_rows(one)} for one in rated
        ],
        rating_headings=HEADINGS,
        recipe={
            "name": recipe.get("name", "an unnamed recipe"),
            "hash": recipe.get("hash"),
            "description": (recipe.get("settings") or {}).get("description"),
        },
        corpus=corpus,
        ravdess=is_ravdess(results),
        speaker_independent=bool(results.get("speaker_independent")),
        protocol={"name": results.get("protocol"), "hash": results.get("protocol_hash")},
        folds=_folds(results),
        pretrained=pretrained_parts(results),
        systems=systems,
        fused="fused" in shown(results["systems"]),
        calibrated=[system for system in systems if system["ece"] is not None],
        coverage=(coverage := _coverage({name: results["systems"][name] for name in known})),
        beforehand=any(point["answered"] is not None for point in coverage),
        group_systems=[named(name) for name in group_names],
        emotion_rows=group_rows(groups, group_names, ("emotion",)),
        group_rows=group_rows(groups, group_names, [kind for kind in GROUP_KINDS if kind != "emotion"]),
        corpus_systems=[named(name) for name in corpus_names],
        corpus_rows=corpus_rows(corpora, corpus_names),
        actor_ranges=[found for name in group_names for found in _actor_range(name, groups[name])],
        enrollment=_enrollment(results),
        robustness=_robustness(results),
        rater_bounds=rater_bounds(raters[rater_names[-1]]) if rater_names else None,
        rater_rows=rater_rows(raters, rater_names),
        notes=results.get("notes") or (),
        non_commercial=NON_COMMERCIAL in str(corpus["licence"]),
        command=_command(run),
        run_facts=_run_facts(results),
        software=results.get("software") or {},
    )


def about_corpus(results: Results) -> dict[str, Any]:
    """What the cards say about the corpus; what results.json does not say is None."""
    corpus = results.get("corpus") or {}
    return {
        "name": corpus.get("name", "an unnamed corpus"),
        "clips": corpus.get("clips"),
        "actors": corpus.get("actors", "?"),
        "synthetic": corpus.get("synthetic"),
        "licence": corpus.get("licence"),
    }


def is_ravdess(results: Results) -> bool:
    """Whether the recordings are those of RAVDESS itself, so that what is published about it holds."""
    corpus = results.get("corpus") or {}
    alone = not corpus.get("synthetic") and not corpus.get("parts")
    return str(corpus.get("name", "")).startswith("RAVDESS") and alone


def _system(name: str, found: SystemFigures) -> dict[str, Any]:
    return {**named(name), **{key: found.get(key) for key in _FIGURES}}


def _folds(results: Results) -> list[dict[str, Any]]:
    with_folds = (system["folds"] for system in results["systems"].values() if system.get("folds"))
    return [
        {
            "name": fold.get("fold", MISSING),
            "actors": ", ".join(map(str, fold.get("test_actors", ()))),
            "n": fold.get("n"),
        }
        for fold in next(with_folds, ())
    ]


def _coverage(systems: Mapping[str, Any]) -> list[dict[str, Any]]:
    blocks = {name: systems[name]["coverage"] for name in in_order(systems) if systems[name].get("coverage")}
    rows = [(named(name), row) for name in blocks for row in coverage_rows(blocks, [name])]
    return [{"system": system, "share": row["share"], **row["points"][0]} for system, row in rows]


def _actor_range(name: str, records: Sequence[GroupEntry]) -> list[dict[str, Any]]:
    """The actors with the lowest and the highest accuracy; an empty list if there are fewer than two."""
    accuracy = {record["value"]: record["accuracy"] for record in records if record["kind"] == "actor"}
    if len(accuracy) < 2:
        return []
    hardest, *_, easiest = sorted(accuracy, key=lambda actor: accuracy[actor])
    return [
        {
            "title": title(name),
            "n": len(accuracy),
            "hardest": hardest,
            "lowest": accuracy[hardest],
            "easiest": easiest,
            "highest": accuracy[easiest],
        }
    ]


def _enrollment(results: Results) -> dict[str, Any] | None:
    systems = (results.get("enrolment") or {}).get("systems") or {}
    if not any(systems.values()):
        return None
    names = main_systems(systems)
    return {"systems": [named(name) for name in names], "rows": enrollment_rows(systems, names)}


def _robustness(results: Results) -> dict[str, Any] | None:
    records = results.get("robustness") or []
    if not records:
        return None
    names = main_systems({record["system"]: None for record in records})
    return {"systems": [named(name) for name in names], "rows": robustness_rows(records, names)}


def _run_facts(results: Results) -> list[str]:
    """How long the run took, when it was, and its seed."""
    facts = []
    if results.get("seconds") is not None:
        seconds = float(results["seconds"])
        facts.append(f"The run took {duration(seconds)} ({number(seconds, 1)} s)")
    facts += [f"{key} {results[key]}" for key in ("started", "finished") if results.get(key)]
    if results.get("seed") is not None:
        facts.append(f"seed {results['seed']}")
    return facts


def _command(run: Run) -> str:
    """The command as it was given; for a run that was made otherwise, one that makes it again."""
    given = run.details.get("command")
    if isinstance(given, list) and given and given[0] in ("evaluate", "demo"):
        return "emofuse " + shlex.join(map(str, given))
    recipe = str((run.results.get("recipe") or {}).get("name", "RECIPE"))
    protocol = str(run.results.get("protocol", "PROTOCOL"))
    return (
        f"emofuse evaluate CORPUS --recipe {shlex.quote(recipe)} --protocol {shlex.quote(protocol)} --out RUN"
    )

"""The model card: what a recogniser is, what it can do and what it must not be used for, from a run alone.

Every figure is one of results.json; nothing is computed anew but differences and ranges of such figures.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from emofuse.core.labels import EMOTIONS
from emofuse.evaluation.report.condition_charts import (
    ALL,
    CLEAN,
    GROUP_KINDS,
    clip_steps,
    in_condition_order,
    shown,
)
from emofuse.evaluation.report.html import number
from emofuse.evaluation.report.markdown import block, code, document, esc, items, table
from emofuse.evaluation.report.pretrained import pretrained_parts
from emofuse.evaluation.report.provenance import duration
from emofuse.evaluation.results import Run, in_order, title
from emofuse.recognition.bundle import NON_COMMERCIAL

__all__ = ["about_ravdess", "corpus_name", "model_card", "warnings"]

_NOT_FOR: Final = (
    "Hiring, school marks, insurance, credit, or any other decision about a person.",
    "Policing, border control, surveillance or monitoring of staff, pupils or customers.",
    "Lie detection. An acted expression says nothing about truth.",
    "Diagnosis or therapy of any illness or state of mind.",
    "Spontaneous speech, other languages, accents, ages, cultures, rooms or cameras, without checking it "
    "there first.",
)


def model_card(run: Run) -> str:
    """The model card of a run, as Markdown. A part of which results.json says nothing has no heading.

    Raises:
        ExperimentError: results.json does not say what pre-trained parts had seen.
    """
    results = run.results
    sections = (
        ("What it is", _what(results)),
        ("What it reads, and what it does not", _reads(results)),
        ("What it is not for", items(_NOT_FOR)),
        ("How it was trained and measured", _protocol(results)),
        ("What pre-trained parts had seen", items(pretrained_parts(results))),
        ("Figures", _figures(results)),
        ("Each emotion", _emotions(results)),
        ("Calibration: is its confidence deserved?", _calibration(results)),
        ("Abstaining: when only sure answers count", _abstaining(results)),
        ("Groups", _groups(results)),
        ("When the person is known: enrolment", _enrolment(results)),
        ("When recordings are worse", _robustness(results)),
        ("Notes of the run", items(esc(note) for note in results.get("notes") or ())),
        ("Licence", _licence(results)),
        ("How it was made", _making(run)),
    )
    named = [part for heading, body in sections if body for part in (f"## {heading}", body)]
    return document(
        [f"# Model card: {_recipe(results)} on {corpus_name(results)}", *warnings(results), *named]
    )


def warnings(results: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader of either card must know before anything else."""
    out = []
    if (results.get("corpus") or {}).get("synthetic"):
        out.append(
            "> **Synthetic corpus.** Faces were drawn and voices computed. Figures from it show that the "
            "pipeline works; they say nothing about people."
        )
    if not results.get("speaker_independent"):
        out.append(
            "> **Not speaker-independent.** The same people were in the training and in the test part. Such "
            "figures are usually far above what new people would give."
        )
    return tuple(out)


def corpus_name(results: Mapping[str, Any]) -> str:
    """What the corpus is called, as Markdown."""
    return esc((results.get("corpus") or {}).get("name", "an unnamed corpus"))


def about_ravdess(results: Mapping[str, Any]) -> bool:
    """Whether the recordings are those of RAVDESS itself, so that what is published of it holds."""
    corpus = results.get("corpus") or {}
    return str(corpus.get("name", "")).startswith("RAVDESS") and not corpus.get("synthetic")


def _percent(value: float | None, bounds: Sequence[float] | None = None) -> str:
    """A fraction in per cent, its 95 % interval after it where there is one."""
    text = number(value, digits=1, scale=100)
    if not bounds:
        return text
    low, high = (number(bound, digits=1, scale=100) for bound in bounds)
    return f"{text} ({low} to {high})"


def _recipe(results: Mapping[str, Any]) -> str:
    return esc((results.get("recipe") or {}).get("name", "an unnamed recipe"))


def _what(results: Mapping[str, Any]) -> str:
    recipe = results.get("recipe") or {}
    about = (recipe.get("settings") or {}).get("description")
    lines = [
        "A recogniser of expressed emotion. From a short recording it gives eight probabilities: "
        f"{', '.join(EMOTIONS)}.",
        f"Recipe: {_recipe(results)}"
        + (f", hash {code(recipe['hash'])}" if recipe.get("hash") else "")
        + ".",
        f"The recipe in its own words: {esc(about)}" if about else "",
        "This card is written by emofuse from the files of one run. Do not edit it: make it again.",
    ]
    return items(line for line in lines if line)


def _reads(results: Mapping[str, Any]) -> str:
    corpus = results.get("corpus") or {}
    if about_ravdess(results):
        present = corpus.get("actors", "?")
        return items(
            (
                "It reads expression as it was **acted in a studio**, by 24 North American actors; "
                f"{present} of them are in this run.",
                "They speak two statements, neutral in wording, in North American English. Nobody speaks "
                "freely.",
                "It does **not** read what somebody feels. An actor shows anger without being angry, and "
                "people feel much that they do not show.",
                "A high probability means: this looks and sounds like what these actors did when asked for "
                "that emotion. It means no more.",
            )
        )
    if corpus.get("synthetic"):
        return "It reads drawn faces and computed voices. It cannot read people."
    return items(
        (
            f"It reads expression as it is labelled in {corpus_name(results)}. Where these labels come from, "
            "the makers of the corpus must tell.",
            "It does **not** read what somebody feels. People feel much that they do not show, and show what "
            "they do not feel.",
        )
    )


def _protocol(results: Mapping[str, Any]) -> str:
    corpus = results.get("corpus") or {}
    folds: list[Mapping[str, Any]] = next(
        (s["folds"] for s in results["systems"].values() if s.get("folds")), []
    )
    independent = results.get("speaker_independent")
    lines = []
    if corpus.get("clips") is not None:
        lines.append(f"Recordings: {corpus['clips']:,} clips of {corpus.get('actors', '?')} actors.")
    if results.get("protocol"):
        mark = f", hash {code(results['protocol_hash'])}" if results.get("protocol_hash") else ""
        lines.append(f"Protocol: {esc(results['protocol'])}{mark}, {len(folds)} folds.")
    lines.append(
        "Speaker-independent: yes. Each clip was answered by a recogniser that had never met its actor."
        if independent
        else "Speaker-independent: **no**. Recognisers had met the people they were tested on."
    )
    lines.append(
        "A recogniser is fitted anew in each fold, and the figures are of these. One that `emofuse train` "
        "makes of the same recipe is fitted on all clips. No clips are left to measure it on: these figures "
        "are the best guess for it."
    )
    told = ""
    if folds and folds[0].get("test_actors"):
        rows = [
            [esc(f.get("fold", "–")), esc(", ".join(map(str, f.get("test_actors", ())))), _count(f.get("n"))]
            for f in folds
        ]
        told = table(["Fold", "Actors held out", "Clips"], rows, words=2)
    return document([items(lines), told]).rstrip()


def _figures(results: Mapping[str, Any]) -> str:
    systems = results["systems"]
    rows = [
        [
            _system(name),
            _percent(systems[name].get("accuracy"), systems[name].get("accuracy_ci95")),
            _percent(systems[name].get("uar"), systems[name].get("uar_ci95")),
            _percent(systems[name].get("f1_macro")),
            number(systems[name].get("log_loss")),
            _count(systems[name].get("n")),
        ]
        for name in in_order(systems)
    ]
    said = (
        "In brackets: 95 % intervals, whole actors drawn anew. UAR is the mean recall of the emotions, so "
        f"that rare ones weigh as much as common ones. Guessing gives {_percent(1 / len(EMOTIONS))} % UAR."
    )
    if "fused" in systems:
        said += " The figure to quote is `fused`. Picking the best row afterwards would flatter it."
    head = ["System", "Accuracy %", "UAR %", "Macro-F1 %", "Log loss", "Clips"]
    return document([table(head, rows), said]).rstrip()


def _emotions(results: Mapping[str, Any]) -> str:
    found, names = _by_group(results)
    keys = [
        ("emotion", emotion) for emotion in EMOTIONS if any(("emotion", emotion) in g for g in found.values())
    ]
    if not keys:
        return ""
    rows = [[esc(value), *_group_cells(found, names, (kind, value))] for kind, value in keys]
    said = "Recall: of the clips in which an emotion was acted, the share that was named so."
    return document([said, table(["Emotion", *_heads(names), "Clips"], rows)]).rstrip()


def _calibration(results: Mapping[str, Any]) -> str:
    systems = results["systems"]
    names = [name for name in in_order(systems) if systems[name].get("ece") is not None]
    if not names:
        return ""
    said = (
        "Expected calibration error (15 bins): how far, on average, confidence is from the share of right "
        "answers. 0 is best."
    )
    if any(systems[name].get("ece_ci95") for name in names):
        said += " Its interval leans upwards: drawing actors anew makes the error look larger."
    rows = [[_system(name), _percent(systems[name]["ece"], systems[name].get("ece_ci95"))] for name in names]
    return document([said, table(["System", "Calibration error %"], rows)]).rstrip()


def _abstaining(results: Mapping[str, Any]) -> str:
    systems = results["systems"]
    rows = []
    for name in in_order(systems):
        points = (systems[name].get("coverage") or {}).get("at") or {}
        for share in sorted(points, key=float):
            point = points[share]
            rows.append(
                [
                    _system(name),
                    number(float(share), digits=0, scale=100),
                    _percent(point.get("accuracy"), point.get("ci95")),
                    number(point.get("threshold")),
                ]
            )
    if not rows:
        return ""
    said = (
        "Accuracy when only the surest share of clips is answered. Confidence is the greatest of the eight "
        "probabilities; an answer is given from the threshold on. The threshold was set on these very clips, "
        "without their labels: on other recordings it answers another share."
    )
    head = ["System", "Answered %", "Accuracy on these %", "Threshold"]
    return document([said, table(head, rows)]).rstrip()


def _groups(results: Mapping[str, Any]) -> str:
    found, names = _by_group(results)
    kinds = [kind for kind in GROUP_KINDS if kind != "emotion"]
    keys = list(dict.fromkeys(key for kind in kinds for g in found.values() for key in g if key[0] == kind))
    parts = []
    if keys:
        rows = [[esc(value), esc(kind), *_group_cells(found, names, (kind, value))] for kind, value in keys]
        parts.append(table(["Group", "By", *_heads(names), "Clips"], rows, words=2))
    spread = []
    for name in names:
        actors = {key[1]: r for key, r in found[name].items() if key[0] == "actor"}
        if len(actors) > 1:
            order = sorted(actors, key=lambda actor: actors[actor]["accuracy"])
            ends = (f"{_percent(actors[a]['accuracy'])} % (actor {esc(a)})" for a in (order[0], order[-1]))
            spread.append(f"{esc(title(name))}: from {' to '.join(ends)}, over {len(actors)} actors.")
    if spread:
        parts += ["Accuracy from the hardest actor to the easiest:", items(spread)]
    return document(parts).rstrip() if parts else ""


def _enrolment(results: Mapping[str, Any]) -> str:
    systems = (results.get("enrolment") or {}).get("systems") or {}
    if not any(systems.values()):
        return ""
    names = shown(systems)
    steps = clip_steps({name: systems[name] for name in names})
    found = {name: {str(point["clips"]): point for point in systems[name]} for name in names}
    remarks = {"0": "0 (a stranger)", ALL: f"{ALL} (transductive)"}
    rows = []
    for step in steps:
        points = [found[name].get(step, {}) for name in names]
        draws = max((point.get("draws") or 0 for point in points), default=0)
        cells = [_percent(point.get("accuracy"), point.get("ci95")) for point in points]
        rows.append([remarks.get(step, esc(step)), *cells, str(draws or "–")])
    said = (
        "Accuracy when some unlabelled clips of the person are known beforehand. They are drawn several "
        "times; the clips that are scored are not among them."
    )
    if ALL in steps:
        said += (
            f" The row “{ALL}” is different: it is **transductive**. Every clip of the person was known, the "
            "scored ones too, still without labels. Compare it only with other transductive figures."
        )
    head = ["Clips known", *_heads(names), "Draws"]
    return document([said, table(head, rows)]).rstrip()


def _robustness(results: Mapping[str, Any]) -> str:
    records = results.get("robustness") or []
    if not records:
        return ""
    names = shown({record["system"]: None for record in records})
    found = {(str(r["condition"]), r["system"]): r for r in records}
    rows = []
    for condition in in_condition_order(records):
        cells = []
        for name in names:
            record, clean = found.get((condition, name), {}), found.get((CLEAN, name), {})
            text = _percent(record.get("accuracy"), record.get("ci95"))
            if condition != CLEAN and "accuracy" in record and "accuracy" in clean:
                text += f", {100 * (record['accuracy'] - clean['accuracy']):+.1f}"
            cells.append(text)
        rows.append([esc(condition), *cells])
    said = "Accuracy when recordings are worse than those it was fitted on."
    if any(condition == CLEAN for condition, _ in found):
        said += f" Last in each cell: points against {CLEAN} recordings."
    return document([said, table(["Condition", *_heads(names)], rows)]).rstrip()


def _licence(results: Mapping[str, Any]) -> str:
    licence = (results.get("corpus") or {}).get("licence")
    lines = ["Code of emofuse: Apache-2.0."]
    if licence:
        said = f"Recordings, and whatever is trained on them, weights too: {esc(licence)}."
        if NON_COMMERCIAL in str(licence):
            said += " Name the source, no commercial use, pass it on under the same licence."
        lines.append(said)
    return items(lines)


def _making(run: Run) -> str:
    results = run.results
    told = []
    if results.get("seconds") is not None:
        told.append(
            f"It took {duration(float(results['seconds']))} ({number(results['seconds'], digits=1)} s)"
        )
    told += [f"{key} {esc(results[key])}" for key in ("started", "finished") if results.get(key)]
    if results.get("seed") is not None:
        told.append(f"seed {esc(results['seed'])}")
    software = results.get("software") or {}
    versions = table(["Software", "Version"], [[esc(n), esc(v)] for n, v in software.items()], words=2)
    said = f"{', '.join(told)}." if told else ""
    return document([block(_command(run)), said, versions if software else ""]).rstrip()


def _command(run: Run) -> str:
    """The command as it was given; where a run was made otherwise, the one that makes it again."""
    given = run.details.get("command")
    if isinstance(given, list) and given and given[0] in ("evaluate", "demo"):
        return "emofuse " + shlex.join(map(str, given))
    recipe = str((run.results.get("recipe") or {}).get("name", "RECIPE"))
    protocol = str(run.results.get("protocol", "PROTOCOL"))
    return (
        f"emofuse evaluate CORPUS --recipe {shlex.quote(recipe)} --protocol {shlex.quote(protocol)} --out RUN"
    )


_Groups = Mapping[str, Mapping[tuple[str, str], Mapping[str, Any]]]


def _by_group(results: Mapping[str, Any]) -> tuple[_Groups, tuple[str, ...]]:
    groups = {name: records for name, records in (results.get("groups") or {}).items() if records}
    names = shown(groups)
    return {name: {(r["kind"], r["value"]): r for r in groups[name]} for name in names}, names


def _group_cells(found: _Groups, names: Sequence[str], key: tuple[str, str]) -> list[str]:
    records = [found[name].get(key, {}) for name in names]
    size = max((r for r in records if r), key=lambda r: r.get("n") or 0)
    cells = [_percent(r.get("accuracy"), r.get("accuracy_ci95")) for r in records]
    return [*cells, f"{_count(size.get('n'))} of {size.get('n_actors', '–')} actors"]


def _heads(names: Sequence[str]) -> list[str]:
    return [f"{esc(title(name).partition(',')[0])} %" for name in names]


def _system(name: str) -> str:
    return f"{esc(title(name))} {code(name)}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"

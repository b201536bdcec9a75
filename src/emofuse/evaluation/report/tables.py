"""The tables of the report: from what a run holds to HTML."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.labels import EMOTIONS
from emofuse.core.metrics import accuracy, bootstrap_difference, confusion_matrix, recall_per_class, uar
from emofuse.evaluation.report.html import Cell, esc, number, table
from emofuse.evaluation.results import SYSTEMS, Scores, in_order, natural, title

_FIGURES: Final = (
    ("accuracy", "Accuracy %", 100, 1, max),
    ("uar", "UAR %", 100, 1, max),
    ("f1_macro", "Macro-F1 %", 100, 1, max),
    ("log_loss", "Log loss", 1, 3, min),
    ("ece", "ECE %", 100, 1, min),
)


def name_cell(system: str) -> Cell:
    """A system's title and, beneath it, its name in the files."""
    return Cell(f"{esc(title(system))} <code>{esc(system)}</code>", kind="system")


def systems_table(systems: Mapping[str, Mapping[str, Any]]) -> str:
    """Every system with every figure, the best of each column in bold."""
    best = {}
    for key, *_, choose in _FIGURES:
        values = [s[key] for s in systems.values() if s.get(key) is not None]
        best[key] = choose(values) if values else None

    def row(name: str) -> list[Cell]:
        system, cells = systems[name], [name_cell(name)]
        for key, _, scale, digits, _ in _FIGURES:
            value, bounds = system.get(key), system.get(f"{key}_ci95")
            text = number(value, digits=digits, scale=scale)
            marked = f"<b>{text}</b>" if value is not None and value == best[key] else text
            cells.append(Cell(marked + (f"<small>{interval(bounds)}</small>" if bounds else "")))
        return [*cells, Cell(str(sum(fold.get("n") or 0 for fold in system.get("folds", ()))), kind="quiet")]

    return table(
        "All systems over all held-out clips, 95 % intervals beneath; the best of each column in bold",
        ["System", *(text for _, text, *_ in _FIGURES), "Clips"],
        (row(name) for name in in_order(systems)),
        kind="figures two",
    )


def interval(bounds: Sequence[float] | None) -> str:
    """Bounds in per cent."""
    if not bounds:
        return "–"
    return f"{number(bounds[0], digits=1, scale=100)} to {number(bounds[1], digits=1, scale=100)}"


def gain_table(scores: Mapping[str, Scores], seed: int) -> str | None:
    """What fusion adds to each modality alone, with intervals of the paired difference; None without both."""
    rows = []
    for name in ("voice", "face"):
        if "fused" not in scores or name not in scores:
            continue
        pair = _shared(scores["fused"], scores[name])
        if pair is None:
            continue
        fused, single = pair
        cells = [Cell(f"Fusion over {esc(title(name).lower())}")]
        for metric in (accuracy, uar):
            gain = metric(fused.truth, fused.predicted) - metric(single.truth, single.predicted)
            bounds = bootstrap_difference(
                metric, fused.truth, fused.predicted, single.predicted, fused.actors, seed=seed
            )
            cells.append(Cell(f"{100 * gain:+.1f}"))
            cells.append(Cell(f"{100 * bounds[0]:+.1f} to {100 * bounds[1]:+.1f}", kind="quiet"))
        rows.append([*cells, Cell(str(len(fused.takes)), kind="quiet")])
    if not rows:
        return None
    head = ["", "Accuracy, points", "95 % interval", "UAR, points", "95 % interval", "Clips"]
    return table("What fusion adds, on the clips that both answered", head, rows, kind="figures")


def folds_table(results: Mapping[str, Any]) -> str | None:
    """Accuracy (and UAR beneath) of each system in each fold; None where no system lists folds."""
    systems = results["systems"]
    names = [name for name in in_order(systems) if systems[name].get("folds")]
    if not names:
        return None
    by_fold: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name in names:
        for place, fold in enumerate(systems[name]["folds"], start=1):
            by_fold.setdefault(str(fold.get("fold", place)), {})[name] = fold
    chosen = results.get("fused_choice") or {}
    rows = []
    for label in sorted(by_fold, key=natural):
        folds = by_fold[label]
        any_fold = next(iter(folds.values()))
        actors = ", ".join(sorted((str(a) for a in any_fold.get("test_actors", ())), key=natural))
        n = max((fold.get("n") or 0) for fold in folds.values())
        cells = [Cell(esc(label)), Cell(esc(actors or "–"), kind="words"), Cell(str(n), kind="quiet")]
        for name in names:
            fold = folds.get(name, {})
            cells.append(
                Cell(
                    f"{number(fold.get('accuracy'), digits=1, scale=100)}"
                    f"<small>{number(fold.get('uar'), digits=1, scale=100)}</small>"
                )
            )
        rows.append([*cells, *([Cell(f"<code>{esc(str(chosen.get(label, '–')))}</code>")] if chosen else [])])
    head: list[Cell | str] = ["Fold", Cell("Test actors", kind="words"), "Clips"]
    head += [Cell(esc(_short(name)), tip=title(name)) for name in names]
    foot: list[Cell | str] = [Cell("Mean<small>± s.d.</small>"), "", ""]
    foot += [
        _spread([f["accuracy"] for f in systems[n]["folds"] if f.get("accuracy") is not None]) for n in names
    ]
    return table(
        "Accuracy % in each fold, UAR % beneath it",
        [*head, *(["Chosen"] if chosen else [])],
        rows,
        kind="figures two",
        foot=[*foot, *([""] if chosen else [])],
    )


def confusion_table(name: str, scores: Scores) -> str:
    """What was acted (rows) and what was said (columns), in per cent of the row; counts in the tooltips."""
    counts = confusion_matrix(scores.truth, scores.predicted, len(EMOTIONS))
    rows = []
    for i, emotion in enumerate(EMOTIONS):
        n = int(counts[i].sum())
        cells = [Cell(esc(emotion))]
        for j, said in enumerate(EMOTIONS):
            share = counts[i, j] / n if n else 0.0
            tip = f"{emotion} taken for {said}: {counts[i, j]} of {n}"
            marks = {"hot": share > 0.75, "right": i == j, "none": counts[i, j] == 0}
            kind = " ".join(mark for mark, holds in marks.items() if holds)
            text = f"{100 * share:.0f}" if n else "–"
            cells.append(Cell(text, kind=kind, tip=tip, style=f"--v:{share:.3f}"))
        rows.append(cells)
    head = [Cell("acted", kind="corner")]
    head += [Cell(f'<abbr title="{e}">{e[:3]}</abbr>') for e in EMOTIONS]
    return table(f"{title(name)}, % of row", head, rows, kind=f"matrix {name.partition(':')[0]}")


def recall_table(scores: Mapping[str, Scores]) -> str:
    """Recall of each emotion by voice, face and fusion."""
    names = [name for name in ("voice", "face", "fused") if name in scores]
    recalls = {n: recall_per_class(scores[n].truth, scores[n].predicted, len(EMOTIONS)) for n in names}
    counts = np.bincount(scores[names[-1]].truth, minlength=len(EMOTIONS))
    rows = []
    for i, emotion in enumerate(EMOTIONS):
        swatch = f'<span class="key dot" style="--c:var(--{emotion})" aria-hidden="true"></span>'
        cells = [Cell(swatch + esc(emotion))]
        best = max((recalls[n][i] for n in names if not np.isnan(recalls[n][i])), default=None)
        for name in names:
            value = float(recalls[name][i])
            text = number(value, digits=1, scale=100)
            filled = 0.0 if np.isnan(value) else value
            cells.append(
                Cell(
                    f"<b>{text}</b>" if value == best else text, kind=f"bar {name}", style=f"--v:{filled:.3f}"
                )
            )
        rows.append([*cells, Cell(str(int(counts[i])), kind="quiet")])
    head = ["Emotion", *(f"{title(n).split(',')[0]} %" for n in names), "Clips"]
    return table("Recall of each emotion; the best of each row in bold", head, rows, kind="figures")


def confused_pairs(scores: Scores, most: int = 3) -> list[tuple[str, str, int, int]]:
    """The commonest mistakes: (acted, said, how often, of how many), by share of the acted emotion."""
    counts = confusion_matrix(scores.truth, scores.predicted, len(EMOTIONS))
    acted = counts.sum(axis=1)
    pairs = [
        (counts[i, j] / acted[i], EMOTIONS[i], EMOTIONS[j], int(counts[i, j]), int(acted[i]))
        for i in range(len(EMOTIONS))
        for j in range(len(EMOTIONS))
        if i != j and counts[i, j]
    ]
    return [pair[1:] for pair in sorted(pairs, reverse=True)[:most]]


def tuning_table(tuning: Sequence[Mapping[str, Any]]) -> str:
    """The hyperparameters that the inner folds chose."""

    def place(item: Mapping[str, Any]) -> tuple[tuple[int, str], int]:
        known = list(SYSTEMS)
        name = f"fused:{item.get('classifier')}"
        return natural(str(item.get("fold", ""))), known.index(name) if name in known else len(known)

    rows = []
    for item in sorted(tuning, key=place):
        best = ", ".join(f"{key} = {_shown(value)}" for key, value in (item.get("best") or {}).items())
        rows.append(
            [
                Cell(esc(str(item.get("fold", "–")))),
                Cell(f"<code>{esc(str(item.get('classifier', '–')))}</code>", kind="words"),
                Cell(esc(best or "–"), kind="words"),
                Cell(number(item.get("score"))),
                Cell(esc(str(item.get("trials", "–")))),
            ]
        )
    head: list[Cell | str] = [
        "Fold",
        Cell("Classifier", kind="words"),
        Cell("Best settings", kind="words"),
        "Score",
        "Trials",
    ]
    return table("What tuning chose on inner folds of training actors", head, rows, kind="figures")


def coverage_table(blocks: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Accuracy where only the surest share is answered; None where no share was measured."""
    names = in_order(blocks)
    found = {name: {float(k): point for k, point in (blocks[name].get("at") or {}).items()} for name in names}
    rows = []
    for share in sorted({share for points in found.values() for share in points}):
        cells = [Cell(number(share, digits=0, scale=100))]
        for name in names:
            point = found[name].get(share, {})
            cells += [_with_interval(point), Cell(number(point.get("threshold")), kind="quiet")]
        rows.append(cells)
    if not rows:
        return None
    head = [cell for name in names for cell in (f"{title(name).split(',')[0]} %", "from")]
    return table(
        "Accuracy on what is answered; from: the least confidence",
        ["Answered %", *head],
        rows,
        kind="figures two",
    )


def groups_table(
    groups: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str], kinds: Sequence[str]
) -> str | None:
    """Accuracy of the named systems on each group of these kinds, UAR of the last; None without any group."""
    found = {name: {(r["kind"], r["value"]): r for r in groups[name]} for name in names}
    keys = list(dict.fromkeys(key for name in reversed(names) for key in found[name] if key[0] in kinds))
    keys.sort(key=lambda key: (list(kinds).index(key[0]), natural(key[1]) if key[0] == "actor" else (0, "")))
    rows = []
    for key in keys:
        records = [found[name].get(key, {}) for name in names]
        size = max((r for r in records if r), key=lambda r: r.get("n") or 0)
        rows.append(
            [
                Cell(esc(key[1])),
                Cell(esc(key[0]), kind="quiet words"),
                *(_with_interval(record, "accuracy_ci95") for record in records),
                _with_interval(records[-1], "uar_ci95", key="uar"),
                Cell(f"{size.get('n', '–')}<small>of {size.get('n_actors', '–')}</small>", kind="quiet"),
            ]
        )
    if not rows:
        return None
    short = [title(name).split(",")[0] for name in names]
    head: list[Cell | str] = ["Group", Cell("by", kind="words"), *(f"{name} %" for name in short)]
    what = "actor" if tuple(kinds) == ("actor",) else "group"
    return table(
        f"Accuracy on each {what}, 95 % intervals beneath; clips, and of how many actors",
        [*head, f"{short[-1]}, UAR %", "Clips"],
        rows,
        kind="figures two",
    )


def enrolment_table(
    systems: Mapping[str, Sequence[Mapping[str, Any]]], steps: Sequence[str], remarks: Mapping[str, str]
) -> str:
    """Accuracy of each system by the number of enrolled clips; ``remarks``: what is said beside a number."""
    names = in_order(systems)
    found = {name: {str(point["clips"]): point for point in systems[name]} for name in names}
    rows = []
    for step in steps:
        points = [found[name].get(step, {}) for name in names]
        remark = f" <small>{esc(remarks[step])}</small>" if step in remarks else ""
        draws = sorted({int(p["draws"]) for p in points if p.get("draws") is not None})
        drawn = " to ".join(map(str, draws[:1] + draws[1:][-1:])) or "–"
        rows.append(
            [Cell(esc(step) + remark), *(_with_interval(p) for p in points), Cell(drawn, kind="quiet")]
        )
    head = ["Clips", *(f"{title(name).split(',')[0]} %" for name in names), "Draws"]
    return table(
        "Accuracy by number of unlabelled clips known of the person, 95 % intervals beneath",
        head,
        rows,
        kind="figures two",
    )


def robustness_table(records: Sequence[Mapping[str, Any]], conditions: Sequence[str], clean: str) -> str:
    """Accuracy of each system under each condition, and points against ``clean`` where it was measured."""
    names = in_order({record["system"]: None for record in records})
    found = {(str(record["condition"]), record["system"]): record for record in records}
    rows = []
    for condition in conditions:
        cells = [Cell(esc(condition))]
        for name in names:
            record, reference = found.get((condition, name), {}), found.get((clean, name), {})
            cells.append(_with_interval(record))
            known = condition != clean and "accuracy" in record and "accuracy" in reference
            lost = f"{100 * (record['accuracy'] - reference['accuracy']):+.1f}" if known else "–"
            cells.append(Cell(lost, kind="quiet"))
        sizes = sorted({found[condition, n]["n"] for n in names if "n" in found.get((condition, n), {})})
        rows.append([*cells, Cell(str(sizes[-1]) if sizes else "–", kind="quiet")])
    head = [cell for name in names for cell in (f"{title(name).split(',')[0]} %", "points")]
    return table(
        f"Accuracy under each condition, 95 % intervals beneath; points against {clean}",
        ["Condition", *head, "Clips"],
        rows,
        kind="figures two",
    )


def probabilities_table(probabilities: NDArray[np.float64], acted: str, said: str) -> str:
    """Eight probabilities as bars, what was acted and what was said marked."""
    rows = []
    for emotion, p in zip(EMOTIONS, probabilities, strict=True):
        name = f"<b>{esc(emotion)}</b>" if emotion in (acted, said) else esc(emotion)
        rows.append(
            [
                Cell(name + (" <small>acted</small>" if emotion == acted else "")),
                Cell("", kind="meter", style=f"--v:{p:.3f};--c:var(--{emotion})"),
                Cell(f"{100 * p:.0f}"),
            ]
        )
    return table("Probabilities, %", ["Emotion", "", "%"], rows, kind="figures small")


def _shared(first: Scores, second: Scores) -> tuple[Scores, Scores] | None:
    """The same takes of two systems, in the same order; None where they have none in common."""
    _, i, j = np.intersect1d(first.takes, second.takes, return_indices=True)
    if not len(i):
        return None
    return _part(first, i), _part(second, j)


def _part(scores: Scores, chosen: NDArray[np.intp]) -> Scores:
    return Scores(
        scores.takes[chosen],
        scores.actors[chosen],
        scores.folds[chosen],
        scores.truth[chosen],
        scores.probabilities[chosen],
    )


def _with_interval(record: Mapping[str, Any], bounds: str = "ci95", *, key: str = "accuracy") -> Cell:
    """A figure in per cent, its interval beneath it."""
    found = record.get(bounds)
    beneath = f"<small>{interval(found)}</small>" if found else ""
    return Cell(number(record.get(key), digits=1, scale=100) + beneath)


def _short(system: str) -> str:
    return system.removeprefix("fused:") if ":" in system else system


def _spread(values: Sequence[float]) -> Cell:
    if not values:
        return Cell("–")
    mean = number(statistics.fmean(values), digits=1, scale=100)
    if len(values) < 2:
        return Cell(mean)
    return Cell(f"{mean}<small>± {number(statistics.stdev(values), digits=1, scale=100)}</small>")


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""The page: what a run holds, in the order in which a reader asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Final

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.core.metrics import reliability
from emofuse.evaluation.report import charts as figures
from emofuse.evaluation.report import condition_charts as conditions
from emofuse.evaluation.report import tables
from emofuse.evaluation.report.html import callout, esc, figure, legend, number
from emofuse.evaluation.report.provenance import failures, reproduction, settings, versions
from emofuse.evaluation.results import Run, title

_KEYS: Final = {"voice": "var(--voice)", "face": "var(--face)", "fused": "var(--fused)"}
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser itself is told to fetch nothing."""
_CLOSING: Final = (
    "What a recogniser reports is an expression as it was acted, not what a person feels. "
    "These figures hold for recordings like those measured here, and for no others."
)


def render(run: Run) -> str:
    """The whole report as one HTML page that asks nothing of the network."""
    sections = [(key, name, body(run)) for key, name, body in _SECTIONS]
    present = [(key, name, html) for key, name, html in sections if html]
    links = "".join(f'<li><a href="#{key}">{esc(name)}</a></li>' for key, name, _ in present)
    main = "\n".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{esc(name)}</h2>{html}</section>'
        for key, name, html in present
    )
    heading = f"{_recipe(run)} on {_corpus_name(run)}"
    style = (resources.files(__package__) / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        f"<title>{esc(heading)} – emofuse report</title><style>\n{style}</style></head>\n<body>"
        f'<header><p class="kicker">emofuse report</p><h1>{esc(heading)}</h1>{_lead(run)}</header>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>{main}</main>\n'
        f"<footer><p>{_CLOSING}</p></footer></body></html>\n"
    )


def _recipe(run: Run) -> str:
    return str(run.results.get("recipe", {}).get("name", "recipe"))


def _corpus_name(run: Run) -> str:
    return str(run.results.get("corpus", {}).get("name", "corpus"))


def _lead(run: Run) -> str:
    results = run.results
    corpus = results.get("corpus", {})
    clips = corpus.get("clips")
    of = f" in {clips:,} clips of {corpus.get('actors', '?')} actors" if isinstance(clips, int) else ""
    how = (
        "each clip was answered by a recogniser that had never met its actor"
        if results.get("speaker_independent")
        else "actors were in the training and in the test part"
    )
    protocol = results.get("protocol", "?")
    text = f"Eight acted emotions{of}, read from voice and face. Protocol {protocol}: {how}."
    out = [f'<p class="lead">{esc(text)}</p>']
    if corpus.get("synthetic"):
        said = (
            "Faces were drawn and voices computed. The figures show that the pipeline works; they say nothing"
        )
        out.append(callout("Synthetic corpus.", f"{said} about people."))
    if not results.get("speaker_independent"):
        said = (
            "Test actors were also heard and seen in training. Such figures are usually far above what new "
            "people would give, and must not be compared with speaker-independent ones."
        )
        out.append(callout("Not speaker-independent.", said))
    notes = results.get("notes") or []
    if notes:
        items = "".join(f"<li>{esc(str(note))}</li>" for note in notes)
        out.append(f'<ul class="notes">{items}</ul>')
    return "".join(out)


def _headline(run: Run) -> str:
    systems = run.results["systems"]
    order = [name for name in ("fused", "voice", "face") if name in systems] or [run.systems[0]]
    cards = []
    for name in order:
        bounds = systems[name].get("accuracy_ci95")
        spread = f"95 % interval {tables.interval(bounds)} %" if bounds else "no interval"
        cards.append(
            f'<div class="card {esc(name)}"><p class="what">{esc(title(name))}</p>'
            f'<p class="big">{number(systems[name].get("accuracy"), digits=1, scale=100)}<span> %</span></p>'
            f'<p class="quiet">accuracy; {spread}</p></div>'
        )
    picture = figure(
        figures.accuracy_by_system(systems, _commonest(run)),
        "Accuracy of each system. Large dot: over all held-out clips. Bar: 95 % interval when actors are "
        "drawn anew. Small dots: the folds.",
        kind="side",
    )
    gain = tables.gain_table(run.scores, int(run.results.get("seed", 0))) or ""
    table = tables.systems_table(systems)
    return f'<div class="cards">{"".join(cards)}</div>{picture}{table}{_reading(run)}{gain}'


def _reading(run: Run) -> str:
    said = (
        "UAR is the mean of the eight recalls, so that rare emotions weigh as much as common ones (chance: "
        f"{100 / len(EMOTIONS):.1f} %). Log loss and ECE (expected calibration error, 15 bins) judge the "
        "probabilities themselves; less is better. Intervals come from drawing whole actors anew, since "
        "clips of one actor are alike."
    )
    if "fused" in run.systems:
        said += (
            " The figure to quote is “fused”: in each fold its classifier was chosen on inner folds of "
            "training actors. To pick the best of the rows “fused:…” after seeing these figures would "
            "flatter it."
        )
    return f"<p>{esc(said)}</p>"


def _commonest(run: Run) -> float | None:
    """Share of the commonest emotion: what one gets by always saying it."""
    if not run.scores:
        return None
    truth = max((scores.truth for scores in run.scores.values()), key=len)
    return float(np.bincount(truth).max() / len(truth))


def _folds(run: Run) -> str | None:
    table = tables.folds_table(run.results)
    if table and run.results.get("fused_choice"):
        table += "<p>“Chosen” is what the inner folds of training actors chose as “fused” in that fold.</p>"
    return table


def _mistakes(run: Run) -> str | None:
    names = [name for name in ("voice", "face", "fused") if name in run.scores]
    if not names:
        return None
    matrices = "".join(tables.confusion_table(name, run.scores[name]) for name in names)
    pairs = tables.confused_pairs(run.scores[names[-1]])
    told = "; ".join(f"{acted} taken for {said} ({n} of {of})" for acted, said, n, of in pairs)
    lead = f"<p>{esc(title(names[-1]))}, commonest mistakes: {esc(told)}.</p>" if told else ""
    return f'{lead}<div class="matrices">{matrices}</div>{tables.recall_table(run.scores)}'


def _actors(run: Run) -> str | None:
    chosen = {name: run.scores[name] for name in figures.SINGLE if name in run.scores}
    if not chosen or len(np.unique(next(iter(chosen.values())).actors)) < 2:
        return None
    leading = title(list(chosen)[-1])
    return figure(
        figures.accuracy_by_actor(chosen),
        f"Accuracy on each actor, the hardest for “{leading}” at the top; dashed: its mean over actors.",
        above=legend((title(name), _KEYS[name], "dot") for name in chosen),
        kind="side",
    )


def _calibration(run: Run) -> str | None:
    name = next((n for n in ("fused", *run.systems) if n in run.scores), None)
    if name is None:
        return None
    scores = run.scores[name]
    system = run.results["systems"].get(name) or {}
    said = ""
    if system.get("ece") is not None and system.get("ece_ci95"):
        said = (
            f" Expected calibration error {number(system['ece'], digits=1, scale=100)} % "
            f"(95 % interval {tables.interval(system['ece_ci95'])} %; drawing anew pushes it upwards)."
        )
    return figure(
        figures.reliability_diagram(reliability(scores.truth, scores.probabilities)),
        f"{title(name)}: how often it was right for how sure it was. On the dashed diagonal its confidence "
        "is deserved; below it, it is too sure. The larger a dot, the more clips; beneath: how many." + said,
        kind="narrow side",
    )


def _abstaining(run: Run) -> str | None:
    systems = run.results["systems"]
    blocks = {name: systems[name]["coverage"] for name in run.systems if systems[name].get("coverage")}
    if not blocks:
        return None
    names = conditions.shown(blocks)
    picture = figure(
        conditions.coverage_curves(blocks),
        "How often an answer is right when only the surest share of clips is answered and the others are "
        "abstained from; at the right edge all are answered. Bars: 95 % intervals over actors.",
        above=legend((title(name), _KEYS.get(name, "var(--other)"), "line") for name in names),
        kind="narrow side",
    )
    return picture + (tables.coverage_table({name: blocks[name] for name in names}) or "")


def _groups(run: Run) -> str | None:
    groups = run.results.get("groups") or {}
    if not any(groups.values()):
        return None
    names = conditions.shown(groups)
    kinds = conditions.GROUP_KINDS
    out = tables.groups_table(groups, names, kinds) or ""
    if out:
        out = (
            figure(
                conditions.accuracy_by_group(groups),
                f"Accuracy by group. Large dot and bar: “{title(names[-1])}” with its 95 % interval when the "
                "group's actors are drawn anew; small dots: the others.",
                above=legend((title(name), _KEYS.get(name, "var(--other)"), "dot") for name in names),
                kind="side",
            )
            + out
        )
    actors = tables.groups_table(groups, names, ("actor",))
    return out + (f"<details><summary>Each actor</summary>{actors}</details>" if actors else "")


def _enrolment(run: Run) -> str | None:
    systems = (run.results.get("enrolment") or {}).get("systems") or {}
    if not any(systems.values()):
        return None
    names = conditions.shown(systems)
    picture = figure(
        conditions.enrolment_curves(systems),
        "Accuracy when unlabelled recordings of the person are known beforehand; 0 is a stranger. Bars: "
        "95 % intervals over actors. Hollow, “all”: every clip of the person was known, those that are "
        "scored among them. That is transductive: compare it only with other such figures.",
        above=legend((title(name), _KEYS.get(name, "var(--other)"), "line") for name in names),
        kind="narrow side",
    )
    steps, remarks = conditions.clip_steps(systems), {"0": "stranger", conditions.ALL: "transductive"}
    return picture + tables.enrolment_table(systems, steps, remarks)


def _robustness(run: Run) -> str | None:
    records = run.results.get("robustness") or []
    if not records:
        return None
    order = conditions.in_condition_order(records)
    said = "Accuracy when recordings are worse than those it was fitted on. Bars: 95 % intervals over actors."
    if conditions.CLEAN in order:
        said += " Dashed: each system on clean recordings."
    names = conditions.shown({record["system"]: None for record in records})
    picture = figure(
        conditions.accuracy_by_condition(records),
        said,
        above=legend((title(name), _KEYS.get(name, "var(--other)"), "dot") for name in names),
        kind="side",
    )
    return picture + tables.robustness_table(records, order, conditions.CLEAN)


def _maps(run: Run) -> str | None:
    out = []
    fused = run.scores.get("fused")
    for data in run.maps:
        if len(data.takes) < 3:
            continue
        right = None
        if fused is not None and np.isin(data.takes, fused.takes).all():
            found = dict(zip(fused.takes, fused.predicted == fused.truth, strict=True))
            right = np.array([found[take] for take in data.takes], dtype=bool)
        picture, method = figures.feature_map(data, right, seed=int(run.results.get("seed", 0)))
        keys = [(emotion, f"var(--{emotion})", "dot") for emotion in EMOTIONS]
        if right is not None:
            keys += [("recognised", "var(--quiet)", "dot"), ("not recognised", "var(--quiet)", "cross")]
        fold = data.name.rpartition("fold-")[2]
        out.append(
            figure(
                picture,
                f"Test clips of fold {fold}: the joined features of voice and face brought to a plane by "
                f"{method}. Clips that lie close are alike to the fusion; the axes mean nothing.",
                above=legend(keys),
                kind="narrow side",
            )
        )
    return "".join(out) or None


def _learning(run: Run) -> str | None:
    out = []
    for modality, name in (("voice", "Voice"), ("face", "Face")):
        curves = [c for c in run.details.get("curves") or [] if c.get("modality") == modality]
        if not any(curve.get("epochs") for curve in curves):
            continue
        keys = [("training", "var(--other)", "dash"), ("held-out actors", _KEYS[modality], "line")]
        out.append(
            figure(
                figures.learning_curves(curves, modality),
                f"{name} network, {len(curves)} training runs. Thin: each; bold: their mean. A gap that "
                "widens between training and held-out actors is overfitting.",
                above=legend(keys),
                kind="narrow",
            )
        )
    return f'<div class="pair">{"".join(out)}</div>' if out else None


def _tuning(run: Run) -> str | None:
    tuning = run.details.get("tuning")
    return tables.tuning_table(tuning) if tuning else None


def _examples(run: Run) -> str | None:
    out = []
    for example in run.examples:
        mistake = f"{example.emotion} taken for {example.predicted}"
        told = esc(f"{example.take}, {mistake}")
        parts = [f"<h3>{esc(mistake)}</h3>"]
        parts.append(f'<p class="quiet"><code>{esc(example.take)}</code>{_sources(run, example.take)}</p>')
        strip, sound = figures.face_strip(example), figures.spectrogram(example)
        if strip:
            parts.append(f'<img class="strip" src="{strip}" alt="Face frames of {told}, in time order">')
        if sound:
            parts.append(f'<img class="sound" src="{sound}" alt="Log-mel spectrogram of {told}">')
        parts.append(tables.probabilities_table(example.probabilities, example.emotion, example.predicted))
        out.append(f'<article class="example">{"".join(parts)}</article>')
    if not out:
        return None
    lead = (
        "Mistakes made with confidence: face frames in time order, spectrogram (time to the right, pitch "
        "upwards, loud is bright) and what the fusion said."
    )
    return f'<p>{lead}</p><div class="examples">{"".join(out)}</div>'


def _sources(run: Run, take: str) -> str:
    sources: Mapping[str, Any] = (run.details.get("sources") or {}).get(take) or {}
    told = [f"{esc(str(key))}: {esc(str(path))}" for key, path in sources.items() if path]
    return f"<br><small>{'<br>'.join(told)}</small>" if told else ""


_SECTIONS: Final[tuple[tuple[str, str, Callable[[Run], str | None]], ...]] = (
    ("results", "Results", _headline),
    ("folds", "Fold by fold", _folds),
    ("mistakes", "What is taken for what", _mistakes),
    ("actors", "Actor by actor", _actors),
    ("groups", "Group by group", _groups),
    ("calibration", "Is its confidence deserved?", _calibration),
    ("abstaining", "When it may abstain", _abstaining),
    ("enrolment", "When the person is known", _enrolment),
    ("robustness", "When recordings are worse", _robustness),
    ("map", "Map of the features", _maps),
    ("learning", "Learning curves", _learning),
    ("tuning", "Tuning", _tuning),
    ("examples", "Examples that went wrong", _examples),
    ("skipped", "Skipped, failed and remarked", failures),
    ("settings", "Settings", settings),
    ("versions", "Versions and licence", versions),
    ("reproduce", "How to reproduce", reproduction),
)

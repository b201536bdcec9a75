"""The data card: which recordings a run rests on, counted from the run's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from emofuse.core.labels import EMOTIONS
from emofuse.corpus.ravdess import ADDRESS, CITATION, N_ACTORS
from emofuse.evaluation.group_metrics import take_facts
from emofuse.evaluation.report.markdown import code, document, esc, items, table
from emofuse.evaluation.report.model_card import about_ravdess, corpus_name, warnings
from emofuse.evaluation.results import Run, natural

_MOST_FAILED: Final = 50
"""More rows than these make a card nobody reads; details.json has them all."""
_TWINS: Final = ("01-03-01-02-01-07", "01-03-01-02-02-07")
"""Two recordings of actor 7 whose sound is the same file, byte by byte, as published."""
_SHORT: Final = 1.5
"""An emotion with so many times fewer clips than the commonest is named as rare."""


def data_card(run: Run) -> str:
    """The data card of a run, as Markdown. A part of which the run says nothing has no heading."""
    clips = _clips(run)
    sections = (
        ("What it is", _what(run, clips)),
        ("Emotions", _emotions(clips)),
        ("Intensities, statements and actors", _facts(clips)),
        ("Voice and face", _modalities(run, clips)),
        ("What is missing", _missing(run)),
        ("What to know before reading figures", _traps(run, clips)),
        ("Source", _source(run)),
    )
    named = [part for heading, body in sections if body for part in (f"## {heading}", body)]
    return document([f"# Data card: {corpus_name(run.results)}", *warnings(run.results)[:1], *named])


_Clips = Mapping[str, Mapping[str, str]]


def _clips(run: Run) -> _Clips:
    """Every take that any system answered: who acted what, and what its name tells."""
    out: dict[str, dict[str, str]] = {}
    for scores in run.scores.values():
        for take, actor, emotion in zip(scores.takes, scores.actors, scores.truth, strict=True):
            if str(take) not in out:
                known = {"actor": str(actor), "emotion": EMOTIONS[emotion]}
                out[str(take)] = {**take_facts(str(take)), **known}
    return dict(sorted(out.items()))


def _what(run: Run, clips: _Clips) -> str:
    corpus = run.results.get("corpus") or {}
    lines = [f"Name: {corpus_name(run.results)}."]
    if corpus.get("synthetic"):
        lines.append("Synthetic: **yes**. No person is in it.")
    elif "synthetic" in corpus:
        lines.append("Synthetic: no. These are recordings of people.")
    if corpus.get("clips") is not None:
        lines.append(f"Clips that were read: {corpus['clips']:,}, of {corpus.get('actors', '?')} actors.")
    actors = {clip["actor"] for clip in clips.values()}
    lines.append(
        f"Clips that figures rest on, each in a test part once: {len(clips):,}, of {len(actors)} actors."
    )
    if corpus.get("licence"):
        lines.append(f"Licence: {esc(corpus['licence'])}.")
    return items(lines)


def _emotions(clips: _Clips) -> str:
    counts = Counter((clip["emotion"], clip.get("sex", "")) for clip in clips.values())
    totals = Counter(clip["emotion"] for clip in clips.values())
    sexes = sorted({sex for _, sex in counts}, key=lambda sex: (not sex, sex))
    columns = sexes if any(sexes) else []
    rows = [
        [esc(e), *(f"{counts[e, s]:,}" for s in columns), f"{totals[e]:,}"] for e in EMOTIONS if totals[e]
    ]
    sums = [f"{sum(counts[e, s] for e in EMOTIONS):,}" for s in columns]
    rows.append(["**all**", *sums, f"{len(clips):,}"])
    heads = [f"By {esc(sex)} actors" if sex else "Sex not known" for sex in columns]
    return table(["Emotion", *heads, "Clips"], rows)


def _facts(clips: _Clips) -> str:
    lines = []
    for kind, name in (("intensity", "Intensity"), ("statement", "Statement")):
        counts = Counter(clip[kind] for clip in clips.values() if kind in clip)
        if counts:
            told = "; ".join(f"{esc(value)}: {counts[value]:,}" for value in sorted(counts))
            lines.append(f"{name}: {told}.")
    actors = Counter(clip["actor"] for clip in clips.values())
    if not actors:
        return items(lines)
    few, many = min(actors.values()), max(actors.values())
    each = f"{few}" if few == many else f"{few} to {many}"
    lines.append(f"Actors: {esc(', '.join(sorted(actors, key=natural)))}. Clips of each: {each}.")
    return items(lines)


def _modalities(run: Run, clips: _Clips) -> str:
    lines = []
    for name in ("voice", "face"):
        if name in run.scores:
            lines.append(
                f"Clips with a {name}: {len(set(run.scores[name].takes.tolist())):,} of {len(clips):,}."
            )
    features = ((run.results.get("recipe") or {}).get("settings") or {}).get("face", {}).get("features", {})
    if features.get("kind") == "au-table":
        lines.append(
            f"The face is not video here. It is a table, {code(features.get('table', '?'))}: action units, "
            "averaged over each clip."
        )
    return items(lines)


def _missing(run: Run) -> str:
    lines = [esc(note) for note in run.results.get("notes") or ()]
    corpus = run.results.get("corpus") or {}
    if about_ravdess(run.results) and isinstance(corpus.get("actors"), int) and corpus["actors"] < N_ACTORS:
        lines.append(f"RAVDESS has {N_ACTORS} actors; {N_ACTORS - corpus['actors']} of them are not here.")
    failed = run.details.get("failed") or []
    rows = [[code(f.get("clip", "–")), esc(f.get("error", "–"))] for f in failed[:_MOST_FAILED]]
    parts = [items(lines)]
    if rows:
        more = f" The first {len(rows)}:" if len(rows) < len(failed) else ""
        parts += [
            f"Clips that could not be read: {len(failed)}.{more}",
            table(["Clip", "Why"], rows, words=2),
        ]
    return document(parts).rstrip()


def _traps(run: Run, clips: _Clips) -> str:
    totals = Counter(clip["emotion"] for clip in clips.values())
    most = max(totals.values(), default=0)
    rare = [emotion for emotion in EMOTIONS if 0 < totals[emotion] * _SHORT <= most]
    absent = [emotion for emotion in EMOTIONS if clips and not totals[emotion]]
    lines = []
    if rare:
        lines.append(
            f"Fewer clips than the other emotions have: {', '.join(f'{e} ({totals[e]:,})' for e in rare)}; "
            f"the commonest has {most:,}. Accuracy gives rare emotions less weight; UAR gives all the same."
        )
    if absent:
        lines.append(f"No clip at all: {', '.join(absent)}. No figure says anything about these.")
    if not about_ravdess(run.results):
        return items(lines)
    if totals["neutral"] and not any(
        c["emotion"] == "neutral" and c.get("intensity") == "strong" for c in clips.values()
    ):
        lines.append(
            "Neutral has no strong intensity: it was acted in one intensity alone. Figures on strong clips "
            "are therefore of seven emotions, those on normal clips of eight."
        )
    if all(twin in clips for twin in _TWINS):
        first, second = (code(f"03-{twin}") for twin in _TWINS)
        said = (
            f"The sound of {first} and of {second} (actor 7) is the same file, as published: one recording "
            "counts twice."
        )
        if not run.results.get("speaker_independent"):
            said += " Where people are not kept apart, one may be trained on and the other tested."
        lines.append(said)
    lines.append(
        "The files 01-, 02- and 03- of one code are one performance: sound and picture, picture alone, sound "
        "alone. They count as one clip here."
    )
    lines.append("One studio, one camera, good light, no noise. Expect lower figures elsewhere.")
    lines.append(
        "Labels say what an actor was asked to show. They do not say what was felt, nor what others saw."
    )
    return items(lines)


def _source(run: Run) -> str:
    return f"{esc(CITATION)} Recordings: {ADDRESS}" if about_ravdess(run.results) else ""

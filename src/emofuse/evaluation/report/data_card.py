"""The data card: which recordings the figures of a run rest on, counted from the run's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from emofuse.core.number_format import MISSING, count
from emofuse.corpus.ravdess import ADDRESS, CITATION, N_ACTORS
from emofuse.evaluation.group_metrics import take_facts
from emofuse.evaluation.report.model_card import about_corpus, is_ravdess
from emofuse.evaluation.results import natural
from emofuse.evaluation.run_files import Run
from emofuse.system.templates import render_markdown

_MOST_FAILED: Final = 50
"""Nobody reads a card with more rows than this; details.json has them all."""
_TWINS: Final = ("01-03-01-02-01-07", "01-03-01-02-02-07")
"""Two recordings of actor 7 that were published with the same audio file, byte for byte."""
_RARE: Final = 1.5
"""An emotion is called rare if the most common one has at least this many times its clips."""

_Clips = Mapping[str, Mapping[str, str]]


def data_card(run: Run) -> str:
    """The data card of a run, as Markdown. Sections without any data in the run are left out."""
    clips, corpus, ravdess = _clips(run), about_corpus(run.results), is_ravdess(run.results)
    actors = Counter(clip["actor"] for clip in clips.values())
    totals = Counter(clip["emotion"] for clip in clips.values())
    most = max(totals.values(), default=0)
    failed = run.details.get("failed") or []
    few_actors = ravdess and isinstance(corpus["actors"], int) and corpus["actors"] < N_ACTORS
    return render_markdown(
        __package__,
        "data-card.md.j2",
        corpus=corpus,
        ravdess=ravdess,
        speaker_independent=bool(run.results.get("speaker_independent")),
        n_clips=len(clips),
        actors=sorted(actors, key=natural),
        fewest=min(actors.values(), default=0),
        most=max(actors.values(), default=0),
        emotions=_emotions(clips, run.emotions),
        dimensions=run.results.get("dimensions") or [],
        facts=_facts(clips),
        modalities={
            name: len(set(run.scores[name].takes.tolist()))
            for name in ("voice", "face")
            if name in run.scores
        },
        au_table=_au_table(run),
        notes=run.results.get("notes") or (),
        n_ravdess_actors=N_ACTORS,
        n_missing_actors=N_ACTORS - corpus["actors"] if few_actors else 0,
        failed=[(f.get("clip", MISSING), f.get("error", MISSING)) for f in failed[:_MOST_FAILED]],
        n_failed=len(failed),
        rare=[f"{e} ({totals[e]:,})" for e in run.emotions if 0 < totals[e] * _RARE <= most],
        absent=[emotion for emotion in run.emotions if clips and not totals[emotion]],
        n_commonest=most,
        neutral_in_one_intensity=totals["neutral"] > 0
        and not any(c["emotion"] == "neutral" and c.get("intensity") == "strong" for c in clips.values()),
        twins=[f"03-{twin}" for twin in _TWINS] if all(twin in clips for twin in _TWINS) else [],
        citation=CITATION,
        address=ADDRESS,
    )


def _clips(run: Run) -> _Clips:
    """Every take that any system classified: its actor, its emotion, and what its name says."""
    out: dict[str, dict[str, str]] = {}
    for scores in run.scores.values():
        for take, actor, emotion in zip(scores.takes, scores.actors, scores.truth, strict=True):
            if str(take) not in out:
                known = {"actor": str(actor), "emotion": run.emotions[emotion]}
                out[str(take)] = {**take_facts(str(take)), **known}
    for systems in run.ratings.values():
        for rated in systems.values():
            for take, actor in zip(rated.takes, rated.actors, strict=True):
                out.setdefault(str(take), {**take_facts(str(take)), "actor": str(actor), "emotion": ""})
    return dict(sorted(out.items()))


def _emotions(clips: _Clips, emotions: Sequence[str]) -> dict[str, Any]:
    """Clips of each emotion, by sex if it is known of any clip; "" is an unknown sex, and comes last."""
    counts = Counter((clip["emotion"], clip.get("sex", "")) for clip in clips.values())
    sexes = sorted({sex for _, sex in counts}, key=lambda sex: (not sex, sex))
    columns = sexes if any(sexes) else []
    totals = Counter(clip["emotion"] for clip in clips.values())
    return {
        "sexes": columns,
        "rows": [
            [emotion, *(count(counts[emotion, sex]) for sex in columns), count(totals[emotion])]
            for emotion in emotions
            if totals[emotion]
        ],
        "sums": [sum(counts[e, sex] for e in emotions) for sex in columns],
    }


def _facts(clips: _Clips) -> list[dict[str, Any]]:
    facts = []
    for kind, name in (("intensity", "Intensity"), ("statement", "Statement")):
        counts = Counter(clip[kind] for clip in clips.values() if kind in clip)
        if counts:
            facts.append(
                {"name": name, "counts": [f"{value}: {count(counts[value])}" for value in sorted(counts)]}
            )
    return facts


def _au_table(run: Run) -> str | None:
    """The table that action units are read from; None if the face is read from video."""
    face = ((run.results.get("recipe") or {}).get("settings") or {}).get("face", {})
    features = face.get("features", {})
    return str(features.get("table", "?")) if features.get("kind") == "au-table" else None

"""What the labels of a corpus ask of a recipe, and what they are evidence about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Take
from emofuse.corpus.corpus import CORPUS_FACT, Corpus
from emofuse.training.supervision import Supervision


def check_labels_of(recipe: Recipe, emotions: Sequence[str]) -> None:
    """Fail early where a recipe cannot tell some labels apart.

    Raises:
        ExperimentError: its face network was trained on FER+, and knows no more than the eight emotions.
    """
    if "face" not in recipe.modalities or recipe.face.network.kind != "expression":
        return
    way_out = (
        "use a recipe whose face is trained on your corpus, any-labels (on what such a network sees) "
        "or default, or the voice alone, such as whisper-only; or map the labels (--labels)"
    )
    if others := [emotion for emotion in emotions if emotion not in EMOTIONS]:
        raise ExperimentError(
            f"the face network of recipe {recipe.name} was trained on FER+ and cannot answer {others[0]!r}, "
            f"only {', '.join(EMOTIONS)}: {way_out}"
        )
    if recipe.fusion.face_likelihood and tuple(emotions) != EMOTIONS:
        raise ExperimentError(
            f"the fusion of recipe {recipe.name} weighs faces by what is known of all eight emotions, not of "
            f"{', '.join(emotions)}: set fusion.face_likelihood = false, or {way_out}"
        )


def supervision_of(
    takes: Sequence[Take], corpus: Corpus, emotions: Sequence[str] | None = None
) -> Supervision | None:
    """What the labels of takes are evidence about; None where they are of a single corpus, and one for each.

    Args:
        takes: labeled.
        corpus: theirs.
        emotions: the label space; None: the corpus'.
    """
    parts, space = {part.name: part for part in corpus.parts}, emotions or corpus.emotions
    shares = np.full((len(takes), len(space)), np.nan)
    for row, take in zip(shares, takes, strict=True):
        if take.shares:
            row[:] = [take.shares.get(emotion, 0.0) for emotion in space]
    if not parts:
        return Supervision.of(np.ones_like(shares, dtype=np.bool_), np.ones(len(takes)), shares)
    known = {name: np.array([emotion in part.emotions for emotion in space]) for name, part in parts.items()}
    names = [take.facts[CORPUS_FACT] for take in takes]
    weights = np.array([parts[name].weight for name in names])
    return Supervision.of(np.array([known[name] for name in names]), weights, shares)

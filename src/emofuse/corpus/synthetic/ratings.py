"""Valence and arousal of the takes of the synthetic corpus: known, because they follow from what was drawn.

An expression is a vector of amounts (:mod:`emofuse.corpus.synthetic.expression`). Its ratings are a linear
function of it: of all, the one that best tells the emotion's place on the circumplex of affect in spite of
how much people and takes differ. A take that hardly shows its emotion is near the middle, one that leans
towards another emotion lies between.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np

from emofuse.core.label_maps import heuristic_valence_arousal
from emofuse.core.labels import EMOTIONS
from emofuse.corpus.synthetic.clip import TakeCode, take_expressions
from emofuse.corpus.synthetic.expression import FACE_SPREAD, VOICE_SPREAD, Float64, prototypes
from emofuse.system.atomic_write import write_atomically

RATINGS_FILE: Final = "ratings.csv"
"""The table, in the folder of the corpus, which describes it as any table of clips does."""
DIMENSIONS: Final = ("valence", "arousal")
MIDDLE, HALF_RANGE = 4.0, 3.0
"""Ratings are from 1 to 7, as raters give them."""

_Modality = Literal["voice", "face"]


def take_ratings(
    seed: int, code: TakeCode, modalities: Sequence[_Modality] = ("voice", "face")
) -> dict[str, float]:
    """Valence and arousal of a take: what its voice and its face show, each as much as the other.

    Args:
        seed: of the corpus.
        code: which take.
        modalities: those that were made.
    """
    expressions = take_expressions(seed, code)
    shown = [np.array(astuple(expressions[one])) @ _directions(one) for one in modalities]
    ratings = np.clip(MIDDLE + HALF_RANGE * np.mean(shown, axis=0), 1, 7)
    return dict(zip(DIMENSIONS, ratings.tolist(), strict=True))


@cache
def _directions(modality: _Modality) -> Float64:
    """(n_amounts, 2): an expression times this is valence and arousal, about -1 to 1."""
    amounts, spread = prototypes(modality), VOICE_SPREAD if modality == "voice" else FACE_SPREAD
    scale = np.abs(amounts).max(axis=0)
    shown = amounts / scale
    variance = spread.offset**2 + spread.noise**2  # of people and takes around the prototypes
    places = heuristic_valence_arousal(np.eye(len(EMOTIONS)))
    products = shown.T @ shown + len(EMOTIONS) * variance * np.eye(len(scale))
    found: Float64 = np.linalg.solve(products, shown.T @ places) / scale[:, None]
    return found


def write_ratings(out: Path, seed: int) -> Path:
    """Write the table of all takes of a corpus: a row for each, with its video, else with its voice.

    Args:
        out: the root of the corpus.
        seed: of the corpus.

    Returns:
        The table, :data:`RATINGS_FILE` in ``out``.
    """
    takes: dict[TakeCode, Path] = {}
    for path in sorted(out.glob("Actor_[0-9][0-9]/0[13]-01-*.*"), key=lambda one: one.suffix):
        takes.setdefault(_code(path), path)  # .mp4 comes before .wav
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "speaker", "emotion", *DIMENSIONS))
    for code, path in sorted(takes.items(), key=lambda one: one[1]):
        modalities: tuple[_Modality, ...] = ("voice", "face") if path.suffix == ".mp4" else ("voice",)
        ratings = take_ratings(seed, code, modalities).values()
        where, emotion = path.relative_to(out).as_posix(), EMOTIONS[code.emotion - 1]
        table.writerow((where, f"{code.actor:02d}", emotion, *(f"{one:.2f}" for one in ratings)))
    write_atomically(out / RATINGS_FILE, text.getvalue().encode())
    return out / RATINGS_FILE


def _code(path: Path) -> TakeCode:
    """The take of a file of the corpus, whose name is ``03-01-EMOTION-INTENSITY-…``."""
    return TakeCode(*(int(field) for field in path.stem.split("-")[2:]))

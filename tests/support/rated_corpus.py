"""Corpora whose ratings are known: valence and arousal follow from how a clip sounds, with raters' noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from emofuse.core.labels import EMOTIONS
from tests.support import small_corpora

RECIPE = """
extends = "ravdess-ensemble"
name = "small-rated"
seed = 5
modalities = ["voice"]
enrolment = "none"

[voice]
speeds = []

[voice.features]
sample_rate_hz = 16000
duration_s = 1.0
n_fft = 512
win_length = 400
hop_length = 400
n_mels = 26
fmax_hz = 8000.0

[voice.network.ensemble]
components = 40
networks = 0

[fusion]
inner_folds = 2
"""


def ratings_of(emotion: int, rng: np.random.Generator) -> tuple[float, float]:
    """Valence follows the pitch of a clip, arousal its loudness; with noise."""
    valence = 4 + 0.7 * (emotion - 3.5) + rng.normal(0, 0.3)
    arousal = 0.4 * (emotion % 3 - 1) + rng.normal(0, 0.1)
    return float(valence), float(arousal)


def write_rated(root: Path, *, speakers: int, takes: int = 2, labels: bool, shuffled: bool = False) -> Path:
    """A table of WAV files with ratings, and emotions unless ``labels`` is False; one rating is missing."""
    rng = np.random.default_rng(7)
    rows: list[list[str]] = []
    for speaker in range(1, speakers + 1):
        for emotion, label in enumerate(EMOTIONS):
            for number in range(takes):
                name = f"{speaker}-{label}-{number}.wav"
                small_corpora.write_wav(root / name, small_corpora.speech(emotion, number, speaker))
                valence, arousal = ratings_of(emotion, rng)
                rows.append(
                    [name, f"s{speaker}", *([label] if labels else []), f"{valence:.3f}", f"{arousal:.3f}"]
                )
    if shuffled:
        order = rng.permutation(len(rows))
        rated = [row[-2:] for row in rows]
        rows = [[*row[:-2], *rated[k]] for row, k in zip(rows, order, strict=True)]
    rows[3][-1] = ""
    head = ["path", "speaker", *(["emotion"] if labels else []), "valence", "arousal"]
    with (root / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return root / "clips.csv"

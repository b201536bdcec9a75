"""Tables of the synthetic corpus whose ratings are known, with labels and without, and shuffled."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from emofuse.corpus.synthetic.ratings import RATINGS_FILE
from emofuse.corpus.synthetic.synthesis import synthesize

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
duration_s = 3.0
n_fft = 512
win_length = 400
hop_length = 400
n_mels = 40
fmax_hz = 8000.0

[voice.network.ensemble]
components = 60
networks = 0

[fusion]
inner_folds = 2
"""


def make_voices(root: Path, *, speakers: int, takes: int = 2) -> Path:
    """The voices of a synthetic corpus, and the table of its ratings."""
    synthesize(root, n_actors=speakers, n_takes=takes, seed=7, voices_only=True, ratings=True)
    return root / RATINGS_FILE


def write_table(made: Path, name: str, *, labels: bool, shuffled: bool = False) -> Path:
    """Another table of the same voices, beside the first; one rating is missing.

    Args:
        made: what :func:`make_voices` returned.
        name: of the new table.
        labels: whether it has emotions.
        shuffled: whether ratings are those of other takes.
    """
    with made.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(7).permutation(len(rows)) if shuffled else np.arange(len(rows))
    head = ["path", "speaker", *(["emotion"] if labels else []), "valence", "arousal"]
    table = [
        [*(row[key] for key in head[:-2]), rows[k]["valence"], rows[k]["arousal"]]
        for row, k in zip(rows, order, strict=True)
    ]
    table[3][-1] = ""
    with (made.parent / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *table])
    return made.parent / name

"""Three small corpora of synthetic voices, named as RAVDESS, nEMO and EMO-DB name their files."""

from __future__ import annotations

from pathlib import Path

from emofuse.core.labels import EMOTIONS, LABEL_SETS
from tests.support.small_corpora import speech, take_code, write_wav

RECIPE = """
extends = "ravdess-ensemble"
name = "small-cross"
modalities = ["voice"]
seed = 3

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
components = 12
networks = 1
hidden = 8

[voice.training]
epochs = 2
batch_size = 16

[fusion]
classifiers = ["pool"]
inner_folds = 2
trials = 1
selection_folds = 2
"""
"""Of voices alone; a kernel machine and one tiny network."""


def write_corpora(root: Path) -> tuple[Path, Path, Path]:
    """Folders: four actors of RAVDESS in eight emotions, three speakers of nEMO in six, three of EMO-DB in
    five, of which boredom is none of ours; two recordings of each."""
    ravdess, nemo, emodb = root / "ravdess", root / "nemo", root / "emodb"
    for actor in (1, 2, 3, 4):
        for emotion in range(8):
            for number in (0, 1):
                name = f"03-{take_code(emotion, number, actor)}.wav"
                write_wav(ravdess / name, speech(emotion, number, actor))
    for index, speaker in enumerate(("EB0", "IC0", "KS0")):
        for label, meant in LABEL_SETS["nemo-6"].items():
            for number in (1, 2):
                samples = speech(EMOTIONS.index(meant), number, 20 + index)
                write_wav(nemo / f"{speaker}_{label}_{number}.wav", samples)
    for index, speaker in enumerate(("03", "08", "09")):
        for letter, emotion in (("W", 4), ("F", 2), ("T", 3), ("N", 0), ("L", 1)):
            for number, version in ((0, "a"), (1, "b")):
                name = f"{speaker}a0{number + 1}{letter}{version}.wav"
                write_wav(emodb / name, speech(emotion, number, 30 + index))
    return ravdess, nemo, emodb

"""What frames are worth, and what a face that shows nothing is: two tables in docs/results.md.

    python benchmarks/face_weighing.py --run RUN --fer2013 DIR [--faces NPZ] --docs docs/results.md

There are no films of many actors, so clips are composed of FER2013's public_test, on which the face network
was not trained: a person is a neutral face, one face for each emotion and one open mouth; a clip goes from
the first towards the second and back, and the mouth comes between. Each pseudo-clip goes with a real voice of
RAVDESS that expresses the same, read by networks that had not heard the speaker (`predictions.csv` of
`emofuse evaluate ravdess --recipe benchmarks/shipped-voice.toml --protocol six-fold --seed 0 --out RUN`).
Three worlds: faces that show what is expressed, that show it weakly, and that hardly show it at all. The
sequences of RAVDESS' actor 1 (`--faces`) are read as a check; they chose nothing but where the page says so.
Takes some minutes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from emofuse import Recognizer
from emofuse.core.labels import EMOTIONS, FER_PLUS
from emofuse.corpus.fer2013 import read_fer2013
from emofuse.corpus.ravdess import parse_name
from emofuse.training.augmentation import augment_still_faces
from emofuse.training.face_likelihood import HIDDEN_SHARE, log_likelihood
from emofuse.training.networks.expression_over_time import fer_plus_mapping, pool_peaks
from emofuse.training.ship.check import read_stacks

BEGIN, END = "<!-- made by benchmarks/face_weighing.py -->", "<!-- end -->"
N_FRAMES = 20
N_VARIANTS = 6
WORLDS = {"shown": (0.2, 1.0, 0.35), "shown weakly": (0.1, 0.7, 0.5), "hardly shown": (0.0, 0.3, 0.35)}
"""Least and largest intensity of an expression, and largest share of the open mouth in a frame."""
N_DRAWS = 3
CLASSES = {
    "neutral": "neutral", "calm": "neutral", "happy": "happiness", "sad": "sadness", "angry": "anger",
    "fearful": "fear", "disgust": "disgust", "surprised": "surprise",
}  # fmt: skip
"""The class of FER+ whose faces show an emotion."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Pool = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Clips:
    """Clips with a face and a voice.

    ``frames``: (n, n_frames, 8) log-probabilities of FER+ for equally common emotions;
    ``groups``: clips that show the same performance; ``voice``: (n, 8) log-probabilities.
    """

    frames: Floats
    labels: Rows
    people: NDArray[np.str_]
    groups: NDArray[np.str_]
    voice: Floats


def main() -> None:
    """Read everything, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of emofuse evaluate")
    parser.add_argument("--fer2013", type=Path, required=True, help="with public_test.npz")
    parser.add_argument("--faces", type=Path, help="Actor_01.npz of face sequences")
    parser.add_argument("--docs", type=Path, help="the page that has the tables; default: print them")
    given = parser.parse_args()
    recognizer = Recognizer.load()
    stills, classes = variants(recognizer, given.fer2013)
    voices = read_voices(given.run)
    worlds: dict[str, list[Clips]] = {
        name: [compose(stills, classes, voices, world, seed) for seed in range(N_DRAWS)]
        for name, world in WORLDS.items()
    }
    if given.faces is not None:
        worlds["actor 1"] = [actor_1(recognizer, given.faces, voices)]
    tables = f"{pooling_table(worlds)}\n{evidence_table(recognizer, worlds)}"
    if given.docs is None:
        sys.stdout.write(tables)
        return
    text = given.docs.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    given.docs.write_text(f"{before}{BEGIN}\n{tables}{END}{rest.partition(END)[2]}", encoding="utf-8")


def balanced(recognizer: Recognizer, faces: NDArray[np.uint8]) -> Floats:
    """(n, 8) log-probabilities of FER+ for single faces, as if its emotions were equally common."""
    parts = [recognizer.face_frames(faces[i : i + 256]) for i in range(0, len(faces), 256)]
    logs = np.concatenate(parts)[:, -len(FER_PLUS) :].astype(np.float64)
    offsets = np.array(recognizer.bundle.provenance["face"]["offsets"])
    return np.asarray(log_softmax(logs + offsets, axis=-1))


def variants(recognizer: Recognizer, folder: Path) -> tuple[Floats, Rows]:
    """(n, N_VARIANTS, 8) readings of each face of public_test in slight variants, and its class."""
    faces = read_fer2013(folder, "public_test")
    generator = torch.Generator().manual_seed(0)
    images = torch.from_numpy(faces.images)
    read = []
    for _ in range(N_VARIANTS):
        changed = augment_still_faces(images, generator, 0.3)[:, 0]
        read.append(balanced(recognizer, (changed * 255).round().to(torch.uint8).numpy()))
    return np.stack(read, axis=1), faces.majority


def read_voices(run: Path) -> list[dict[str, str]]:
    """The voice's readings of speakers that its networks had not heard."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["system"] == "voice"]


def voice_logs(rows: list[dict[str, str]]) -> Floats:
    """(n, 8)."""
    return np.log(np.maximum([[float(row[name]) for name in EMOTIONS] for row in rows], np.exp(-10)))


def compose(
    stills: Floats, classes: Rows, voices: list[dict[str, str]], world: tuple[float, float, float], seed: int
) -> Clips:
    """A pseudo-clip for each voice."""
    least, largest, mouth_share = world
    rng = np.random.default_rng(seed)
    members = {name: np.flatnonzero(classes == k) for k, name in enumerate(FER_PLUS)}
    people = np.array([row["actor"] for row in voices])
    frames = np.zeros((len(voices), N_FRAMES, len(FER_PLUS)))
    times = np.linspace(0, 1, N_FRAMES)
    for person in np.unique(people):
        face = {name: rng.choice(of) for name, of in members.items()}
        mouth = rng.choice(np.concatenate([members["happiness"], members["surprise"]]))
        intensity = {name: rng.uniform(least, largest) for name in FER_PLUS}
        for i in np.flatnonzero(people == person):
            shown = CLASSES[voices[i]["emotion"]]
            peak = intensity[shown] * rng.uniform(0.6, 1.4)
            share = peak * np.exp(
                -0.5 * ((times - rng.uniform(0.2, 0.8)) / (rng.uniform(0.25, 1.2) / 2)) ** 2
            )
            share = np.minimum(share, 1)[:, None]
            spoken = (rng.uniform(0, mouth_share, N_FRAMES) * (rng.random(N_FRAMES) < 0.6))[:, None]
            rest, show, speak = (
                stills[one, rng.integers(0, N_VARIANTS, N_FRAMES)]
                for one in (face["neutral"], face[shown], mouth)
            )
            frames[i] = (1 - spoken) * ((1 - share) * rest + share * show) + spoken * speak
    labels = np.array([EMOTIONS.index(row["emotion"]) for row in voices])
    takes = np.array([row["take"] for row in voices])
    return Clips(np.asarray(log_softmax(frames, axis=-1)), labels, people, takes, voice_logs(voices))


def actor_1(recognizer: Recognizer, path: Path, voices: list[dict[str, str]]) -> Clips:
    """His face sequences with the voices of their takes."""
    stacks = read_stacks(path, recognizer.recipe.face.features)
    names = [parse_name(name) for name in stacks]
    row_of = {row["take"]: row for row in voices}
    takes = [one.take for one in names]
    return Clips(
        np.stack([balanced(recognizer, stack) for stack in stacks.values()]),
        np.array([EMOTIONS.index(one.emotion) for one in names]),
        np.array(["01"] * len(names)),
        np.array(takes),
        voice_logs([row_of[take] for take in takes]),
    )


def mean_of_logs(frames: Floats) -> Floats:
    """What ships: the mean of the log-probabilities."""
    return np.asarray(frames.mean(axis=1))


def peaks(frames: Floats) -> Floats:
    """``face.network.pooling = "peaks"``."""
    return pool_peaks(torch.from_numpy(frames)).numpy()


def power(exponent: float) -> Pool:
    """A power mean of the probabilities, all frames alike."""
    return lambda frames: np.log(np.exp(exponent * frames).mean(axis=1)) / exponent


def most_expressive(n: int) -> Pool:
    """The mean of the log-probabilities of the frames that are least neutral."""

    def pool(frames: Floats) -> Floats:
        order = frames[..., 0].argsort(axis=1)[:, :n, None]
        return np.asarray(np.take_along_axis(frames, order, axis=1).mean(axis=1))

    return pool


POOLS: Mapping[str, Pool] = {
    "mean of log-probabilities (`mean`)": mean_of_logs,
    "mean of probabilities": power(1),
    "power mean, 2": power(2),
    "power mean, 4": power(4),
    "power mean, 2, frames weighed by 1 − p(neutral) (`peaks`)": peaks,
    "the 5 least neutral frames": most_expressive(5),
}


def emotions_of(pooled: Floats) -> Floats:
    """Scores of FER+ → (n, 8) log-probabilities of the eight emotions."""
    shares = np.exp(log_softmax(pooled, axis=-1)) @ fer_plus_mapping().double().numpy()
    return np.asarray(log_softmax(np.log(np.maximum(shares, 1e-9)), axis=-1))


def against_own(clips: Clips, logs: Floats) -> Floats:
    """Each clip less the mean of the person's other performances."""
    out = np.zeros_like(logs)
    for i in range(len(logs)):
        others = (clips.people == clips.people[i]) & (clips.groups != clips.groups[i])
        out[i] = logs[i] - logs[others].mean(axis=0)
    return np.asarray(log_softmax(out, axis=-1))


def score(worlds: list[Clips], read: Callable[[Clips], Floats]) -> tuple[float, float]:
    """Accuracy in %, and cross-entropy, over the draws of a world."""
    right, loss = [], []
    for clips in worlds:
        logs = log_softmax(read(clips), axis=-1)
        right.append((logs.argmax(axis=1) == clips.labels).mean())
        loss.append(-logs[np.arange(len(logs)), clips.labels].mean())
    return 100 * float(np.mean(right)), float(np.mean(loss))


def face_alone(pool: Pool, own: bool) -> Callable[[Clips], Floats]:
    """How the face of a clip is read."""

    def read(clips: Clips) -> Floats:
        logs = emotions_of(pool(clips.frames))
        return against_own(clips, logs) if own else logs

    return read


def pooling_table(worlds: Mapping[str, list[Clips]]) -> str:
    """Accuracy of the face alone."""
    lines = [
        f"| face alone, accuracy %: as it is / own baseline | {' | '.join(worlds)} |",
        "|---" * (len(worlds) + 1) + "|",
    ]
    for title, pool in POOLS.items():
        cells = []
        for draws in worlds.values():
            plain, own = (score(draws, face_alone(pool, own))[0] for own in (False, True))
            cells.append(f"{plain:.1f} / {own:.1f}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def evidence_table(recognizer: Recognizer, worlds: Mapping[str, list[Clips]]) -> str:
    """Accuracy and cross-entropy of voice and face."""
    facts = recognizer.bundle.provenance
    voice, matrix = facts["weights"]["voice"], np.array(facts["face"]["likelihood"])
    look = np.array([0.5, 0.5, *[0.0] * 6])
    seen = (matrix - HIDDEN_SHARE * look) / (1 - HIDDEN_SHARE)

    def fused(own: bool, weight: float, hidden: float | None) -> Callable[[Clips], Floats]:
        def read(clips: Clips) -> Floats:
            face = emotions_of(mean_of_logs(clips.frames))
            face = np.maximum(against_own(clips, face) if own else face, -10)
            if hidden is not None:
                face = log_likelihood(face, hidden * look + (1 - hidden) * seen)
            return np.asarray(voice * clips.voice + weight * face)

        return read

    rows: dict[str, Callable[[Clips], Floats]] = {"voice alone": lambda clips: voice * clips.voice}
    for own in (False, True):
        words = "own baseline" if own else "as it is"
        rows[f"face {words}: probabilities, weight 0.5"] = fused(own, 0.5, None)
        for hidden in (0.5, 0.3, 0.0):
            rows[f"face {words}: likelihood, {100 * hidden:.0f} % hidden"] = fused(own, 1.0, hidden)
    lines = [
        f"| voice and face, accuracy % (cross-entropy) | {' | '.join(worlds)} |",
        "|---" * (len(worlds) + 1) + "|",
    ]
    for title, read in rows.items():
        found = [score(draws, read) for draws in worlds.values()]
        lines.append(f"| {title} | " + " | ".join(f"{a:.1f} ({loss:.2f})" for a, loss in found) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

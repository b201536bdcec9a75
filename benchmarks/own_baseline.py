"""What a person's own baseline gains and costs, by the clips it is made of: a table in docs/enrollment.md.

    python benchmarks/own_baseline.py --run RUN --ravdess DIR --nemo DIR --docs docs/enrollment.md

Read are: voices and action units of RAVDESS by networks that had not seen the speaker (`predictions.csv` of
`emofuse evaluate ravdess --recipe benchmarks/shipped-voice-first.toml --protocol six-fold --seed 0
--out RUN`), the face sequences of RAVDESS' actor 1, and the voices of nEMO, both by the first recognizer that
came with emofuse, which was trained on neither. A baseline is made of some clips of a person, and the other
takes of that person are
read against it. Takes a minute or two.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emofuse import Recognizer
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Features
from emofuse.corpus.ravdess import parse_name
from emofuse.features.own_baseline import OwnBaseline, Reading, centered_logs, fused_strength
from emofuse.training.ship.check import read_stacks

BEGIN, END = "<!-- made by benchmarks/own_baseline.py -->", "<!-- end -->"
N_DRAWS = 20
N_CLIPS = 8
DRAWS = {
    "same mood": "8 clips of the emotion that is expressed, worst emotion",
    "other mood": "8 clips of one other emotion, worst pair",
    "one mood": "8 clips of one emotion",
    "two moods": "4 clips each of two emotions",
    "six of one, two others": "6 clips of one emotion, 2 others",
    "4 mixed": "4 clips at random",
    "8 mixed": "8 clips at random",
    "16 mixed": "16 clips at random",
    "all others": "all other takes, as they are",
}
NEMO_NAMES = {"anger": "angry", "fear": "fearful", "happiness": "happy", "sadness": "sad"}
Rows = NDArray[np.int64]
Reader = Callable[[Rows, Rows, int, bool], NDArray[np.float64]]


@dataclass(frozen=True)
class Material:
    """Readings of some people's clips by a recognizer that had not seen them."""

    name: str
    labels: Rows
    speakers: NDArray[np.str_]
    takes: NDArray[np.str_]
    read: Reader
    """Clips of the baseline, clips that are read, clips that the baseline counts for, whether by the rule →
    probabilities."""

    @property
    def emotions(self) -> Rows:
        """Those that the corpus has."""
        return np.unique(self.labels)

    def right(self, own: Rows, queried: Rows, n: int, by_rule: bool) -> NDArray[np.bool_]:
        """(n_queried,) whether the most probable of the corpus' emotions is the one expressed."""
        probabilities = self.read(own, queried, n, by_rule)[:, self.emotions]
        return np.asarray(self.emotions[probabilities.argmax(axis=1)] == self.labels[queried])


def alone(probabilities: NDArray[np.float64]) -> Reader:
    """One modality."""

    def read(own: Rows, queried: Rows, n: int, by_rule: bool) -> NDArray[np.float64]:
        if not len(own):
            return probabilities[queried]
        baseline = OwnBaseline.of(probabilities[own], n)
        return baseline.subtract(probabilities[queried], baseline.strength() if by_rule else 1.0)

    return read


def product(voice: NDArray[np.float64], face: NDArray[np.float64]) -> Reader:
    """Voice and face, each against its own baseline, then multiplied."""

    def read(own: Rows, queried: Rows, n: int, by_rule: bool) -> NDArray[np.float64]:
        readings = [alone(one)(own, queried, n, by_rule) for one in (voice, face)]
        return np.exp(sum(centered_logs(one) for one in readings))

    return read


def joint(voice: NDArray[np.float64], face: NDArray[np.float64], fused: NDArray[np.float64]) -> Reader:
    """A fusion of features, shifted as strongly as the weaker of the two."""

    def read(own: Rows, queried: Rows, n: int, by_rule: bool) -> NDArray[np.float64]:
        if not len(own):
            return fused[queried]
        strengths = {
            "voice": OwnBaseline.of(voice[own], n).strength(),
            "face": OwnBaseline.of(face[own], n).strength(),
        }
        strength = fused_strength(strengths) if by_rule else 1.0  # type: ignore[arg-type]
        return OwnBaseline.of(fused[own], n).subtract(fused[queried], strength)

    return read


def main() -> None:
    """Read everything, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of emofuse evaluate")
    parser.add_argument("--ravdess", type=Path, required=True, help="with faces/Actor_01.npz")
    parser.add_argument("--nemo", type=Path, required=True, help="with clips.csv")
    parser.add_argument("--docs", type=Path, help="the page that has the table; default: print it")
    given = parser.parse_args()
    recognizer = Recognizer.load()
    of_actors, faces = list(of_run(given.run)), of_faces(recognizer, given.ravdess)
    materials = [*of_actors, faces, of_both(recognizer, of_actors[0], faces), of_nemo(recognizer, given.nemo)]
    table = as_table({one.name: figures(one) for one in materials})
    if given.docs is None:
        sys.stdout.write(table)
        return
    text = given.docs.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    given.docs.write_text(f"{before}{BEGIN}\n{table}{END}{rest.partition(END)[2]}", encoding="utf-8")


def of_run(run: Path) -> Iterator[Material]:
    """Voice, face, and both, of speakers outside the training data."""
    rows: dict[str, list[dict[str, str]]] = {}
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["system"], []).append(row)
    read = {
        system: np.array([[float(row[name]) for name in EMOTIONS] for row in found])
        for system, found in rows.items()
    }
    labels = np.array([EMOTIONS.index(row["emotion"]) for row in rows["voice"]])
    speakers = np.array([row["actor"] for row in rows["voice"]])
    takes = np.array([row["take"] for row in rows["voice"]])
    voice, face = read["voice"], read["face"]
    yield Material("voice", labels, speakers, takes, alone(voice))
    yield Material("face, action units", labels, speakers, takes, alone(face))
    yield Material("voice × face", labels, speakers, takes, product(voice, face))
    yield Material("fusion of features", labels, speakers, takes, joint(voice, face, read["fused"]))


def of_faces(recognizer: Recognizer, ravdess: Path) -> Material:
    """The face sequences of actor 1 by the shipped face."""
    stacks = read_stacks(ravdess / "faces" / "Actor_01.npz", recognizer.recipe.face.features)
    names = [parse_name(name) for name in stacks]
    read = [
        recognizer.predict_features(Features(None, stack, voice_missing="left out")).face
        for stack in stacks.values()
    ]
    return Material(
        "shipped face, actor 1",
        np.array([EMOTIONS.index(one.emotion) for one in names]),
        np.array(["01"] * len(names)),
        np.array([one.take for one in names]),
        alone(np.array(read)),
    )


def of_both(recognizer: Recognizer, voices: Material, faces: Material) -> Material:
    """The same faces with the voices of their takes, in the shipped fusion."""
    rows = {take: row for row, take in enumerate(voices.takes.tolist())}
    # a sequence of a take has that take's voice, whether it is there with audio or without
    of_voice = np.array([rows[take] for take in faces.takes.tolist()])

    def read(own: Rows, queried: Rows, n: int, by_rule: bool) -> NDArray[np.float64]:
        voice = voices.read(of_voice[own], of_voice[queried], n, by_rule)
        face = faces.read(own, queried, n, by_rule)
        strength = 1.0 if len(own) else 0.0
        if len(own) and by_rule:
            strength = OwnBaseline.of(faces.read(own[:0], own, 0, False), n).strength()
        pairs = zip(voice, face, strict=True)
        fused = [recognizer.baselines.fuse(Reading(*pair), strength).fused for pair in pairs]
        return np.array(fused)

    return Material("shipped fusion, actor 1", faces.labels, faces.speakers, faces.takes, read)


def of_nemo(recognizer: Recognizer, nemo: Path) -> Material:
    """The voices of nEMO by the shipped voice."""
    with (nemo / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    read = [recognizer.predict(nemo / row["path"]).voice for row in rows]
    clips = [(row, one) for row, one in zip(rows, read, strict=True) if one is not None]
    return Material(
        "shipped voice, nEMO",
        np.array([EMOTIONS.index(NEMO_NAMES.get(row["emotion"], row["emotion"])) for row, _ in clips]),
        np.array([row["speaker"] for row, _ in clips]),
        np.array([row["path"] for row, _ in clips]),
        alone(np.array([one for _, one in clips])),
    )


def figures(material: Material) -> dict[str, tuple[float, float] | float]:
    """Accuracy without a baseline, and the points that each draw adds: subtracted whole, and by the rule."""
    everyone = np.arange(len(material.labels))
    plain = material.right(everyone[:0], everyone, 0, by_rule=False)
    found: dict[str, tuple[float, float] | float] = {"plain": 100 * float(plain.mean())}
    by_mood = [_changes(material, plain, same_mood(material, mood)) for mood in material.emotions]
    by_pair = [
        _changes(material, plain, other_mood(material, mood, emotion))
        for mood in material.emotions
        for emotion in material.emotions
        if mood != emotion
    ]
    for name, changes in (("same mood", by_mood), ("other mood", by_pair)):
        worst = np.min([change for change in changes if change is not None], axis=0)
        found[name] = (worst[0], worst[1])
    for name in list(DRAWS)[2:]:
        change = _changes(material, plain, draws(material, name))
        if change is not None:
            found[name] = change
    return found


def _changes(
    material: Material, plain: NDArray[np.bool_], drawn: Iterator[tuple[Rows, Rows, int]]
) -> tuple[float, float] | None:
    total, right, before = 0, np.zeros(2), 0
    for own, queried, n in drawn:
        total += len(queried)
        before += int(plain[queried].sum())
        right += [material.right(own, queried, n, rule).sum() for rule in (False, True)]
    if not total:
        return None
    whole, by_rule = 100 * (right - before) / total
    return float(whole), float(by_rule)


def same_mood(material: Material, emotion: int) -> Iterator[tuple[Rows, Rows, int]]:
    """Clips of an emotion, read against eight others of it.

    Where a person has no more than eight takes, against all but one, which then count for eight.
    """
    rng = np.random.default_rng(int(emotion))
    for rows in _people(material).values():
        own = rows[material.labels[rows] == emotion]
        if len(np.unique(material.takes[own])) > 2 * N_CLIPS:
            for _ in range(N_DRAWS):
                chosen = rng.permutation(own)[:N_CLIPS]
                yield chosen, np.setdiff1d(own, chosen), N_CLIPS
            continue
        for take in np.unique(material.takes[own]):
            left_out = material.takes[own] == take
            if not left_out.all():
                yield own[~left_out], own[left_out], N_CLIPS


def other_mood(material: Material, mood: int, emotion: int) -> Iterator[tuple[Rows, Rows, int]]:
    """Clips of an emotion, read against eight of another."""
    rng = np.random.default_rng((int(mood), int(emotion)))
    for rows in _people(material).values():
        own, queried = (rows[material.labels[rows] == one] for one in (mood, emotion))
        for _ in range(N_DRAWS if len(own) > N_CLIPS else 1):
            yield rng.permutation(own)[:N_CLIPS], queried, N_CLIPS


def draws(material: Material, name: str) -> Iterator[tuple[Rows, Rows, int]]:
    """Clips of a baseline and the other takes of the same person, drawn ``N_DRAWS`` times."""
    rng = np.random.default_rng(len(name))
    for rows in _people(material).values():
        if name == "all others":
            for take in np.unique(material.takes[rows]):
                own = rows[material.takes[rows] != take]
                yield own, np.setdiff1d(rows, own), len(own)
            continue
        for _ in range(N_DRAWS):
            own = _draw(material, rows, name, rng)
            queried = rows[~np.isin(material.takes[rows], material.takes[own])]
            if len(own) and len(queried):
                yield own, queried, len(own)


def _draw(material: Material, rows: Rows, name: str, rng: np.random.Generator) -> Rows:
    mixed: Rows = rng.permutation(rows)
    emotions = rng.permutation(np.unique(material.labels[rows]))
    of: list[Rows] = [mixed[material.labels[mixed] == one] for one in emotions]
    if name == "one mood":
        return of[0][:N_CLIPS]
    if name == "two moods":
        return np.concatenate([of[0][:4], of[1][:4]])
    if name == "six of one, two others":
        return np.concatenate([of[0][:6], mixed[material.labels[mixed] != emotions[0]][:2]])
    n_clips = int(name.split(maxsplit=1)[0])
    return np.asarray(mixed[:n_clips])


def _people(material: Material) -> Mapping[str, Rows]:
    names = np.unique(material.speakers).tolist()
    return {who: np.flatnonzero(material.speakers == who) for who in names}


def as_table(found: Mapping[str, Mapping[str, tuple[float, float] | float]]) -> str:
    """Markdown: a row per draw, a column per material."""
    lines = [
        f"| baseline made of | {' | '.join(found)} |",
        "|---" * (len(found) + 1) + "|",
        "| none: accuracy, % | " + " | ".join(f"{one['plain']:.1f}" for one in found.values()) + " |",
    ]
    for name, text in DRAWS.items():
        cells = [_cell(one.get(name)) for one in found.values()]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(change: tuple[float, float] | float | None) -> str:
    if not isinstance(change, tuple):
        return "–"
    return " / ".join(f"{value:+.1f}".replace("-", "−").replace("+0.0", "0.0") for value in change)


if __name__ == "__main__":
    main()

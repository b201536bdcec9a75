"""What a person's own baseline gains and costs, by the clips it is made of: a table in docs/enrollment.md.

    python benchmarks/own_baseline.py --ravdess DIR --nemo DIR --unheard EMODB --work WORK

Read are, by the recognizer that comes with emofuse and by networks of its recipe that had not seen the
speaker: the voices of RAVDESS and nEMO, on which it was trained; voices of corpora that it never heard, by
itself; and the face sequences of RAVDESS' actor 1, alone and with his voice. A baseline is made of some clips
of a person, and the other takes of that person are read against it. Fits the voice's networks in the folder
WORK: ten minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emofuse import Recognizer
from emofuse.core.labels import EMOTIONS, emotion_index
from emofuse.core.recipes.load import load_recipe
from emofuse.core.records import Features
from emofuse.corpus.load import load_corpora, load_corpus
from emofuse.corpus.ravdess import parse_name
from emofuse.features.own_baseline import Modality, OwnBaseline, Reading
from emofuse.features.store import FeatureStore
from emofuse.training.plan import make_plan
from emofuse.training.resources import Resources
from emofuse.training.ship.check import read_stacks
from emofuse.training.ship.voice import fit_voice, held_out_readings, read_voices, voiced_takes

BEGIN, END = "<!-- made by benchmarks/own_baseline.py -->", "<!-- end -->"
N_DRAWS = 20
N_CLIPS = 8
N_RESAMPLES = 2000
NEUTRAL, CALM = emotion_index("neutral"), emotion_index("calm")
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


def alone(probabilities: NDArray[np.float64], modality: Modality, recognizer: Recognizer) -> Reader:
    """One modality."""

    def read(own: Rows, queried: Rows, n: int, by_rule: bool) -> NDArray[np.float64]:
        if not len(own):
            return probabilities[queried]
        baseline = OwnBaseline.of(probabilities[own], n)
        strength = recognizer.baselines.strengths({modality: baseline})[modality] if by_rule else 1.0
        return baseline.subtract(probabilities[queried], strength)

    return read


def main() -> None:
    """Read everything, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ravdess", type=Path, required=True, help="with faces/Actor_01.npz")
    parser.add_argument("--nemo", type=Path, required=True)
    parser.add_argument("--unheard", type=Path, nargs="*", default=[], help="corpora not trained on")
    parser.add_argument("--work", type=Path, required=True, help="folder of the networks; kept")
    parser.add_argument("--cache", type=Path, help="folder of stored features")
    parser.add_argument("--docs", type=Path, help="the page that has the table; default: print it")
    given = parser.parse_args()
    recognizer = Recognizer.load()
    store = None if given.cache is None else FeatureStore(given.cache)
    voices = list(of_held_out_voices(recognizer, [given.ravdess, given.nemo], given.work, store))
    unheard = [of_unheard_voices(recognizer, folder) for folder in given.unheard]
    faces = of_faces(recognizer, given.ravdess)
    both = [of_both(recognizer, voices[0], faces, own) for own in (False, True)]
    materials = [*voices, *unheard, faces, *both]
    table = as_table({one.name: figures(one) for one in materials})
    table += "\n" + as_recalls({one.name: recalls(one) for one in (*voices, *unheard)})
    if given.docs is None:
        sys.stdout.write(table)
        return
    text = given.docs.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    given.docs.write_text(f"{before}{BEGIN}\n{table}{END}{rest.partition(END)[2]}", encoding="utf-8")


def of_held_out_voices(
    recognizer: Recognizer, corpora: Sequence[Path], work: Path, store: FeatureStore | None
) -> Iterator[Material]:
    """The voices that the shipped voice was trained on, by networks that had not seen the speaker."""
    corpus, recipe = load_corpora(corpora), load_recipe("out-of-the-box")
    resources = Resources(store=store)
    inputs = read_voices(corpus, recipe, work, resources)
    plan = make_plan("all", inputs, np.arange(len(inputs.labels)).tolist(), (), recipe)
    fit_voice(plan, inputs, recipe, work, resources)
    rows, logs = held_out_readings(plan, work)
    takes = np.array([take.take for take in voiced_takes(corpus)])[rows]
    labels, speakers = inputs.labels[rows], inputs.speakers[rows]
    parts = np.array([inputs.corpora[speaker] for speaker in speakers.tolist()])
    for part in dict.fromkeys(inputs.corpora.values()):
        own = parts == part
        read = alone(np.exp(logs[own].astype(np.float64)), "voice", recognizer)
        yield Material(f"voice, {part}", labels[own], speakers[own], takes[own], read)


def of_unheard_voices(recognizer: Recognizer, folder: Path) -> Material:
    """The voices of a corpus that nothing was trained on, by the shipped voice."""
    takes = voiced_takes(load_corpus(folder))
    read = [recognizer.predict(take.voice.path).voice for take in takes if take.voice is not None]
    clips = [(take, one) for take, one in zip(takes, read, strict=True) if one is not None]
    return Material(
        f"voice, {load_corpus(folder).name}",
        np.array([emotion_index(str(take.emotion)) for take, _ in clips]),
        np.array([take.speaker for take, _ in clips]),
        np.array([take.take for take, _ in clips]),
        alone(np.array([one for _, one in clips]), "voice", recognizer),
    )


def of_faces(recognizer: Recognizer, ravdess: Path) -> Material:
    """The face sequences of actor 1 by the shipped face."""
    stacks = read_stacks(ravdess / "faces" / "Actor_01.npz", recognizer.recipe.face.features)
    names = [parse_name(name) for name in stacks]
    read = [
        recognizer.predict_features(Features(None, stack, voice_missing="left out")).face
        for stack in stacks.values()
    ]
    return Material(
        "face, actor 1",
        np.array([EMOTIONS.index(one.emotion) for one in names]),
        np.array(["01"] * len(names)),
        np.array([one.take for one in names]),
        alone(np.array(read), "face", recognizer),
    )


def of_both(recognizer: Recognizer, voices: Material, faces: Material, own_voice: bool) -> Material:
    """The same faces with the voices of their takes, in the shipped fusion.

    Args:
        recognizer: the shipped one.
        voices: of RAVDESS.
        faces: of actor 1.
        own_voice: whether the voice is read against its own baseline as well.
    """
    rows = {take.rpartition(":")[2]: row for row, take in enumerate(voices.takes.tolist())}
    # a sequence of a take has that take's voice, whether it is there with audio or without
    of_voice = np.array([rows[take] for take in faces.takes.tolist()])

    def read(own: Rows, queried: Rows, n: int, by_rule: bool) -> NDArray[np.float64]:
        voice = voices.read(of_voice[own] if own_voice else own[:0], of_voice[queried], n, by_rule)
        face = faces.read(own, queried, n, by_rule)
        strength = 1.0 if len(own) else 0.0
        if len(own) and by_rule:
            baseline = OwnBaseline.of(faces.read(own[:0], own, 0, False), n)
            strength = recognizer.baselines.strengths({"face": baseline})["face"]
        pairs = zip(voice, face, strict=True)
        fused = [recognizer.baselines.fuse(Reading(*pair), strength).fused for pair in pairs]
        return np.array(fused)

    which = "both own" if own_voice else "face own"
    return Material(f"fused, actor 1, {which}", faces.labels, faces.speakers, faces.takes, read)


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


def recalls(material: Material) -> list[tuple[float, float, float]]:
    """Mean recall over the corpus' emotions: without a profile, with one of eight clips at random, the gain.

    Calm counts as neutral where the corpus has no calm.

    Returns:
        Each in %, with a 95 % interval over speakers.
    """
    emotions = material.emotions
    hits = np.zeros((2, len(np.unique(material.speakers)), len(emotions)))
    clips = np.zeros(hits.shape[1:])
    numbers = {who: number for number, who in enumerate(np.unique(material.speakers).tolist())}
    for own, queried, n in draws(material, "8 mixed"):
        who = numbers[material.speakers[own[0]]]
        for way, clips_of in enumerate((own[:0], own)):
            probabilities = material.read(clips_of, queried, n, True).copy()
            if CALM not in emotions:
                probabilities[:, NEUTRAL] += probabilities[:, CALM]
            right = emotions[probabilities[:, emotions].argmax(axis=1)] == material.labels[queried]
            for number, emotion in enumerate(emotions):
                hits[way, who, number] += right[material.labels[queried] == emotion].sum()
        for number, emotion in enumerate(emotions):
            clips[who, number] += (material.labels[queried] == emotion).sum()
    people = np.arange(len(clips))
    rng = np.random.default_rng(0)
    resampled = [rng.choice(people, len(people)) for _ in range(N_RESAMPLES)]

    def mean_recalls(who: Rows) -> NDArray[np.float64]:
        by_way = (hits[:, who].sum(axis=1) / clips[who].sum(axis=0)).mean(axis=1)
        return 100 * np.append(by_way, by_way[1] - by_way[0])

    found = mean_recalls(people)
    low, high = np.percentile([mean_recalls(who) for who in resampled], (2.5, 97.5), axis=0)
    return [(float(a), float(b), float(c)) for a, b, c in zip(found, low, high, strict=True)]


def as_recalls(found: Mapping[str, list[tuple[float, float, float]]]) -> str:
    """Markdown: a row per corpus."""
    lines = ["| mean recall, % | without | with a profile of 8 clips | gain |", "|---" * 4 + "|"]
    for name, figures_of in found.items():
        cells = [
            f"{value:.1f} ({low:.1f} to {high:.1f})".replace("-", "−") for value, low, high in figures_of
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


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

"""How well the bridge reads an enrolled person: RAVDESS' actor 1, with a recognizer trained without him.

    emofuse train OTHERS --recipe ravdess-ensemble --out BUNDLE
    python benchmarks/bridge.py --ravdess DIR --bundle BUNDLE

OTHERS is RAVDESS without Actor_01, with openface_au_mean.csv. DIR also holds faces/Actor_01.npz (``codes``
and ``frames``: 20 gray frames of 96×96 of each video of statement 1, cut to the face) and
video/Actor_01/*.mp4. The audio-video and the video-only file of a take show the same performance, so a take's
clips are never in the profile that it is read with, and intervals are over takes. The voice of a sequence is
that of its take's audio file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse import Prediction, Recognizer
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Features, Recording, TimedFrames
from emofuse.features.extraction import extract
from emofuse.features.face.action_units import read_action_units
from emofuse.features.profile import Profile
from emofuse.recognition.bridged_face import face_reading

SIDE_PX, MARGIN_PX = 192, 96
"""Frames of sequences are enlarged to this, with a margin of their outermost pixels: cut to the face, they
give other blendshapes than the videos of the same takes (0.044 root mean square, with the margin 0.026)."""
N_DRAWS, FEW = 10, 8
N_RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class Clip:
    """What is read of one clip: its features with the face over the bridge, and from the table."""

    take: str
    bridge: Features
    table: Features

    @property
    def truth(self) -> str:
        """The emotion that is acted, from the code of the take."""
        return EMOTIONS[int(self.take[3:5]) - 1]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ravdess", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="trained without actor 1")
    given = parser.parse_args()
    recognizer = Recognizer.load(given.bundle)
    if "01" in recognizer.bundle.provenance["speakers"]:
        parser.error(f"{given.bundle} was trained on actor 1 as well")
    clips = read_sequences(recognizer, given.ravdess)
    print(
        f"{len(clips)} sequences of {len({clip.take for clip in clips})} takes, correct (%, 95 % interval)\n"
    )
    print("| profile | voice | face | fused |\n| --- | --- | --- | --- |")
    print(row("none", clips, [recognizer.predict_features(voice_of(clip)) for clip in clips]))
    for name, source in (("bridge", "bridge"), ("OpenFace's table", "table")):
        print(row(f"all other takes, {name}", clips, predicted(recognizer, clips, source, None)))
        few = [predicted(recognizer, clips, source, draw) for draw in range(N_DRAWS)]
        print(
            row(f"{FEW} clips of other takes, {name}", clips * N_DRAWS, [one for draw in few for one in draw])
        )
    print_films(recognizer, sorted((given.ravdess / "video" / "Actor_01").glob("*.mp4")))


def read_sequences(recognizer: Recognizer, root: Path) -> list[Clip]:
    """Every sequence of actor 1, with the voice of its take."""
    table = read_action_units(root / "openface_au_mean.csv").in_order(recognizer.bundle.action_units)
    reading = face_reading(recognizer.bundle, None, profile=None, enrolling=True)
    if not reading.units:
        raise SystemExit(reading.note)
    faces, voices = np.load(root / "faces" / "Actor_01.npz"), {}
    clips = []
    for code, frames in zip(faces["codes"].tolist(), faces["frames"], strict=True):
        take = code[3:]
        if take not in voices:
            path = next((root / "audio" / "Actor_01").glob(f"03-{take}.*"))
            voices[take] = extract(path, recognizer.recipe, face=False).voice
        images = tuple(map(framed, frames))
        shown = Recording(frames=TimedFrames(images, np.arange(len(images)) / 6, len(images)))
        face = extract(shown, reading.recipe, voice=False)
        read = reading.finished(replace(face, voice=voices[take], voice_missing=None))
        tabled = Features(voices[take], table.row(take))
        clips.append(Clip(take, read, tabled))
    return clips


def framed(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame in which the face is not cut off."""
    large = cv2.resize(face, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    margins = (MARGIN_PX,) * 4
    return np.asarray(cv2.copyMakeBorder(large, *margins, cv2.BORDER_REPLICATE), dtype=np.uint8)


def voice_of(clip: Clip) -> Features:
    """Its voice alone."""
    return Features(clip.table.voice, None, face_missing="not asked for")


def predicted(
    recognizer: Recognizer, clips: Sequence[Clip], source: str, draw: int | None
) -> list[Prediction]:
    """Each clip with a profile of clips of other takes: all of them, or a few that a draw chooses."""
    found = []
    for index, clip in enumerate(clips):
        others = [other for other in clips if other.take != clip.take]
        if draw is not None:
            takes = sorted({other.take for other in others})
            chosen = np.random.default_rng([SEED, draw, index]).choice(takes, FEW, replace=False).tolist()
            others = [next(one for one in others if one.take == take) for take in chosen]
        profile = enrolled(recognizer, [getattr(other, source) for other in others])
        found.append(recognizer.predict_features(getattr(clip, source), profile=profile))
    return found


def enrolled(recognizer: Recognizer, features: Sequence[Features]) -> Profile:
    """The profile that :meth:`Recognizer.enroll` makes of recordings with these features."""
    return recognizer._model.enrolled.profile(features, ())


def row(name: str, clips: Sequence[Clip], predictions: Sequence[Prediction]) -> str:
    """Voice, face and fused as a row of a table."""
    takes = np.array([clip.take for clip in clips])
    cells = []
    for part in ("voice", "face", "probabilities"):
        outputs = [getattr(one, part) for one in predictions]
        if any(output is None for output in outputs):
            cells.append("–")
            continue
        right = np.array(
            [EMOTIONS[int(np.argmax(p))] == clip.truth for p, clip in zip(outputs, clips, strict=True)]
        )
        cells.append(f"{100 * right.mean():.1f} ({interval(right, takes)})")
    return f"| {name} | {' | '.join(cells)} |"


def interval(right: NDArray[np.bool_], takes: NDArray[np.str_]) -> str:
    """95 % of the accuracies of takes drawn with replacement."""
    names = np.unique(takes)
    shares = np.array([right[takes == name].mean() for name in names])
    draws = np.random.default_rng(SEED).integers(len(names), size=(N_RESAMPLES, len(names)))
    low, high = np.percentile(shares[draws].mean(axis=1), [2.5, 97.5])
    return f"{100 * low:.0f} to {100 * high:.0f}"


def print_films(recognizer: Recognizer, films: Sequence[Path]) -> None:
    """The videos themselves, each with a profile of those of other takes."""
    print("\n| film | acted | voice | face | fused |\n| --- | --- | --- | --- | --- |")
    for film in films:
        take = film.stem[3:]
        profile = recognizer.enroll([other for other in films if other.stem[3:] != take])
        found = recognizer.predict(film, profile=profile)
        parts = (found.voice, found.face, found.probabilities)
        cells = ["–" if p is None else EMOTIONS[int(np.argmax(p))] for p in parts]
        print(f"| {film.stem} | {EMOTIONS[int(take[3:5]) - 1]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

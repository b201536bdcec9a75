"""What emofuse's own recognizer reads in the faces that fer_faces.py describes, without the voice.

    python benchmarks/peers/faces.py ravdess --out benchmarks/peers/results/faces-emofuse.csv

The face network that comes with emofuse was trained on FER2013 and has not seen RAVDESS. It has calm, which
the other tools do not: page.py counts what it gives calm as neutral, and also leaves it out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.peers.fer_faces import Row, write_rows
from emofuse import Recognizer
from emofuse.core.records import Features
from emofuse.training.ship.check import read_stacks


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ravdess", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    recognizer = Recognizer.load()
    write_rows(given.out, rows_of(recognizer, given.ravdess), recognizer.emotions)


def rows_of(recognizer: Recognizer, ravdess: Path) -> Iterator[Row]:
    """All three materials."""
    stacks = read_stacks(ravdess / "faces" / "Actor_01.npz", recognizer.recipe.face.features)
    for name, stack in stacks.items():
        found = recognizer.predict_features(Features(None, stack, voice_missing="left out"))
        yield "sequence", name, named(found.face, recognizer.emotions)
    for path in sorted((ravdess / "video").rglob("*.mp4")):
        yield "video", path.stem, named(recognizer.predict(path).face, recognizer.emotions)
    for path in sorted((ravdess / "stills").glob("*.png")):
        picture = cv2.imread(str(path))
        found = recognizer.predict(frames=np.asarray(picture)[None], frame_times_s=[0.0], colour="bgr")
        yield "still", path.stem, named(found.face, recognizer.emotions)


def named(probabilities: NDArray[np.float64] | None, emotions: tuple[str, ...]) -> dict[str, float] | None:
    """Probabilities by label; None stays None."""
    if probabilities is None:
        return None
    return dict(zip(emotions, probabilities.tolist(), strict=True))


if __name__ == "__main__":
    main()

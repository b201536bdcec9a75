"""What the package fer reads in faces of RAVDESS. Runs in fer's own environment.

    python benchmarks/peers/fer_faces.py ravdess --out benchmarks/peers/results/faces-fer.csv

Three materials: ``sequence``, the 20 gray face frames of each clip in faces/Actor_01.npz, given to the
network as whole faces; ``video``, 20 frames spread evenly over each clip of video/, in which fer searches the
face by its default detector; ``still``, the pictures of stills/, searched the same way. Of several frames the
mean of the probabilities counts. A row each; a row without numbers has no face.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

LABELS = {
    "neutral": "neutral", "happy": "happy", "sad": "sad", "angry": "angry", "fear": "fearful",
    "disgust": "disgust", "surprise": "surprised",
}  # fmt: skip
"""fer's seven → RAVDESS's; calm it does not have."""
N_FRAMES = 20
MARGIN = 10
"""fer reads this many pixels beyond each side of the box that it is given."""

Row = tuple[str, str, dict[str, float] | None]
"""Material, name, and probabilities by RAVDESS's label."""


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ravdess", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    from fer.fer import FER

    write_rows(given.out, rows_of(FER(), given.ravdess))


def rows_of(network: Any, ravdess: Path) -> Iterator[Row]:
    """All three materials."""
    import cv2

    arrays = np.load(ravdess / "faces" / "Actor_01.npz", allow_pickle=False)
    for code, stack in zip(arrays["codes"].tolist(), arrays["frames"], strict=True):
        faces = (cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) for frame in stack)
        box = inner_box(*stack.shape[1:])
        yield "sequence", Path(str(code)).stem, mean_of(found(network, face, [box]) for face in faces)
    for path in sorted((ravdess / "video").rglob("*.mp4")):
        yield "video", path.stem, mean_of(found(network, frame) for frame in spread_frames(path))
    for path in sorted((ravdess / "stills").glob("*.png")):
        yield "still", path.stem, mean_of([found(network, cv2.imread(str(path)))])


def inner_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, width, height of the box that fer widens to the whole picture."""
    return MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN


def found(network: Any, picture: Any, boxes: Any = None) -> dict[str, float] | None:
    """fer's probabilities of the largest face by RAVDESS's label; None: it found no face."""
    faces = network.detect_emotions(picture, face_rectangles=boxes)
    if not faces:
        return None
    largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
    return renamed(largest["emotions"])


def renamed(emotions: Mapping[str, float]) -> dict[str, float]:
    """By RAVDESS's labels; fer rounds to two digits, so that the sum may differ from 1."""
    total = sum(emotions.values())
    return {LABELS[name]: float(value) / total for name, value in emotions.items()}


def mean_of(frames: Iterable[dict[str, float] | None]) -> dict[str, float] | None:
    """The mean over frames with a face; None: there is none."""
    seen = [frame for frame in frames if frame is not None]
    if not seen:
        return None
    return {name: sum(frame[name] for frame in seen) / len(seen) for name in seen[0]}


def spread_frames(path: Path) -> list[Any]:
    """N_FRAMES frames spread evenly over those that OpenCV decodes."""
    import cv2

    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        more, frame = video.read()
        if not more:
            break
        frames.append(frame)
    return [frames[number] for number in np.linspace(0, len(frames) - 1, N_FRAMES).round().astype(int)]


def write_rows(out: Path, rows: Iterable[Row], labels: tuple[str, ...] = tuple(LABELS.values())) -> None:
    """A row per material and name."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["material", "name", *labels])
        for material, name, probabilities in rows:
            shown = [""] * len(labels)
            if probabilities is not None:
                shown = [f"{probabilities[label]:.5f}" for label in labels]
            writer.writerow([material, name, *shown])


if __name__ == "__main__":
    main()

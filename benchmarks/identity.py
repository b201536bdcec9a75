"""How far faces of one person and of different people are apart: RAVDESS' films of actor 1, and its stills.

    python benchmarks/identity.py RAVDESS

RAVDESS holds stills/Actor_01.png to Actor_24.png (one neutral frame of each actor) and video/Actor_01/*.mp4.
Needs the extra [identity], or its two files in the weights folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.features.face.enrolled_face import enrolled_face
from emofuse.features.face.identity import SAME_PERSON, FaceEmbedder, cut_patch, load_embedder
from emofuse.features.face.reidentification import Reidentifier
from emofuse.features.face.tracker import FaceTracker
from emofuse.media.file_stream import open_stream
from emofuse.media.frame_sampling import Frame

N_FRAMES = 80
FRAMES_PER_S = 4.0
N_SHOWN = 5
"""Frames that each still is shown for in the film of them."""
Float32 = NDArray[np.float32]


def main() -> None:
    """Embed, and print what is how far from what."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ravdess", type=Path)
    folder = parser.parse_args().ravdess
    embedder = load_embedder()
    pictures = [frame_of(path) for path in sorted((folder / "stills").glob("*.png"))]
    stills = np.concatenate([faces_in([one, one], embedder)[:1] for one in pictures])
    between = np.linalg.norm(stills[:, None] - stills[None], axis=2)[np.triu_indices(len(stills), 1)]
    print(f"stills of {len(stills)} people: the nearest two are {between.min():.2f} apart")
    films = sorted((folder / "video" / "Actor_01").glob("*.mp4"))
    faces = np.concatenate([faces_in(frames_of(film), embedder) for film in films])
    chosen = faces[np.random.default_rng(0).choice(len(faces), N_FRAMES, replace=False)]
    distances = np.linalg.norm(chosen[:, None] - stills[None], axis=2)
    right = int(((distances.argmin(axis=1) == 0) & (distances[:, 0] < SAME_PERSON)).sum())
    print(
        f"{right} of {N_FRAMES} frames of actor 1's films are nearest to his still, and nearer than "
        f"{SAME_PERSON}: at most {distances[:, 0].max():.2f}; other stills: at least "
        f"{distances[:, 1:].min():.2f}"
    )
    profile = enrolled_face(films)
    to_stills = np.linalg.norm(stills - profile.embedding, axis=1)
    print(
        f"his profile ({profile.n_faces} faces): {to_stills[0]:.2f} from his still, at least "
        f"{to_stills[1:].min():.2f} from the others"
    )
    for name, reidentifier in (("embeddings", Reidentifier(embedder)), ("appearance", None)):
        print(f"a film of the stills, by {name}: {n_people(pictures, reidentifier)} people")


def frame_of(path: Path) -> Frame:
    """A picture as a frame."""
    image = np.asarray(cv2.imread(str(path)), np.uint8)
    return Frame(0.0, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8), image)


def frames_of(film: Path) -> list[Frame]:
    """Frames at regular times."""
    with open_stream(film, audio=False, frames_per_s=FRAMES_PER_S) as stream:
        return [part for part in stream if isinstance(part, Frame)]


def faces_in(frames: list[Frame], embedder: FaceEmbedder) -> Float32:
    """(n, 128) the embeddings of the faces in some frames of one person."""
    tracker, found = FaceTracker(), []
    for frame in frames:
        for face in tracker.update(frame):
            patch = cut_patch(frame, face.box) if face.time_s == frame.time_s else None
            if patch is not None:
                found.append(embedder.embed(patch))
    return np.stack(found)


def n_people(pictures: list[Frame], reidentifier: Reidentifier | None) -> int:
    """The people in a film of the pictures, one after the other."""
    tracker, rng, people = FaceTracker(reidentifier=reidentifier), np.random.default_rng(0), set()
    for i in range(len(pictures) * N_SHOWN):
        picture = pictures[i // N_SHOWN].small
        small = np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
        gray = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        people |= {face.person for face in tracker.update(Frame(i / 5, gray, small))}
    return len(people)


if __name__ == "__main__":
    main()

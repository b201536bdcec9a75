"""Face extraction, compared with the notebooks' algorithm and with decoding alone.

    python benchmarks/face_extraction.py VIDEO... [--repeats N] [--threads N]

Times are medians over repeats, alternating between the methods; ratios are within one run, so that other
load slows all of them. The notebooks' algorithm: OpenCV seeks to each of 20 frames, dlib searches the central
square at full size, the box of the first face is resized to 48×48.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import dlib
import numpy as np

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import FaceTrack
from emofuse.features.face.clip_track import track_face
from emofuse.media.decoding import decode

FEATURES = FaceFeatures()
DETECTOR = dlib.get_frontal_face_detector()


def notebooks(path: Path) -> list[tuple[int, int, int, int] | None]:
    """The box of each of 20 frames, left, top, right, bottom in pixels of the central square."""
    capture = cv2.VideoCapture(str(path))
    n_frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    boxes: list[tuple[int, int, int, int] | None] = []
    for index in np.linspace(0, n_frames - 1, FEATURES.n_frames).astype(int):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        read, image = capture.read()
        if not read:
            boxes.append(None)
            continue
        gray = cv2.cvtColor(central_square(image), cv2.COLOR_BGR2GRAY)
        box = full_size_box(gray)
        if box is not None:
            cv2.resize(gray[max(box[1], 0) : box[3], max(box[0], 0) : box[2]], (48, 48))
        boxes.append(box)
    capture.release()
    return boxes


def central_square(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def full_size_box(gray: np.ndarray) -> tuple[int, int, int, int] | None:
    faces = DETECTOR(gray, 0)
    if not faces:
        return None
    face = max(faces, key=lambda rect: rect.area())
    return face.left(), face.top(), face.right() + 1, face.bottom() + 1


def ours(path: Path, threads: int) -> FaceTrack:
    """emofuse's algorithm: file → 20×48×48."""
    media = decode(path, audio=False, n_frames=FEATURES.n_frames, square=True, threads=threads)
    assert media.frames is not None
    track = track_face(media.frames, FEATURES)
    assert isinstance(track, FaceTrack), f"{path}: {track}"
    return track


def decode_only(path: Path, threads: int) -> int:
    """Decode every frame and discard it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        return sum(1 for _ in container.decode(stream))


def box_differences(path: Path, track: FaceTrack) -> list[int]:
    """Largest difference of an edge, per frame, to a full-size search of exactly the same frames."""
    media = decode(path, audio=False, n_frames=FEATURES.n_frames, square=True)
    assert media.frames is not None
    out = []
    for image, box in zip(media.frames.images, track.boxes, strict=True):
        full = full_size_box(image)
        if full is not None:
            out.append(int(np.abs(np.subtract(full, box)).max()))
    return out


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()

    differences = [d for path in args.videos for d in box_differences(path, ours(path, 1))]
    found = sum(int(ours(path, 1).found.sum()) for path in args.videos)
    print(f"{len(args.videos)} clips, {args.repeats} repeats, medians summed over the clips")
    print(
        f"{'threads':>7} {'notebooks s':>12} {'decode s':>9} {'ours s':>7} "
        f"{'notebooks/ours':>15} {'ours/decode':>12}"
    )
    for threads in args.threads:
        cv2.setNumThreads(threads)
        totals = np.zeros(3)
        for path in args.videos:
            ways = (
                lambda path=path: notebooks(path),
                lambda path=path: decode_only(path, threads),  # noqa: B023 - called in this turn of the loop
                lambda path=path: ours(path, threads),  # noqa: B023
            )
            rounds = [[timed(way) for way in ways] for _ in range(args.repeats)]
            totals += [statistics.median(column) for column in zip(*rounds, strict=True)]
        old, plain, new = totals
        print(
            f"{threads:>7} {old:>12.2f} {plain:>9.2f} {new:>7.2f} {old / new:>14.1f}x {new / plain:>11.2f}x"
        )
    print(f"faces found: {found} of {FEATURES.n_frames * len(args.videos)} frames")
    print(
        f"boxes against a full-size search of the same frames: median {np.median(differences):.0f} px, "
        f"largest {max(differences)} px, of {len(differences)}"
    )


if __name__ == "__main__":
    main()

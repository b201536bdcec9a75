"""Make recordings for the commands of these pages from a synthetic corpus.

    python docs/material.py conversation toy talk.mp4   two synthetic people side by side in a conversation
    python docs/material.py units toy                   a table of action units in the folder of the corpus

``toy`` is what ``emofuse corpus synth toy --actors 2 --takes 1`` makes.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from emofuse.core.records import UInt8
from emofuse.corpus.corpus import SYNTHETIC_MARK
from emofuse.corpus.ravdess import parse_name
from emofuse.corpus.synthetic import clip

TURNS = ("happy", "sad", "angry", "surprised", "calm", "fearful")
"""The emotion of each turn; the first person starts."""
PANEL = (480, 540)
"""Width and height of each person's half of the frame."""
RATE = 48_000

UNITS = {
    "AU01_r": "brow_inner", "AU02_r": "brow_outer", "AU04_r": "brow_lower", "AU05_r": "lids",
    "AU06_r": "squint", "AU09_r": "upper_lip", "AU12_r": "corners", "AU15_r": "-corners",
    "AU20_r": "mouth_width", "AU23_r": "press", "AU26_r": "mouth_open",
}  # fmt: skip
"""OpenFace's columns, and the part of a drawn face that corresponds to each."""


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    talk = kinds.add_parser("conversation")
    talk.add_argument("corpus", type=Path)
    talk.add_argument("out", type=Path)
    kinds.add_parser("units").add_argument("corpus", type=Path)
    given = parser.parse_args()
    if given.kind == "conversation":
        conversation(given.corpus, given.out)
        print(f"wrote {given.out}")
    else:
        print(f"wrote {units(given.corpus)}")


def conversation(corpus: Path, out: Path) -> None:
    """Two people of the corpus side by side, who speak in turns; the other one is still."""
    folders = sorted(corpus.glob("Actor_*"))[:2]
    videos = [sorted(folder.glob("01-*.mp4")) for folder in folders]
    acted = [{parse_name(source.stem, n_actors=99).emotion: source for source in of_one} for of_one in videos]
    shown = [next(_frames(of_one[TURNS[turn]])) for turn, of_one in enumerate(acted)]
    with av.open(str(out), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=clip.FRAME_RATE)
        video.width, video.height, video.pix_fmt = 2 * PANEL[0], PANEL[1], "yuv420p"
        video.options = {"preset": "superfast", "crf": "23"}
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        n_frames, n_samples = 0, 0
        for turn, emotion in enumerate(TURNS):
            source = acted[turn % 2][emotion]
            for image in _frames(source):
                shown[turn % 2] = image
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.hstack(shown)), format="bgr24")
                frame.pts, frame.time_base = n_frames, 1 / clip.FRAME_RATE
                n_frames += 1
                file.mux(video.encode(frame))
            samples = _samples(source)
            until = round(n_frames * RATE / clip.FRAME_RATE)
            samples = np.pad(samples, (0, max(0, until - n_samples - len(samples))))[: until - n_samples]
            for start in range(0, len(samples), 1024):
                block = np.ascontiguousarray(samples[None, start : start + 1024])
                chunk = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                chunk.sample_rate, chunk.pts, chunk.time_base = RATE, n_samples + start, Fraction(1, RATE)
                file.mux(audio.encode(chunk))
            n_samples = until
        file.mux(video.encode(None))
        file.mux(audio.encode(None))


def _frames(source: Path) -> Iterator[UInt8]:
    """The center of every frame, in the size of a panel."""
    with av.open(str(source)) as file:
        for frame in file.decode(video=0):
            width = frame.width * PANEL[1] // frame.height
            image = frame.reformat(width, PANEL[1], format="bgr24").to_ndarray()
            left = (width - PANEL[0]) // 2
            yield image[:, left : left + PANEL[0]]


def _samples(source: Path) -> np.ndarray:
    """(n,) float32."""
    with av.open(str(source)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]).astype(np.float32)


def units(corpus: Path) -> Path:
    """Write the table ``openface_au_mean.csv``: the intensity of each action unit of each clip, 0 to 5.

    It is computed from the parameters with which the faces were drawn.
    """
    seed = json.loads((corpus / SYNTHETIC_MARK).read_text(encoding="utf-8"))["seed"]
    table = corpus / "openface_au_mean.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["code", *UNITS])
        for source in sorted(corpus.glob("Actor_*/01-*.mp4")):
            _, _, emotion, intensity, statement, repetition, actor = map(int, source.stem.split("-"))
            take = clip.TakeCode(emotion, intensity, statement, repetition, actor)
            poses = clip.face_poses(seed, take, clip.take_speech(seed, take))
            row = []
            for part in UNITS.values():
                moved = np.array([getattr(pose.expression, part.lstrip("-")) for pose in poses])
                row.append(float(np.clip(3 * (-moved if part.startswith("-") else moved), 0, 5).mean()))
            writer.writerow([source.stem, *(f"{value:.4f}" for value in row)])
    return table


if __name__ == "__main__":
    main()

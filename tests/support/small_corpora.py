"""Small corpora, with RAVDESS names, on which networks train in seconds."""

from __future__ import annotations

import csv
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core.labels import EMOTIONS

RATE = 16000
TABLE = "openface_au_mean.csv"
ACTION_UNITS = ("AU01_r", "AU02_r", "AU04_r", "AU06_r", "AU12_r", "AU25_c")

VOICE = """
[voice.features]
duration_s = 1.0
n_mels = 32
hop_length = 400

[voice.network]
channels = [4]
functionals = false
hidden = 8
n_features = 12

[voice.training]
epochs = 2
batch_size = 8
"""

AU_RECIPE = (
    """
extends = "ravdess-au"
name = "small-au"
seed = 3
"""
    + VOICE
    + """
[face.network]
hidden = 6
members = 2

[face.training]
epochs = 2
batch_size = 8

[fusion]
inner_folds = 2
trials = 2
selection_folds = 2
nn = { hidden = [8], epochs = 2, trials = 1 }
"""
)

VIDEO_RECIPE = (
    """
extends = "default"
name = "small-film"
seed = 4
"""
    + VOICE.replace("channels = [4]\nfunctionals = false", "channels = []")
    + """
[face.features]
n_frames = 2

[face.network]
lstm_units = 5
emotion_cnn = { source = "scratch", frozen = false, frames_per_clip = 1, frame_epochs = 1 }

[face.training]
epochs = 1
batch_size = 8

[fusion]
inputs = "features"
inner_folds = 2
members = 1
trials = 2
selection_folds = 2
classifiers = ["lr", "nn"]
nn = { hidden = [8], epochs = 1, trials = 1 }
"""
)


def take_code(emotion: int, number: int, actor: int) -> str:
    """The name of a take at normal intensity; numbers 0 to 3 are statement and repetition."""
    return f"01-{emotion + 1:02d}-01-{number // 2 + 1:02d}-{number % 2 + 1:02d}-{actor:02d}"


def speech(emotion: int, number: int, actor: int) -> Any:
    """(n,) float32, 0.8 s: a buzz; its pitch, loudness and beat follow the emotion, a little the actor."""
    rng = np.random.default_rng([emotion, number, actor])
    times = np.arange(round(0.8 * RATE)) / RATE
    pitch = 100 * 2 ** (emotion / 6) * (1.3 if actor % 2 else 1) * rng.uniform(0.95, 1.05)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.02 * emotion * np.sin(9 * times))) / RATE
    buzz = sum(np.sin(k * phase) / k ** (1 + emotion % 3) for k in range(1, 9))
    beat = 0.6 + 0.4 * np.sin(2 * np.pi * (2 + emotion % 4) * times)
    samples = 0.05 * (1 + emotion % 3) * buzz * beat + 0.002 * rng.standard_normal(len(times))
    return samples.astype(np.float32)


def write_wav(path: Path, samples: Any, rate: int = RATE) -> Path:
    """Mono, 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_au_corpus(root: Path, *, actors: int = 6, takes: int = 3) -> Path:
    """Audio recordings, and beside them a table of action units, so that no video is needed."""
    rows = []
    for actor in range(1, actors + 1):
        for emotion in range(len(EMOTIONS)):
            for number in range(takes):
                code = take_code(emotion, number, actor)
                write_wav(root / f"Actor_{actor:02d}" / f"03-{code}.wav", speech(emotion, number, actor))
                rng = np.random.default_rng([7, emotion, number, actor])
                means = 2 + 1.5 * np.cos(np.arange(len(ACTION_UNITS)) * (emotion + 1))
                rows.append(
                    [f"01-{code}", *np.abs(means + 0.7 * rng.standard_normal(len(ACTION_UNITS))).round(4)]
                )
    with (root / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([["code", *ACTION_UNITS], *rows])
    return root


def write_clip(path: Path, *, emotion: int, actor: int = 1, silent: bool = False) -> Path:
    """One clip of the synthetic corpus, as the package makes them."""
    from emofuse.corpus.synthetic import clip, encode
    from emofuse.corpus.synthetic.voice import SAMPLE_RATE_HZ

    code = clip.TakeCode(emotion + 1, 1, 1, 1, actor)
    voice = clip.take_speech(5, code)
    samples = np.zeros_like(voice.samples) if silent else voice.samples
    still = clip.person(5, actor).portrait.background
    path.parent.mkdir(parents=True, exist_ok=True)
    encode.write_mp4(path, still, clip.face_patches(5, code, voice), samples, SAMPLE_RATE_HZ)
    return path


def write_video_corpus(root: Path, clips: list[Path], *, actors: int = 4) -> Path:
    """Audio of its own for every take, but video from a few clips: with a store, each is read only once.

    The first take of actor 1 is the first clip alone, with its own audio.
    """
    for actor in range(1, actors + 1):
        for emotion in range(len(EMOTIONS)):
            code = take_code(emotion, 0, actor)
            folder = root / f"Actor_{actor:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            if (actor, emotion) == (1, 0):
                os.link(clips[0], folder / f"01-{code}.mp4")
                continue
            write_wav(folder / f"03-{code}.wav", speech(emotion, 0, actor))
            os.link(clips[(emotion + actor) % len(clips)], folder / f"02-{code}.mp4")
    return root

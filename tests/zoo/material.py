"""What every file of the zoo is made from: five seconds of one person, who speaks for some of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from tests.support import drawn_people, media_files
from tests.support.ffmpeg import ffmpeg

LENGTH_S: Final = 5.0
SPEECH_START_S: Final = 1.0
SPEECH_S: Final = 2.0
RATE_HZ: Final = 48000
FPS: Final = 25
SIZE: Final = (320, 240)
_FRAME_S: Final = 0.02
_LOUD: Final = 0.1
"""Speech starts and ends where a fiftieth of a second has this share of the highest level."""
_REAL_FILM: Final = "video/Actor_01/01-01-08-01-01-02-01.mp4"
_REAL_VOICE: Final = "audio/Actor_05/03-01-05-02-01-01-05.flac"


@dataclass(frozen=True, slots=True)
class Material:
    """The files that others are made from."""

    film: Path
    """A face that moves, without audio: 125 frames of 320 x 240 in 5 s."""
    voice: Path
    """5 s of mono at 48 kHz, 16 bits; silent but for the speech."""
    speech_s: tuple[float, float]
    """When it is heard."""


def make_material(folder: Path, recordings: Path | None = None) -> Material:
    """A drawn person; with a folder of real recordings (RAVDESS), a real face and a real voice."""
    film, voice = folder / "film.mkv", folder / "voice.wav"
    rate, speech = _drawn_speech() if recordings is None else _samples(recordings / _REAL_VOICE)
    first, last = loud_span(speech, rate)
    spoken = speech[round(first * rate) : round(last * rate)]
    spoken = np.tile(spoken, int(SPEECH_S * rate / len(spoken)) + 1)[: round(SPEECH_S * rate)]
    samples = np.zeros(round(LENGTH_S * rate), np.float32)
    start = round(SPEECH_START_S * rate)
    samples[start : start + len(spoken)] = spoken * (0.5 / np.abs(spoken).max())
    with tempfile.TemporaryDirectory() as scratch:
        given = media_files.write_wav(Path(scratch, "given.wav"), samples[None], rate)
        ffmpeg("-i", given, "-ar", str(RATE_HZ), "-bitexact", voice)
        if recordings is None:
            pictures, fit = _drawn_film(Path(scratch, "drawn.mkv")), "pad=480:360:80:0:gray,"
        else:
            pictures, fit = recordings / _REAL_FILM, "crop=960:720,"
        ffmpeg(
            "-stream_loop", "2", "-i", pictures, "-an", "-vf", f"{fit}scale={SIZE[0]}:{SIZE[1]},fps={FPS}",
            "-frames:v", str(round(FPS * LENGTH_S)), "-c:v", "ffv1", "-pix_fmt", "yuv420p", film,
        )  # fmt: skip
    made_rate, made = _samples(voice)
    return Material(film, voice, loud_span(made, made_rate))


def loud_span(samples: Any, rate: int) -> tuple[float, float]:
    """From when to when (n_samples,) are loud, in seconds; the same before and after any coding."""
    n = round(_FRAME_S * rate)
    levels = np.sqrt(np.square(samples[: len(samples) // n * n].reshape(-1, n)).mean(axis=1))
    loud = np.flatnonzero(levels >= _LOUD * levels.max())
    return float(loud[0] * n / rate), float((loud[-1] + 1) * n / rate)


def _drawn_speech() -> tuple[int, Any]:
    return drawn_people.RATE, drawn_people.draw_person(1).voice


def _samples(path: Path) -> tuple[int, Any]:
    """Rate and (n_samples,) float32 of a mono file, as ffmpeg reads it."""
    data = ffmpeg("-i", path, "-ac", "1", "-ar", str(RATE_HZ), "-f", "f32le", "-")
    return RATE_HZ, np.frombuffer(data, np.float32)


def _drawn_film(path: Path) -> Path:
    person = drawn_people.draw_person(1)
    return _write(path, person.speaking(round(LENGTH_S * drawn_people.FPS)), drawn_people.FPS)


def _write(path: Path, frames: Sequence[Any], fps: int) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def have_programs() -> str | None:
    """The program that is missing to make the zoo, if any."""
    return next((name for name in ("ffmpeg", "sox") if shutil.which(name) is None), None)

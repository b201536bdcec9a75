"""A synthetic person and one of their takes: audio and matching frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.core.records import UInt8
from emofuse.corpus.synthetic.drawing import Pose
from emofuse.corpus.synthetic.expression import (
    FaceExpression,
    Float64,
    Style,
    VoiceExpression,
    face_style,
    voice_style,
)
from emofuse.corpus.synthetic.face import Portrait
from emofuse.corpus.synthetic.identity import FaceIdentity
from emofuse.corpus.synthetic.voice import CONTROL_HZ, SAMPLE_RATE_HZ, Speech, VoiceIdentity, speak

FRAME_RATE: Final = Fraction(30000, 1001)
"""Frames per second, as in RAVDESS."""
_BLINK_S: Final = 0.17


@dataclass(frozen=True, slots=True)
class TakeCode:
    """The fields of a RAVDESS name that identify a performance."""

    emotion: int  # 1 to 8
    intensity: int  # 1 normal, 2 strong
    statement: int  # 1 or 2
    repetition: int  # 1 or 2
    actor: int

    def name(self, modality: int) -> str:
        """The stem of a file: modality 1 is audio-video, 3 audio; the vocal channel is speech."""
        fields = (modality, 1, self.emotion, self.intensity, self.statement, self.repetition, self.actor)
        return "-".join(f"{field:02d}" for field in fields)


@dataclass(frozen=True, slots=True)
class Person:
    """An actor of the corpus: odd numbers are men, even numbers women, as in RAVDESS."""

    portrait: Portrait
    voice: VoiceIdentity
    face_style: Style[FaceExpression]
    voice_style: Style[VoiceExpression]


@lru_cache(maxsize=2)
def person(seed: int, actor: int) -> Person:
    """The actor of this number, who depends on the two numbers only."""
    streams = [_stream(seed, actor, 0, part) for part in range(4)]
    female = actor % 2 == 0
    return Person(
        portrait=Portrait(FaceIdentity.sample(female, streams[0]), streams[0]),
        voice=VoiceIdentity.sample(female, streams[1]),
        face_style=face_style(streams[2]),
        voice_style=voice_style(streams[3]),
    )


def take_speech(seed: int, code: TakeCode) -> Speech:
    """The speech of one take. It lasts a whole number of frames, to the nearest sample."""
    actor = person(seed, code.actor)
    rng = _take_stream(seed, code, 1)
    expression = actor.voice_style.perform(EMOTIONS[code.emotion - 1], code.intensity == 2, rng)
    speech = speak(actor.voice, expression, code.statement, rng)
    n_samples = round(n_frames(speech) * SAMPLE_RATE_HZ / FRAME_RATE)
    return Speech(speech.samples[:n_samples], speech.opening)


def take_expressions(seed: int, code: TakeCode) -> dict[str, VoiceExpression | FaceExpression]:
    """What the voice and the face of a take express."""
    actor, emotion, strong = person(seed, code.actor), EMOTIONS[code.emotion - 1], code.intensity == 2
    return {
        "voice": actor.voice_style.perform(emotion, strong, _take_stream(seed, code, 1)),
        "face": actor.face_style.perform(emotion, strong, _take_stream(seed, code, 2)),
    }


def n_frames(speech: Speech) -> int:
    """How many whole frames this speech lasts."""
    # the tolerance keeps the number for speech that was cut to whole frames, and so to a sample
    return int(speech.duration_s * FRAME_RATE + Fraction(1, 100))


def face_poses(seed: int, code: TakeCode, speech: Speech) -> list[Pose]:
    """The pose of the face in each frame of a take."""
    actor = person(seed, code.actor)
    rng = _take_stream(seed, code, 2)
    expression = actor.face_style.perform(EMOTIONS[code.emotion - 1], code.intensity == 2, rng)
    return _poses(expression, speech, n_frames(speech), rng)


def face_patches(seed: int, code: TakeCode, speech: Speech) -> Iterator[UInt8]:
    """The patches of a take, (512, 512, 3) uint8 BGR each; see :class:`Portrait` for the background."""
    portrait = person(seed, code.actor).portrait
    rng = _take_stream(seed, code, 3)
    for pose in face_poses(seed, code, speech):
        yield portrait.patch(pose, rng)


def _stream(seed: int, actor: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence((seed, actor), spawn_key=key))


def _take_stream(seed: int, code: TakeCode, part: int) -> np.random.Generator:
    return _stream(seed, code.actor, 1, code.emotion, code.intensity, code.statement, code.repetition, part)


def _poses(expression: FaceExpression, speech: Speech, n: int, rng: np.random.Generator) -> list[Pose]:
    times = np.arange(n) / float(FRAME_RATE)
    opening = np.interp(times, np.arange(len(speech.opening)) / CONTROL_HZ, speech.opening)
    # the expression grows over the first half second, before the voice starts, and then sways a little
    grown = np.clip(times / rng.uniform(0.3, 0.7), 0, 1)
    strength = 0.6 + 0.4 * grown**2 * (3 - 2 * grown) + 0.08 * _sway(times, rng, 0.5)
    lively = float(np.clip(0.5 + expression.motion, 0.1, 1.6))
    across, down, yaw, roll = (_sway(times, rng, 0.4 + 0.5 * lively) for _ in range(4))
    blink = _blinks(times, rng)
    amounts = np.array(astuple(expression))
    tilt = float(np.clip(expression.tilt, -1.5, 1.5))
    poses = []
    for i in range(n):
        now = FaceExpression(*(float(amount) for amount in amounts * strength[i]))
        # the more the mouth opens, the more the head nods
        nod = 2.5 * lively * float(opening[i])
        poses.append(
            Pose(
                expression=now,
                speech=0.8 * float(opening[i]),
                blink=float(blink[i]),
                shift=(5 * lively * float(across[i]), 4 * lively * float(down[i]) + nod + 3 * now.head_down),
                yaw=4 * lively * float(yaw[i]),
                roll=5 * tilt * float(strength[i]) + 1.5 * lively * float(roll[i]),
            )
        )
    return poses


def _sway(times: Float64, rng: np.random.Generator, hertz: float) -> Float64:
    """(n,) a slow oscillation between about -1 and 1."""
    first, second = rng.uniform(0, 2 * np.pi, 2)
    slow, fast = 2 * np.pi * hertz * times, 2 * np.pi * 2.3 * hertz * times
    wave: Float64 = 0.65 * np.sin(slow + first) + 0.35 * np.sin(fast + second)
    return wave


def _blinks(times: Float64, rng: np.random.Generator) -> Float64:
    """(n,) how far the lids are closed: one or two blinks at random times."""
    closed = np.zeros(len(times))
    for moment in rng.uniform(0, times[-1], int(rng.integers(1, 3))):
        closed = np.maximum(closed, np.clip(1.4 - np.abs(times - moment) * 2.8 / _BLINK_S, 0, 1))
    return closed

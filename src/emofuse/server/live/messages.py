"""What goes over the WebSocket of a live session: one framing for audio and pictures, and JSON for the rest.

A binary message is nine bytes of header and a payload::

    byte 0        1: audio, 2: a picture
    bytes 1 to 8  the time of the first sample or of the picture, in microseconds on the client's clock:
                  an unsigned whole number, big-endian
    bytes 9 …     audio: 16 kHz mono PCM, signed 16 bit, little-endian, about 100 ms
                  a picture: a whole JPEG or WebP file

Audio and pictures share one clock, which may start anywhere. Text messages are JSON objects with a ``type``.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from emofuse.core.errors import MediaError
from emofuse.core.records import Waveform
from emofuse.timeline.windows import WindowRules

SAMPLE_RATE_HZ: Final = 16000
"""Of the audio of a session."""
MOST_PEOPLE: Final = 20
"""How many enrolled people a session may name."""
PersonId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_HEADER: Final = struct.Struct(">BQ")
_KINDS: Final[dict[int, Literal["audio", "picture"]]] = {1: "audio", 2: "picture"}
_MESSAGE, _AUDIO = "<message>", "<audio>"
_LONGEST_NAME: Final = 40


class LiveOptions(BaseModel):
    """How a session is read. It can be changed until the first audio or picture comes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    audio: bool = Field(default=True, description="Whether the client sends audio.")
    video: bool = Field(default=True, description="Whether the client sends pictures.")
    window_s: float = Field(default=3.0, description="Length of a window, in seconds.")
    hop_s: float = Field(default=1.0, description="Distance of windows, in seconds.")
    faces_per_second: float = Field(
        default=5.0, description="How many pictures per second are searched for faces."
    )
    own_baseline: bool = Field(
        default=True, description="Whether people are read against their own baselines."
    )
    people: tuple[PersonId, ...] = Field(
        default=(), max_length=MOST_PEOPLE,
        description="Who is enrolled of those who are seen and heard: the only person, or several, "
        "who are told apart by their faces.",
    )  # fmt: skip
    faces: bool = Field(default=False, description="Whether to send where faces are.")
    table: bool = Field(default=False, description="Whether to send windows as lines of a table (CSV), too.")

    @model_validator(mode="after")
    def _can_be_read(self) -> LiveOptions:
        if not (self.audio or self.video):
            raise ValueError("a session needs audio, video or both")
        self.rules()
        return self

    def rules(self) -> WindowRules:
        """Its windows.

        Raises:
            ValueError: they cannot be.
        """
        return WindowRules(self.window_s, self.hop_s, self.faces_per_second)


@dataclass(frozen=True, slots=True)
class LivePart:
    """What a binary message holds."""

    kind: Literal["audio", "picture"]
    time_s: float
    payload: bytes


def pack(kind: Literal["audio", "picture"], payload: bytes, time_s: float) -> bytes:
    """The binary message of a block of audio or of a picture.

    Raises:
        ValueError: the time is negative or not a number.
    """
    if not (math.isfinite(time_s) and 0 <= time_s < 2**64 / 1e6):
        raise ValueError(f"a time must be a positive number of seconds, got {time_s}")
    number = next(number for number, name in _KINDS.items() if name == kind)
    return _HEADER.pack(number, round(time_s * 1e6)) + payload


def unpack(message: bytes) -> LivePart:
    """What a binary message holds.

    Raises:
        MediaError: it is too short, or of no known kind.
    """
    if len(message) <= _HEADER.size:
        raise MediaError(_MESSAGE, f"{len(message)} bytes are no frame: {_HEADER.size} are its header")
    number, time_us = _HEADER.unpack_from(message)
    kind = _KINDS.get(number)
    if kind is None:
        raise MediaError(_MESSAGE, f"unknown kind of frame {number}: 1 is audio, 2 is a picture")
    return LivePart(kind, time_us / 1e6, bytes(message[_HEADER.size :]))


def audio_block(payload: bytes, time_s: float, longest_s: float) -> Waveform:
    """The samples of a block of audio.

    Raises:
        MediaError: it ends within a sample, or is too long.
    """
    if len(payload) % 2:
        raise MediaError(_AUDIO, f"{len(payload)} bytes of 16-bit samples end within a sample")
    samples = np.frombuffer(payload, "<i2").astype(np.float32) / np.float32(2**15)
    block = Waveform(samples[None], SAMPLE_RATE_HZ, time_s)
    if block.duration_s > longest_s:
        raise MediaError(_AUDIO, f"a block of {block.duration_s:g} s is over the limit, {longest_s:g} s")
    return block


def read_text(text: str) -> dict[str, Any]:
    """The object of a text message; it has a ``type``.

    Raises:
        MediaError: it is no such object.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise MediaError(_MESSAGE, "a text message must be JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise MediaError(_MESSAGE, 'a text message must be an object with a "type"')
    return message


def read_options(message: dict[str, Any], before: LiveOptions) -> LiveOptions:
    """The options after a ``session.update``, which names only those that change.

    Raises:
        MediaError: one is unknown or out of range.
    """
    changes = message.get("session")
    if not isinstance(changes, dict):
        raise MediaError(_MESSAGE, 'session.update needs an object "session"')
    try:
        return LiveOptions.model_validate({**before.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part)[:_LONGEST_NAME] for part in first["loc"]) or "session"
        raise MediaError(_MESSAGE, f"{where}: {first['msg']}") from None

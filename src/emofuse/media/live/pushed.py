"""Live audio and pictures that somebody else captured, and pushes as they come.

As with inputs of this machine, what is read is never old: of pictures that wait, only the newest is decoded,
and audio is lost only if the reader is seconds behind.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from emofuse.core.errors import MediaError
from emofuse.core.limits import Limits
from emofuse.core.records import Waveform
from emofuse.media.frame_sampling import FrameSampler, SampleTimes
from emofuse.media.live.capture import Clock
from emofuse.media.live.stream import BEHIND_S, POLL_S, CaptureBuffer, CapturedPart
from emofuse.media.pictures import decode_picture

AHEAD_S: Final = 5.0
"""What is pushed may be this much ahead of real time, counted from the first part."""
_TICK_S: Final = 1e-6
_TIME_BASE: Final = Fraction(1, 10**6)
_AUDIO, _PICTURE = "<audio>", "<picture>"

OnRefused = Callable[[MediaError, float], None]
"""Called with what is wrong with a picture, and with its time."""


@dataclass(frozen=True, slots=True)
class _Picture:
    data: bytes
    time_s: float
    at_s: float


class PushedStream:
    """A :class:`~emofuse.timeline.live.LiveSource` that is fed by calls, from any thread.

    Times are those of the sender's clock, which audio and pictures share; they may start anywhere.
    """

    def __init__(
        self,
        *,
        audio: bool,
        video: bool,
        frames_per_s: float = 5.0,
        limits: Limits | None = None,
        on_refused: OnRefused | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            audio: whether there will be audio.
            video: whether there will be pictures.
            frames_per_s: regular sample times; the first picture at or after each is kept.
            limits: how many pixels a picture may have.
            on_refused: called, in the thread that reads, with a picture that cannot be decoded.
            clock: seconds that never go back.
        """
        if not (audio or video):
            raise ValueError("a stream needs audio, video or both")
        self.has_audio, self.has_video, self.clock = audio, video, clock
        self.problem = None
        self._limits, self._on_refused = limits or Limits(), on_refused
        self._wanted = SampleTimes(frames_per_s, _TICK_S)
        self._sampler = FrameSampler(SampleTimes(math.inf, _TICK_S))
        self._changed = threading.Condition()
        self._audio = CaptureBuffer(AHEAD_S + BEHIND_S)
        self._picture: _Picture | None = None
        self._dropped = 0
        self._zero_s: float | None = None
        """The time on the clock at which the sender's clock was zero."""
        self._audio_s = self._video_s = -math.inf
        self._ended = False

    def push_audio(self, block: Waveform) -> None:
        """Add a block; its ``start_s`` is on the sender's clock.

        Raises:
            MediaError: the stream has no audio, or the time is not a number, too far ahead of real time, or
                nothing in the block is newer than the audio before.
        """
        end_s = block.start_s + block.duration_s
        with self._changed:
            if not self.has_audio:
                raise MediaError(_AUDIO, "this stream was opened without audio")
            at_s = self._arrival(_AUDIO, block.start_s)
            if end_s <= self._audio_s:
                raise MediaError(_AUDIO, f"audio up to {self._audio_s:.3f} s has come before")
            self._audio_s = end_s
            self._audio.put(block, at_s)
            self._changed.notify_all()

    def push_picture(self, data: bytes, time_s: float) -> None:
        """Add a JPEG or WebP picture; it is decoded when it is read, unless a newer one has come by then.

        Raises:
            MediaError: the stream has no video, or the time is not a number, too far ahead of real time, or
                not after that of the picture before.
        """
        with self._changed:
            if not self.has_video:
                raise MediaError(_PICTURE, "this stream was opened without video")
            at_s = self._arrival(_PICTURE, time_s)
            if time_s <= self._video_s:
                raise MediaError(_PICTURE, f"a picture of {self._video_s:.3f} s has come before")
            self._video_s = time_s
            if self._wanted.take(time_s):
                self._dropped += self._picture is not None
                self._picture = _Picture(bytes(data), time_s, at_s)
                self._changed.notify_all()

    def _arrival(self, what: str, time_s: float) -> float:
        """The present time on the clock, if a part with this time may come now."""
        at_s = self.clock()
        if not math.isfinite(time_s):
            raise MediaError(what, f"its time is not a number of seconds: {time_s}")
        zero_s = at_s - time_s if self._zero_s is None else self._zero_s
        ahead_s = time_s - (at_s - zero_s)
        if ahead_s > AHEAD_S:
            raise MediaError(
                what, f"it is {ahead_s:.1f} s ahead of real time: at most {AHEAD_S:g} s are allowed"
            )
        self._zero_s = zero_s
        return at_s

    def end(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    @property
    def dropped_frames(self) -> int:
        """Pictures so far that were wanted and not decoded, because newer ones had come."""
        return self._dropped

    @property
    def lost_audio_s(self) -> float:
        """Seconds of audio so far that were pushed and not read."""
        return self._audio.lost_audio_s

    def start(self) -> None:
        """Nothing: whatever was pushed so far counts."""

    def close(self) -> None:
        """End it."""
        self.end()

    def take(self, timeout_s: float = POLL_S) -> list[CapturedPart]:
        """Everything since the last call, in order of time; empty if nothing is pushed in time."""
        with self._changed:
            parts, picture = self._taken()
            if not parts and picture is None and not self._ended:
                self._changed.wait(timeout_s)
                parts, picture = self._taken()
        decoded = None if picture is None else self._decoded(picture)
        return parts if decoded is None else sorted([*parts, decoded], key=lambda one: one.end_s)

    def _taken(self) -> tuple[list[CapturedPart], _Picture | None]:
        picture, self._picture = self._picture, None
        return self._audio.take(), picture

    def _decoded(self, picture: _Picture) -> CapturedPart | None:
        try:
            frame = decode_picture(picture.data, self._limits)
        except MediaError as error:
            if self._on_refused is not None:
                self._on_refused(error, picture.time_s)
            return None
        frame.pts, frame.time_base = round(picture.time_s / _TICK_S), _TIME_BASE
        sampled = self._sampler.add(frame)
        return None if sampled is None else CapturedPart(sampled, picture.at_s)

"""Sound and pictures as they happen: from devices, an address, or a file read at its own pace.

A thread for each input decodes into a small buffer. Of the pictures only the newest is kept, and sound is
lost only where the reader is seconds behind: what is read is never old.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from emofuse.core.errors import EmofuseError, MediaError
from emofuse.core.records import Waveform
from emofuse.media.frame_sampling import Frame
from emofuse.media.live.capture import Capture, Clock, end_of
from emofuse.media.live.inputs import InputRequest, devices_found

_BEHIND_S: Final = 2.0
"""Sound that has waited for the reader longer than this is lost."""
_POLL_S: Final = 0.2
_JOIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class CapturedPart:
    """A block of sound or a picture, and when it came, on the clock of the stream."""

    part: Waveform | Frame
    at_s: float

    @property
    def start_s(self) -> float:
        """Where it begins."""
        return self.part.start_s if isinstance(self.part, Waveform) else self.part.time_s

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return end_of(self.part)


class _CaptureBuffer:
    """What has come and was not read yet; bounded. Whoever calls holds the lock of the stream."""

    def __init__(self, behind_s: float) -> None:
        self._behind_s = behind_s
        self._sound: deque[CapturedPart] = deque()
        self._sound_s = 0.0
        self._picture: CapturedPart | None = None
        self.dropped_frames = 0
        self.lost_audio_s = 0.0

    def put(self, part: Waveform | Frame, at_s: float) -> None:
        if isinstance(part, Frame):
            self.dropped_frames += self._picture is not None
            self._picture = CapturedPart(part, at_s)
            return
        self._sound.append(CapturedPart(part, at_s))
        self._sound_s += part.duration_s
        while self._sound_s > self._behind_s and len(self._sound) > 1:
            lost = self._sound.popleft().part
            assert isinstance(lost, Waveform)
            self._sound_s -= lost.duration_s
            self.lost_audio_s += lost.duration_s

    def take(self) -> list[CapturedPart]:
        """All that is there, in the order of time."""
        parts = list(self._sound)
        self._sound.clear()
        self._sound_s = 0.0
        if self._picture is not None:
            parts.append(self._picture)
            self._picture = None
        return sorted(parts, key=lambda one: one.end_s)


class LiveStream:
    """Inputs that are read while they happen. A context manager: leaving it ends the threads."""

    def __init__(
        self,
        wanted: Sequence[InputRequest],
        *,
        frames_per_s: float = 5.0,
        pace: float = 1.0,
        loop: bool = False,
        timeout_s: float = 5.0,
        stop: threading.Event | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Prepare; entering the context opens.

        Args:
            wanted: what to open, as :func:`~emofuse.media.live.inputs.requested_inputs` says.
            frames_per_s: regular places in time; the first picture at or after each is kept.
            pace: how many seconds of a file are played in a second.
            loop: whether a file begins again at its end.
            timeout_s: how long a peer may stay silent, at the opening and later.
            stop: set from elsewhere to end the opening.
            clock: seconds that never go back.
        """
        if not pace > 0:
            raise ValueError(f"pace must be positive, got {pace}")
        if not frames_per_s > 0:
            raise ValueError(f"frames_per_s must be positive, got {frames_per_s}")
        self.frames_per_s, self.pace, self.loop, self.timeout_s = frames_per_s, pace, loop, timeout_s
        self.clock = clock
        self.begun, self.stopping = threading.Event(), threading.Event()
        self.begun_s = 0.0
        self.changed = threading.Condition()
        self._inbox = _CaptureBuffer(_BEHIND_S * max(1.0, pace))
        self._stop = stop or threading.Event()
        self._captures = [Capture(one, self) for one in wanted]

    def __enter__(self) -> LiveStream:
        for capture in self._captures:
            capture.thread.start()
        try:
            with self.changed:
                # waits are short: an interrupt is not noticed inside one on every platform
                while not all(one.is_open or one.ended for one in self._captures):
                    if self._stop.is_set():
                        break
                    self.changed.wait(_POLL_S)
            self._check()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        """Raise where what is needed did not open, or nothing did, or a thread met a fault of the program."""
        self._raise_fault()
        failed = [one for one in self._captures if not one.is_open and one.ended]
        for one in failed:
            if one.wanted.needed and one.problem is not None:
                raise one.problem
        if failed and len(failed) == len(self._captures):
            tried = "; ".join(text for one in failed for text in one.tried) or "nothing"
            raise MediaError(
                "live",
                f"neither a camera nor a microphone could be opened. Tried: {tried}. Devices found: "
                f"{devices_found()}. Name them (--camera FORMAT:NAME, --microphone FORMAT:NAME), or give a "
                "file or an address",
            )

    def _raise_fault(self) -> None:
        for one in self._captures:
            if one.fault is not None:
                raise one.fault

    @property
    def has_audio(self) -> bool:
        """Whether sound comes."""
        return any(one.has_audio for one in self._captures)

    @property
    def has_video(self) -> bool:
        """Whether pictures come."""
        return any(one.has_video for one in self._captures)

    @property
    def labels(self) -> tuple[str, ...]:
        """What was opened."""
        return tuple(one.input.label for one in self._captures if one.is_open and one.input is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What did not open and is done without."""
        return tuple(
            f"no {one.wanted.what}: {'; '.join(one.tried)}"
            for one in self._captures
            if not one.is_open and one.ended and one.tried
        )

    @property
    def dropped_frames(self) -> int:
        """Pictures so far that came and were not read."""
        return self._inbox.dropped_frames

    @property
    def lost_audio_s(self) -> float:
        """Seconds of sound so far that came and were not read."""
        return self._inbox.lost_audio_s

    @property
    def problem(self) -> EmofuseError | None:
        """Why an input that was open broke off."""
        self._raise_fault()
        for one in self._captures:
            if one.is_open and one.problem is not None:
                return one.problem
            if one.hung and one.input is not None:
                return MediaError(one.input.label, "nothing comes any more")
        return None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes: every input has ended, or one broke off."""
        return all(one.ended for one in self._captures) or self.problem is not None

    def begin(self) -> None:
        """From now on what comes is kept."""
        self.begun_s = self.clock()
        for one in self._captures:
            one.last_s = self.begun_s
        self.begun.set()

    def put(self, part: Waveform | Frame, at_s: float) -> None:
        """Keep what was captured at a time on the clock, until it is read or replaced."""
        with self.changed:
            self._inbox.put(part, at_s)
            self.changed.notify_all()

    def drop_frames(self, n: int) -> None:
        """Count pictures that were not even decoded."""
        with self.changed:
            self._inbox.dropped_frames += n

    def take(self, timeout_s: float = _POLL_S) -> list[CapturedPart]:
        """All that came since, in the order of time; empty where nothing came within the time limit."""
        self._raise_fault()
        with self.changed:
            parts = self._inbox.take()
            if not parts and not self.ended:
                self.changed.wait(timeout_s)
                parts = self._inbox.take()
            return parts

    def close(self) -> None:
        """End the threads. One that waits for a silent peer ends at its own time limit."""
        self.stopping.set()
        self.begun.set()
        for capture in self._captures:
            if capture.thread.is_alive():
                capture.thread.join(_JOIN_S)

"""Live audio and video: from devices, an address, or a file read at its own pace.

A thread per input decodes into a small buffer. Only the newest frame is kept, and audio is lost only if the
reader is seconds behind: what is read is never old.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emofuse.core.errors import EmofuseError, MediaError
from emofuse.core.records import StreamChoice, Waveform
from emofuse.media.frame_sampling import Frame
from emofuse.media.live.capture import Capture, Clock, end_of
from emofuse.media.live.inputs import InputRequest, devices_found

BEHIND_S: Final = 2.0
"""Audio that has waited for the reader longer than this is discarded."""
POLL_S: Final = 0.2
_JOIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class CapturedPart:
    """An audio block or a frame, and when it arrived, on the clock of the stream."""

    part: Waveform | Frame
    at_s: float

    @property
    def start_s(self) -> float:
        """Where it starts."""
        return self.part.start_s if isinstance(self.part, Waveform) else self.part.time_s

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return end_of(self.part)


class CaptureBuffer:
    """What has arrived and has not been read yet; bounded. Callers must hold the stream's lock."""

    def __init__(self, behind_s: float) -> None:
        self._behind_s = behind_s
        self._audio: deque[CapturedPart] = deque()
        self._audio_s = 0.0
        self._frame: CapturedPart | None = None
        self.dropped_frames = 0
        self.lost_audio_s = 0.0

    def put(self, part: Waveform | Frame, at_s: float) -> None:
        """Keep a part: of frames the newest, of audio as much as the reader may be behind."""
        if isinstance(part, Frame):
            self.dropped_frames += self._frame is not None
            self._frame = CapturedPart(part, at_s)
            return
        self._audio.append(CapturedPart(part, at_s))
        self._audio_s += part.duration_s
        while self._audio_s > self._behind_s and len(self._audio) > 1:
            lost = self._audio.popleft().part
            assert isinstance(lost, Waveform)
            self._audio_s -= lost.duration_s
            self.lost_audio_s += lost.duration_s

    def take(self) -> list[CapturedPart]:
        """Everything buffered, in order of time."""
        parts = list(self._audio)
        self._audio.clear()
        self._audio_s = 0.0
        if self._frame is not None:
            parts.append(self._frame)
            self._frame = None
        return sorted(parts, key=lambda one: one.end_s)


class LiveStream:
    """Inputs that are read live. A context manager: leaving it ends the threads."""

    def __init__(
        self,
        requests: Sequence[InputRequest],
        *,
        frames_per_s: float = 5.0,
        pace: float = 1.0,
        loop: bool = False,
        timeout_s: float = 5.0,
        streams: StreamChoice | None = None,
        stop: threading.Event | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Prepare; entering the context opens the inputs.

        Args:
            requests: what to open, see :func:`~emofuse.media.live.inputs.requested_inputs`.
            frames_per_s: regular sample times; the first frame at or after each is kept.
            pace: how many seconds of a file are played per second.
            loop: whether a file starts again at its end.
            timeout_s: how long a peer may stay silent, on opening and later.
            streams: which streams of a file or an address are read where there are several.
            stop: set from elsewhere to cancel the opening.
            clock: seconds that never go back.
        """
        if not pace > 0:
            raise ValueError(f"pace must be positive, got {pace}")
        if not frames_per_s > 0:
            raise ValueError(f"frames_per_s must be positive, got {frames_per_s}")
        self.frames_per_s, self.pace, self.loop, self.timeout_s = frames_per_s, pace, loop, timeout_s
        self.streams, self.clock = streams or StreamChoice(), clock
        self.started, self.stopping = threading.Event(), threading.Event()
        self.started_s = 0.0
        self.changed = threading.Condition()
        self._buffer = CaptureBuffer(BEHIND_S * max(1.0, pace))
        self._stop = stop or threading.Event()
        self._captures = [Capture(one, self) for one in requests]

    def __enter__(self) -> LiveStream:
        for capture in self._captures:
            capture.thread.start()
        try:
            with self.changed:
                # waits are short: not every platform notices an interrupt during one
                while not all(one.is_open or one.ended for one in self._captures):
                    if self._stop.is_set():
                        break
                    self.changed.wait(POLL_S)
            self._check()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check(self) -> None:
        """Raise if a required input or none at all opened, or a thread hit a programming error."""
        self._raise_bug()
        failed = [one for one in self._captures if not one.is_open and one.ended]
        for one in failed:
            if one.request.required and one.problem is not None:
                raise one.problem
        if failed and len(failed) == len(self._captures):
            tried = "; ".join(text for one in failed for text in one.attempts) or "nothing"
            raise MediaError(
                "live",
                f"neither a camera nor a microphone could be opened. Tried: {tried}. Devices found: "
                f"{devices_found()}. Name them (--camera FORMAT:NAME, --microphone FORMAT:NAME), or give a "
                "file or an address",
            )

    def _raise_bug(self) -> None:
        for one in self._captures:
            if one.bug is not None:
                raise one.bug

    @property
    def has_audio(self) -> bool:
        """Whether there is audio."""
        return any(one.has_audio for one in self._captures)

    @property
    def has_video(self) -> bool:
        """Whether there is video."""
        return any(one.has_video for one in self._captures)

    @property
    def labels(self) -> tuple[str, ...]:
        """The inputs that were opened."""
        return tuple(one.input.label for one in self._captures if one.is_open and one.input is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        """Inputs that did not open and are left out, and which of several streams are read."""
        absent = (
            f"no {one.request.what}: {'; '.join(one.attempts)}"
            for one in self._captures
            if not one.is_open and one.ended and one.attempts
        )
        chosen = (note for one in self._captures if one.is_open for note in one.notes)
        return (*absent, *chosen)

    @property
    def dropped_frames(self) -> int:
        """Frames so far that arrived and were not read."""
        return self._buffer.dropped_frames

    @property
    def lost_audio_s(self) -> float:
        """Seconds of audio so far that arrived and were not read."""
        return self._buffer.lost_audio_s

    @property
    def problem(self) -> EmofuseError | None:
        """Why an open input was lost."""
        self._raise_bug()
        for one in self._captures:
            if one.is_open and one.problem is not None:
                return one.problem
            if one.hung and one.input is not None:
                return MediaError(one.input.label, "no more data arrives")
        return None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: every input has ended, or one was lost."""
        return all(one.ended for one in self._captures) or self.problem is not None

    def start(self) -> None:
        """From now on, keep what arrives."""
        self.started_s = self.clock()
        for one in self._captures:
            one.last_s = self.started_s
        self.started.set()

    def put(self, part: Waveform | Frame, at_s: float) -> None:
        """Keep what was captured at a time on the clock, until it is read or replaced."""
        with self.changed:
            self._buffer.put(part, at_s)
            self.changed.notify_all()

    def drop_frames(self, n: int) -> None:
        """Count frames that were not even decoded."""
        with self.changed:
            self._buffer.dropped_frames += n

    def take(self, timeout_s: float = POLL_S) -> list[CapturedPart]:
        """Everything since the last call, in order of time; empty if nothing arrives in time."""
        self._raise_bug()
        with self.changed:
            parts = self._buffer.take()
            if not parts and not self.ended:
                self.changed.wait(timeout_s)
                parts = self._buffer.take()
            return parts

    def close(self) -> None:
        """End the threads. One that waits for a silent peer ends after its own time limit."""
        self.stopping.set()
        self.started.set()
        for capture in self._captures:
            if capture.thread.is_alive():
                capture.thread.join(_JOIN_S)

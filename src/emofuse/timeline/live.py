"""Live audio and video → windows, each as soon as it can be read, and none of them outdated.

A machine that is slower than the stream searches fewer frames, then reads fewer windows; it never lags.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from emofuse.core.records import StreamChoice, Waveform
from emofuse.features.extraction import extract
from emofuse.media.frame_sampling import Frame
from emofuse.media.live.inputs import requested_inputs
from emofuse.media.live.stream import CapturedPart, LiveStream
from emofuse.timeline.own_baselines import RunningBaselines
from emofuse.timeline.people import KnownPeople, Profiles
from emofuse.timeline.plain_rows import rounded
from emofuse.timeline.records import FaceBox, Window
from emofuse.timeline.windows import WindowReader, WindowRules

if TYPE_CHECKING:
    from emofuse.core.errors import EmofuseError
    from emofuse.timeline.model_interface import EmotionModel

OnOpen = Callable[[LiveStream], None]
"""Called with the stream as soon as it is open: what it reads, and what it lacks."""

OnNote = Callable[[str], None]
"""Called with a line about the stream."""

OnFaces = Callable[[Sequence[tuple[FaceBox, str | None]]], None]
"""Called with the faces that were found since the last call, and what their people are called in windows:
None before a person's first one. A new face comes up to a second late, when it is certain."""

_GAP_S: Final = 0.01
"""Longer gaps between blocks of audio are filled with silence, in blocks of at most
:data:`_LONGEST_FILL_S`."""
_LONGEST_FILL_S: Final = 1.0
_ARRIVALS_S: Final = 20.0
"""Arrival times are stored for a window and this much longer: no window is completed later."""
_BLOCKS_PER_S: Final = 12.0
"""At least as many as audio sources deliver."""


class LiveSource(Protocol):
    """What live windows are read from: inputs of this machine
    (:class:`~emofuse.media.live.stream.LiveStream`), or what somebody else captured
    (:class:`~emofuse.media.live.pushed.PushedStream`)."""

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds that never go back."""
        ...

    @property
    def has_audio(self) -> bool:
        """Whether there is audio."""
        ...

    @property
    def has_video(self) -> bool:
        """Whether there is video."""
        ...

    @property
    def dropped_frames(self) -> int:
        """Frames so far that arrived and were not read."""
        ...

    @property
    def lost_audio_s(self) -> float:
        """Seconds of audio so far that arrived and were not read."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        ...

    @property
    def problem(self) -> EmofuseError | None:
        """Why it ended too early."""
        ...

    def start(self) -> None:
        """From now on, keep what arrives."""
        ...

    def take(self, timeout_s: float = ...) -> list[CapturedPart]:
        """Everything since the last call, in order of time; empty if nothing arrives in time."""
        ...

    def close(self) -> None:
        """Keep nothing more."""
        ...


@dataclass(frozen=True, slots=True)
class LiveWindow:
    """A window, and how old it is.

    Times of ``window`` are the presentation times of a file; for other sources they count from the first
    audio or frame. The three counts cover the stream so far.
    """

    window: Window
    latency_s: float
    """From the arrival of the last audio or frame of the window until the window was returned."""
    dropped_pictures: int
    """Frames that were not searched for faces, because newer ones had come."""
    skipped_windows: int
    """Windows that were not read, because newer ones were complete."""
    lost_sound_s: float
    """Audio that was lost, because the reader was seconds behind."""

    def as_dict(self, emotions: Sequence[str]) -> dict[str, Any]:
        """The content of a line of JSON: the keys of the exported timeline, and the four figures above."""
        row = rounded(self.window.as_row(emotions))
        fused = self.window.fused
        emotion = None if fused is None else emotions[int(np.argmax(fused))]
        times_and_people = {name: row.pop(name) for name in ("start_s", "end_s", "person", "speaker")}
        return {
            **times_and_people,
            "emotion": emotion,
            **row,
            "latency_s": round(self.latency_s, 3),
            "dropped_pictures": self.dropped_pictures,
            "skipped_windows": self.skipped_windows,
            "lost_sound_s": round(self.lost_sound_s, 3),
        }

    def as_line(self, emotions: Sequence[str]) -> str:
        """One line of JSON, without a line break."""
        return json.dumps(self.as_dict(emotions), allow_nan=False)


def live_windows(
    recognizer: EmotionModel,
    source: str | Path | None = None,
    *,
    microphone: str | None = None,
    camera: str | None = None,
    rules: WindowRules | None = None,
    profile: Profiles | None = None,
    seconds: float | None = None,
    loop: bool = False,
    pace: float = 1.0,
    timeout_s: float = 5.0,
    streams: StreamChoice | None = None,
    own_baseline: bool = True,
    stop: threading.Event | None = None,
    on_open: OnOpen | None = None,
    on_note: OnNote | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[LiveWindow, None, None]:
    """Read a live stream until it ends.

    Args:
        recognizer: reads the windows.
        source: a file, read at its own pace; an address (``rtsp://…``, ``http://…``, ``udp://…``); a device
            (``v4l2:/dev/video0``); or None: the camera and the microphone of this machine.
        microphone: a device (``alsa:default``) in place of the source's audio; ``none``: no audio.
        camera: a device in place of the source's video; ``none``: no video.
        rules: length and distance of windows, frames per second.
        profile: of the one person who is seen and heard, if enrolled; or of several by name, who are found by
            their faces.
        seconds: end after this many seconds of audio and video.
        loop: start a file again at its end.
        pace: how many seconds of a file are played per second.
        timeout_s: how long a peer may send nothing.
        streams: which streams of a file or an address are read where there are several; None: those that fit
            best, as for a timeline.
        own_baseline: whether each person is read against their own baseline, that of the windows before, once
            these are enough (:mod:`emofuse.timeline.own_baselines`); not with a profile.
        stop: when set, from any thread, what has arrived by then is read and the windows end.
        on_open: called with the stream when it is open.
        on_note: called with what the user should know about the stream, once, when it shows.
        clock: a monotonic clock, in seconds.

    Yields:
        Windows in order of time. Closing the iterator ends the threads and releases devices.

    Raises:
        MediaError: nothing can be opened; or, after the last windows, a peer stopped sending or disconnected.
        ValueError: an argument is out of range.
    """
    rules = rules or WindowRules()
    stop = stop or threading.Event()
    inputs = requested_inputs(source, microphone=microphone, camera=camera)
    stream = LiveStream(
        inputs, frames_per_s=rules.pictures_per_s, pace=pace, loop=loop, timeout_s=timeout_s, streams=streams,
        stop=stop, clock=clock,
    )  # fmt: skip
    warm_up(recognizer, rules)
    with stream:
        if stop.is_set():
            return
        if on_open is not None:
            on_open(stream)
        yield from read_live(
            recognizer, stream, rules=rules, profile=profile, seconds=seconds, own_baseline=own_baseline,
            stop=stop, on_note=on_note,
        )  # fmt: skip


def read_live(
    recognizer: EmotionModel,
    stream: LiveSource,
    *,
    rules: WindowRules | None = None,
    profile: Profiles | None = None,
    seconds: float | None = None,
    own_baseline: bool = True,
    stop: threading.Event | None = None,
    on_note: OnNote | None = None,
    on_faces: OnFaces | None = None,
) -> Generator[LiveWindow, None, None]:
    """Read a stream that is open, until it ends. The first windows are late without :func:`warm_up`.

    The arguments are those of :func:`live_windows`, and ``on_faces``.

    Yields:
        Windows in order of time.

    Raises:
        EmofuseError: after the last windows, the stream's ``problem``.
    """
    stop = stop or threading.Event()
    session = _Session(recognizer, stream, rules or WindowRules(), profile, seconds)
    if own_baseline and profile is None:
        session.baselines = RunningBaselines(recognizer, session.window_s)
    session.on_faces = on_faces
    stream.start()
    while not stop.is_set() and not session.full:
        ended = stream.ended
        parts = stream.take()
        if ended and not parts:
            break
        yield from session.read(parts)
        session.tell_notes(on_note)
    problem = stream.problem
    yield from session.read(stream.take(0.0))
    stream.close()
    yield from session.finish()
    session.tell_notes(on_note)
    if problem is not None:
        raise problem


def warm_up(recognizer: EmotionModel, rules: WindowRules) -> None:
    """Load and run once what is loaded lazily, so that the first windows are not late."""
    reader = WindowReader(recognizer, rules, has_audio=True, has_video=True)
    rate = 16000
    noise = np.random.default_rng(0).normal(0, 0.05, (1, int(rate * rules.window_s))).astype(np.float32)
    gray = np.full((240, 320), 128, np.uint8)
    reader.add(Frame(0.0, gray, np.repeat(gray[..., None], 3, axis=2)))
    reader.add(Waveform(noise, rate))
    reader.finish(rules.window_s)
    # noise is not speech, so the voice was not read
    voice = extract(Waveform(noise, rate), recognizer.recipe, face=False)
    if voice.voice is not None:
        recognizer.predict_features(voice)


class _Session:
    """One stream that is being read."""

    def __init__(
        self,
        recognizer: EmotionModel,
        stream: LiveSource,
        rules: WindowRules,
        profile: Profiles | None,
        seconds: float | None,
    ) -> None:
        self._recognizer, self._profile, self._rules = recognizer, profile, rules
        self.baselines: RunningBaselines | None = None
        """People's own baselines so far; None: nobody is read against one."""
        self.on_faces: OnFaces | None = None
        self._stream, self._seconds = stream, seconds
        self._reader: WindowReader | None = None
        self._start_s = self._audio_s = self._video_s = -np.inf
        self._skipped = 0
        self._told: set[str] = set()
        n_arrivals = int((rules.window_s + _ARRIVALS_S) * max(_BLOCKS_PER_S, rules.pictures_per_s))
        self._arrivals: dict[bool, deque[tuple[float, float]]] = {
            is_audio: deque(maxlen=n_arrivals) for is_audio in (True, False)
        }
        """For audio and for video: the start of each part, and when it arrived."""
        self._clock = stream.clock

    @property
    def window_s(self) -> float:
        """The length of its windows."""
        return self._rules.window_s

    @property
    def full(self) -> bool:
        """Whether the requested duration has been read."""
        return self._seconds is not None and self._end_s - self._start_s >= self._seconds

    @property
    def _end_s(self) -> float:
        return max(self._audio_s, self._video_s)

    def read(self, parts: Sequence[CapturedPart]) -> Iterator[LiveWindow]:
        """Add what has arrived; yield the windows that it completes, without outdated ones."""
        if not parts or self.full:
            return
        if self._reader is None:
            self._start_reader(min(part.start_s for part in parts))
        assert self._reader is not None
        audio_s = max((one.end_s for one in parts if isinstance(one.part, Waveform)), default=self._audio_s)
        video_s = max((one.end_s for one in parts if isinstance(one.part, Frame)), default=self._video_s)
        self._skipped += self._reader.skip_outdated(audio_s, video_s)
        for part in parts:
            is_audio = isinstance(part.part, Waveform)
            self._arrivals[is_audio].append((part.start_s, part.at_s))
            for one in self._continued(part.part):
                for window in self._reader.add(one):
                    yield self._as_live(window)
        self._tell_faces(self._reader)

    def finish(self) -> Iterator[LiveWindow]:
        """Yield the windows that are left."""
        if self._reader is None:
            return
        end_s = self._end_s
        if self._seconds is not None:
            end_s = min(end_s, self._start_s + self._seconds)
        for window in self._reader.finish(end_s):
            yield self._as_live(window)

    def tell_notes(self, on_note: OnNote | None) -> None:
        """Pass on the reader's notes that are new."""
        if on_note is None or self._reader is None:
            return
        for note in self._reader.notes:
            if note not in self._told:
                self._told.add(note)
                on_note(note)

    def _tell_faces(self, reader: WindowReader) -> None:
        """Pass on the new boxes of faces that move, or may."""
        boxes, still, names = reader.take_boxes(), reader.still_people(), reader.window_names
        shown = [(one, names.get(one.person)) for one in boxes if one.person not in still]
        if shown and self.on_faces is not None:
            self.on_faces(shown)

    def _start_reader(self, start_s: float) -> None:
        self._start_s = start_s
        self._reader = WindowReader(
            self._recognizer,
            self._rules,
            has_audio=self._stream.has_audio,
            has_video=self._stream.has_video,
            start_s=start_s,
            people=KnownPeople.of(self._profile),
            as_they_come=True,
        )

    def _continued(self, part: Waveform | Frame) -> Iterator[Waveform | Frame]:
        """The part as a continuation of the ones before: silence in place of lost audio, nothing twice."""
        if isinstance(part, Waveform):
            yield from self._with_silence(part)
        elif part.time_s > self._video_s:
            self._video_s = part.time_s
            yield part

    def _with_silence(self, block: Waveform) -> Iterator[Waveform]:
        rate, n_channels = block.sample_rate_hz, block.n_channels
        if np.isfinite(self._audio_s):
            while (gap_s := block.start_s - self._audio_s) > _GAP_S:
                n = max(1, round(min(gap_s, _LONGEST_FILL_S) * rate))
                silence = Waveform(np.zeros((n_channels, n), np.float32), rate, self._audio_s)
                self._audio_s += silence.duration_s
                yield silence
            if gap_s < -_GAP_S:
                n = min(block.samples.shape[1], round(-gap_s * rate))
                block = Waveform(block.samples[:, n:], rate, block.start_s + n / rate)
        if block.samples.shape[1]:
            self._audio_s = block.start_s + block.duration_s
            yield block

    def _as_live(self, window: Window) -> LiveWindow:
        """The window as it is returned now."""
        if self.baselines is not None:
            window = self.baselines.read(window)
        arrivals = [self._last_before(times, window.end_s) for times in self._arrivals.values() if times]
        return LiveWindow(
            window,
            max(0.0, self._clock() - max(arrivals)),
            self._stream.dropped_frames,
            self._skipped,
            self._stream.lost_audio_s,
        )

    @staticmethod
    def _last_before(arrivals: deque[tuple[float, float]], end_s: float) -> float:
        """When the last part arrived that starts before a time."""
        at_s = arrivals[0][1]
        for start_s, arrival_s in arrivals:
            if start_s >= end_s:
                break
            at_s = arrival_s
        return at_s

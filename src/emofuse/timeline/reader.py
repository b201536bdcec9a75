"""A recording of any length → its timeline: one decoding pass, windows, segments."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Waveform
from emofuse.media.container import Source, display_path
from emofuse.media.file_stream import MediaStream, open_stream
from emofuse.system.memory import trim_heap
from emofuse.timeline.records import FaceBox, Timeline, Window
from emofuse.timeline.segments import SegmentRules, make_segments
from emofuse.timeline.windows import WindowReader, WindowRules

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.timeline.model_interface import EmotionModel

OnProgress = Callable[[float, float | None], None]
"""Told the seconds that were read, and how many there are where the file says."""

OnSound = Callable[[Waveform], None]
"""Handed every block of sound, in order."""

_ABSENT_S: Final = 1.0
"""Somebody who is not seen for longer than this was away."""
_DAMAGED_S: Final = 0.5
"""A stream that ends this much before its declared end was cut off: the rest is a part without answers."""
_PADDING_S: Final = 0.1
"""Decoders of sound give whole frames, which may reach so far beyond the declared end."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How a recording is read: see :meth:`Recognizer.timeline`."""

    rules: WindowRules | None = None
    start_s: float | None = None
    end_s: float | None = None
    profile: Profile | None = None


@dataclass(slots=True)
class _Reading:
    """A recording that is being read."""

    stream: MediaStream
    reader: WindowReader
    start_s: float
    end_s: float

    def windows(
        self, on_progress: OnProgress | None = None, on_sound: OnSound | None = None
    ) -> Iterator[Window]:
        read_s = self.start_s
        for part in self.stream:
            if isinstance(part, Waveform):
                end_s = part.start_s + part.duration_s
                if on_sound is not None:
                    on_sound(part)
            else:
                end_s = part.time_s
            self.end_s = max(self.end_s, end_s)
            for window in self.reader.add(part):
                read_s = max(read_s, window.end_s)
                yield window
            if on_progress is not None:
                on_progress(self.end_s - self.start_s, self.stream.duration_s)
        length_s = self.stream.duration_s
        declared_s = self.end_s if length_s is None else self.start_s + length_s
        # the last picture is shown until the declared end, and what the last frame of sound is filled up with
        # lies beyond it
        step_s = 1 / self.reader.rules.pictures_per_s
        if declared_s - self.end_s > _DAMAGED_S + step_s:
            # where only one picture came, it was seen for a while
            self.end_s = max(self.end_s, min(declared_s, self.start_s + step_s))
            yield from self.reader.finish(self.end_s)
            if self.stream.declares_length:
                self.end_s = declared_s
        else:
            last_s = self.reader.moments[-1] if self.reader.moments else self.start_s
            if max(last_s, self.end_s - _PADDING_S) < declared_s:
                self.end_s = max(declared_s, read_s)
            yield from self.reader.finish(self.end_s)


class _Kept:
    """Windows as plain numbers until the last one is there.

    Thousands of small arrays, strewn among pictures that come and go, would keep the memory of those from
    being used again.
    """

    def __init__(self, n_emotions: int) -> None:
        self._n = n_emotions
        self._numbers = array("d")
        self._rest: list[dict[str, Any]] = []

    def add(self, window: Window) -> None:
        unknown = (math.nan,) * self._n
        for one in (window.start_s, window.end_s, window.speech, window.face_present):
            self._numbers.append(math.nan if one is None else one)
        for values in window.probabilities.values():
            self._numbers.extend(unknown if values is None else values)
        self._rest.append({
            "quality": window.quality, "reasons": window.reasons, "person": window.person,
            "speaker": window.speaker,
        })  # fmt: skip

    def windows(self) -> Iterator[Window]:
        table = np.array(self._numbers).reshape(len(self._rest), 4 + 3 * self._n)
        for row, rest in zip(table, self._rest, strict=True):
            start_s, end_s, *shares = row[:4].tolist()
            speech, face_present = (None if math.isnan(share) else share for share in shares)
            vectors = row[4:].reshape(3, self._n)
            voice, face, fused = (None if np.isnan(vector[0]) else vector for vector in vectors)
            yield Window(start_s, end_s, voice, face, fused, speech=speech, face_present=face_present, **rest)


def stream_windows(
    recognizer: EmotionModel, source: Source, options: ReadingOptions | None = None
) -> Iterator[Window]:
    """The windows of a recording, each as soon as it is read. See :meth:`Recognizer.stream`."""
    with _opened(recognizer, source, options) as reading:
        for window in reading.windows():
            reading.reader.take_boxes()
            yield window


def read_timeline(
    recognizer: EmotionModel,
    source: Source,
    options: ReadingOptions | None = None,
    *,
    segment_rules: SegmentRules | None = None,
    on_progress: OnProgress | None = None,
    on_sound: OnSound | None = None,
) -> Timeline:
    """The timeline of a recording. See :meth:`Recognizer.timeline`."""
    with _opened(recognizer, source, options) as reading:
        kept = _Kept(len(recognizer.emotions))
        for window in reading.windows(on_progress, on_sound):
            kept.add(window)
        reader, stream = reading.reader, reading.stream
        span = reading.start_s, reading.end_s
    trim_heap()
    windows = list(kept.windows())
    faces = sorted(reader.take_boxes(), key=lambda box: (box.time_s, box.person))
    moments = np.array(reader.moments, dtype=np.float64)
    segments = make_segments(
        windows, span, recognizer.emotions,
        presence=presence(faces, moments, span[1]), moments=moments, rules=segment_rules,
    )  # fmt: skip
    return Timeline(
        source=str(display_path(source)),
        duration_s=span[1] - span[0],
        start_s=span[0],
        windows=tuple(windows),
        segments=segments,
        emotions=recognizer.emotions,
        recogniser=recognizer.recipe.name,
        licence=recognizer.licence,
        people=tuple(reader.people),
        faces=tuple(faces),
        picture_size=(stream.width, stream.height) if stream.has_video else None,
        notes=stream.notes,
    )


@contextmanager
def _opened(recognizer: EmotionModel, source: Source, options: ReadingOptions | None) -> Iterator[_Reading]:
    options = options or ReadingOptions()
    rules = options.rules or WindowRules()
    start_s = None if options.start_s is None else max(options.start_s, 0.0)
    with open_stream(
        source, frames_per_s=rules.pictures_per_s, start_s=start_s, end_s=options.end_s,
        threads=recognizer.decoder_threads,
    ) as stream:  # fmt: skip
        first_s = 0.0 if start_s is None else start_s
        reader = WindowReader(
            recognizer,
            rules,
            has_audio=stream.has_audio,
            has_video=stream.has_video,
            start_s=first_s,
            profile=options.profile,
        )
        yield _Reading(stream, reader, first_s, first_s)


def presence(
    faces: Sequence[FaceBox], moments: NDArray[np.float64], end_s: float
) -> dict[str | None, list[tuple[float, float]]]:
    """When each person was seen: from the first picture with the face to the one after the last.

    Args:
        faces: in order of time.
        moments: times of all pictures that were searched, increasing.
        end_s: the end of the recording, for a face that is there in the last picture; where the recording
            goes on without pictures, the last one counts as long as the others did.
    """
    if len(moments) > 1 and end_s - moments[-1] > _ABSENT_S:
        end_s = min(end_s, float(moments[-1] + np.median(np.diff(moments))))
    spans: dict[str | None, list[tuple[float, float]]] = {}
    for face in faces:
        after = int(np.searchsorted(moments, face.time_s, "right"))
        gone_s = float(moments[after]) if after < len(moments) else end_s
        own = spans.setdefault(face.person, [])
        if own and face.time_s - own[-1][1] <= _ABSENT_S:
            own[-1] = own[-1][0], gone_s
        else:
            own.append((face.time_s, gone_s))
    return spans

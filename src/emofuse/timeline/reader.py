"""A recording of any length → its timeline: one decoding pass, windows, segments."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emofuse.core.limits import ReadControl
from emofuse.core.records import StreamChoice, Waveform
from emofuse.features.profile import Profile
from emofuse.media.container import Source, display_path
from emofuse.media.file_stream import MediaStream, open_stream
from emofuse.system.memory import trim_heap
from emofuse.timeline.own_baselines import RunningBaselines, with_own_baselines
from emofuse.timeline.people import KnownPeople, Profiles, rename_people
from emofuse.timeline.person_baseline import PersonBaseline
from emofuse.timeline.provenance import Provenance
from emofuse.timeline.records import Timeline, Window
from emofuse.timeline.segments import SegmentRules, make_segments, presence
from emofuse.timeline.still_faces import Seen, without_still_faces
from emofuse.timeline.windows import WindowReader, WindowRules

if TYPE_CHECKING:
    from emofuse.timeline.model_interface import EmotionModel

OnSound = Callable[[Waveform], None]
"""Called with every block of audio, in order."""

_DAMAGED_S: Final = 0.5
"""A stream that ends this much before its declared end was cut off: the rest has no results."""
_PADDING_S: Final = 0.1
"""Audio decoders return whole frames, which may reach this far beyond the declared end."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How a recording is read: see :meth:`Recognizer.timeline`."""

    rules: WindowRules | None = None
    start_s: float | None = None
    end_s: float | None = None
    profile: Profiles | None = None
    streams: StreamChoice | None = None
    control: ReadControl = field(default_factory=ReadControl)
    identity: bool | None = None
    own_baseline: bool = True

    @property
    def makes_baselines(self) -> bool:
        """Whether own baselines come from the recording: not if one profile stands in the place of all."""
        return self.own_baseline and not isinstance(self.profile, Profile)


@dataclass(slots=True)
class _Reading:
    """A recording that is being read."""

    stream: MediaStream
    reader: WindowReader
    start_s: float
    end_s: float
    control: ReadControl

    def windows(self, on_sound: OnSound | None = None) -> Iterator[Window]:
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
            self.control.report(self.end_s - self.start_s, self.stream.duration_s)
        length_s = self.stream.duration_s
        declared_s = self.end_s if length_s is None else self.start_s + length_s
        # the last video frame is shown until the declared end, beyond which the last audio frame is padding
        step_s = 1 / self.reader.rules.pictures_per_s
        shown_s = self.stream.shown_until_s
        # nothing else says how long a bare stream is; in others, the last frame may stand long
        if shown_s - self.end_s > (0.0 if length_s is None else _DAMAGED_S + step_s):
            self.end_s = max(self.end_s, shown_s if length_s is None else min(shown_s, declared_s))
            declared_s = max(declared_s, self.end_s)
        if declared_s - self.end_s > _DAMAGED_S + step_s:
            # a single frame counts as shown for one step
            self.end_s = max(self.end_s, min(declared_s, self.start_s + step_s))
            yield from self.reader.finish(self.end_s, shown_s)
            if self.stream.declares_length:
                self.end_s = declared_s
        else:
            last_s = self.reader.frame_times[-1] if self.reader.frame_times else self.start_s
            if max(last_s, self.end_s - _PADDING_S) < declared_s:
                self.end_s = max(declared_s, read_s)
            yield from self.reader.finish(self.end_s, shown_s)


class _CompactWindows:
    """Windows as plain numbers until the recording ends.

    Thousands of small arrays among short-lived frames would fragment the memory of the frames.
    """

    def __init__(self, n_emotions: int) -> None:
        self._n = n_emotions
        self._numbers = array("d")
        self._others: list[dict[str, Any]] = []

    def add(self, window: Window) -> None:
        unknown = (math.nan,) * self._n
        for one in (window.start_s, window.end_s, window.speech, window.face_present):
            self._numbers.append(math.nan if one is None else one)
        for values in window.probabilities.values():
            self._numbers.extend(unknown if values is None else values)
        self._others.append({
            "quality": window.quality, "reasons": window.reasons, "person": window.person,
            "speaker": window.speaker, "ratings": window.ratings,
        })  # fmt: skip

    def windows(self) -> Iterator[Window]:
        table = np.array(self._numbers).reshape(len(self._others), 4 + 3 * self._n)
        for row, more in zip(table, self._others, strict=True):
            start_s, end_s, *shares = row[:4].tolist()
            speech, face_present = (None if math.isnan(share) else share for share in shares)
            vectors = row[4:].reshape(3, self._n)
            read = [vector if self._n and not np.isnan(vector[0]) else None for vector in vectors]
            voice, face, fused = read
            yield Window(start_s, end_s, voice, face, fused, speech=speech, face_present=face_present, **more)


def stream_windows(
    recognizer: EmotionModel, source: Source, options: ReadingOptions | None = None
) -> Iterator[Window]:
    """The windows of a recording, each as soon as it is read. See :meth:`Recognizer.stream`."""
    options = options or ReadingOptions()
    with _opened(recognizer, source, options, as_they_come=True) as reading:
        enrolled = KnownPeople.of(options.profile).by_name
        running = RunningBaselines(recognizer, reading.reader.rules.window_s, enrolled=enrolled)
        for window in reading.windows():
            reading.reader.take_boxes()
            yield running.read(window) if options.makes_baselines else window


def read_timeline(
    recognizer: EmotionModel,
    source: Source,
    options: ReadingOptions | None = None,
    *,
    segment_rules: SegmentRules | None = None,
    on_sound: OnSound | None = None,
) -> Timeline:
    """The timeline of a recording. See :meth:`Recognizer.timeline`."""
    options = options or ReadingOptions()
    with _opened(recognizer, source, options) as reading:
        compact = _CompactWindows(len(recognizer.emotions))
        for window in reading.windows(on_sound):
            compact.add(window)
        reader, stream = reading.reader, reading.stream
        span = reading.start_s, reading.end_s
    trim_heap()
    boxes = sorted(reader.take_boxes(), key=lambda box: (box.time_s, box.person))
    seen = Seen(list(compact.windows()), boxes, tuple(reader.people))
    still = reader.still_people()
    seen = without_still_faces(seen, still)
    numbers = dict(zip((one for one in reader.people if one not in still), seen.people, strict=True))
    names = {numbers[one]: name for one, name in reader.names.items() if one in numbers}
    windows, faces = seen.windows, seen.faces
    baselines: dict[str, PersonBaseline] = {}
    if options.makes_baselines:
        windows, baselines = with_own_baselines(recognizer, windows, reader.rules.window_s, enrolled=names)
    used = segment_rules or SegmentRules()
    frame_times = np.array(reader.frame_times, dtype=np.float64)
    segments = make_segments(
        windows, span, recognizer.emotions,
        presence=presence(faces, frame_times, span[1]), frame_times=frame_times, rules=used,
    )  # fmt: skip
    timeline = Timeline(
        source=str(display_path(source)),
        duration_s=span[1] - span[0],
        start_s=span[0],
        windows=tuple(windows),
        segments=segments,
        emotions=recognizer.emotions,
        dimensions=recognizer.dimensions,
        recogniser=recognizer.recipe.name,
        licence=recognizer.licence,
        people=seen.people,
        faces=tuple(faces),
        picture_size=(stream.width, stream.height) if stream.has_video else None,
        notes=stream.notes + reader.notes + seen.notes,
        baselines=baselines,
        provenance=Provenance(
            reader.rules.window_s, used.change_cost, used.abstain_below, frame_times,
            options.makes_baselines, recognizer.baselines.fingerprint, tuple(names),
        ),
    )  # fmt: skip
    return rename_people(timeline, names)[0]


@contextmanager
def _opened(
    recognizer: EmotionModel, source: Source, options: ReadingOptions, *, as_they_come: bool = False
) -> Iterator[_Reading]:
    rules = options.rules or WindowRules()
    people = KnownPeople.of(options.profile)
    for profile in people.by_name.values():
        recognizer.check_profile(profile)
    start_s = None if options.start_s is None else max(options.start_s, 0.0)
    with open_stream(
        source, frames_per_s=rules.pictures_per_s, start_s=start_s, end_s=options.end_s,
        threads=recognizer.decoder_threads, streams=options.streams, control=options.control,
    ) as stream:  # fmt: skip
        first_s = 0.0 if start_s is None else start_s
        reader = WindowReader(
            recognizer,
            rules,
            has_audio=stream.has_audio,
            has_video=stream.has_video,
            start_s=first_s,
            people=people,
            identity=options.identity,
            as_they_come=as_they_come,
            source=str(display_path(source)),
        )
        yield _Reading(stream, reader, first_s, first_s, options.control)

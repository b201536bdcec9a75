"""The timeline of a recording: windows with probabilities, segments made of them, and faces.

Every time is a presentation timestamp in seconds on the recording's own clock, whose zero is the file's
earliest timestamp, as in :mod:`emofuse.media.decoding` and in players. The timeline covers ``start_s`` to
``start_s + duration_s``; ``start_s`` need not be zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from emofuse.core.alike import joined_name
from emofuse.core.by_value import ComparedByValue
from emofuse.core.dimensions import Rated, Scale, rated_data
from emofuse.core.times import milliseconds
from emofuse.features.own_baseline import Reading
from emofuse.timeline.marks import ExcludedSpan, Marker, check_marks
from emofuse.timeline.person_baseline import Leading, PersonBaseline
from emofuse.timeline.plain_rows import Row, by_emotion, data_frame, flat_row, probability_columns
from emofuse.timeline.provenance import Provenance
from emofuse.timeline.rating_rows import check_ratings, rating_cells, rating_columns
from emofuse.timeline.value_checks import (
    check_codes,
    check_name,
    check_probabilities,
    check_quality,
    check_share,
    check_span,
)  # fmt: skip

if TYPE_CHECKING:
    import pandas as pd

OUTSIDE_S = 1e-6
"""How far a time may lie outside the recording: what is lost when timestamps are added as floats."""

QualityValue = float | int | str | bool | None
SpanMs = tuple[int, int]
"""Start and end in whole milliseconds."""
Table = Literal["windows", "segments", "faces"]

_SEGMENT_COLUMNS: Final = ("start_s", "end_s", "person", "emotion", "confidence", "abstained")
_STATUS: Final = "status"
_FACE_COLUMNS: Final = ("time_s", "person", "left", "top", "right", "bottom")
_TEXT_COLUMNS: Final = frozenset({"person", "speaker", "emotion", "quality", "reasons", "baseline", _STATUS})


@lru_cache(maxsize=256)
def person_name(number: int) -> str:
    """The name of a person who is known only by a number."""
    return f"person {number}"


def part_ms(part: Window | Segment, within: SpanMs | None = None) -> SpanMs:
    """Start and end of a window or a segment, clipped to ``within``."""
    start, end = milliseconds(part.start_s), milliseconds(part.end_s)
    if within is None:
        return start, end
    first, last = within
    return min(max(start, first), last), min(max(end, first), last)


def _no_table(name: str) -> ValueError:
    return ValueError(f"no table {name!r}: use windows, segments or faces")


@dataclass(frozen=True, slots=True, eq=False)
class Window(ComparedByValue):
    """The probabilities of one window.

    ``voice``, ``face`` and ``fused``: (n_emotions,) float64 in the order of the timeline's emotions, or
    None where they could not be computed; ``reasons`` then says why, in codes. ``speech`` and
    ``face_present``: the share of the window, 0 to 1, with speech and with a face; None: not measured.
    """

    start_s: float
    end_s: float
    voice: NDArray[np.float64] | None
    face: NDArray[np.float64] | None
    fused: NDArray[np.float64] | None
    speech: float | None = None
    face_present: float | None = None
    quality: Mapping[str, QualityValue] = field(default_factory=dict)
    """Plain figures by name, with the unit in the name: snr_db, face_size_px."""
    reasons: tuple[str, ...] = ()
    """Codes of letters, digits and ``_.:-``, such as ``voice:silent``."""
    person: str | None = None
    """Whose face it is, where people are told apart."""
    speaker: str | None = None
    """Whose voice it is, judged by mouth movement; None where the voice is attributed to nobody."""
    baseline: Leading | None = None
    """Which reading the probabilities are, where the person's own baseline is known: ``own``, against it, or
    ``plain``, without it."""
    other: Reading | None = None
    """The reading that does not lead, where the baseline is known."""
    ratings: Mapping[str, Rated] = field(default_factory=dict)
    """On numeric scales, such as valence: a value with its interval; only those that could be read."""

    def __post_init__(self) -> None:
        check_span("window", self.start_s, self.end_s)
        for name, array in self.probabilities.items():
            check_probabilities(name, array)
        if (self.baseline is None) != (self.other is None):
            raise ValueError("a window has another reading if, and only if, it says which one leads")
        if self.other is not None:
            for name, array in self.other.by_name.items():
                check_probabilities(f"other {name}", array)
        check_share("speech", self.speech)
        check_share("face_present", self.face_present)
        check_quality(self.quality)
        check_codes(self.reasons)

    @property
    def probabilities(self) -> dict[str, NDArray[np.float64] | None]:
        """The three vectors by name, in the order of every export."""
        return {"voice": self.voice, "face": self.face, "fused": self.fused}

    def as_row(self, emotions: Sequence[str], within: SpanMs | None = None) -> Row:
        """The window as plain data: times in seconds to the millisecond, probabilities by emotion.

        Args:
            emotions: the order of the probabilities.
            within: the span of the recording, to which times are clipped.
        """
        start_ms, end_ms = part_ms(self, within)
        return {
            "start_s": start_ms / 1000,
            "end_s": end_ms / 1000,
            "person": self.person,
            "speaker": self.speaker,
            **by_emotion(self.probabilities, emotions),
            "speech": self.speech,
            "face_present": self.face_present,
            "quality": dict(self.quality),
            "reasons": list(self.reasons),
            "baseline": self.baseline,
            "other": None if self.other is None else by_emotion(self.other.by_name, emotions),
            **({"dimensions": rated_data(self.ratings)} if self.ratings else {}),
        }


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time with one result.

    The result is an emotion with its confidence; or none, because the recognizer ``abstained`` (then
    ``confidence`` may hold that of its best guess) or because there was nothing to read.
    """

    start_s: float
    end_s: float
    emotion: str | None
    confidence: float | None = None
    abstained: bool = False
    person: str | None = None
    alike: tuple[str, ...] = ()
    """Other emotions of the same probability, which a face alone does not tell apart from ``emotion``."""
    excluded: bool = False
    """Whether somebody left this stretch out, which then has no result."""

    def __post_init__(self) -> None:
        check_span("segment", self.start_s, self.end_s)
        check_share("confidence", self.confidence)
        if self.emotion is not None and (self.abstained or self.confidence is None):
            raise ValueError("a segment with an emotion has a confidence and is not abstained")
        if self.emotion is None and not self.abstained and self.confidence is not None:
            raise ValueError("a segment in which nothing could be read has no confidence")
        if self.excluded and (self.emotion is not None or self.abstained):
            raise ValueError("an excluded segment has no result")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    @property
    def status(self) -> Literal["read", "abstained", "nothing_to_read", "excluded"]:
        """Which kind of result it has."""
        if self.excluded:
            return "excluded"
        return "read" if self.emotion is not None else "abstained" if self.abstained else "nothing_to_read"

    @property
    def shown_emotion(self) -> str | None:
        """The emotion as it is shown to people: with those that are alike, as in ``neutral or calm``."""
        return None if self.emotion is None else joined_name((self.emotion, *self.alike))

    @property
    def shown_confidence(self) -> float | None:
        """The confidence that belongs to it: that of all of them together."""
        return None if self.confidence is None else min(1.0, self.confidence * (1 + len(self.alike)))

    def as_row(self, within: SpanMs | None = None) -> Row:
        """The segment as plain data: times in seconds to the millisecond, clipped to ``within``."""
        start_ms, end_ms = part_ms(self, within)
        values = (start_ms / 1000, end_ms / 1000, self.person, self.emotion, self.confidence, self.abstained)
        return dict(zip(_SEGMENT_COLUMNS, values, strict=True))


Part = TypeVar("Part", Window, Segment)


@dataclass(frozen=True, slots=True)
class FaceBox:
    """Where one person's face was at one time, in pixels of the upright frame.

    The right and the bottom edge are exclusive. A box may reach beyond the frame, as detectors' boxes do.
    """

    time_s: float
    person: str
    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.time_s, *self.edges))):
            raise ValueError(f"a face's time and edges must be finite, got {self.time_s} s, {self.edges}")
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError(f"a face needs left < right and top < bottom, got {self.edges}")

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    def as_row(self, within: SpanMs) -> Row:
        """The face as plain data: its time in seconds to the millisecond, clipped to ``within``."""
        first, last = within
        time_ms = min(max(milliseconds(self.time_s), first), last)
        return dict(zip(_FACE_COLUMNS, (time_ms / 1000, self.person, *self.edges), strict=True))


@dataclass(frozen=True, slots=True)
class Timeline:
    """All results for one recording.

    Windows are ordered by their start and may overlap; segments are ordered by their start, and those of
    one person (or of nobody in particular) do not overlap. Faces are ordered by time; nobody has two at
    the same time.

    Raises:
        ValueError: a window, segment or face is outside the recording, out of order, overlaps another of the
            same person, or names an emotion or a person that the timeline does not list; or there are
            faces, but no frame size.
    """

    source: str
    """The path or address as it was given, or a name in angle brackets, such as ``<bytes>``, for a source
    that has neither."""
    duration_s: float
    start_s: float
    """On the recording's own clock."""
    windows: tuple[Window, ...]
    segments: tuple[Segment, ...]
    emotions: tuple[str, ...]
    recogniser: str
    """The name of the recognizer's recipe."""
    licence: str | None = None
    """Of the recognizer; output may have to name it."""
    people: tuple[str, ...] = ()
    faces: tuple[FaceBox, ...] = ()
    picture_size: tuple[int, int] | None = None
    """Width and height, in pixels, of the upright frames that the faces lie in; None without video."""
    notes: tuple[str, ...] = ()
    """What a user should know about the recording, such as damage in it."""
    baselines: Mapping[str, PersonBaseline] = field(default_factory=dict)
    """Of people whose own baseline is known from this recording."""
    purpose: str | None = None
    """For what the recording is read, as those who read it put it; every export says it."""
    excluded: tuple[ExcludedSpan, ...] = ()
    """Spans that do not count. The segments in them are excluded, and no window touches one."""
    markers: tuple[Marker, ...] = ()
    provenance: Provenance | None = None
    """How it was made of the recording; None where that is not known."""
    dimensions: tuple[Scale, ...] = ()
    """The numeric scales on which windows are rated, in order."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise ValueError(f"invalid span: {self.duration_s} s from {self.start_s} s")
        if not (self.emotions or self.dimensions) or len(set(self.emotions)) != len(self.emotions):
            raise ValueError("emotions must be distinct, and at least one where there are no dimensions")
        for name in self.people:
            check_name(name)
        if len(set(self.people)) != len(self.people):
            raise ValueError("people must have different names")
        if unknown := set(self.baselines) - set(self.people):
            raise ValueError(f"a baseline of {min(unknown)!r}, who is not among the people")
        self._check_parts("window", self.windows)
        self._check_parts("segment", self.segments)
        n = len(self.emotions)
        for window in self.windows:
            check_ratings(window.ratings, self.dimensions)
            others = {} if window.other is None else window.other.by_name
            for name, array in (*window.probabilities.items(), *others.items()):
                if array is not None and array.shape != (n,):
                    raise ValueError(f"{name} must be ({n},), one for each emotion, got {array.shape}")
        self._check_segments()
        self._check_faces()
        limits = self.start_s - OUTSIDE_S, self.end_s + OUTSIDE_S
        check_marks(self.excluded, self.markers, self.people, limits)

    def _check_parts(self, kind: str, parts: tuple[Any, ...]) -> None:
        first, last = self.start_s - OUTSIDE_S, self.end_s + OUTSIDE_S
        before = first
        for part in parts:
            if part.start_s < first or part.end_s > last:
                raise ValueError(
                    f"{kind} {part.start_s} to {part.end_s} s is outside the recording, "
                    f"{self.start_s} to {self.end_s} s"
                )
            if part.start_s < before:
                raise ValueError(f"{kind}s must be ordered by time: {part.start_s} s follows {before} s")
            for person in (part.person, getattr(part, "speaker", None)):
                if person is not None and person not in self.people:
                    raise ValueError(f"{kind} of {person!r}, who is not among the people")
            before = part.start_s

    def _check_segments(self) -> None:
        ends: dict[str | None, float] = {}
        for segment in self.segments:
            if segment.emotion is not None and segment.emotion not in self.emotions:
                raise ValueError(
                    f"unknown emotion {segment.emotion!r}: use one of {', '.join(self.emotions)}"
                )
            # no tolerance here: rounded times are in order only if these are
            if segment.start_s < ends.get(segment.person, -math.inf):
                raise ValueError(f"segments of {segment.person or 'one tier'} overlap at {segment.start_s} s")
            ends[segment.person] = segment.end_s

    def _check_faces(self) -> None:
        if self.picture_size is not None and not all(side > 0 for side in self.picture_size):
            raise ValueError(f"picture_size must be (width, height) in pixels, got {self.picture_size}")
        if self.faces and self.picture_size is None:
            raise ValueError("faces need picture_size, the size of the frames that they lie in")
        known, before = frozenset(self.people), -math.inf
        seen: dict[str, float] = {}
        for face in self.faces:
            if not self.start_s - OUTSIDE_S <= face.time_s <= self.end_s + OUTSIDE_S:
                raise ValueError(f"a face at {face.time_s} s is outside {self.start_s} to {self.end_s} s")
            if face.time_s < before:
                raise ValueError(f"faces must be ordered by time: {face.time_s} s follows {before} s")
            if face.person not in known:
                raise ValueError(f"face of {face.person!r}, who is not among the people")
            if seen.get(face.person) == face.time_s:
                raise ValueError(f"two faces of {face.person!r} at {face.time_s} s")
            before = seen[face.person] = face.time_s

    @property
    def end_s(self) -> float:
        """When the recording ends, on its own clock."""
        return self.start_s + self.duration_s

    @property
    def span_ms(self) -> SpanMs:
        """Start and end of the recording."""
        end = round((Fraction(self.start_s) + Fraction(self.duration_s)) * 1000)
        return milliseconds(self.start_s), end

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what the baselines of people change."""
        own = (f"{person} is {baseline.described}" for person, baseline in self.baselines.items())
        return (*self.notes, *own)

    def leading(self, person: str | None) -> Leading | None:
        """Which reading leads for somebody; None: no baseline is known."""
        baseline = None if person is None else self.baselines.get(person)
        return None if baseline is None else baseline.leading

    def by_person(self, parts: Iterable[Part]) -> dict[str | None, list[Part]]:
        """Windows or segments by person, in the timeline's order; those of nobody last, if there are any."""
        found: dict[str | None, list[Part]] = {person: [] for person in self.people}
        for part in parts:
            found.setdefault(part.person, []).append(part)
        return found

    def columns(self, what: Table) -> dict[str, str]:
        """The columns of a table, and the type of each as NumPy calls it: float64, bool or object.

        Those of windows are ``voice_neutral`` … ``fused_surprised`` between the times and the rest.

        Raises:
            ValueError: there is no such table.
        """
        names: tuple[str, ...]
        if what == "windows":
            names = (
                *("start_s", "end_s", "person", "speaker"),
                *probability_columns(self.emotions),
                *("speech", "face_present", "quality", "reasons", "baseline"),
                *probability_columns(self.emotions, "other_"),
                *rating_columns(self.dimensions),
            )
        elif what == "segments":
            names = (*_SEGMENT_COLUMNS, _STATUS, "baseline")
        elif what == "faces":
            names = _FACE_COLUMNS
        else:
            raise _no_table(what)
        kinds = {"abstained": "bool"} | dict.fromkeys(_TEXT_COLUMNS, "object")
        return {name: kinds.get(name, "float64") for name in names}

    def rows(self, what: Table) -> Iterator[Row]:
        """The rows of a table, ready for ``pandas.DataFrame``; None where there is nothing.

        Times are in seconds to the millisecond, ``quality`` is JSON, ``reasons`` are joined with ``;``,
        ``status`` is that of :class:`Segment`, the edges of faces are pixels of the upright frame.

        Raises:
            ValueError: there is no such table.
        """
        within = self.span_ms
        if what == "windows":
            return map(self._window_row, self.windows)
        if what == "segments":
            return (
                segment.as_row(within) | {_STATUS: segment.status, "baseline": self.leading(segment.person)}
                for segment in self.segments
            )
        if what == "faces":
            return (face.as_row(within) for face in self.faces)
        raise _no_table(what)

    def _window_row(self, window: Window) -> Row:
        row = flat_row(window.as_row(self.emotions, self.span_ms), self.emotions)
        return row | rating_cells(window.ratings, self.dimensions)

    def to_pandas(self, what: Table = "windows") -> pd.DataFrame:
        """A table of the windows, the segments or the faces, with the columns of the exported tables.

        Figures are float64, and NaN where there is nothing; ``abstained`` is bool; texts are str or None.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return data_frame(self.columns(what), self.rows(what))

"""A timeline and annotations → the timeline that they describe.

The order is fixed: people are merged, excluded spans are left out, people get their names, markers are added.

- **Merges.** Everything of one person becomes another's. Where both have a window of the same time, one of
  the two is kept: that in which the voice was read, else that in which the face was, else the one with the
  face in more of its frames, else the first; its share of frames with the face is that of both together.
  Where both have a face in the same frame, the larger one is kept.
- **Excluded spans.** Windows that touch one are left out, and faces in it. The segments in it are excluded;
  beside it they are made again of the windows that are left, and moments that only left-out windows covered
  have nothing to read. Where somebody else was seen while the person spoke, that speech counts for nobody.
- **Baselines.** They are made again of the windows that are left, by the recognizer that read them. Without
  it, merged people are read without baseline, and others keep theirs.

Annotations without merges and names may be applied again: nothing changes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from emofuse.features.face.boxes import area
from emofuse.timeline.annotations import Annotations
from emofuse.timeline.marks import ExcludedSpan, Marker
from emofuse.timeline.own_baselines import with_own_baselines
from emofuse.timeline.people import rename_people
from emofuse.timeline.person_baseline import PersonBaseline
from emofuse.timeline.provenance import Provenance
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window
from emofuse.timeline.segments import SegmentRules, Span, make_segments, presence

if TYPE_CHECKING:
    from emofuse.timeline.model_interface import EmotionModel

_ROUNDING_S: Final = 1e-6
_UNKNOWN_BASELINE: Final = (
    "people were merged whose own baselines only the recognizer could make again: they are read without"
)

Spans = Mapping[str | None, Sequence[Span]]
"""By person, spans that do not touch, in order; None: voices that are nobody's."""


def annotated(timeline: Timeline, annotations: Annotations, *, model: EmotionModel | None = None) -> Timeline:
    """The timeline with all annotations; see the module.

    Args:
        timeline: as the recording was read.
        annotations: of this recording.
        model: the recognizer that read it, to make baselines again; another one is not used.

    Raises:
        AnnotationError: the annotations are not of this recording.
    """
    if annotations == Annotations():
        return timeline
    annotations.check_fits(timeline.people, (timeline.start_s, timeline.end_s))
    targets = annotations.targets
    parts = _Parts.of(timeline)
    parts.merge(targets)
    excluded = _clipped(timeline, annotations.excluded, targets)
    parts.exclude(_spans_by_person(excluded, {*parts.people, None}))
    parts.make_baselines(model)
    changed = replace(
        timeline,
        windows=tuple(parts.windows),
        faces=tuple(parts.faces),
        segments=parts.segments(),
        people=tuple(parts.people),
        baselines={one: parts.baselines[one] for one in parts.people if one in parts.baselines},
        notes=(*timeline.notes, *parts.notes),
        excluded=excluded,
        markers=_markers(timeline, annotations.markers),
        provenance=parts.provenance,
    )
    names = {who: name for who, name in annotations.names.items() if who in parts.people}
    return rename_people(changed, names)[0]


def _clipped(
    timeline: Timeline, spans: Iterable[ExcludedSpan], targets: Mapping[str, str]
) -> tuple[ExcludedSpan, ...]:
    """The excluded spans within the recording, with those that the timeline has, of people who are left."""
    clipped = {
        replace(
            one, start_s=max(one.start_s, timeline.start_s), end_s=min(one.end_s, timeline.end_s),
            person=None if one.person is None else targets.get(one.person, one.person),
        )
        for one in (*timeline.excluded, *spans)
    }  # fmt: skip
    return tuple(sorted(clipped, key=lambda one: one.order))


def _markers(timeline: Timeline, markers: Iterable[Marker]) -> tuple[Marker, ...]:
    clipped = {
        one
        if one.end_s is None
        else replace(one, start_s=max(one.start_s, timeline.start_s), end_s=min(one.end_s, timeline.end_s))
        for one in markers
    }
    return tuple(sorted(clipped.union(timeline.markers), key=lambda one: one.order))


def _spans_by_person(excluded: Iterable[ExcludedSpan], people: Iterable[str | None]) -> Spans:
    found: dict[str | None, list[Span]] = {}
    for person in people:
        own: list[Span] = []
        for one in excluded:
            if one.person not in {None, person}:
                continue
            if own and one.start_s <= own[-1][1]:
                own[-1] = own[-1][0], max(own[-1][1], one.end_s)
            else:
                own.append((one.start_s, one.end_s))
        if own:
            found[person] = own
    return found


@dataclass(slots=True)
class _Parts:
    """What a timeline is made of, while it changes."""

    timeline: Timeline
    windows: list[Window]
    faces: list[FaceBox]
    seen: list[FaceBox]
    """The faces, with those in excluded spans: they say when somebody was present."""
    people: list[str]
    baselines: dict[str, PersonBaseline]
    provenance: Provenance | None
    spans: Spans = field(default_factory=dict)
    merged: frozenset[str] = frozenset()
    """People into whom others were merged."""
    stale: set[str | None] = field(default_factory=set)
    """People whose segments and baselines are to be made again."""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, timeline: Timeline) -> _Parts:
        faces, people = list(timeline.faces), list(timeline.people)
        return cls(
            timeline, list(timeline.windows), faces, faces, people, dict(timeline.baselines),
            timeline.provenance,
        )  # fmt: skip

    def merge(self, targets: Mapping[str, str]) -> None:
        """Make the people who are merged one with those they are merged into."""
        if not targets:
            return
        self.merged = frozenset(targets.values())
        self.stale |= self.merged
        self.people = [person for person in self.people if person not in targets]
        numbers = {None: len(self.people)} | {person: n for n, person in enumerate(self.people)}
        windows = _merged_windows(self.windows, targets, self.merged)
        self.windows = sorted(windows, key=lambda one: (one.start_s, numbers[one.person]))
        faces = _merged_faces(self.faces, targets)
        self.faces = self.seen = sorted(faces, key=lambda one: (one.time_s, one.person))
        if self.provenance is not None:
            enrolled = dict.fromkeys(targets.get(one, one) for one in self.provenance.enrolled)
            self.provenance = replace(self.provenance, enrolled=tuple(enrolled))

    def exclude(self, spans: Spans) -> None:
        """Leave out what touches an excluded span."""
        self.spans = spans
        left = []
        for window in self.windows:
            if _touches(spans.get(window.person), window.start_s, window.end_s):
                self.stale.add(window.person)
            elif window.speaker is not None and _touches(
                spans.get(window.speaker), window.start_s, window.end_s
            ):
                left.append(replace(window, speaker=None, speech=None))
            else:
                left.append(window)
        self.windows = left
        self.faces = [
            face
            for face in self.faces
            if not _touches(spans.get(face.person), face.time_s, math.nextafter(face.time_s, math.inf))
        ]

    def make_baselines(self, model: EmotionModel | None) -> None:
        """Make the baselines of those who changed again; without the model, merged people have none."""
        how = self.provenance
        if how is None or model is None or how.model != model.baselines.fingerprint:
            model = None
        stale = self.merged if model is None else self.stale
        numbers = [n for n, one in enumerate(self.windows) if one.person in stale]
        own = [_plain(self.windows[n]) for n in numbers]
        gone = {who for who in self.baselines if who in stale or who not in self.people}
        if gone and model is None:
            self.notes = (_UNKNOWN_BASELINE,)
        for who in gone:
            del self.baselines[who]
        if model is not None and how is not None and how.own_baseline:
            own, known = with_own_baselines(model, own, how.window_s, enrolled=how.enrolled)
            self.baselines |= known
        for n, window in zip(numbers, own, strict=True):
            self.windows[n] = window

    def segments(self) -> tuple[Segment, ...]:
        """Those of people who did not change, the others' made again, and all cut at excluded spans."""
        whole = self.timeline.start_s, self.timeline.end_s
        left = {*self.people, None}
        kept = [one for one in self.timeline.segments if one.person in left and one.person not in self.stale]
        found: dict[str | None, list[Segment]] = {person: [] for person in self.stale}
        for segment in (*kept, *self._made_again(whole)):
            found.setdefault(segment.person, []).append(segment)
        for person, spans in self.spans.items():
            if person in found:
                found[person] = _cut(found[person] or [Segment(*whole, None, person=person)], spans)
        segments = (segment for own in found.values() for segment in own)
        return tuple(sorted(segments, key=lambda one: (one.start_s, one.person or "")))

    def _made_again(self, whole: Span) -> tuple[Segment, ...]:
        windows, how = [one for one in self.windows if one.person in self.stale], self.provenance
        if how is None:
            return make_segments(windows, whole, self.timeline.emotions)
        return make_segments(
            windows, whole, self.timeline.emotions, presence=presence(self.seen, how.frame_times, whole[1]),
            frame_times=how.frame_times, rules=SegmentRules(how.change_cost, how.abstain_below),
        )  # fmt: skip


def _touches(spans: Sequence[Span] | None, start_s: float, end_s: float) -> bool:
    """Whether a stretch of time overlaps one of the spans."""
    if not spans:
        return False
    number = bisect_right(spans, start_s, key=itemgetter(1))  # the first that ends later
    return number < len(spans) and spans[number][0] < end_s


def _plain(window: Window) -> Window:
    """The window as it is read without a baseline."""
    plain = window.other if window.baseline == "own" else None
    if plain is None:
        return replace(window, baseline=None, other=None)
    return replace(window, voice=plain.voice, face=plain.face, fused=plain.fused, baseline=None, other=None)


def _merged_windows(
    windows: Iterable[Window], targets: Mapping[str, str], merged: Collection[str]
) -> list[Window]:
    found: list[Window] = []
    places: dict[tuple[float, float, str], int] = {}
    for window in windows:
        person, speaker = (
            None if one is None else targets.get(one, one) for one in (window.person, window.speaker)
        )
        moved = replace(window, person=person, speaker=speaker)
        if person in merged:
            assert person is not None
            key = window.start_s, window.end_s, person
            if key in places:
                found[places[key]] = _one_of(found[places[key]], moved)
                continue
            places[key] = len(found)
        found.append(moved)
    return found


def _one_of(first: Window, second: Window) -> Window:
    """The one of two windows of the same time in which more was read."""

    def rank(window: Window) -> tuple[bool, bool, float]:
        return window.voice is not None, window.face is not None, window.face_present or 0.0

    kept = second if rank(second) > rank(first) else first
    shares = [one.face_present for one in (first, second) if one.face_present is not None]
    return replace(kept, face_present=min(1.0, sum(shares)) if shares else None)


def _merged_faces(faces: Iterable[FaceBox], targets: Mapping[str, str]) -> list[FaceBox]:
    found: dict[tuple[float, str], FaceBox] = {}
    for face in faces:
        moved = replace(face, person=targets.get(face.person, face.person))
        before = found.setdefault((moved.time_s, moved.person), moved)
        if area(moved.edges) > area(before.edges):
            found[moved.time_s, moved.person] = moved
    return list(found.values())


def _cut(segments: Sequence[Segment], spans: Sequence[Span]) -> list[Segment]:
    """The segments without the spans, in which there are excluded ones."""
    person = segments[0].person
    parts = [Segment(start_s, end_s, None, person=person, excluded=True) for start_s, end_s in spans]
    for segment in segments:
        left_s = segment.start_s
        for start_s, end_s in (*spans, (segment.end_s, segment.end_s)):
            if end_s <= left_s or start_s > segment.end_s:
                continue
            if start_s - left_s > _ROUNDING_S:
                parts.append(replace(segment, start_s=left_s, end_s=start_s))
            left_s = max(left_s, end_s)
    return sorted(parts, key=lambda one: one.start_s)

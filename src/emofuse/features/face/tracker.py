"""The faces of a film become people: one number a person, from picture to picture and across cuts.

While a shot lasts, a face is where it was a moment ago; after a cut it may be anywhere, and only looks tell
who it is (``appearance``). Both are weighed for every picture, so that two people who change
sides between two pictures keep their numbers without a cut having been noticed.

What it cannot do: number two people who look the same to it (twins, one uniform, one wall) rightly once they
have crossed or changed sides, or notice that one of them took the other's place; know a person again after a
cut who has changed clothes, light and background together, or under coloured light that is switched on at
once: such a person gets a new number. Faces turned further than the detector for frontal faces sees, and
faces narrower than a ninth of the picture's shorter side, are not found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

import cv2
import dlib
import numpy as np

from emofuse.core.records import Float32, UInt8
from emofuse.features.face.active_speaker import Float64, MouthTracker
from emofuse.features.face.appearance import (
    Appearance,
    color_difference,
    describe_appearance,
    pattern_difference,
)
from emofuse.features.face.boxes import Box, FaceDetection, crop
from emofuse.features.face.video_search import FaceSearch
from emofuse.features.face.yunet import YuNetSearch

if TYPE_CHECKING:
    from emofuse.media.frame_sampling import Frame

_PRESENT_S: Final = 1.0
"""A face that was seen so short a time ago is looked for where it was."""
_PRESENT_PICTURES: Final = 3
"""And so few pictures ago, where pictures are far apart."""
_CONFIRMED: Final = 0.5
"""A face becomes a person when the sum of its scores is above this, at the second sighting or later."""
_SCORE_BASE: Final = 0.05
"""Added to each score, so that even faces at the detector's threshold become people: after ten sightings."""

# Costs are squares of deviations over twice their variance: differences of log-probabilities, in nats.
_PATTERN_SPREAD: Final = 0.15
_PATTERN_MOST: Final = 10.0
_COLOUR_SPREAD: Final = 0.3
_COLOUR_MOST: Final = 7.0
"""The light may change while a face stays where it is: colours alone never make a new person of it."""
_JUMP: Final = 5.0
"""A face is somewhere else though nothing was cut."""
_AFTER_CUT: Final = 4.0
"""A known person is seen again, anywhere in the picture."""
_STRANGE: Final = 8.5
"""The most that a look counts against a face in its shot: hands and light change looks as well."""
_NEW: Final = 10.0
"""Somebody who was never seen before."""
_SETTLED: Final = 4.0
"""Below this a face is who it seems to be, and nobody who is away is asked."""
_VARIED: Final = 1.5
"""A look that differs so much from those that are kept of a person is kept as well."""
_LOOKS: Final = 4
_PEOPLE: Final = 64
"""Looks are kept of so many people, those seen last; others get a new number when they come back."""

_CUT_LEAST: Final = 0.1
_CUT_MOST: Final = 1.5
"""Mean change of 18 × 32 colours (Lab) that may be a cut, and that is one. Within clips of RAVDESS: 0.02, up
to 0.09; from one clip of the same man to another: 0.05 to 0.18; two heads that cross: up to 0.7; from one
synthetic person to another: 1.2 to 6. To take movement for a cut does little harm: looks decide then."""
_CUT_RATIO: Final = 3.0
"""In between: how many times as large as the changes before a cut is."""


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One person's face in one picture.

    ``person``: from 1, in the order of appearance; ``box``: in pixels of ``Frame.image``; ``crop``:
    (size, size) uint8 grey, the box as the networks know it; ``mouth``: (16, 24) uint8 grey, the mouth, its
    place steadied.
    """

    person: int
    time_s: float
    box: Box
    crop: UInt8
    mouth: UInt8


@dataclass(slots=True)
class _Track:
    """A person, or what may become one."""

    box: Box
    time_s: float
    first: int
    """The number of the picture in which it was first seen."""
    shot: int
    recent: Appearance
    looks: list[Appearance]
    picture: int = 0
    mouth: MouthTracker = field(default_factory=MouthTracker)
    person: int = 0
    evidence: float = 0.0
    held: list[TrackedFace] = field(default_factory=list)

    def note(self, box: Box, time_s: float, picture: int, shot: int, seen: Appearance) -> None:
        """Where it is now, and what it looks like."""
        if not self.looks or _appearance_cost(self, seen, math.inf) > _VARIED:
            # The first look stays: the others cannot wander off from it.
            self.looks = [*self.looks[:1], *self.looks[1:][-(_LOOKS - 2) :], seen]
        self.box, self.time_s, self.picture, self.shot, self.recent = box, time_s, picture, shot, seen


class FaceTracker:
    """Finds the faces of a film and tells who is who; pictures in order of time, one call each.

    Memory does not grow with the film, and the same pictures give the same sightings.
    """

    def __init__(
        self, detect_height_px: int = 240, size: int = 48, *, detector: Literal["dlib", "yunet"] = "dlib"
    ) -> None:
        """Begin before the first picture.

        Args:
            detect_height_px: as in recipes; smaller faces are searched less often.
            size: of crops.
            detector: as in recipes.

        Raises:
            WeightsError: the detector is YuNet, and its weights are absent or altered.
        """
        self._search = _search(detector, detect_height_px)
        self._size = size
        self._tracks: list[_Track] = []
        self._n_people = 0
        self._n_pictures = 0
        self._shots = _Shots()

    def update(self, picture: Frame) -> list[TrackedFace]:
        """Who is seen in the next picture, from left to right.

        A face counts as a person from its second sighting on: what was held back until then comes with it,
        under its own earlier time, usually one picture late and ten at most. One seen only once is left out.
        """
        self._n_pictures += 1
        fresh = self._shots.update(picture.small)
        known = [track.box for track in self._tracks if self._present(track, picture.time_s)]
        faces = self._search.find(picture.image, picture.small, picture.time_s, known, fresh=fresh)
        scale = picture.small.shape[0] / picture.image.shape[0]
        looks = [describe_appearance(picture.small, face.box, scale) for face in faces]
        sightings: list[TrackedFace] = []
        whose = self._who(faces, looks, picture.time_s)
        for track in whose:
            if track is not None:
                track.picture = self._n_pictures  # whoever is here is not away, whatever their order
        for i, track in enumerate(whose):
            sightings += self._take(picture, faces[i], looks[i], track)
        self._forget(picture.time_s)
        return sightings

    def end(self) -> list[TrackedFace]:
        """What is still held back of a film too short to confirm anybody; otherwise nothing."""
        if self._n_people:
            return []
        return [sighting for track in self._tracks for sighting in self._confirm(track)]

    def _present(self, track: _Track, now_s: float) -> bool:
        few = self._n_pictures - track.picture <= _PRESENT_PICTURES
        return few or now_s - track.time_s <= _PRESENT_S

    def _who(self, faces: list[FaceDetection], looks: list[Appearance], now_s: float) -> list[_Track | None]:
        """The track that each face belongs to; None: nobody known."""
        if not faces:
            return []
        here = [track for track in self._tracks if self._present(track, now_s)]
        whose, costs = _assigned(self._costs(faces, looks, here, now_s))
        if max(costs) > _SETTLED and len(here) < len(self._tracks):
            here = self._tracks
            whose, _ = _assigned(self._costs(faces, looks, here, now_s))
        return [None if i is None else here[i] for i in whose]

    def _costs(
        self, faces: list[FaceDetection], looks: list[Appearance], tracks: list[_Track], now_s: float
    ) -> Float64:
        """(n_faces, n_tracks) what it costs to believe that a face belongs to a track."""
        costs = np.empty((len(faces), len(tracks)))
        for j, track in enumerate(tracks):
            gap_s = now_s - track.time_s
            same_shot = track.shot == self._shots.number
            for i, (face, seen) in enumerate(zip(faces, looks, strict=True)):
                place = _moving(track.box, face.box, gap_s) if same_shot else _AFTER_CUT
                strange = _appearance_cost(track, seen, _NEW)
                costs[i, j] = place + (min(strange, _STRANGE) if same_shot else strange)
        return costs

    def _take(
        self, picture: Frame, face: FaceDetection, seen: Appearance, track: _Track | None
    ) -> list[TrackedFace]:
        """Note a face; the sightings that are certain now."""
        now_s = picture.time_s
        if track is None:
            track = _Track(face.box, now_s, self._n_pictures, self._shots.number, seen, [])
            self._tracks.append(track)
        track.note(face.box, now_s, self._n_pictures, self._shots.number, seen)
        cropped = crop(picture.image, face.box, self._size)
        mouth = track.mouth.update(picture.image, face.box)
        sighting = TrackedFace(track.person, now_s, face.box, cropped, mouth)
        if track.person:
            return [sighting]
        track.held.append(sighting)
        track.evidence += face.score + _SCORE_BASE
        if len(track.held) < 2 or track.evidence < _CONFIRMED:
            return []
        return self._confirm(track)

    def _confirm(self, track: _Track) -> list[TrackedFace]:
        """Give a track its number: that of somebody who is away, or a new one."""
        away = [other for other in self._tracks if other.person and other.picture < track.first]
        scores = [
            (min(_appearance_cost(other, seen, _NEW) for seen in track.looks), other.person) for other in away
        ]
        cost, person = min(scores, default=(_NEW, 0))
        if cost + _AFTER_CUT < _NEW:
            track.person = person
            before = next(other for other in away if other.person == person)
            track.looks = (before.looks + track.looks)[-_LOOKS:]
            self._tracks.remove(before)
        else:
            self._n_people += 1
            track.person = self._n_people
        held, track.held = track.held, []
        return [replace(sighting, person=track.person) for sighting in held]

    def _forget(self, now_s: float) -> None:
        """Drop what was seen in passing, and the people who have been away longest."""
        kept = [track for track in self._tracks if track.person or self._present(track, now_s)]
        kept.sort(key=lambda track: (-track.picture, track.person))
        self._tracks = kept[:_PEOPLE]


class _Search(Protocol):
    """What finds the faces of pictures that follow each other."""

    def find(
        self, image: UInt8, small: UInt8, time_s: float, known: Sequence[Box], *, fresh: bool
    ) -> list[FaceDetection]:
        """As :meth:`FaceSearch.find`."""


def _search(detector: Literal["dlib", "yunet"], detect_height_px: int) -> _Search:
    if detector == "yunet":
        return YuNetSearch(detect_height_px)
    return FaceSearch(detect_height_px)


class _Shots:
    """Counts shots: from cut to cut."""

    def __init__(self) -> None:
        self.number = 0
        self._before: Float32 | None = None
        self._peak = _CUT_MOST / _CUT_RATIO

    def update(self, small: UInt8) -> bool:
        """Whether a picture, (height, width, 3) BGR, is the first of a shot."""
        now = _colour_field(small)
        before, self._before = self._before, now
        if before is None:
            return True
        change = _change(before, now)
        cut = change > min(_CUT_MOST, max(_CUT_LEAST, _CUT_RATIO * self._peak))
        if cut:
            self.number += 1
        else:
            self._peak = max(change, 0.8 * self._peak)
        return cut


def _colour_field(small: UInt8) -> Float32:
    """(18, 32, 3) float32 Lab of 8 bits, with the light's strength and contrast taken out of L."""
    field = cv2.cvtColor(cv2.resize(small, (32, 18), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2LAB)
    lab = field.astype(np.float32)
    light = lab[:, :, 0]
    lab[:, :, 0] = (light - light.mean()) * (30 / (light.std() + 5))
    return np.asarray(lab, dtype=np.float32)


def _change(before: Float32, now: Float32) -> float:
    """Mean change of the colours beyond what moving things by a cell can do."""
    around = np.ones((3, 3), dtype=np.uint8)
    above = now - cv2.dilate(before, around)
    below = cv2.erode(before, around) - now
    return float(np.maximum(np.maximum(above, below), 0).mean())


def _moving(before: Box, now: Box, gap_s: float) -> float:
    """The cost of a face's having moved from one place to another in one shot."""
    width = max(before[2] - before[0], now[2] - now[0])
    across, down = now[0] + now[2] - before[0] - before[2], now[1] + now[3] - before[1] - before[3]
    far = math.hypot(across, down) / 2 / width / (0.2 + 0.3 * gap_s)
    grown = abs(math.log((now[2] - now[0]) / (before[2] - before[0]))) / 0.35
    return min(_JUMP, 0.5 * (far * far + grown * grown)) + min(_AFTER_CUT, 0.3 * gap_s)


def _appearance_cost(track: _Track, seen: Appearance, enough: float) -> float:
    """The cost of a look's being that of a person; more than ``enough`` need not be exact."""
    best = math.inf
    for known in (track.recent, *track.looks):
        colour = min(_COLOUR_MOST, 0.5 * (color_difference(known, seen) / _COLOUR_SPREAD) ** 2)
        if colour < min(best, enough):
            pattern = 0.5 * (pattern_difference(known, seen) / _PATTERN_SPREAD) ** 2
            best = min(best, colour + min(_PATTERN_MOST, pattern))
        if best < _VARIED:
            break
    return min(best, _COLOUR_MOST + _PATTERN_MOST)


def _assigned(costs: Float64) -> tuple[list[int | None], list[float]]:
    """The track of each face, none twice, that cost least together; None where a new person costs less."""
    n_faces, n_tracks = costs.shape
    side = n_tracks + n_faces
    # As many faces as there are columns: the surplus ones take what is left, for nothing.
    table = np.zeros((side, side))
    table[:n_faces, :n_tracks] = costs
    table[:n_faces, n_tracks:] = _NEW
    gains = np.rint(-1000 * table).astype(np.int64)
    places = dlib.max_cost_assignment(dlib.matrix(gains.tolist()))
    chosen = [int(place) for place in places[:n_faces]]
    whose = [place if place < n_tracks else None for place in chosen]
    return whose, [float(table[i, place]) for i, place in enumerate(chosen)]

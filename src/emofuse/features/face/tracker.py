"""Tracks the faces of a video: one number per person, from frame to frame and across cuts.

Within a shot, a face is where it was a moment ago; after a cut it may be anywhere, and only its appearance
tells who it is (``appearance``). Both are weighed for every frame, so that two people who swap sides between
two frames keep their numbers even if no cut was detected.

With a :class:`Reidentifier`, face embeddings decide instead of the appearance wherever a face is not simply
where it was: in the first frame of a shot, and when a face appears within one. Then a person keeps the number
in other clothes and light, and people who look alike have different ones.

Limits: two people who look alike to it (twins, in the same uniform before the same wall) may swap numbers
once they have crossed or changed sides; without embeddings, also when one takes the other's place, and a
person gets a new number who returns after a cut with other clothes, light and background at once. Faces
turned further than the detector allows, and faces narrower than a ninth of the frame's shorter side, are not
found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

import dlib
import numpy as np

from emofuse.core.records import UInt8
from emofuse.features.face.active_speaker import Float64, MouthTracker
from emofuse.features.face.appearance import (
    Appearance,
    color_difference,
    describe_appearance,
    pattern_difference,
)
from emofuse.features.face.boxes import Box, FaceDetection, crop
from emofuse.features.face.identity import SAME_PERSON
from emofuse.features.face.reidentification import (
    AT_ONCE,
    IN_DOUBT,
    SOMEBODY_ELSE,
    FaceLook,
    Identity,
    Reidentifier,
)
from emofuse.features.face.shots import Shots
from emofuse.features.face.stillness import Stillness
from emofuse.features.face.video_search import FaceSearch
from emofuse.features.face.yunet import YuNetSearch

if TYPE_CHECKING:
    from emofuse.media.frame_sampling import Frame

_PRESENT_S: Final = 1.0
"""A face last seen no longer ago is searched where it was."""
_PRESENT_FRAMES: Final = 3
"""As is one last seen at most this many frames ago, if frames are far apart."""
_CONFIRMED: Final = 0.5
"""A face is confirmed as a person once the sum of its scores exceeds this, after two detections at least."""
_SCORE_BASE: Final = 0.05
"""Added to each score, so that even faces at the detector's threshold are confirmed: after ten detections."""

# Costs are squared deviations over twice their variance: differences of log-probabilities, in nats.
_PATTERN_SPREAD: Final = 0.15
_MOST_PATTERN: Final = 10.0
_COLOR_SPREAD: Final = 0.3
_MOST_COLOR: Final = 7.0
"""The light may change while a face stays where it is: colors alone never make it a new person."""
_MOST_RELIT: Final = 2.0
"""Largest cost of colors in a frame in which the light changes."""
_JUMP: Final = 5.0
"""Cost of a face being elsewhere without a cut."""
_AFTER_CUT: Final = 4.0
"""Cost of a known person being seen again, anywhere in the frame."""
_MOST_IN_SHOT: Final = 8.5
"""Largest cost of the appearance of a face within its shot: hands and light change the appearance too."""
_NEW: Final = 10.0
"""Cost of a person who was never seen before."""
_SETTLED: Final = 4.0
"""With a lower cost a face is taken for that person, and no absent person is considered."""
_DOUBT_S: Final = 0.9
"""A face that is nearly somebody's is held back for this long, to be seen better."""
_AWAY_S: Final = 5.0
"""Who was away from a shot for longer may be anybody, even in the same place."""
_VARIED: Final = 1.5
"""An appearance that differs this much from those stored of a person is stored as well."""
_APPEARANCES: Final = 4
"""Appearances stored of one person, at most."""
_PEOPLE: Final = 64
"""Appearances are stored of this many people, those seen last; others get a new number when they return."""


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One person's face in one frame.

    ``person``: from 1, in order of appearance; ``box``: in pixels of ``Frame.image``; ``crop``: (size, size)
    uint8 gray, the box as the networks read it; ``mouth``: (16, 24) uint8 gray, the mouth at a stabilized
    position; ``rest_s``, ``moves``: see :class:`Stillness`; ``score``: the detector's, above its threshold.
    """

    person: int
    time_s: float
    box: Box
    crop: UInt8
    mouth: UInt8
    rest_s: float = 0.0
    moves: bool = True
    score: float = 0.0


@dataclass(slots=True)
class _Track:
    """A person, or a face that is not confirmed yet."""

    box: Box
    time_s: float
    first_frame: int
    """The number of the frame in which it was first seen."""
    shot: int
    recent: Appearance
    appearances: list[Appearance]
    frame: int = 0
    mouth: MouthTracker = field(default_factory=MouthTracker)
    stillness: Stillness = field(default_factory=Stillness)
    person: int = 0
    evidence: float = 0.0
    pending: list[TrackedFace] = field(default_factory=list)
    identity: Identity = field(default_factory=Identity)

    def update(self, box: Box, time_s: float, frame: int, shot: int, appearance: Appearance) -> None:
        """Note where it is now, and what it looks like."""
        if not self.appearances or _appearance_cost(self, appearance, math.inf) > _VARIED:
            # The first appearance is always retained, so that the others cannot drift away from it.
            others = self.appearances[1:][-(_APPEARANCES - 2) :]
            self.appearances = [*self.appearances[:1], *others, appearance]
        self.box, self.time_s, self.frame, self.shot, self.recent = box, time_s, frame, shot, appearance


class FaceTracker:
    """Finds the faces of a video and tells people apart; one call per frame, in order of time.

    Memory does not grow with the video, and the same frames give the same results.
    """

    def __init__(
        self,
        detect_height_px: int = 240,
        size: int = 48,
        *,
        detector: Literal["dlib", "yunet"] = "dlib",
        reidentifier: Reidentifier | None = None,
    ) -> None:
        """Start before the first frame.

        Args:
            detect_height_px: as in recipes; smaller faces are searched less often.
            size: of crops.
            detector: as in recipes.
            reidentifier: tells people apart by face embeddings; None: by their appearance.

        Raises:
            WeightsError: the detector is YuNet, and its weights are missing or altered.
        """
        self._search = _search(detector, detect_height_px)
        self._size = size
        self._reidentifier = reidentifier
        self._tracks: list[_Track] = []
        self._n_people = 0
        self._n_frames = 0
        self._shots = Shots()

    def update(self, frame: Frame) -> list[TrackedFace]:
        """The people in the next frame, from left to right.

        A face counts as a person from its second detection on: the faces held back until then come with it,
        under their own earlier times, usually one frame late and ten at most. A face detected only once is
        left out.
        """
        self._n_frames += 1
        fresh = self._shots.update(frame.small)
        known = [track.box for track in self._tracks if self._present(track, frame.time_s)]
        faces = self._search.find(frame.image, frame.small, frame.time_s, known, fresh=fresh)
        scale = frame.small.shape[0] / frame.image.shape[0]
        appearances = [describe_appearance(frame.small, face.box, scale) for face in faces]
        tracked: list[TrackedFace] = []
        looks = [FaceLook(frame, face) for face in faces]
        matches = self._match(looks, appearances, fresh=fresh)
        for track in matches:
            if track is not None:
                track.frame = self._n_frames  # all are marked as present before any face is confirmed
        for i, track in enumerate(matches):
            tracked += self._add(looks[i], appearances[i], track)
        self._forget(frame.time_s)
        return tracked

    def finish(self) -> list[TrackedFace]:
        """The faces still held back of a video too short to confirm anyone; otherwise nothing."""
        if self._n_people:
            return []
        return [face for track in self._tracks for face in self._confirm(track)]

    def _present(self, track: _Track, now_s: float) -> bool:
        few = self._n_frames - track.frame <= _PRESENT_FRAMES
        return few or now_s - track.time_s <= _PRESENT_S

    def _match(
        self, looks: list[FaceLook], appearances: list[Appearance], *, fresh: bool
    ) -> list[_Track | None]:
        """The track that each face belongs to; None: an unknown person. ``fresh``: the first of a shot."""
        if not looks:
            return []
        now_s = looks[0].frame.time_s
        candidates = [track for track in self._tracks if self._present(track, now_s)]
        matches, costs = _assigned(self._costs(looks, appearances, candidates, fresh=fresh))
        if max(costs) > _SETTLED and len(candidates) < len(self._tracks):
            candidates = self._tracks
            matches, _ = _assigned(self._costs(looks, appearances, candidates, fresh=fresh))
        return [None if i is None else candidates[i] for i in matches]

    def _costs(
        self, looks: list[FaceLook], appearances: list[Appearance], tracks: list[_Track], *, fresh: bool
    ) -> Float64:
        """(n_faces, n_tracks) the cost of a face belonging to a track."""
        costs = np.empty((len(looks), len(tracks)))
        most_color = _MOST_RELIT if self._shots.light_changed else _MOST_COLOR
        for j, track in enumerate(tracks):
            for i, (look, appearance) in enumerate(zip(looks, appearances, strict=True)):
                by_face = self._cost_by_face(track, look, fresh=fresh)
                if by_face is not None:
                    costs[i, j] = by_face
                    continue
                same_shot = track.shot == self._shots.number
                gap_s = look.frame.time_s - track.time_s
                position = _motion_cost(track.box, look.detection.box, gap_s) if same_shot else _AFTER_CUT
                cost = _appearance_cost(track, appearance, _NEW, most_color)
                costs[i, j] = position + (min(cost, _MOST_IN_SHOT) if same_shot else cost)
        return costs

    def _cost_by_face(self, track: _Track, look: FaceLook, *, fresh: bool) -> float | None:
        """The cost of a face belonging to a person, by its embedding; None: place and appearance decide.

        A face that appears within a shot is not compared at once: it becomes a track of its own, and is
        compared when that is confirmed.
        """
        if self._reidentifier is None or not track.person:
            return None
        may_be_cut = self._shots.may_be_cut
        stays = track.shot == self._shots.number and look.frame.time_s - track.time_s <= _AWAY_S
        if stays and not may_be_cut:
            return None
        if not (fresh or may_be_cut):
            return None if look.patch is None or track.identity.is_unknown else 2 * _NEW
        far = self._reidentifier.face_distance(track.identity, look)
        if far is None or (stays and track.frame == self._n_frames - 1 and far < SOMEBODY_ELSE):
            return None
        return _AFTER_CUT + (_NEW - _AFTER_CUT) * (far / AT_ONCE) ** 2

    def _add(self, look: FaceLook, appearance: Appearance, track: _Track | None) -> list[TrackedFace]:
        """Add a face to its track; return the faces that are confirmed now."""
        frame, face = look.frame, look.detection
        now_s = frame.time_s
        if track is None:
            track = _Track(face.box, now_s, self._n_frames, self._shots.number, appearance, [])
            self._tracks.append(track)
        track.update(face.box, now_s, self._n_frames, self._shots.number, appearance)
        cropped = crop(frame.image, face.box, self._size)
        mouth = track.mouth.update(frame.image, face.box)
        still = track.stillness
        still.update(frame.image, face.box, now_s, self._shots.lighting)
        tracked = TrackedFace(
            track.person, now_s, face.box, cropped, mouth, still.rest_s, still.moves, face.score
        )
        if self._reidentifier is not None:
            self._reidentifier.observe(track.person, track.identity, look)
        if track.person:
            return [tracked]
        track.pending.append(tracked)
        track.evidence += face.score + _SCORE_BASE
        if len(track.pending) < 2 or track.evidence < _CONFIRMED or self._in_doubt(track):
            return []
        return self._confirm(track)

    def _in_doubt(self, track: _Track) -> bool:
        """Whether a face is nearly that of somebody absent, and was not looked at for long."""
        if self._reidentifier is None or track.time_s - track.pending[0].time_s >= _DOUBT_S:
            return False
        nearest = min((far for far, _ in self._absent_by_face(track)), default=IN_DOUBT)
        return SAME_PERSON <= nearest < IN_DOUBT

    def _confirm(self, track: _Track) -> list[TrackedFace]:
        """Give a track its number: that of an absent person, or a new one."""
        before = self._returned(track)
        if before is None:
            self._n_people += 1
            track.person = self._n_people
        else:
            track.person = before.person
            track.appearances = (before.appearances + track.appearances)[-_APPEARANCES:]
            track.identity = before.identity.joined(track.identity)
            self._tracks.remove(before)
        if self._reidentifier is not None:
            self._reidentifier.recognize(track.person, track.identity)
        pending, track.pending = track.pending, []
        return [replace(face, person=track.person) for face in pending]

    def _returned(self, track: _Track) -> _Track | None:
        """The absent person whose face a new track shows; None: somebody who was never seen."""
        by_face = self._absent_by_face(track)
        if by_face and by_face[0][0] < SAME_PERSON:
            return by_face[0][1]
        compared = {id(other) for _, other in by_face}
        scores = [
            (min(_appearance_cost(other, seen, _NEW) for seen in track.appearances), other.person, other)
            for other in self._absent(track)
            if id(other) not in compared
        ]
        cost, _, person = min(scores, default=(_NEW, 0, None))
        return person if cost + _AFTER_CUT < _NEW else None

    def _absent(self, track: _Track) -> list[_Track]:
        """The people who were seen before a track, and not since."""
        return [other for other in self._tracks if other.person and other.frame < track.first_frame]

    def _absent_by_face(self, track: _Track) -> list[tuple[float, _Track]]:
        """The absent people whose faces can be compared, and how far each is; the nearest first."""
        if self._reidentifier is None:
            return []
        found = [
            (self._reidentifier.distance(other.identity, track.identity), other)
            for other in self._absent(track)
        ]
        return sorted(((far, other) for far, other in found if far is not None), key=lambda one: one[0])

    def _forget(self, now_s: float) -> None:
        """Drop unconfirmed faces that are gone, and the people who have been absent longest."""
        retained = [track for track in self._tracks if track.person or self._present(track, now_s)]
        retained.sort(key=lambda track: (-track.frame, track.person))
        self._tracks = retained[:_PEOPLE]


class _Search(Protocol):
    """Finds the faces of consecutive frames."""

    def find(
        self, image: UInt8, small: UInt8, time_s: float, known: Sequence[Box], *, fresh: bool
    ) -> list[FaceDetection]:
        """See :meth:`FaceSearch.find`."""


def _search(detector: Literal["dlib", "yunet"], detect_height_px: int) -> _Search:
    if detector == "yunet":
        return YuNetSearch(detect_height_px)
    return FaceSearch(detect_height_px)


def _motion_cost(before: Box, now: Box, gap_s: float) -> float:
    """The cost of a face moving from one box to another within a shot."""
    width = max(before[2] - before[0], now[2] - now[0])
    across, down = now[0] + now[2] - before[0] - before[2], now[1] + now[3] - before[1] - before[3]
    distance = math.hypot(across, down) / 2 / width / (0.2 + 0.3 * gap_s)
    growth = abs(math.log((now[2] - now[0]) / (before[2] - before[0]))) / 0.35
    return min(_JUMP, 0.5 * (distance * distance + growth * growth)) + min(_AFTER_CUT, 0.3 * gap_s)


def _appearance_cost(
    track: _Track, seen: Appearance, enough: float, most_color: float = _MOST_COLOR
) -> float:
    """The cost of an appearance being that of a person; need not be exact above ``enough``."""
    best = math.inf
    for known in (track.recent, *track.appearances):
        color = min(most_color, 0.5 * (color_difference(known, seen) / _COLOR_SPREAD) ** 2)
        if color < min(best, enough):
            pattern = 0.5 * (pattern_difference(known, seen) / _PATTERN_SPREAD) ** 2
            best = min(best, color + min(_MOST_PATTERN, pattern))
        if best < _VARIED:
            break
    return min(best, most_color + _MOST_PATTERN)


def _assigned(costs: Float64) -> tuple[list[int | None], list[float]]:
    """The assignment of faces to tracks with the least total cost; None where a new person costs less."""
    n_faces, n_tracks = costs.shape
    side = n_tracks + n_faces
    # The table is padded to a square with rows of no cost, which take the columns that are left.
    table = np.zeros((side, side))
    table[:n_faces, :n_tracks] = costs
    table[:n_faces, n_tracks:] = _NEW
    gains = np.rint(-1000 * table).astype(np.int64)
    columns = dlib.max_cost_assignment(dlib.matrix(gains.tolist()))
    chosen = [int(column) for column in columns[:n_faces]]
    matches = [column if column < n_tracks else None for column in chosen]
    return matches, [float(table[i, column]) for i, column in enumerate(chosen)]

"""Sound and pictures as they come → windows with what the recogniser says of each.

A window is read as soon as all of it was heard and seen; what no later window needs is forgotten, so memory
does not grow with the length of the recording. Each window goes the way of a clip: the same voice array from
its samples, the same face array from its crops, the same networks.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Features, Waveform
from emofuse.features.extraction import extract
from emofuse.features.face.active_speaker import find_active_speaker, mouth_movement
from emofuse.features.face.tracker import TrackedFace
from emofuse.features.voice.segment import is_silent
from emofuse.features.voice.vad import CHUNK_S, SpeechChunk, SpeechDetector, speech_share
from emofuse.timeline.records import FaceBox, QualityValue, Window
from emofuse.timeline.window_faces import Seen, window_faces

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.media.frame_sampling import Frame
    from emofuse.timeline.model_interface import EmotionModel

Float64 = NDArray[np.float64]

_LAG_S: Final = 1.5
"""The tracker may hold a new face back for a second, until it is sure of it."""
_APART_S: Final = 8.0
"""A stream that is this far behind the other has ended or has a hole: it is not waited for."""
_ROUNDING_S: Final = 1e-6
_LEFT_OVER_S: Final = 0.05
"""An end that no window covers is worth a window of its own from this length on."""
_SHORTEST_SOUND_S: Final = 0.5
"""Less sound than this in a window says nothing of a voice."""
_MOUTH_S: Final = 0.09
"""How much movement of a mouth is speech was measured at 5 and 10 pictures a second, not at more."""
_LEAST_SPEECH_S: Final = 1.05
_LEAST_SPEECH: Final = 0.35
"""A window with less speech than both of these, seconds and share, is not read for its voice. It may hold the
end of one utterance and the begin of the next: the networks know whole ones, and talk nonsense of halves."""
_LEAST_SEEN: Final = 0.25
"""Share of a window's pictures with the face below which the face is not read."""


@dataclass(frozen=True, slots=True)
class WindowRules:
    """Which windows a recording is cut into."""

    window_s: float = 3.0
    hop_s: float = 1.0
    pictures_per_s: float = 5.0
    """How many pictures a second are searched for faces."""

    def __post_init__(self) -> None:
        limits = {"window_s": (0.5, 60.0), "hop_s": (0.1, 60.0), "pictures_per_s": (0.5, 60.0)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be between {low:g} and {high:g}, got {getattr(self, name)}")
        if self.hop_s > self.window_s:
            raise ValueError(f"hop_s {self.hop_s:g} leaves holes between windows of {self.window_s:g} s")


@lru_cache(maxsize=256)
def person_name(number: int) -> str:
    """What a person is called who is known by a number only."""
    return f"person {number}"


@dataclass(slots=True)
class _Heard:
    """The last seconds of the sound, and where there is speech in it."""

    blocks: deque[Waveform] = field(default_factory=deque)
    speech: deque[SpeechChunk] = field(default_factory=deque)
    end_s: float = -np.inf
    judged_s: float = -np.inf
    """To here it is known where there is speech."""

    def hear(self, found: Sequence[SpeechChunk]) -> None:
        """What the detector said next."""
        self.speech += found
        if found:
            self.judged_s = found[-1].time_s + CHUNK_S

    def forget(self, before_s: float) -> None:
        while self.blocks and self.blocks[0].start_s + self.blocks[0].duration_s < before_s:
            self.blocks.popleft()
        while self.speech and self.speech[0].time_s < before_s:
            self.speech.popleft()

    def sound(self, start_s: float, end_s: float) -> Waveform | None:
        """The sound of a span, cut to the sample; None where there is none."""
        blocks = [b for b in self.blocks if b.start_s + b.duration_s > start_s and b.start_s < end_s]
        if not blocks:
            return None
        rate, first_s = blocks[0].sample_rate_hz, blocks[0].start_s
        samples = np.concatenate([block.samples for block in blocks], axis=1)
        skipped = max(0, round((start_s - first_s) * rate))
        first_s += skipped / rate
        samples = samples[:, skipped : skipped + max(0, round((end_s - first_s) * rate))]
        return Waveform(np.ascontiguousarray(samples), rate, first_s) if samples.shape[1] else None

    def speech_in(self, start_s: float, end_s: float) -> tuple[Float64, Float64]:
        """Times and probabilities of a span."""
        inside = [one for one in self.speech if start_s <= one.time_s < end_s]
        times = np.array([one.time_s for one in inside], dtype=np.float64)
        return times, np.array([one.probability for one in inside], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Voice:
    """What is known of the voice in one window."""

    array: NDArray[Any] | None
    reasons: tuple[str, ...]
    speech: float | None
    times: Float64
    probabilities: Float64
    quality: Mapping[str, QualityValue]


class WindowReader:
    """Reads windows out of what is pushed in: blocks of sound and pictures, each in order of time."""

    def __init__(
        self,
        recognizer: EmotionModel,
        rules: WindowRules | None = None,
        *,
        has_audio: bool,
        has_video: bool,
        start_s: float = 0.0,
        profile: Profile | None = None,
    ) -> None:
        """Begin before the first window.

        Args:
            recognizer: asked of every window.
            rules: length and distance of windows, pictures a second.
            has_audio: whether sound will come.
            has_video: whether pictures will come.
            start_s: where the first window begins.
            profile: of the one person who is seen and heard, if enrolled.
        """
        self.rules = rules or WindowRules()
        self.moments = array("d")
        """Presentation times of all pictures so far."""
        self.people: list[str] = []
        """Everybody who was seen so far."""
        self._boxes = array("d")
        """Time, person and four edges of each: a long recording has many."""
        self._recognizer, self._profile = recognizer, profile
        self._has_audio, self._has_video = has_audio, has_video
        self._start_s, self._next = start_s, 0
        self._heard = _Heard()
        self._detector = SpeechDetector() if has_audio else None
        self._faces = window_faces(recognizer) if has_video else None
        self._seen: deque[Seen] = deque()

    def add(self, part: Waveform | Frame) -> list[Window]:
        """Take the next block of sound or the next picture; the windows that are complete with it."""
        if isinstance(part, Waveform):
            self._heard.blocks.append(part)
            self._heard.end_s = part.start_s + part.duration_s
            if self._detector is not None:
                self._heard.hear(self._detector.add(part))
        else:
            self.moments.append(part.time_s)
            if self._faces is not None:
                self._keep(self._faces.see(part))
        return list(self._complete())

    def finish(self, end_s: float) -> list[Window]:
        """The recording ends: the windows that are left, the last one up to its end."""
        if self._detector is not None:
            self._heard.hear(self._detector.finish())
        if self._faces is not None:
            self._keep(self._faces.end())
        window_s = self.rules.window_s
        windows: list[Window] = []
        while self._begin_s + window_s <= end_s + _ROUNDING_S:
            windows += self._read(self._begin_s, min(self._begin_s + window_s, end_s))
            self._next += 1
        covered = self._start_s
        if self._next:
            covered = self._begin_s - self.rules.hop_s + window_s + _LEFT_OVER_S
        if end_s - covered > _ROUNDING_S:
            windows += self._read(max(self._start_s, end_s - window_s), end_s)
        return windows

    def take_boxes(self) -> list[FaceBox]:
        """The faces that were found since this was last asked, as they were found."""
        rows = np.frombuffer(self._boxes, np.float64).reshape(-1, 6).tolist()
        self._boxes = array("d")
        return [FaceBox(time_s, person_name(int(person)), *edges) for time_s, person, *edges in rows]

    @property
    def _begin_s(self) -> float:
        return self._start_s + self._next * self.rules.hop_s

    def _keep(self, faces: Sequence[Seen]) -> None:
        for face in faces:
            one = face.sighting
            self._seen.append(face)
            name = person_name(one.person)
            if name not in self.people:
                self.people.append(name)
            self._boxes.extend((one.time_s, one.person, *one.box))

    def _reached(self, heard_s: float, judged_s: float, seen_s: float) -> float:
        """Up to where all is known: until when sound came, speech was judged and pictures came."""
        heard = min(heard_s, judged_s) if self._has_audio else np.inf
        seen = seen_s - _LAG_S if self._has_video else np.inf
        return max(min(heard, seen), max(heard_s, seen_s) - _APART_S)

    def leave_out(self, heard_s: float, seen_s: float) -> int:
        """Skip windows that something later than them makes old, when sound and pictures come up to a time.

        Returns:
            How many those are.
        """
        reached = self._reached(heard_s, heard_s, seen_s)
        if not np.isfinite(reached):
            return 0
        n = max(0, int((reached - self._begin_s - self.rules.window_s) / self.rules.hop_s))
        self._next += n
        return n

    def _complete(self) -> Iterator[Window]:
        picture_s = self.moments[-1] if self.moments else -np.inf
        reached = self._reached(self._heard.end_s, self._heard.judged_s, picture_s)
        while self._begin_s + self.rules.window_s <= reached:
            yield from self._read(self._begin_s, self._begin_s + self.rules.window_s)
            self._next += 1
        # the last window reaches back from the end of the recording: keep a hop more than the next one needs
        needed_s = self._begin_s - self.rules.hop_s
        self._heard.forget(needed_s)
        while self._seen and self._seen[0].sighting.time_s < needed_s:
            self._seen.popleft()

    def _read(self, start_s: float, end_s: float) -> Iterator[Window]:
        """A window of each person who is seen, and one of a voice that is nobody's."""
        voice = self._voice(start_s, end_s)
        people = self._people_in(start_s, end_s)
        speaker = self._speaker(people, voice) if voice.array is not None else None
        spoken_by = None if speaker is None else person_name(speaker)
        common: dict[str, Any] = {"speech": voice.speech, "speaker": spoken_by}
        for person, seen_faces in people.items():
            face, seen, reasons = self._face(seen_faces, start_s, end_s)
            own = voice.array if person == speaker else None
            reasons += voice.reasons
            if voice.array is not None and own is None:
                reasons += ("voice:unattributed" if speaker is None else "voice:of_another",)
            size = float(np.mean([one.sighting.box[2] - one.sighting.box[0] for one in seen_faces]))
            yield Window(
                start_s, end_s, *self._said(own, face), **common, face_present=seen, reasons=reasons,
                quality={**voice.quality, "face_size_px": round(size, 1)}, person=person_name(person),
            )  # fmt: skip
        if not people or (voice.array is not None and speaker is None):
            no_face = () if people else (self._why_no_face(),)
            yield Window(
                start_s, end_s, *self._said(voice.array, None), **common,
                face_present=0.0 if self._faces is not None and not people else None,
                reasons=no_face + voice.reasons, quality=voice.quality,
            )  # fmt: skip

    def _said(
        self, voice: NDArray[Any] | None, face: NDArray[Any] | None
    ) -> tuple[Float64 | None, Float64 | None, Float64 | None]:
        """What the recogniser says of the voice, of the face and of both."""
        no_voice, no_face = ("missing" if one is None else None for one in (voice, face))
        features = Features(voice, face, no_voice, no_face)
        said = self._recognizer.predict_features(features, profile=self._profile)
        return said.voice, said.face, said.probabilities

    def _voice(self, start_s: float, end_s: float) -> _Voice:
        times, probabilities = self._heard.speech_in(start_s, end_s)
        if not self._has_audio:
            return _Voice(None, ("voice:no_audio_stream",), None, times, probabilities, {})
        sound = self._heard.sound(start_s, end_s)
        if sound is None or sound.duration_s < min(_SHORTEST_SOUND_S, (end_s - start_s) / 2):
            return _Voice(None, ("voice:no_sound_here",), 0.0, times, probabilities, {})
        speech = speech_share(times, probabilities, start_s, end_s)
        quality = _sound_quality(sound)
        if is_silent(sound.samples):
            return _Voice(None, ("voice:silent",), 0.0, times, probabilities, quality)
        if speech * (end_s - start_s) < min(_LEAST_SPEECH_S, _LEAST_SPEECH * (end_s - start_s)):
            reason = "voice:little_speech" if speech else "voice:no_speech"
            return _Voice(None, (reason,), speech, times, probabilities, quality)
        features = extract(sound, self._recognizer.recipe, face=False)
        reasons = () if features.voice is not None else ("voice:unreadable",)
        return _Voice(features.voice, reasons, speech, times, probabilities, quality)

    def _people_in(self, start_s: float, end_s: float) -> dict[int, list[Seen]]:
        people: dict[int, list[Seen]] = {}
        for one in self._seen:
            if start_s <= one.sighting.time_s < end_s:
                people.setdefault(one.sighting.person, []).append(one)
        return dict(sorted(people.items()))

    def _speaker(self, people: Mapping[int, Sequence[Seen]], voice: _Voice) -> int | None:
        movements = {}
        for person, faces in people.items():
            apart = _apart([one.sighting for one in faces])
            times = np.array([one.time_s for one in apart], dtype=np.float64)
            movements[person] = times, mouth_movement(np.stack([one.mouth for one in apart]), times)
        return find_active_speaker(movements, voice.times, voice.probabilities)

    def _face(
        self, faces: Sequence[Seen], start_s: float, end_s: float
    ) -> tuple[NDArray[Any] | None, float, tuple[str, ...]]:
        """The face array of one person, the share of pictures with that face, and what is missing."""
        assert self._faces is not None
        moments = np.frombuffer(self.moments[-self._n_recent :], np.float64)
        n_pictures = int(((moments >= start_s) & (moments < end_s)).sum())
        seen = min(1.0, len(faces) / max(n_pictures, 1))
        if seen < _LEAST_SEEN:
            return None, seen, ("face:seldom_seen",)
        read = self._faces.array(faces, start_s, end_s)
        return read, seen, () if read is not None else ("face:unreadable",)

    @property
    def _n_recent(self) -> int:
        """More pictures than any window that is still to be read can hold."""
        return (
            int((self.rules.window_s + self.rules.hop_s + _APART_S + _LAG_S) * self.rules.pictures_per_s) + 9
        )

    def _why_no_face(self) -> str:
        if not self._has_video:
            return "face:no_video_stream"
        return "face:none_seen" if self._faces is not None else "face:not_read_in_timelines"


def _apart(sightings: Sequence[TrackedFace]) -> list[TrackedFace]:
    """Those that are far enough from each other for a mouth to move."""
    apart: list[TrackedFace] = []
    for one in sightings:
        if not apart or one.time_s - apart[-1].time_s >= _MOUTH_S:
            apart.append(one)
    return apart


def _sound_quality(sound: Waveform) -> dict[str, QualityValue]:
    """Level and clipping, of all channels."""
    power = float(np.mean(np.square(sound.samples, dtype=np.float64)))
    clipped = float((np.abs(sound.samples) >= 0.999).mean())
    return {"level_dbfs": round(float(10 * np.log10(max(power, 1e-12))), 1), "clipped": round(clipped, 4)}

"""Audio and video frames as they come → windows with the probabilities of each.

A window is read as soon as all of its audio and frames are there; what no later window needs is discarded, so
memory does not grow with the length of the recording. A window is processed like a clip: the same voice array
from its samples, the same face array from its crops, the same networks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Features, Waveform
from emofuse.features.extraction import extract
from emofuse.features.face.active_speaker import find_active_speaker, mouth_movement
from emofuse.features.face.reidentification import reidentifier
from emofuse.features.face.tracker import TrackedFace
from emofuse.features.voice.clip_voice import CHANNELS_CANCEL
from emofuse.features.voice.vad import CHUNK_S, SpeechChunk, SpeechDetector, speech_share
from emofuse.media.channels import is_silent
from emofuse.timeline.people import KnownPeople
from emofuse.timeline.records import FaceBox, QualityValue, Window, person_name
from emofuse.timeline.still_faces import Movement, MovingPeople
from emofuse.timeline.tabled_windows import TabledWindows
from emofuse.timeline.window_faces import FaceInput, window_faces

if TYPE_CHECKING:
    from pathlib import Path

    from emofuse.media.frame_sampling import Frame
    from emofuse.timeline.model_interface import EmotionModel

Float64 = NDArray[np.float64]

_LAG_S: Final = 1.5
"""The tracker may hold a new face back for a second, until it is confirmed."""
_MAX_DELAY_S: Final = 8.0
"""A stream that is this far behind the other has ended or has a gap. Windows do not wait for it: they are
read without that modality."""
_ROUNDING_S: Final = 1e-6
"""Tolerance for sums of times."""
_MIN_TAIL_S: Final = 0.05
"""A longer end that no window covers becomes a window of its own."""
_MIN_AUDIO_S: Final = 0.5
"""The voice is not read in windows with less audio than this."""
_MOUTH_STEP_S: Final = 0.09
"""Minimum step between frames for mouth movement: its threshold was set at 5 and 10 frames per second."""
_MIN_SPEECH_S: Final = 1.05
_MIN_SPEECH_SHARE: Final = 0.35
"""The voice is not read in windows with less speech than both of these, seconds and share. Such a window may
hold the end of one utterance and the start of the next: the networks were trained on whole utterances and are
unreliable on partial ones."""
_MIN_FACE_SHARE: Final = 0.25
"""The face is not read in windows with the face in a smaller share of the frames."""

TOLD_APART_BY_FACE: Final = (
    "people were told apart by embeddings of their faces (biometric data), which were not kept"
)


@dataclass(frozen=True, slots=True)
class WindowRules:
    """Which windows a recording is cut into."""

    window_s: float = 3.0
    hop_s: float = 1.0
    pictures_per_s: float = 5.0
    """How many frames per second are searched for faces."""

    def __post_init__(self) -> None:
        limits = {"window_s": (0.5, 60.0), "hop_s": (0.1, 60.0), "pictures_per_s": (0.5, 60.0)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be between {low:g} and {high:g}, got {getattr(self, name)}")
        if self.hop_s > self.window_s:
            raise ValueError(f"hop_s {self.hop_s:g} leaves gaps between windows of {self.window_s:g} s")


@dataclass(slots=True)
class _AudioBuffer:
    """The last seconds of the audio, and where there is speech in it."""

    blocks: deque[Waveform] = field(default_factory=deque)
    speech: deque[SpeechChunk] = field(default_factory=deque)
    end_s: float = -np.inf
    speech_s: float = -np.inf
    """Speech was detected up to here."""

    def add_speech(self, chunks: Sequence[SpeechChunk]) -> None:
        """Add the next outputs of the speech detector."""
        self.speech += chunks
        if chunks:
            self.speech_s = chunks[-1].time_s + CHUNK_S

    def discard(self, before_s: float) -> None:
        while self.blocks and self.blocks[0].start_s + self.blocks[0].duration_s < before_s:
            self.blocks.popleft()
        while self.speech and self.speech[0].time_s < before_s:
            self.speech.popleft()

    def cut(self, start_s: float, end_s: float) -> Waveform | None:
        """The audio of a span, cut to the sample; None where there is none."""
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
        """Times and probabilities of speech in a span."""
        inside = [one for one in self.speech if start_s <= one.time_s < end_s]
        times = np.array([one.time_s for one in inside], dtype=np.float64)
        return times, np.array([one.probability for one in inside], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Voice:
    """The voice in one window."""

    array: NDArray[Any] | None
    reasons: tuple[str, ...]
    speech: float | None
    times: Float64
    probabilities: Float64
    quality: Mapping[str, QualityValue]


class WindowReader:
    """Turns blocks of audio and video frames, each in order of time, into windows."""

    def __init__(
        self,
        recognizer: EmotionModel,
        rules: WindowRules | None = None,
        *,
        has_audio: bool,
        has_video: bool,
        start_s: float = 0.0,
        people: KnownPeople | None = None,
        identity: bool | None = None,
        as_they_come: bool = False,
        source: str | Path | None = None,
    ) -> None:
        """Start before the first window.

        Args:
            recognizer: reads the windows.
            rules: length and distance of windows, frames per second.
            has_audio: whether there will be audio.
            has_video: whether there will be video frames.
            start_s: where the first window starts.
            people: who is known of those who are seen and heard.
            identity: whether to tell people apart by face embeddings; None: if the network is there.
            as_they_come: whether windows are used at once, and so leave out faces that have not moved by
                then; otherwise :func:`without_still_faces` does it at the end.
            source: the recording, for tables of embeddings.

        Raises:
            FeatureError: a table of embeddings has not what windows of the recording need.
            WeightsError: faces are to be embedded, and the network is missing or altered.
        """
        self.rules = rules or WindowRules()
        self.frame_times = array("d")
        """Presentation times of all frames so far."""
        self.people: list[str] = []
        """Everybody who was seen so far, by number: ``person 1``, ``person 2``, …"""
        self._box_values = array("d")
        """Time, person and four edges of each: a long recording has many."""
        self._recognizer, self._known = recognizer, people or KnownPeople()
        self._has_audio, self._has_video = has_audio, has_video
        self._tables = TabledWindows(recognizer.recipe, source)
        self._start_s, self._next_index = start_s, 0
        self._audio = _AudioBuffer()
        self._speech_detector = SpeechDetector() if has_audio else None
        self._reidentifier = reidentifier(identity, self._known.faces) if has_video else None
        self._faces = window_faces(recognizer, self._reidentifier) if has_video else None
        self._inputs: deque[FaceInput] = deque()
        self._movements: dict[str, Movement] = {}
        self._moving = MovingPeople() if as_they_come else None
        self._shown_until_s = -np.inf
        """Until when the last frame is known to be shown."""
        self._sound_notes: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the recording as a whole."""
        by_face = self._reidentifier is not None and self._reidentifier.has_compared
        return (*self._sound_notes, *((TOLD_APART_BY_FACE,) if by_face else ()))

    @property
    def names(self) -> dict[str, str]:
        """The names of known people who were recognized so far, by the names in :attr:`people`."""
        found = {} if self._reidentifier is None else self._reidentifier.names
        return {person_name(number): name for number, name in found.items()}

    @property
    def window_names(self) -> dict[str, str]:
        """What people are called in the windows so far, by the names in :attr:`people`."""
        named = {name: name for name in self.people} if self._moving is None else self._moving.names
        return named | self.names

    def add(self, part: Waveform | Frame) -> list[Window]:
        """Add the next block of audio or the next frame; return the windows that it completes."""
        if isinstance(part, Waveform):
            self._audio.blocks.append(part)
            self._audio.end_s = part.start_s + part.duration_s
            if self._speech_detector is not None:
                self._audio.add_speech(self._speech_detector.add(part))
        else:
            self.frame_times.append(part.time_s)
            if self._faces is not None:
                self._add_faces(self._faces.add(part))
        return list(self._complete())

    def finish(self, end_s: float, shown_until_s: float = -np.inf) -> list[Window]:
        """End the recording; return the windows that are left, the last one up to its end.

        ``shown_until_s``: until when the last frame is shown, where that is known.
        """
        self._shown_until_s = shown_until_s
        if self._speech_detector is not None:
            self._audio.add_speech(self._speech_detector.finish())
        if self._faces is not None:
            self._add_faces(self._faces.finish())
        window_s = self.rules.window_s
        windows: list[Window] = []
        while self._next_start_s + window_s <= end_s + _ROUNDING_S:
            windows += self._read(self._next_start_s, min(self._next_start_s + window_s, end_s))
            self._next_index += 1
        covered_s = self._start_s
        if self._next_index:
            covered_s = self._next_start_s - self.rules.hop_s + window_s + _MIN_TAIL_S
        if end_s - covered_s > _ROUNDING_S:
            windows += self._read(max(self._start_s, end_s - window_s), end_s)
        return windows

    def take_boxes(self) -> list[FaceBox]:
        """The faces that were found since the last call, in the order in which they were found."""
        rows = np.frombuffer(self._box_values, np.float64).reshape(-1, 6).tolist()
        self._box_values = array("d")
        return [FaceBox(time_s, person_name(int(person)), *edges) for time_s, person, *edges in rows]

    @property
    def _next_start_s(self) -> float:
        return self._start_s + self._next_index * self.rules.hop_s

    def _add_faces(self, faces: Sequence[FaceInput]) -> None:
        for face in faces:
            one = face.tracked
            self._inputs.append(face)
            name = person_name(one.person)
            if name not in self.people:
                self.people.append(name)
                self._movements[name] = Movement()
            self._movements[name].add(one)
            self._box_values.extend((one.time_s, one.person, *one.box))

    def still_people(self) -> frozenset[str]:
        """Those whose faces never move, as far as can be told by now."""
        return frozenset(name for name, movement in self._movements.items() if movement.is_still)

    def _reached(self, audio_s: float, speech_s: float, video_s: float) -> float:
        """Up to where windows can be read, from how far audio, speech detection and frames have come."""
        audio_end_s = min(audio_s, speech_s) if self._has_audio else np.inf
        seen = video_s - _LAG_S if self._has_video else np.inf
        return max(min(audio_end_s, seen), max(audio_s, video_s) - _MAX_DELAY_S)

    def skip_outdated(self, audio_s: float, video_s: float) -> int:
        """Skip the windows that are outdated once audio and frames up to a time are added.

        Returns:
            The number of skipped windows.
        """
        reached = self._reached(audio_s, audio_s, video_s)
        if not np.isfinite(reached):
            return 0
        n = max(0, int((reached - self._next_start_s - self.rules.window_s) / self.rules.hop_s))
        self._next_index += n
        return n

    def _complete(self) -> Iterator[Window]:
        frame_s = self.frame_times[-1] if self.frame_times else -np.inf
        reached = self._reached(self._audio.end_s, self._audio.speech_s, frame_s)
        while self._next_start_s + self.rules.window_s <= reached:
            yield from self._read(self._next_start_s, self._next_start_s + self.rules.window_s)
            self._next_index += 1
        # the last window reaches back from the end of the recording: keep a hop more than the next one needs
        needed_s = self._next_start_s - self.rules.hop_s
        self._audio.discard(needed_s)
        standing_s = self._last_frame_before(needed_s)
        faces_s = needed_s if standing_s is None else standing_s
        while self._inputs and self._inputs[0].tracked.time_s < faces_s:
            self._inputs.popleft()

    def _read(self, start_s: float, end_s: float) -> list[Window]:
        """The windows of a span."""
        windows = list(self._windows(start_s, end_s))
        if self._moving is None:
            return windows
        return self._moving.select(windows, self.still_people(), self.names)

    def _windows(self, start_s: float, end_s: float) -> Iterator[Window]:
        """One window per visible person, and one for a voice that belongs to none of them."""
        voice = self._voice(start_s, end_s)
        people = self._faces_by_person(start_s, end_s)
        speaker = self._speaker(people, voice) if voice.array is not None else None
        speaker_name = None if speaker is None else person_name(speaker)
        common: dict[str, Any] = {"speech": voice.speech, "speaker": speaker_name}
        for person, inputs in people.items():
            face, seen, reasons = self._face(inputs, start_s, end_s)
            own_voice = voice.array if person == speaker else None
            reasons += voice.reasons
            if voice.array is not None and own_voice is None:
                reasons += ("voice:unattributed" if speaker is None else "voice:of_another",)
            size = float(np.mean([one.tracked.box[2] - one.tracked.box[0] for one in inputs]))
            name = None if self._reidentifier is None else self._reidentifier.names.get(person)
            yield Window(
                start_s, end_s, **self._predict(own_voice, face, name), **common, face_present=seen,
                reasons=reasons,
                quality={**voice.quality, "face_size_px": round(size, 1)}, person=person_name(person),
            )  # fmt: skip
        if not people or (voice.array is not None and speaker is None):
            tabled = self._tables.array("face", start_s, end_s) if self._tables.reads("face") else None
            face_missing = () if people or tabled is not None else (self._no_face_reason(),)
            yield Window(
                start_s, end_s, **self._predict(voice.array, tabled), **common,
                face_present=0.0 if self._faces is not None and not people else None,
                reasons=face_missing + voice.reasons, quality=voice.quality,
            )  # fmt: skip

    def _predict(
        self, voice: NDArray[Any] | None, face: NDArray[Any] | None, name: str | None = None
    ) -> dict[str, Any]:
        """Probabilities from voice, face and both, and ratings; ``name``: of a known person."""
        voice_missing, face_missing = ("missing" if one is None else None for one in (voice, face))
        features = Features(voice, face, voice_missing, face_missing)
        prediction = self._recognizer.predict_features(features, profile=self._known.profile_of(name))
        return {
            "voice": prediction.voice, "face": prediction.face, "fused": prediction.probabilities,
            "ratings": {key: one for key, one in prediction.dimensions.items() if one is not None},
        }  # fmt: skip

    def _voice(self, start_s: float, end_s: float) -> _Voice:
        times, probabilities = self._audio.speech_in(start_s, end_s)
        if not self._has_audio:
            return _Voice(None, ("voice:no_audio_stream",), None, times, probabilities, {})
        audio = self._audio.cut(start_s, end_s)
        if audio is None or audio.duration_s < min(_MIN_AUDIO_S, (end_s - start_s) / 2):
            return _Voice(None, ("voice:no_sound_here",), 0.0, times, probabilities, {})
        speech = speech_share(times, probabilities, start_s, end_s)
        quality = _audio_quality(audio)
        if is_silent(audio.samples):
            return _Voice(None, ("voice:silent",), 0.0, times, probabilities, quality)
        if speech * (end_s - start_s) < min(_MIN_SPEECH_S, _MIN_SPEECH_SHARE * (end_s - start_s)):
            reason = "voice:little_speech" if speech else "voice:no_speech"
            return _Voice(None, (reason,), speech, times, probabilities, quality)
        if self._tables.reads("voice"):
            read = self._tables.array("voice", start_s, end_s)
        else:
            features = extract(audio, self._recognizer.recipe, face=False)
            read = features.voice
            if CHANNELS_CANCEL in features.notes:
                self._sound_notes = (CHANNELS_CANCEL,)
        reasons = () if read is not None else ("voice:unreadable",)
        return _Voice(read, reasons, speech, times, probabilities, quality)

    def _faces_by_person(self, start_s: float, end_s: float) -> dict[int, list[FaceInput]]:
        people: dict[int, list[FaceInput]] = {}
        from_s = self._standing_s(start_s, end_s)
        for one in self._inputs:
            if from_s <= one.tracked.time_s < end_s:
                people.setdefault(one.tracked.person, []).append(one)
        return dict(sorted(people.items()))

    def _standing_s(self, start_s: float, end_s: float) -> float:
        """Where the frames of a window start: where it starts, unless one from before stands in it alone."""
        before_s = self._last_frame_before(end_s)
        if before_s is None or before_s >= start_s:
            return start_s
        shown_s = max(self.frame_times[-1], self._shown_until_s)
        return before_s if shown_s >= (start_s + end_s) / 2 else start_s

    def _last_frame_before(self, time_s: float) -> float | None:
        """The time of the last frame before another."""
        number = bisect_left(self.frame_times, time_s)
        return self.frame_times[number - 1] if number else None

    def _speaker(self, people: Mapping[int, Sequence[FaceInput]], voice: _Voice) -> int | None:
        movements = {}
        for person, faces in people.items():
            movement = self._movements[person_name(person)]
            if movement.is_still or not movement.has_moved:
                continue
            spaced = _spaced([one.tracked for one in faces])
            times = np.array([one.time_s for one in spaced], dtype=np.float64)
            movements[person] = times, mouth_movement(np.stack([one.mouth for one in spaced]), times)
        return find_active_speaker(movements, voice.times, voice.probabilities)

    def _face(
        self, faces: Sequence[FaceInput], start_s: float, end_s: float
    ) -> tuple[NDArray[Any] | None, float, tuple[str, ...]]:
        """The face array of one person, the share of frames with that face, and what is missing."""
        assert self._faces is not None
        frame_times = np.frombuffer(self.frame_times[-self._n_recent :], np.float64)
        n_frames = int(((frame_times >= start_s) & (frame_times < end_s)).sum())
        seen = min(1.0, len(faces) / max(n_frames, 1))
        if seen < _MIN_FACE_SHARE:
            return None, seen, ("face:seldom_seen",)
        read = self._faces.array(faces, start_s, end_s)
        return read, seen, () if read is not None else ("face:unreadable",)

    @property
    def _n_recent(self) -> int:
        """More frames than any window that is still to be read can have."""
        reach_s = self.rules.window_s + self.rules.hop_s + _MAX_DELAY_S + _LAG_S
        return int(reach_s * self.rules.pictures_per_s) + 9

    def _no_face_reason(self) -> str:
        if self._tables.reads("face"):
            return "face:unreadable"
        if not self._has_video:
            return "face:no_video_stream"
        return "face:none_seen" if self._faces is not None else "face:not_read_in_timelines"


def _spaced(faces: Sequence[TrackedFace]) -> list[TrackedFace]:
    """Detections far enough apart in time to measure mouth movement."""
    spaced: list[TrackedFace] = []
    for one in faces:
        if not spaced or one.time_s - spaced[-1].time_s >= _MOUTH_STEP_S:
            spaced.append(one)
    return spaced


def _audio_quality(audio: Waveform) -> dict[str, QualityValue]:
    """Level and clipping, over all channels."""
    power = float(np.mean(np.square(audio.samples, dtype=np.float64)))
    clipped = float((np.abs(audio.samples) >= 0.999).mean())
    return {"level_dbfs": round(float(10 * np.log10(max(power, 1e-12))), 1), "clipped": round(clipped, 4)}

"""Small frozen records that are passed between packages and check their shapes when created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.by_value import ComparedByValue
from emofuse.core.dimensions import Rated, rated_data, rated_of

Modality = Literal["audio-video", "video", "audio"]
Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Clip:
    """One media file, or one span of it, and what is known about it.

    ``take`` names the performance: all files of one performance share it, whatever their modality.
    """

    path: Path
    clip_id: str
    take: str
    speaker: str
    emotion: str | None
    modality: Modality
    start_s: float | None = None
    end_s: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else the corpus states: channel, intensity, statement, repetition, sex."""
    ratings: Mapping[str, float] = field(default_factory=dict)
    """What raters gave on numeric scales, by dimension, such as valence; what is missing was not rated."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """The shares of several raters by label, which sum to 1; empty where there is one label alone."""


@dataclass(frozen=True, slots=True)
class Take:
    """One performance: the file with its voice and the file with its face."""

    take: str
    speaker: str
    emotion: str | None
    voice: Clip | None
    face: Clip | None
    facts: Mapping[str, str] = field(default_factory=dict)
    ratings: Mapping[str, float] = field(default_factory=dict)
    """What raters gave on numeric scales, by dimension; of either of its files."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """As of :class:`Clip`."""

    def __post_init__(self) -> None:
        if self.voice is None and self.face is None:
            raise ValueError(f"take {self.take} has neither a voice nor a face")

    @property
    def clip_id(self) -> str:
        """The id of the recording that is scored: the one with the voice, else the one with the face."""
        clip = self.voice or self.face
        assert clip is not None
        return clip.clip_id

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files without duplicates."""
        return tuple(dict.fromkeys(clip.path for clip in (self.voice, self.face) if clip is not None))


@dataclass(frozen=True, slots=True, eq=False)
class Waveform(ComparedByValue):
    """Samples with their rate. ``samples``: (n_channels, n_samples) float32, full scale is ±1."""

    samples: Float32
    sample_rate_hz: int
    start_s: float = 0.0
    """Presentation time of the first sample."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise ValueError(
                f"samples must be (n_channels, n_samples) float32, "
                f"got {self.samples.shape} {self.samples.dtype}"
            )
        if self.sample_rate_hz <= 0:
            raise ValueError(f"sample_rate_hz must be positive, got {self.sample_rate_hz}")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.samples.shape[1] / self.sample_rate_hz)


@dataclass(frozen=True, slots=True, eq=False)
class TimedFrames(ComparedByValue):
    """Gray frames with their presentation timestamps, and how many the file has.

    ``images``: list of (height, width) uint8, upright; ``times_s``: (n,) float64, never decreasing.
    """

    images: tuple[UInt8, ...]
    times_s: NDArray[np.float64]
    n_in_file: int

    def __post_init__(self) -> None:
        if len(self.images) != len(self.times_s):
            raise ValueError(f"{len(self.images)} images but {len(self.times_s)} times")
        if np.any(np.diff(self.times_s) < 0):
            raise ValueError("frame times must never decrease")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in memory instead of in a file: audio, video or both, on one clock.

    :func:`emofuse.recording` makes one from bare arrays.
    """

    sound: Waveform | None = None
    frames: TimedFrames | None = None
    name: str = "<arrays>"
    """Its name in predictions and messages, and the take to look up in a table of action units."""

    def __post_init__(self) -> None:
        if self.sound is None and self.frames is None:
            raise ValueError("a recording needs audio, video or both")


@dataclass(frozen=True, slots=True)
class StreamChoice:
    """Numbers of the wanted streams among those of their kind, from 1 on; None: the one that fits best."""

    audio: int | None = None
    video: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameTrack(ComparedByValue):
    """Where one person's face is in the sampled frames of a clip.

    ``times_s``: (n_frames,) float64 presentation timestamps; ``boxes``: (n_frames, 4) int32 left, top, right,
    bottom in pixels of the upright square frame; ``found``: (n_frames,) bool, whether the frame has the
    face; ``n_faces``: (n_frames,) int32, how many faces the detector found.
    """

    times_s: NDArray[np.float64]
    boxes: NDArray[np.int32]
    found: NDArray[np.bool_]
    n_faces: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.times_s)
        if self.boxes.shape != (n, 4) or self.found.shape != (n,) or self.n_faces.shape != (n,):
            raise ValueError("boxes, found and n_faces must have one row per frame")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceTrack(FrameTrack):
    """A person's face, cut out of the sampled frames of a clip.

    ``crops``: (n_frames, size, size) uint8 gray; where ``found`` is False, that of the nearest frame with the
    face.
    """

    crops: UInt8

    def __post_init__(self) -> None:
        FrameTrack.__post_init__(self)
        n = len(self.times_s)
        if self.crops.ndim != 3 or self.crops.dtype != np.uint8 or len(self.crops) != n:
            raise ValueError(f"crops must be ({n}, size, size) uint8, got {self.crops.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Features(ComparedByValue):
    """The network inputs of one clip. An array that is missing has a reason instead.

    ``voice`` and ``face`` have the shape and dtype that the recipe's feature kinds define.
    """

    voice: NDArray[Any] | None
    face: NDArray[Any] | None
    voice_missing: str | None = None
    face_missing: str | None = None
    notes: tuple[str, ...] = ()
    """What a user should know: frames without a face, several faces, too little audio."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Further values in JSON types: frames with a face, times, voiced duration."""

    def __post_init__(self) -> None:
        for name, array, reason in (
            ("voice", self.voice, self.voice_missing),
            ("face", self.face, self.face_missing),
        ):
            if (array is None) != (reason is not None):
                raise ValueError(f"{name}: exactly one of an array and a reason must be given")
            if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{name}: features must be finite")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction(ComparedByValue):
    """The emotion of one clip, as probabilities.

    ``probabilities``: (n_emotions,) float64 in the order of ``emotions``, or None where nothing could be read
    (``error`` then says why). ``voice`` and ``face``: those of each modality alone.
    """

    source: str
    emotions: tuple[str, ...]
    probabilities: NDArray[np.float64] | None
    used: tuple[Literal["voice", "face"], ...]
    voice: NDArray[np.float64] | None = None
    face: NDArray[np.float64] | None = None
    voice_missing: str | None = None
    face_missing: str | None = None
    notes: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    dimensions: Mapping[str, Rated | None] = field(default_factory=dict)
    """On each numeric scale of the recognizer, a rating with its interval; None: nothing could be read."""

    def __post_init__(self) -> None:
        for array in (self.probabilities, self.voice, self.face):
            if array is None:
                continue
            if array.shape != (len(self.emotions),):
                raise ValueError(f"probabilities must be ({len(self.emotions)},), got {array.shape}")
            if not np.isfinite(array).all() or abs(float(array.sum()) - 1) > 1e-3:
                raise ValueError("probabilities must be finite and sum to 1")
        if self.probabilities is None and self.error is None and not any(self.dimensions.values()):
            raise ValueError("a prediction without probabilities needs an error")

    @property
    def emotion(self) -> str | None:
        """The most probable emotion, or None where nothing could be read."""
        if self.probabilities is None:
            return None
        return self.emotions[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float | None:
        """The probability of the most probable emotion."""
        return None if self.probabilities is None else float(self.probabilities.max())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: probabilities by emotion, what is missing and why."""

        def named(array: NDArray[np.float64] | None) -> dict[str, float] | None:
            if array is None:
                return None
            return {name: float(p) for name, p in zip(self.emotions, array, strict=True)}

        return {
            "source": self.source,
            "emotion": self.emotion,
            "confidence": self.confidence,
            "probabilities": named(self.probabilities),
            "used": list(self.used),
            "voice": named(self.voice),
            "face": named(self.face),
            "voice_missing": self.voice_missing,
            "face_missing": self.face_missing,
            "notes": list(self.notes),
            "meta": dict(self.meta),
            "error": self.error,
            **({"dimensions": rated_data(self.dimensions)} if self.dimensions else {}),
        }

    def as_dict(self) -> dict[str, Any]:
        """The earlier name of :meth:`to_dict`."""
        return self.to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], emotions: tuple[str, ...]) -> Prediction:
        """The prediction that :meth:`to_dict` gave ``data`` for."""

        def array(named: Mapping[str, float] | None) -> NDArray[np.float64] | None:
            return None if named is None else np.array([named[e] for e in emotions], dtype=np.float64)

        return cls(
            source=data["source"],
            emotions=emotions,
            probabilities=array(data["probabilities"]),
            used=tuple(data["used"]),
            voice=array(data["voice"]),
            face=array(data["face"]),
            voice_missing=data["voice_missing"],
            face_missing=data["face_missing"],
            notes=tuple(data["notes"]),
            meta=data["meta"],
            error=data["error"],
            dimensions=rated_of(data.get("dimensions", {})),
        )

    @classmethod
    def failed(
        cls, source: str, emotions: tuple[str, ...], error: str, dimensions: Iterable[str] = ()
    ) -> Prediction:
        """Of a recording that could not be read; ``dimensions``: the names of the recognizer's."""
        unrated: dict[str, Rated | None] = dict.fromkeys(dimensions)
        return cls(source, emotions, None, (), error=error, dimensions=unrated)

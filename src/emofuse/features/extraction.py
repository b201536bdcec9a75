"""The one way from a recording to feature arrays, shared by training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from emofuse.core.errors import (
    EmofuseError,
    FeatureError,
    MediaError,
    MissingExtraError,
    StoreError,
    WeightsError,
)
from emofuse.core.limits import ReadControl
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Clip, Features, Recording, StreamChoice, Take, TimedFrames, Waveform
from emofuse.features.embeddings.tabled import check_rows, tabled, tabled_clip, tabled_part
from emofuse.features.face.action_units import ActionUnitTable, unit_part
from emofuse.features.face.inputs import FacePart, check_face_needs
from emofuse.features.store import FeatureStore, ModalityFeatures, part_key
from emofuse.features.voice.clip_voice import join_parts, voice_parts
from emofuse.features.voice.inputs import check_voice_needs
from emofuse.media.arrays import media_from_recording
from emofuse.media.decoding import Media, Source, decode
from emofuse.media.frames import FrameSink
from emofuse.system.checksums import media_sha256
from emofuse.system.executors import THIS_PROCESS, Executor, ThisProcess

_NOT_REQUESTED: Final = ModalityFeatures(None, "not requested")
WHOLE_FRAME: Final = "no face in the middle of the frame: the whole frame was searched"

Modality = Literal["voice", "face"]
MODALITIES: Final[tuple[Modality, ...]] = ("voice", "face")
Settings = VoiceFeatures | FaceFeatures
"""What is computed, and stored, apart: a voice has one or two of them, a face one."""

Readable = Source | Recording | Waveform | TimedFrames
"""What features can be extracted from: a path, bytes, a binary file object, or arrays on one clock."""


def extract(
    source: Readable,
    recipe: Recipe,
    *,
    voice: bool = True,
    face: bool = True,
    start_s: float | None = None,
    end_s: float | None = None,
    take: str | None = None,
    table: ActionUnitTable | None = None,
    threads: int = 0,
    judge_speech: bool = False,
    streams: StreamChoice | None = None,
    control: ReadControl | None = None,
) -> Features:
    """Everything that the networks of a recipe read from one recording, or from one span of it.

    Args:
        source: an audio or video file, by its path, its bytes or a binary file object; or arrays: see
            :func:`emofuse.recording`.
        recipe: which features, and how.
        voice: whether the voice is wanted.
        face: whether the face is wanted.
        start_s: where the span starts; None: at the start of the file.
        end_s: where it ends; None: at the end of the file.
        take: the row of the table, for recipes that read the face from a table of action units.
        table: that table.
        threads: decoding threads; 0: one per core. The features do not depend on it.
        judge_speech: whether to note if there is hardly any speech, or if it is clipped.
        streams: which streams of a file are read where there are several; None: those that fit best.
        control: what the recording may ask for; follows and cancels its reading.

    Returns:
        The arrays; a modality that is missing has the reason instead.

    Raises:
        MediaError: the file cannot be read at all, or its frames are too large.
        CancelledError: the reading was cancelled.
        FeatureError: the arrays are not what a file could hold.
        MissingExtraError: the recipe's features need an optional part of the package.
        WeightsError: they need a weight file that is missing or altered.
    """
    asked = {"voice": voice, "face": face}
    wanted = [one for name in recipe.modalities if asked[name] for one in _settings(recipe, name)]
    parts = _extract_parts(
        _Span(source, start_s, end_s, threads, streams, control), wanted,
        take=take, table=table, judge_speech=judge_speech,
    )  # fmt: skip
    return _joined(
        *(_modality(parts, recipe, name) if asked[name] else _NOT_REQUESTED for name in MODALITIES)
    )


def extract_takes(
    takes: Sequence[Take],
    recipe: Recipe,
    *,
    store: FeatureStore | None = None,
    table: ActionUnitTable | None = None,
    executor: Executor = THIS_PROCESS,
    on_done: Callable[[int, int], None] | None = None,
) -> list[Features | EmofuseError]:
    """Features of many takes: the voice from each take's audio file, the face from its video file.

    Args:
        takes: what to read.
        recipe: which features, and how.
        store: where results are stored and looked up; None: nowhere.
        table: action units, for recipes that read them.
        executor: where they are computed; in other processes, a take that ends its process has an error.
        on_done: called after each take with the number done and the total.

    Returns:
        One result per take, in their order; for a take that cannot be read, its error.

    Raises:
        StoreError: the store cannot be written. What was stored before is found by the next run.
        MissingExtraError: the face features need an optional part of the package.
        WeightsError: they need a weight file that is missing or altered.
    """
    check_rows(recipe, takes)
    work = _Work(recipe, store, table, threads=0 if isinstance(executor, ThisProcess) else 1)
    results: dict[int, Features | EmofuseError] = {}

    def done(index: int, result: Features | EmofuseError) -> None:
        results[index] = result
        if on_done is not None:
            on_done(len(results), len(takes))

    left = []
    for index, take in enumerate(takes):
        stored = work.stored(take)
        if stored is not None:
            done(index, stored)
        else:
            left.append(index)
    if "face" in recipe.modalities and any(takes[index].face is not None for index in left):
        check_face_needs(recipe.face.features)
    if "voice" in recipe.modalities and any(takes[index].voice is not None for index in left):
        check_voice_needs(recipe.voice.features)

    def on_death(position: int) -> FeatureError:
        paths = ", ".join(map(str, takes[left[position]].paths))
        return FeatureError(f"{paths}: the process that read it died")

    remaining = [(takes[index],) for index in left]
    completed = executor.as_completed(
        _Work.result, remaining, shared=(work,), setup=_one_decoding_thread, on_death=on_death
    )
    with closing(completed):
        for position, result in completed:
            done(left[position], result)
    return [results[index] for index in range(len(takes))]


def _settings(recipe: Recipe, modality: Modality) -> tuple[Settings, ...]:
    """What is computed, and stored, apart, of one modality."""
    return recipe.voice.features.parts if modality == "voice" else (recipe.face.features,)


def _modality(
    parts: Mapping[Settings, ModalityFeatures], recipe: Recipe, modality: Modality
) -> ModalityFeatures:
    """One modality, of which all parts are there, if the recipe reads it at all."""
    if modality not in recipe.modalities:
        return ModalityFeatures(None, f"the recipe reads the {recipe.modalities[0]} alone")
    return join_parts([parts[settings] for settings in _settings(recipe, modality)])


@dataclass(frozen=True, slots=True)
class _Span:
    """A recording, or a span of it, and how it is read."""

    source: Readable
    start_s: float | None
    end_s: float | None
    threads: int
    streams: StreamChoice | None = None
    control: ReadControl | None = None

    @property
    def name(self) -> str | Path | None:
        """What the recording is called in a table of embeddings."""
        if isinstance(self.source, Recording):
            return self.source.name
        return self.source if isinstance(self.source, str | Path) else getattr(self.source, "name", None)

    def media(
        self,
        *,
        audio: bool,
        n_frames: int | None,
        square: bool = False,
        sink: Callable[[], FrameSink] | None = None,
    ) -> Media:
        """Audio and frames, from any kind of source."""
        source = self.source
        if isinstance(source, Waveform):
            source = Recording(source)
        elif isinstance(source, TimedFrames):
            source = Recording(frames=source)
        span_s = self.start_s, self.end_s
        if isinstance(source, Recording):
            return media_from_recording(source, audio=audio, n_frames=n_frames, square=square, span_s=span_s)
        return decode(
            source, audio=audio, n_frames=n_frames, square=square, start_s=self.start_s, end_s=self.end_s,
            threads=self.threads, streams=self.streams, sink=sink, control=self.control,
        )  # fmt: skip

    def audio_from(self, start_s: float) -> Media:
        """The audio of a long recording from a time on."""
        return replace(self, start_s=start_s).media(audio=True, n_frames=None)


def _extract_parts(
    span: _Span,
    wanted: Sequence[Settings],
    *,
    take: str | None,
    table: ActionUnitTable | None,
    judge_speech: bool = False,
) -> dict[Settings, ModalityFeatures]:
    """Everything that is wanted, in one pass over the recording."""
    span_s = span.start_s, span.end_s
    parts = {one: tabled_part(one, span.name, span_s) for one in wanted if one.kind == "table"}
    wanted = [one for one in wanted if one not in parts]
    voices = [settings for settings in wanted if isinstance(settings, VoiceFeatures)]
    face = next((settings for settings in wanted if isinstance(settings, FaceFeatures)), None)
    if face is not None and face.kind == "au-table":
        parts[face], face = unit_part(take, table), None
    if not voices and face is None:
        return parts
    reader = None if face is None else partial(FacePart, face)
    media = span.media(
        audio=bool(voices),
        n_frames=None if face is None else face.n_frames,
        square=face is not None and face.square,
        sink=reader,
    )
    if voices:
        given, media = [media], replace(media, audio=None)  # the voice's part alone holds the audio
        found = voice_parts(given.pop(), voices, span.audio_from, judge_speech=judge_speech)
        parts |= zip(voices, found, strict=True)
    if face is not None and reader is not None:
        parts[face] = part = _face(media, reader, span.control)
        if part.array is None and media.has_frames and face.whole_if_empty:
            parts[face] = _face_anywhere(span, face) or part
    return parts


def _face(media: Media, reader: Callable[[], FacePart], control: ReadControl | None) -> ModalityFeatures:
    if not media.has_video:
        return ModalityFeatures(None, "no video stream", media.notes)
    found = _face_of(media, reader, control)
    if found is None:
        return ModalityFeatures(None, "no frame could be decoded", media.notes)
    part, _ = found
    return replace(part, notes=media.notes + part.notes)


def _face_of(
    media: Media, reader: Callable[[], FacePart], control: ReadControl | None
) -> tuple[ModalityFeatures, bool] | None:
    """What was read of the frames, and whether all of them are square; None without any."""
    if media.passed_on is not None:  # read while they were decoded
        assert isinstance(media.passed_on.sink, FacePart)
        part, times_s = media.passed_on.sink, media.passed_on.times_s
    elif media.frames is not None:
        part, times_s = reader(), media.frames.times_s
        for image in media.frames.images:
            if control is not None:
                control.check()
            part.add(image)
    else:
        return None
    return part.result(times_s), part.all_square


def _face_anywhere(span: _Span, features: FaceFeatures) -> ModalityFeatures | None:
    """The face of a clip whose middle is empty, or None. Only such clips are decoded again."""
    reader = partial(FacePart, features, cropped=False)
    media = span.media(audio=False, n_frames=features.n_frames, sink=reader)
    if media.frames is not None and all(image.shape[0] == image.shape[1] for image in media.frames.images):
        return None
    found = _face_of(media, reader, span.control)
    if found is None:
        return None
    part, all_square = found
    if part.array is None or all_square:
        return None
    return replace(
        part, notes=(*media.notes, WHOLE_FRAME, *part.notes), meta={**part.meta, "face_in": "frame"}
    )


def _joined(voice: ModalityFeatures, face: ModalityFeatures) -> Features:
    return Features(
        voice=voice.array,
        face=face.array,
        voice_missing=voice.missing,
        face_missing=face.missing,
        notes=tuple(dict.fromkeys(voice.notes + face.notes)),
        meta={**voice.meta, **face.meta},
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What every take is read with; passed to each worker process once."""

    recipe: Recipe
    store: FeatureStore | None
    table: ActionUnitTable | None
    threads: int

    def result(self, take: Take) -> Features | EmofuseError:
        """The features of a take, or its error."""
        try:
            return self._features(take)
        except (StoreError, WeightsError, MissingExtraError):  # not the file's fault
            raise
        except EmofuseError as error:
            return error
        except Exception as error:  # One bad file must not end the batch, whatever goes wrong.
            paths = ", ".join(map(str, take.paths))
            return FeatureError(f"{paths}: features cannot be computed: {type(error).__name__}: {error}")

    def stored(self, take: Take) -> Features | None:
        """The features of a take, if the store has all of them."""
        if self.store is None:
            return None
        parts: dict[Modality, ModalityFeatures] = {}
        for clip, wanted in self._files(take):
            try:
                content = media_sha256(clip.path)
            except MediaError:
                return None
            stored = self._stored(wanted, content, clip)
            if any(settings not in stored for modality in wanted for settings in self._settings(modality)):
                return None
            parts |= {modality: _modality(stored, self.recipe, modality) for modality in wanted}
        return self._whole(take, parts)

    def _features(self, take: Take) -> Features:
        parts: dict[Modality, ModalityFeatures] = {}
        errors: dict[Modality, MediaError] = {}
        for clip, wanted in self._files(take):
            try:
                parts |= self._of_file(clip, wanted)
            except MediaError as error:
                errors |= dict.fromkeys(wanted, error)
        if errors and not any(part.array is not None for part in parts.values()):
            raise next(iter(errors.values()))
        for modality, failure in errors.items():
            reason = f"{failure.path.name}: {failure.problem}"
            parts[modality] = ModalityFeatures(None, reason, (reason,))
        return self._whole(take, parts)

    def _of_file(self, clip: Clip, wanted: Sequence[Modality]) -> dict[Modality, ModalityFeatures]:
        content = "" if self.store is None else media_sha256(clip.path)
        parts = self._stored(wanted, content, clip)
        missing = [
            settings for modality in wanted for settings in self._settings(modality) if settings not in parts
        ]
        if missing:
            span = _Span(clip.path, clip.start_s, clip.end_s, self.threads)
            for settings, part in _extract_parts(span, missing, take=None, table=None).items():
                parts[settings] = part
                if self.store is not None:
                    self.store.put(_key(settings, content, clip), part)
        return {modality: _modality(parts, self.recipe, modality) for modality in wanted}

    def _stored(
        self, wanted: Sequence[Modality], content_sha256: str, clip: Clip
    ) -> dict[Settings, ModalityFeatures]:
        """What the store has of a clip."""
        if self.store is None:
            return {}
        found = {}
        for settings in (one for modality in wanted for one in self._settings(modality)):
            part = self.store.get(_key(settings, content_sha256, clip))
            if part is not None:
                found[settings] = part
        return found

    def _settings(self, modality: Modality) -> tuple[Settings, ...]:
        return _settings(self.recipe, modality)

    def _whole(self, take: Take, parts: dict[Modality, ModalityFeatures]) -> Features:
        missing = {"voice": "the take has no recording of the voice", "face": "the take has no video"}
        whole = {name: parts.get(name, ModalityFeatures(None, missing[name])) for name in MODALITIES}
        if self.recipe.face.features.kind == "au-table":
            whole["face"] = unit_part(take.take, self.table)
        for modality in tabled(self.recipe):
            clip = tabled_clip(take, modality)
            if clip is not None:
                span_s = clip.start_s, clip.end_s
                whole[modality] = tabled_part(self._settings(modality)[0], clip.path, span_s)
        for name in set(MODALITIES) - set(self.recipe.modalities):
            whole[name] = _modality({}, self.recipe, name)
        return _joined(whole["voice"], whole["face"])

    def _files(self, take: Take) -> list[tuple[Clip, tuple[Modality, ...]]]:
        """Which file is read for what; one that holds both is read once."""
        voice = take.voice if "voice" in self.recipe.modalities else None
        face = take.face if "face" in self.recipe.modalities else None
        if self.recipe.face.features.kind == "au-table" or "face" in tabled(self.recipe):
            face = None
        if "voice" in tabled(self.recipe):
            voice = None
        if voice is not None and face is not None and _span(voice) == _span(face):
            return [(voice, ("voice", "face"))]
        files: list[tuple[Clip, tuple[Modality, ...]]] = []
        if voice is not None:
            files.append((voice, ("voice",)))
        if face is not None:
            files.append((face, ("face",)))
        return files


def _key(settings: Settings, content_sha256: str, clip: Clip) -> str:
    modality: Modality = "voice" if isinstance(settings, VoiceFeatures) else "face"
    return part_key(modality, content_sha256, settings, clip.start_s, clip.end_s)


def _span(clip: Clip) -> tuple[Path, float | None, float | None]:
    return clip.path, clip.start_s, clip.end_s


def _one_decoding_thread() -> None:
    """A setup: a worker is one of several."""
    import cv2

    cv2.setNumThreads(1)

"""The one way from a recording to feature arrays, shared by training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from emofuse.core.errors import EmofuseError, FeatureError, MediaError, StoreError
from emofuse.core.limits import ReadControl
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Clip, Features, Recording, StreamChoice, Take, TimedFrames, Waveform
from emofuse.features.face.action_units import ActionUnitTable
from emofuse.features.face.inputs import FacePart, check_face_needs
from emofuse.features.store import FeatureStore, ModalityFeatures, part_key
from emofuse.features.voice.clip_voice import voice_part
from emofuse.media.arrays import media_from_recording
from emofuse.media.decoding import Media, Source, decode
from emofuse.media.frames import FrameSink
from emofuse.system.checksums import media_sha256

_NOT_REQUESTED: Final = ModalityFeatures(None, "not requested")
WHOLE_FRAME: Final = "no face in the middle of the frame: the whole frame was searched"

Modality = Literal["voice", "face"]

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
    parts = _extract_parts(
        _Span(source, start_s, end_s, threads, streams, control), recipe, _wanted(voice, face),
        take=take, table=table, judge_speech=judge_speech,
    )  # fmt: skip
    return _joined(parts.get("voice", _NOT_REQUESTED), parts.get("face", _NOT_REQUESTED))


def extract_takes(
    takes: Sequence[Take],
    recipe: Recipe,
    *,
    store: FeatureStore | None = None,
    table: ActionUnitTable | None = None,
    jobs: int = 1,
    on_done: Callable[[int, int], None] | None = None,
) -> list[Features | EmofuseError]:
    """Features of many takes: the voice from each take's audio file, the face from its video file.

    Args:
        takes: what to read.
        recipe: which features, and how.
        store: where results are stored and looked up; None: nowhere.
        table: action units, for recipes that read them.
        jobs: number of worker processes.
        on_done: called after each take with the number done and the total.

    Returns:
        One result per take, in their order; for a take that cannot be read, its error.

    Raises:
        StoreError: the store cannot be written. What was stored before is found by the next run.
        MissingExtraError: the face features need an optional part of the package.
        WeightsError: they need a weight file that is missing or altered.
    """
    if jobs < 1:
        raise FeatureError(f"jobs must be at least 1, got {jobs}")
    work = _Work(recipe, store, table, threads=1 if jobs > 1 else 0)
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
    if any(takes[index].face is not None for index in left):
        check_face_needs(recipe.face.features)
    if jobs == 1:
        for index in left:
            done(index, work.result(takes[index]))
    elif left:
        # Not needed to read a single file.
        from emofuse.system.process_pool import as_completed

        def on_death(position: int) -> FeatureError:
            paths = ", ".join(map(str, takes[left[position]].paths))
            return FeatureError(f"{paths}: the process that read it died")

        remaining = [(takes[index],) for index in left]
        setup = partial(_start_worker, work)
        for position, result in as_completed(_in_worker, remaining, jobs, setup=setup, on_death=on_death):
            done(left[position], result)
    return [results[index] for index in range(len(takes))]


def _wanted(voice: bool, face: bool) -> tuple[Modality, ...]:
    wanted: list[Modality] = []
    wanted += ["voice"] if voice else []
    wanted += ["face"] if face else []
    return tuple(wanted)


@dataclass(frozen=True, slots=True)
class _Span:
    """A recording, or a span of it, and how it is read."""

    source: Readable
    start_s: float | None
    end_s: float | None
    threads: int
    streams: StreamChoice | None = None
    control: ReadControl | None = None

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
    recipe: Recipe,
    wanted: Sequence[Modality],
    *,
    take: str | None,
    table: ActionUnitTable | None,
    judge_speech: bool = False,
) -> dict[Modality, ModalityFeatures]:
    parts: dict[Modality, ModalityFeatures] = {}
    features = recipe.face.features
    if "face" in wanted and features.kind == "au-table":
        parts["face"] = _row(take, table)
    frames = "face" in wanted and features.kind != "au-table"
    if "voice" not in wanted and not frames:
        return parts
    reader = partial(FacePart, features)
    media = span.media(
        audio="voice" in wanted,
        n_frames=features.n_frames if frames else None,
        square=features.square,
        sink=reader,
    )
    if "voice" in wanted:
        given, media = [media], replace(media, audio=None)  # the voice's part alone holds the audio
        parts["voice"] = voice_part(
            given.pop(), recipe.voice.features, span.audio_from, judge_speech=judge_speech
        )
    if frames:
        parts["face"] = part = _face(media, reader, span.control)
        if part.array is None and media.has_frames and features.whole_if_empty:
            parts["face"] = _face_anywhere(span, recipe) or part
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


def _face_anywhere(span: _Span, recipe: Recipe) -> ModalityFeatures | None:
    """The face of a clip whose middle is empty, or None. Only such clips are decoded again."""
    features = recipe.face.features
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


def _row(take: str | None, table: ActionUnitTable | None) -> ModalityFeatures:
    if table is None:
        return ModalityFeatures(None, "this recognizer reads action units from a table, and none was given")
    row = None if take is None else table.row(take)
    if row is None:
        return ModalityFeatures(None, table.why_missing(take))
    return ModalityFeatures(row, None, (), {"n_units": len(row)})


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
        except StoreError:
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
            for modality in wanted:
                part = self.store.get(self._key(modality, content, clip))
                if part is None:
                    return None
                parts[modality] = part
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
        parts: dict[Modality, ModalityFeatures] = {}
        if self.store is not None:
            for modality in wanted:
                part = self.store.get(self._key(modality, content, clip))
                if part is not None:
                    parts[modality] = part
        missing = [modality for modality in wanted if modality not in parts]
        if missing:
            new = _extract_parts(
                _Span(clip.path, clip.start_s, clip.end_s, self.threads), self.recipe, missing,
                take=None, table=None,
            )  # fmt: skip
            for modality, part in new.items():
                parts[modality] = part
                if self.store is not None:
                    self.store.put(self._key(modality, content, clip), part)
        return parts

    def _whole(self, take: Take, parts: dict[Modality, ModalityFeatures]) -> Features:
        voice = parts.get("voice", ModalityFeatures(None, "the take has no recording of the voice"))
        if self.recipe.face.features.kind == "au-table":
            return _joined(voice, _row(take.take, self.table))
        return _joined(voice, parts.get("face", ModalityFeatures(None, "the take has no video")))

    def _files(self, take: Take) -> list[tuple[Clip, tuple[Modality, ...]]]:
        """Which file is read for what; one that holds both is read once."""
        voice, face = take.voice, take.face
        if self.recipe.face.features.kind == "au-table":
            face = None
        if voice is not None and face is not None and _span(voice) == _span(face):
            return [(voice, ("voice", "face"))]
        files: list[tuple[Clip, tuple[Modality, ...]]] = []
        if voice is not None:
            files.append((voice, ("voice",)))
        if face is not None:
            files.append((face, ("face",)))
        return files

    def _key(self, modality: Modality, content_sha256: str, clip: Clip) -> str:
        part = self.recipe.voice.features if modality == "voice" else self.recipe.face.features
        return part_key(modality, content_sha256, part, clip.start_s, clip.end_s)


def _span(clip: Clip) -> tuple[Path, float | None, float | None]:
    return clip.path, clip.start_s, clip.end_s


_work: _Work | None = None
"""In a worker process: what its takes are read with."""


def _start_worker(work: _Work) -> None:
    """Give a worker process, once, what it needs for every take."""
    import cv2

    global _work  # noqa: PLW0603 - a worker process has no other place for it
    _work = work
    cv2.setNumThreads(1)


def _in_worker(take: Take) -> Features | EmofuseError:
    assert _work is not None
    return _work.result(take)

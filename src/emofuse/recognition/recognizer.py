"""A trained recognizer on recordings: bundle + file → prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.devices import DeviceChoice
from emofuse.core.errors import EmofuseError
from emofuse.core.limits import Limits, OnRead, ReadControl
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features, Prediction, StreamChoice, TimedFrames
from emofuse.features.extraction import Modality, Readable, extract
from emofuse.features.face.action_units import ActionUnitTable, read_action_units
from emofuse.media.arrays import ColorOrder
from emofuse.recognition.baseline_model import BaselineModel
from emofuse.recognition.batch_inputs import Listing, OnFile
from emofuse.recognition.bridged_face import FaceReading, face_reading
from emofuse.recognition.bundle import SHIPPED, Bundle, load_bundle, warn_of_licence
from emofuse.recognition.enrollment_clips import checked_ratings, read_clips
from emofuse.recognition.given_recording import as_recording, name_of, take_of
from emofuse.recognition.model import BundleModel
from emofuse.system.onnx_session import sessions_on, usable_device

if TYPE_CHECKING:
    from threading import Event

    from emofuse.core.dimensions import Scale
    from emofuse.features.profile import Profile
    from emofuse.media.container import Source
    from emofuse.timeline.people import Profiles
    from emofuse.timeline.reader import OnSound
    from emofuse.timeline.records import Timeline, Window
    from emofuse.timeline.segments import SegmentRules
    from emofuse.timeline.windows import WindowRules


class Recognizer:
    """Reads the emotion that a person expresses from a recording's voice, face, or both.

    >>> recognizer = Recognizer.load("bundle")             # doctest: +SKIP
    >>> recognizer.predict("interview.mp4").emotion        # doctest: +SKIP
    'happy'

    What is reported is expression as in the training recordings, not what somebody feels.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int = 1,
        decoder_threads: int = 0,
        action_units: ActionUnitTable | None = None,
        device: DeviceChoice = "cpu",
    ) -> None:
        self.bundle = bundle
        self.device = usable_device(device)
        self.action_units = action_units and action_units.in_order(bundle.action_units)
        self.decoder_threads = decoder_threads
        self._threads = threads
        self._model = BundleModel(bundle, threads=threads, device=self.device)

    def __repr__(self) -> str:
        """Its folder, what it reads, and its license."""
        shipped = self.bundle.folder == SHIPPED
        name = "the one that comes with emofuse" if shipped else str(self.bundle.folder)
        return f"<Recognizer: {name}; {' and '.join(self.bundle.modalities)}; license: {self.licence}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the bundle's folder and checksums: unpickling reads the networks there again."""
        shipped = self.bundle.folder == SHIPPED
        bundle = None if shipped else replace(self.bundle, folder=self.bundle.folder.absolute())
        options = {"threads": self._threads, "decoder_threads": self.decoder_threads, "device": self.device}
        return _unpickled, (type(self), bundle, {**options, "action_units": self.action_units})

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        threads: int = 1,
        decoder_threads: int = 0,
        action_units: str | Path | None = None,
        embeddings: Mapping[Modality, Path | str] | None = None,
        device: DeviceChoice = "cpu",
    ) -> Recognizer:
        """Load a bundle.

        Args:
            path: the bundle's folder; None: the recognizer that comes with emofuse, for non-commercial use.
            threads: of each network.
            decoder_threads: of each decoder; 0: one per core. 1 is best for several recognizers side by side.
            action_units: a table of action units, for a bundle whose face branch reads one. Without it, such
                a bundle reads the faces of enrolled people from blendshapes.
            embeddings: tables of the recordings, for a bundle that reads voice or face from tables.
            device: of the networks: ``cpu``; ``cuda``, a GPU that ONNX Runtime can use; ``auto``, if any.

        Raises:
            BundleError: the bundle is missing, incomplete or altered, or none comes with this installation.
            DeviceError: ``device`` is ``cuda``, and there is no GPU that can be used.
            FeatureError: the table cannot be read, or lacks a column that the bundle reads.
        """
        bundle = load_bundle(path, embeddings)
        warn_of_licence(bundle)
        table = None if action_units is None else read_action_units(Path(action_units))
        return cls(
            bundle, threads=threads, decoder_threads=decoder_threads, action_units=table, device=device
        )

    @property
    def recipe(self) -> Recipe:
        """The recipe that the bundle was trained with."""
        return self.bundle.recipe

    @property
    def emotions(self) -> tuple[str, ...]:
        """The order of the probabilities."""
        return self.bundle.emotions

    @property
    def dimensions(self) -> tuple[Scale, ...]:
        """The numeric scales that it rates on, such as valence; most recognizers have none."""
        return self.bundle.scales

    @property
    def licence(self) -> str:
        """The license of the trained recognizer."""
        return self.bundle.licence

    def enroll(
        self, files: Iterable[Readable], *, with_face: bool = False,
        ratings: Sequence[Mapping[str, float] | None] | None = None, limits: Limits | None = None,
        cancel: Event | None = None,
    ) -> Profile:  # fmt: skip
        """Learn a person's own voice and face from some unlabeled recordings of that person.

        Eight clips in several moods are a good number, and every further one helps. The profile holds means
        and deviations of features, no recordings. Where the recognizer has no networks for enrolled people,
        it holds how it reads the person on average, which :meth:`predict` subtracts in part
        (:mod:`emofuse.features.own_baseline`), and shifts ratings (:mod:`emofuse.core.own_ratings`).

        Args:
            files: recordings of one person, of the kinds that :meth:`predict` takes. One that cannot be read
                is skipped and named in the profile.
            ratings: what raters gave to each recording, by dimension, if anything; they make the shift surer.
            with_face: whether the profile also keeps an embedding of the face, which is biometric data.
            limits: what each recording may ask for, as for :meth:`predict`; what asks for more is skipped.
            cancel: when set, from any thread, reading ends.

        Raises:
            CancelledError: ``cancel`` was set.
            ProfileError: none of them has a voice or a face, or, ``with_face``, not one person's face.
            ValueError: there are ratings of another number of recordings, or on another dimension.
        """
        if isinstance(files, str | bytes | Path):
            raise TypeError(f"files must be recordings of a person, got one {type(files).__name__}")
        reading, control = self._face_reading(enrolling=True), ReadControl(limits or Limits(), cancel)
        recordings = list(files)
        extract = partial(self._extract, reading=reading, control=control)
        given = checked_ratings(ratings, len(recordings), self.bundle.dimension_names)
        clips, skipped = read_clips(recordings, extract)
        from emofuse.features.face.enrolled_face import with_face as add_face

        profile = self._model.profile(list(clips.values()), [given[number] for number in clips], skipped)
        return add_face(profile, recordings, control) if with_face else profile

    @property
    def enrollment_note(self) -> str | None:
        """Why :meth:`enroll` reads no faces in video, and how it can; None if it does, or reads a table."""
        return self._face_reading(enrolling=True).note

    def check_profile(self, profile: Profile) -> None:
        """Check that a profile was made with this recognizer.

        Raises:
            ProfileError: it was not.
        """
        self._model.check_profile(profile)

    @property
    def baselines(self) -> BaselineModel:
        """People's own baselines: how much of them is subtracted, and readings against them."""
        return self._model.baselines

    def predict(
        self,
        source: Readable | NDArray[Any] | None = None,
        *,
        sample_rate_hz: float | None = None,
        frames: TimedFrames | NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | None = None,
        frame_times_s: Sequence[float] | NDArray[Any] | None = None,
        fps: float | None = None,
        colour: ColorOrder = "rgb",
        start_s: float | None = None,
        end_s: float | None = None,
        profile: Profile | None = None,
        audio_stream: int | None = None,
        video_stream: int | None = None,
        limits: Limits | None = None,
        cancel: Event | None = None,
        on_progress: OnRead | None = None,
    ) -> Prediction:
        """Read one recording: a file, or arrays, which are processed the same way.

        >>> recognizer.predict("clip.mp4")                                           # doctest: +SKIP
        >>> recognizer.predict(upload.read())                                        # doctest: +SKIP
        >>> recognizer.predict(samples, sample_rate_hz=16000)                        # doctest: +SKIP
        >>> recognizer.predict(samples, sample_rate_hz=48000, frames=images, fps=25) # doctest: +SKIP

        Args:
            source: any media file that has a voice, a face, or both: its path, its bytes or a binary file
                object. Or audio: a :class:`~emofuse.Waveform`, or with ``sample_rate_hz`` an array, a tensor
                or a list, as :func:`emofuse.recording` takes it. Or a recording made by that function. None:
                no audio.
            sample_rate_hz: of an array of samples.
            frames: video frames beside the audio: :class:`~emofuse.core.records.TimedFrames`, or arrays with
                ``frame_times_s`` or ``fps``, as :func:`emofuse.recording` takes them.
            frame_times_s: when each frame is shown, in seconds, on the clock of the audio.
            fps: instead of the times, for frames at regular intervals.
            colour: the order of the three color channels in ``frames``.
            start_s: start of the span that is read; None: the start of the recording.
            end_s: end of the span; None: the end of the recording.
            profile: of the person who is seen and heard, if enrolled.
            audio_stream: the number of the audio stream to read, from 1 on, where a file has several. None:
                the default; of several defaults, or none, the first audible one.
            video_stream: the same for video; the largest instead of the first audible one.
            limits: what the recording may ask for; None: frames of 40 million pixels, or $EMOFUSE_MAX_PIXELS.
            cancel: when set, from any thread, reading ends.
            on_progress: called with the seconds that were read, and with the duration where the file has it.

        Returns:
            Eight probabilities, which modalities they rest on and why one is missing. Where neither can
            be read ``probabilities`` is None and ``error`` says why.

        Raises:
            MediaError: the file cannot be read, or its frames are too large.
            CancelledError: ``cancel`` was set.
            FeatureError: the arrays are not what they should be; the text says what is wrong.
        """
        readable = as_recording(source, sample_rate_hz, frames, frame_times_s, fps, colour)
        name = name_of(readable)
        features = self._extract(
            readable, name, self._face_reading(profile), start_s=start_s, end_s=end_s, judge_speech=True,
            streams=StreamChoice(audio_stream, video_stream),
            control=ReadControl(limits or Limits(), cancel, on_progress),
        )  # fmt: skip
        return self.predict_features(features, source=name, profile=profile)

    def _face_reading(self, profile: Profile | None = None, *, enrolling: bool = False) -> FaceReading:
        return face_reading(self.bundle, self.action_units, profile=profile, enrolling=enrolling)

    def _extract(self, source: Readable, name: str, reading: FaceReading, **options: Any) -> Features:
        wanted = self.bundle.modalities
        with sessions_on(self.device):
            features = extract(
                source, reading.recipe, voice="voice" in wanted, face="face" in wanted,
                take=take_of(name), table=self.action_units, threads=self.decoder_threads, **options,
            )  # fmt: skip
        return reading.finished(features)

    def predict_many(
        self,
        sources: Listing | Iterable[Readable],
        *,
        profile: Profile | None = None,
        streams: StreamChoice | None = None,
        on_progress: OnFile | None = None,
    ) -> Iterator[Prediction]:
        """Read one recording after the other, as ``predict_files``, the command and batch workers all do.

        A recording that cannot be read is a prediction whose ``error`` says why.

        Args:
            sources: recordings of the kinds that :meth:`predict` takes as ``source``; or what
                :func:`~emofuse.recognition.batch_inputs.find_recordings` found.
            profile: of the person who is seen and heard in all of them, if enrolled.
            streams: which streams are read in all of them, where there are several.
            on_progress: called after each recording.

        Raises:
            ProfileError: the profile was not made with this recognizer.
        """
        if isinstance(sources, str | bytes | Path):
            raise TypeError(f"sources must be recordings, got one {type(sources).__name__}: use predict")
        if profile is not None:
            self.check_profile(profile)
        recordings: Iterable[Readable]
        if isinstance(sources, Listing):
            recordings, refused = sources.files, sources.refused
        else:
            recordings, refused = sources, {}
        n_failed, n_recordings = 0, length_hint(recordings)
        for n_done, source in enumerate(recordings, 1):
            if isinstance(source, str) and source in refused:
                prediction = self._failed(source, f"{source}: {refused[source]}")
            else:
                prediction = self._predict_or_fail(source, profile, streams or StreamChoice())
            n_failed += prediction.error is not None
            if on_progress is not None:
                on_progress(n_done, n_failed, n_recordings)
            yield prediction

    def _predict_or_fail(
        self, source: Readable, profile: Profile | None, streams: StreamChoice
    ) -> Prediction:
        try:
            return self.predict(
                source, profile=profile, audio_stream=streams.audio, video_stream=streams.video
            )
        except EmofuseError as error:
            reason = str(error)
        except Exception as error:  # one recording must not stop the others; the type shows a bug
            reason = f"{type(error).__name__}: {error}"
        return self._failed(name_of(source), reason)

    def _failed(self, source: str, reason: str) -> Prediction:
        return Prediction.failed(source, self.emotions, reason, self.bundle.dimension_names)

    def same_person(self, predictions: Iterable[Prediction]) -> list[Prediction]:
        """Predictions of one person's recordings, each read against the person's own baseline.

        >>> recognizer.same_person(recognizer.predict_files(paths))                  # doctest: +SKIP

        The baseline of a recording is made of the others, never of itself. No label is needed. What was
        read without is in ``meta["own_baseline"]``.

        Args:
            predictions: of this recognizer, without a profile.
        """
        from emofuse.recognition.same_person import against_the_others

        return against_the_others(self.baselines, list(predictions))

    def predict_files(
        self, sources: Iterable[Readable], *, profile: Profile | None = None
    ) -> Iterator[Prediction]:
        """Read one recording after the other, as :meth:`predict_many` does."""
        return self.predict_many(sources, profile=profile)

    def timeline(
        self, source: Source, *, rules: WindowRules | None = None,
        segment_rules: SegmentRules | None = None, start_s: float | None = None, end_s: float | None = None,
        profile: Profiles | None = None, identity: bool | None = None, own_baseline: bool = True,
        audio_stream: int | None = None, video_stream: int | None = None, limits: Limits | None = None,
        cancel: Event | None = None, on_progress: OnRead | None = None, on_sound: OnSound | None = None,
    ) -> Timeline:  # fmt: skip
        """Read a whole recording: who is there, and what is expressed from when to when.

        >>> timeline = recognizer.timeline("interview.mp4")                          # doctest: +SKIP
        >>> [(s.start_s, s.end_s, s.emotion) for s in timeline.segments]             # doctest: +SKIP
        >>> write_timeline(timeline, "interview.eaf")                                # doctest: +SKIP

        One decoding pass; memory does not grow with the video and the audio. Faces are told apart and named
        ``person 1``, ``person 2``, … in the order in which they appear. A voice belongs to the person whose
        mouth moves with it, or to nobody in view.

        Args:
            source: any media file that has a voice, a face, or both: its path, its bytes or a binary file
                object.
            rules: length and distance of windows, and how many frames per second are searched for faces.
            segment_rules: what a change of emotion costs, and below which probability to abstain.
            start_s: where to start; None: at the start of the recording.
            end_s: where to end; None: at its end.
            profile: of the one person who is seen and heard, if enrolled; or those of several by name, made
                ``with_face``: they are found by their faces and named, and others are not.
            identity: whether to tell people apart by face embeddings; None: if the extra is installed.
            own_baseline: whether each person is read against their own baseline, where the recording holds
                enough of them (:mod:`emofuse.timeline.own_baselines`); not with a profile.
            audio_stream: the number of the audio stream to read, as for :meth:`predict`.
            video_stream: the number of the video stream.
            limits: what the recording may ask for, as for :meth:`predict`.
            cancel: when set, from any thread, reading ends.
            on_progress: called with the seconds that were read, and with the duration where the file has it.
            on_sound: called with every block of audio; ``PeakMeter().add`` makes a waveform for a page.

        Raises:
            MediaError: the file cannot be read, or its frames are too large.
            CancelledError: ``cancel`` was set.
            ProfileError: a profile was made with another recognizer, or is one of several and has no face.
            WeightsError: faces are to be embedded, and the network is missing or altered.
        """
        from emofuse.timeline.reader import ReadingOptions, read_timeline

        streams = StreamChoice(audio_stream, video_stream)
        control = ReadControl(limits or Limits(), cancel, on_progress)
        options = ReadingOptions(rules, start_s, end_s, profile, streams, control, identity, own_baseline)
        return read_timeline(self, source, options, segment_rules=segment_rules, on_sound=on_sound)

    def stream(
        self, source: Source, *, rules: WindowRules | None = None, start_s: float | None = None,
        end_s: float | None = None, profile: Profiles | None = None, identity: bool | None = None,
        own_baseline: bool = True,
        audio_stream: int | None = None, video_stream: int | None = None, limits: Limits | None = None,
        cancel: Event | None = None,
    ) -> Iterator[Window]:  # fmt: skip
        """The windows of :meth:`timeline`, each as soon as it is read; the arguments are the same.

        A person's own baseline is then that of the windows before.

        >>> for window in recognizer.stream("interview.mp4"):                        # doctest: +SKIP
        ...     print(window.start_s, window.person, window.fused)

        Raises:
            MediaError: the file cannot be read.
        """
        from emofuse.timeline.reader import ReadingOptions, stream_windows

        streams = StreamChoice(audio_stream, video_stream)
        control = ReadControl(limits or Limits(), cancel)
        options = ReadingOptions(rules, start_s, end_s, profile, streams, control, identity, own_baseline)
        return stream_windows(self, source, options)

    def predict_features(
        self, features: Features, *, source: str = "features", profile: Profile | None = None
    ) -> Prediction:
        """Read features that :func:`emofuse.features.extraction.extract` returned for this bundle's recipe.

        Raises:
            ProfileError: the profile was not made with this recognizer.
        """
        return self._model.predict(features, source=source, profile=profile)

    def face_frames(self, face: NDArray[Any]) -> NDArray[Any]:
        """The face array as the last part of the face network reads it.

        Args:
            face: (n, height, width) uint8 crops; or what this returned for them, in any order and number.

        Returns:
            (n, n_values) float32 where the network reads crop by crop, so that one that belongs to several
            windows is read once; else ``face`` itself.
        """
        return self._model.face_frames(face)


def _unpickled(kind: type[Recognizer], bundle: Bundle | None, options: dict[str, Any]) -> Recognizer:
    """The recognizer of a pickle; each network is compared with the checksum of the pickled one.

    Raises:
        BundleError, DeviceError: the bundle is no longer there, or has changed; or a GPU is not there.
    """
    return kind(load_bundle() if bundle is None else bundle, **options)

"""A trained recogniser on files: bundle + file → prediction. Runs on ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import BundleError, CorpusError, EmofuseError, FeatureError
from emofuse.core.recipes.fusion import LEAST_LOG_PROBABILITY
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features, Prediction, Recording, TimedFrames, Waveform
from emofuse.corpus.ravdess import parse_name
from emofuse.features.extraction import Readable, extract
from emofuse.features.face.action_units import ActionUnitTable, read_action_units
from emofuse.media.arrays import Colour, recording, timed_frames
from emofuse.media.container import label
from emofuse.recognition.bundle import FRAME_FILE, Bundle, load_bundle, warn_of_licence

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.media.container import Source
    from emofuse.recognition.enrolled_model import KnownPeople
    from emofuse.timeline.reader import OnProgress, OnSound
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
    ) -> None:
        self.bundle = bundle
        self.action_units = action_units and action_units.in_order(bundle.action_units)
        self._threads, self.decoder_threads = threads, decoder_threads
        self._voice = self._session("voice.onnx")
        self._face = self._session("face.onnx")
        self._frames = self._session(FRAME_FILE) if FRAME_FILE in bundle.files else None
        self._fusions = [self._session(name) for name in bundle.fusions]
        if not self._fusions:
            raise BundleError(f"{bundle.folder}: this bundle has no fusion")
        self._known: KnownPeople | None = None

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        threads: int = 1,
        decoder_threads: int = 0,
        action_units: str | Path | None = None,
    ) -> Recognizer:
        """Load a bundle.

        Args:
            path: the bundle's folder; None: the recogniser that comes with emofuse, for non-commercial use.
            threads: of each network.
            decoder_threads: of each decoder; 0: one a core. Several recognisers side by side do best with 1.
            action_units: a table of action units, for a bundle whose face branch reads one.

        Raises:
            BundleError: the bundle is missing, incomplete or altered, or none comes with this installation.
            FeatureError: the table cannot be read, or lacks a column that the bundle reads.
        """
        bundle = load_bundle(path)
        warn_of_licence(bundle)
        table = None if action_units is None else read_action_units(Path(action_units))
        return cls(bundle, threads=threads, decoder_threads=decoder_threads, action_units=table)

    @property
    def recipe(self) -> Recipe:
        """The recipe that the bundle was trained with."""
        return self.bundle.recipe

    @property
    def emotions(self) -> tuple[str, ...]:
        """The order of the probabilities."""
        return self.bundle.emotions

    @property
    def licence(self) -> str:
        """The licence of the trained recogniser."""
        return self.bundle.licence

    def _session(self, name: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False  # as fast, and memory stays flat over thousands of files
        try:
            return onnxruntime.InferenceSession(
                self.bundle.read(name), options, providers=["CPUExecutionProvider"]
            )
        except BundleError:
            raise
        except Exception as error:
            raise BundleError(
                f"{self.bundle.folder / name} is not a network that can be run: {error}"
            ) from None

    @property
    def _people(self) -> KnownPeople:
        if self._known is None:
            from emofuse.recognition.enrolled_model import KnownPeople

            self._known = KnownPeople(self.bundle, self._session)
        return self._known

    def enroll(self, files: Iterable[Readable]) -> Profile:
        """Learn a person's own voice and face from some unlabelled recordings of that person.

        Eight clips in several moods are a good number, and every further one helps. What is kept are means
        and deviations of features.

        Args:
            files: recordings of one person, of the kinds that :meth:`predict` takes. One that cannot be read
                is skipped and named in the profile.

        Raises:
            ProfileError: none of them gave a voice or a face, or this recogniser cannot enrol people.
        """
        if isinstance(files, str | bytes | Path):
            raise TypeError(f"files must be recordings of a person, got one {type(files).__name__}")
        read, skipped = [], []
        people = self._people
        for source in files:
            name = _name(source)
            try:
                features = extract(
                    source, self.bundle.recipe, take=_take_of(name), table=self.action_units,
                    threads=self.decoder_threads,
                )  # fmt: skip
            except EmofuseError as error:
                skipped.append(str(error))
                continue
            if features.voice is None and features.face is None:
                skipped.append(f"{name}: {_nothing(features)}")
            else:
                read.append(features)
        return people.profile(read, tuple(skipped))

    def predict(
        self,
        source: Readable | NDArray[Any] | None = None,
        *,
        sample_rate_hz: float | None = None,
        frames: TimedFrames | NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | None = None,
        frame_times_s: Sequence[float] | NDArray[Any] | None = None,
        fps: float | None = None,
        colour: Colour = "rgb",
        start_s: float | None = None,
        end_s: float | None = None,
        profile: Profile | None = None,
    ) -> Prediction:
        """Read one recording: a file, or arrays, which take the same way.

        >>> recognizer.predict("clip.mp4")                                           # doctest: +SKIP
        >>> recognizer.predict(upload.read())                                        # doctest: +SKIP
        >>> recognizer.predict(samples, sample_rate_hz=16000)                        # doctest: +SKIP
        >>> recognizer.predict(samples, sample_rate_hz=48000, frames=images, fps=25) # doctest: +SKIP

        Args:
            source: any media file that has a voice, a face, or both: its path, its bytes or a binary file
                object. Or sound: a :class:`~emofuse.Waveform`, or an array with ``sample_rate_hz``,
                as :func:`emofuse.recording` takes it. Or a recording that this made. None: no sound.
            sample_rate_hz: of an array of samples.
            frames: pictures beside the sound: :class:`~emofuse.core.records.TimedFrames`, or arrays with
                ``frame_times_s`` or ``fps``, as :func:`emofuse.recording` takes them.
            frame_times_s: when each picture is shown, in seconds, on the clock of the sound.
            fps: instead of the times, where pictures come regularly.
            colour: the order of the three colours in ``frames``.
            start_s: begin of the span that is read; None: the begin of the recording.
            end_s: end of the span; None: its end.
            profile: of the person who is seen and heard, if enrolled.

        Returns:
            Eight probabilities, which modalities they rest on and why one is missing. Where neither can
            be read ``probabilities`` is None and ``error`` says why.

        Raises:
            MediaError: the file cannot be read.
            FeatureError: the arrays are not what they should be; the text says what is wrong.
        """
        readable = _readable(source, sample_rate_hz, frames, frame_times_s, fps, colour)
        name = _name(readable)
        features = extract(
            readable,
            self.bundle.recipe,
            start_s=start_s,
            end_s=end_s,
            take=_take_of(name),
            table=self.action_units,
            threads=self.decoder_threads,
            judge_speech=True,
        )
        return self.predict_features(features, source=name, profile=profile)

    def predict_files(
        self, sources: Iterable[Readable], *, profile: Profile | None = None
    ) -> Iterator[Prediction]:
        """Read one recording after the other, of the kinds that :meth:`predict` takes as ``source``.

        One that cannot be read is a prediction whose ``error`` says why.
        """
        if isinstance(sources, str | bytes | Path):
            raise TypeError(f"sources must be recordings, got one {type(sources).__name__}: use predict")
        if profile is not None:
            self._people.check(profile)
        for source in sources:
            try:
                yield self.predict(source, profile=profile)
            except EmofuseError as error:
                yield self._unread(source, str(error))
            except Exception as error:  # one bad file must not end the batch, whatever it does
                yield self._unread(source, f"{type(error).__name__}: {error}")

    def _unread(self, source: Readable, error: str) -> Prediction:
        name = _name(source)
        return Prediction(source=name, emotions=self.emotions, probabilities=None, used=(), error=error)

    def timeline(
        self,
        source: Source,
        *,
        rules: WindowRules | None = None,
        segment_rules: SegmentRules | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        profile: Profile | None = None,
        on_progress: OnProgress | None = None,
        on_sound: OnSound | None = None,
    ) -> Timeline:
        """Read a whole recording: who is there, and what is expressed from when to when.

        >>> timeline = recognizer.timeline("interview.mp4")                          # doctest: +SKIP
        >>> [(s.start_s, s.end_s, s.emotion) for s in timeline.segments]             # doctest: +SKIP
        >>> write_timeline(timeline, "interview.eaf")                                # doctest: +SKIP

        One decoding pass; memory does not grow with pictures and sound. Faces are told apart and named
        ``person 1``, ``person 2``, … in the order in which they appear. A voice belongs to the person whose
        mouth moves with it, or to nobody in the picture.

        Args:
            source: any media file that has a voice, a face, or both: its path, its bytes or a binary file
                object.
            rules: length and distance of windows, and how many pictures a second are searched for faces.
            segment_rules: what a change of emotion costs, and below which probability to abstain.
            start_s: where to begin; None: at the begin of the recording.
            end_s: where to end; None: at its end.
            profile: of the one person who is seen and heard, if enrolled.
            on_progress: told the seconds that were read, and how many there are where the file says.
            on_sound: handed every block of sound, such as ``PeakMeter().add`` for a page with its curve.

        Raises:
            MediaError: the file cannot be read.
        """
        from emofuse.timeline.reader import read_timeline

        return read_timeline(
            self, source, rules=rules, segment_rules=segment_rules, start_s=start_s, end_s=end_s,
            profile=profile, on_progress=on_progress, on_sound=on_sound,
        )  # fmt: skip

    def stream(
        self,
        source: Source,
        *,
        rules: WindowRules | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        profile: Profile | None = None,
    ) -> Iterator[Window]:
        """The windows of :meth:`timeline`, each as soon as it is read; the arguments are the same.

        >>> for window in recognizer.stream("interview.mp4"):                        # doctest: +SKIP
        ...     print(window.start_s, window.person, window.fused)

        Raises:
            MediaError: the file cannot be read.
        """
        from emofuse.timeline.reader import stream_windows

        return stream_windows(self, source, rules=rules, start_s=start_s, end_s=end_s, profile=profile)

    def predict_features(
        self, features: Features, *, source: str = "features", profile: Profile | None = None
    ) -> Prediction:
        """Read features that :func:`emofuse.features.extraction.extract` returned for this bundle's recipe.

        Raises:
            ProfileError: the profile is of another recogniser.
        """
        voice = self._ask(self._voice, features.voice)
        face = self._ask(self._face, None if features.face is None else self.face_frames(features.face))
        alone = {name: said[2][0] for name, said in (("voice", voice), ("face", face)) if said is not None}
        probabilities: NDArray[np.float64] | None = None
        if voice is not None and face is not None:
            probabilities = self._fuse(voice, face)
        elif alone:
            probabilities = _normalised(np.exp(next(iter(alone.values())).astype(np.float64)))
        error = None
        if probabilities is None:
            error = _nothing(features)
        single = {name: _normalised(np.exp(logs.astype(np.float64))) for name, logs in alone.items()}
        if profile is not None and probabilities is not None:
            single, probabilities = self._people.blend(features, profile, single, probabilities)
        used: list[Any] = [name for name in ("voice", "face") if name in alone]
        return Prediction(
            source=source,
            emotions=self.emotions,
            probabilities=probabilities,
            used=tuple(used),
            voice=single.get("voice"),
            face=single.get("face"),
            voice_missing=features.voice_missing,
            face_missing=features.face_missing,
            notes=features.notes,
            meta=features.meta,
            error=error,
        )

    def face_frames(self, face: NDArray[Any]) -> NDArray[Any]:
        """The face array as the last part of the face network reads it.

        Args:
            face: (n, height, width) uint8 crops; or what this returned for them, in any order and number.

        Returns:
            (n, n_values) float32 where the network reads crop by crop, so that one that belongs to several
            windows is read once; else ``face`` itself.
        """
        if self._frames is None or face.dtype != np.uint8:
            return face
        return np.asarray(self._frames.run(["outputs"], {"inputs": face})[0])

    def _ask(self, session: Any, array: NDArray[Any] | None) -> list[NDArray[np.float32]] | None:
        if array is None:
            return None
        answer: list[NDArray[np.float32]] = session.run(None, {"inputs": array[None]})
        return answer

    def _fuse(self, voice: list[NDArray[np.float32]], face: list[NDArray[np.float32]]) -> NDArray[np.float64]:
        """The mean over the fusion's members, each on what it was fitted on."""
        said = []
        for k, session in enumerate(self._fusions):
            if self.bundle.recipe.fusion.inputs == "features":
                joined = np.concatenate([voice[0][:, k], face[0][:, k]], axis=1)
            else:
                joined = np.maximum(np.concatenate([voice[2], face[2]], axis=1), LEAST_LOG_PROBABILITY)
            said.append(session.run(["probabilities"], {"inputs": joined.astype(np.float32)})[0][0])
        return _normalised(np.mean(said, axis=0).astype(np.float64))


def _nothing(features: Features) -> str:
    return f"no voice ({features.voice_missing}), no face ({features.face_missing})"


def _normalised(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """ONNX answers in float32: make the sum 1 again."""
    return np.asarray(probabilities / probabilities.sum(), dtype=np.float64)


def _readable(
    source: Readable | NDArray[Any] | None,
    sample_rate_hz: float | None,
    frames: TimedFrames | NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | None,
    frame_times_s: Sequence[float] | NDArray[Any] | None,
    fps: float | None,
    colour: Colour,
) -> Readable:
    """One thing to read, of what :meth:`Recognizer.predict` was given."""
    if source is None or isinstance(source, np.ndarray):
        return recording(
            source, sample_rate_hz, frames=frames, frame_times_s=frame_times_s, fps=fps, colour=colour
        )
    if sample_rate_hz is not None:
        kind = type(source).__name__
        raise FeatureError(f"sample_rate_hz goes with an array of samples, and {kind} has its own rate")
    if frames is None:
        if frame_times_s is not None or fps is not None:
            raise FeatureError("frame_times_s and fps go with frames, and none were given")
        return source
    if not isinstance(source, Waveform):
        raise FeatureError(
            f"frames go with a Waveform or an array of samples, not with {type(source).__name__}"
        )
    return Recording(source, timed_frames(frames, frame_times_s, fps, colour=colour))


def _name(source: Readable) -> str:
    """What a recording is called in an answer."""
    if isinstance(source, Recording):
        return source.name
    if isinstance(source, Waveform | TimedFrames):
        return "<arrays>"
    return str(label(source))


def _take_of(name: str) -> str:
    """What a table of action units knows a file by: a RAVDESS code without its modality, else the stem."""
    stem = Path(name).stem
    try:
        return parse_name(stem).take
    except CorpusError:
        return stem

"""A trained recogniser on files: bundle + file → prediction. Runs on ONNX Runtime alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.bundle import NON_COMMERCIAL, Bundle, load_bundle, shipped_bundle
from emofuse.corpus.ravdess import parse_name
from emofuse.errors import BundleError, CorpusError, EmofuseError
from emofuse.features.action_units import ActionUnitTable, read_action_units
from emofuse.features.extraction import extract
from emofuse.known_people import KnownPeople
from emofuse.profile import Profile
from emofuse.recipes import LEAST_LOG_PROBABILITY
from emofuse.records import Features, Prediction

logger = logging.getLogger("emofuse")


class Recognizer:
    """Reads the emotion that a person expresses from a recording's voice, face, or both.

    >>> recognizer = Recognizer.load("bundle")             # doctest: +SKIP
    >>> recognizer.predict("interview.mp4").emotion        # doctest: +SKIP
    'happy'

    What is reported is expression as in the training recordings, not what somebody feels.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, action_units: ActionUnitTable | None = None
    ) -> None:
        self.bundle = bundle
        self.action_units = action_units and action_units.in_order(bundle.action_units)
        self._threads = threads
        self._voice = self._session("voice.onnx")
        self._face = self._session("face.onnx")
        self._fusions = [self._session(name) for name in bundle.fusions]
        if not self._fusions:
            raise BundleError(f"{bundle.folder}: this bundle has no fusion")
        self._known: KnownPeople | None = None

    @classmethod
    def load(
        cls, path: str | Path | None = None, *, threads: int = 1, action_units: str | Path | None = None
    ) -> Recognizer:
        """Load a bundle.

        Args:
            path: the bundle's folder; None: the recogniser that comes with emofuse, for non-commercial use.
            threads: of each network.
            action_units: a table of action units, for a bundle whose face branch reads one.

        Raises:
            BundleError: the bundle is missing, incomplete or altered, or none comes with this installation.
            FeatureError: the table cannot be read, or lacks a column that the bundle reads.
        """
        bundle = load_bundle(shipped_bundle() if path is None else path)
        if NON_COMMERCIAL in bundle.licence:
            logger.warning("this recogniser is licensed %s: no commercial use", bundle.licence)
        table = None if action_units is None else read_action_units(Path(action_units))
        return cls(bundle, threads=threads, action_units=table)

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
            self._known = KnownPeople(self.bundle, self._session)
        return self._known

    def enroll(self, files: Iterable[str | Path]) -> Profile:
        """Learn a person's own voice and face from some unlabelled recordings of that person.

        Eight clips in several moods are a good number, and every further one helps. What is kept are means
        and deviations of features.

        Args:
            files: recordings of one person. One that cannot be read is skipped and named in the profile.

        Raises:
            ProfileError: none of them gave a voice or a face, or this recogniser cannot enrol people.
        """
        read, skipped = [], []
        people = self._people
        for path in map(Path, files):
            try:
                features = extract(path, self.bundle.recipe, take=_take_of(path), table=self.action_units)
            except EmofuseError as error:
                skipped.append(str(error))
                continue
            if features.voice is None and features.face is None:
                skipped.append(f"{path}: {_nothing(features)}")
            else:
                read.append(features)
        return people.profile(read, tuple(skipped))

    def predict(
        self,
        path: str | Path,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        profile: Profile | None = None,
    ) -> Prediction:
        """Read one file.

        Args:
            path: any media file that has a voice, a face, or both.
            start_s: begin of the span that is read; None: the file's begin.
            end_s: end of the span; None: the file's end.
            profile: of the person who is seen and heard, if enrolled.

        Returns:
            Eight probabilities, which modalities they rest on and why one is missing. Where neither can
            be read ``probabilities`` is None and ``error`` says why.

        Raises:
            MediaError: the file cannot be read.
        """
        path = Path(path)
        features = extract(
            path,
            self.bundle.recipe,
            start_s=start_s,
            end_s=end_s,
            take=_take_of(path),
            table=self.action_units,
        )
        return self.predict_features(features, source=str(path), profile=profile)

    def predict_files(
        self, paths: Iterable[str | Path], *, profile: Profile | None = None
    ) -> Iterator[Prediction]:
        """Read file after file; one that cannot be read is a prediction whose ``error`` says why."""
        if profile is not None:
            self._people.check(profile)
        for path in paths:
            try:
                yield self.predict(path, profile=profile)
            except EmofuseError as error:
                yield self._unread(path, str(error))
            except Exception as error:  # one bad file must not end the batch, whatever it does
                yield self._unread(path, f"{type(error).__name__}: {error}")

    def _unread(self, path: str | Path, error: str) -> Prediction:
        return Prediction(source=str(path), emotions=self.emotions, probabilities=None, used=(), error=error)

    def predict_features(
        self, features: Features, *, source: str = "features", profile: Profile | None = None
    ) -> Prediction:
        """Read features that :func:`emofuse.features.extract` returned for this bundle's recipe.

        Raises:
            ProfileError: the profile is of another recogniser.
        """
        voice = self._ask(self._voice, features.voice)
        face = self._ask(self._face, features.face)
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


def _take_of(path: Path) -> str:
    """What a table of action units knows the file by: a RAVDESS code without its modality, else the stem."""
    try:
        return parse_name(path.stem).take
    except CorpusError:
        return path.stem

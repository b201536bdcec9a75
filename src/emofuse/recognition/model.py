"""The networks of a bundle: features → probabilities. Runs on ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.devices import Device
from emofuse.core.errors import BundleError, ProfileError
from emofuse.core.own_ratings import KnownClips
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY
from emofuse.core.records import Features, Prediction
from emofuse.core.text import one_line
from emofuse.features.face.bridge import BRIDGE_NOTE, FACE_FROM, is_bridged
from emofuse.features.own_baseline import Modality, Reading, described
from emofuse.recognition.baseline_model import BaselineModel, as_data
from emofuse.recognition.bundle import FRAME_FILE, UNTRAINED, Bundle
from emofuse.recognition.enrolled_model import EnrolledModel, enrolls, has_bridged_face
from emofuse.recognition.rating_model import RatingModel
from emofuse.system.onnx_session import create_session

if TYPE_CHECKING:
    from emofuse.features.profile import Profile

NO_STANDARD: Final = (
    "a face that came over the bridge is read against the person's own, which no profile gave"
)
"""Why blendshapes are not read in the place of action units."""

Outputs = list[NDArray[np.float32]]
"""Of a voice or face network for one clip: features of each member, (1, n_members, n_features); their
log-probabilities, (1, n_members, n_emotions); and those of all members together, (1, n_emotions)."""


class BundleModel:
    """A voice network, a face network and their fusion, or one of the networks alone.

    Also those for enrolled people, if there are any.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, device: Device = "cpu") -> None:
        """Load the networks; those for enrolled people are loaded when a profile needs them.

        Args:
            bundle: whose networks.
            threads: that each network may use.
            device: what networks run on; the fusion, a few products, is computed on the CPU.

        Raises:
            BundleError: a network is missing, altered or cannot be run.
        """
        self.bundle = bundle
        self._threads = threads
        self._device: Device = device
        self._networks = {
            name: self._session(f"{name}.onnx")
            for name in bundle.modalities
            if f"{name}.onnx" in bundle.files
        }
        self._ratings = RatingModel(bundle, self._session)
        if not bundle.modalities:
            raise BundleError(f"{bundle.folder}: this bundle has neither voice.onnx nor face.onnx")
        self._frames = self._session(FRAME_FILE) if FRAME_FILE in bundle.files else None
        self._fusions = [self._session(name, "cpu") for name in bundle.fusions]
        self._baseline_fusions = [self._session(name, "cpu") for name in bundle.baseline_fusions]
        if not self._fusions and len(self._networks) > 1:
            raise BundleError(f"{bundle.folder}: this bundle has no fusion")

    def _session(self, name: str, device: Device | None = None) -> Any:
        network, path = self.bundle.read(name), self.bundle.folder / name
        try:
            session = create_session(network, threads=self._threads, device=device or self._device)
        except Exception as error:
            raise BundleError(f"{path} is not a network that can be run: {_first_line(error)}") from None
        inputs = [one.name for one in session.get_inputs()]
        if inputs != ["inputs"]:
            names = ", ".join(inputs) or "none"
            raise BundleError(f"{path} is not a network of a bundle: its inputs are {names}")
        return _Network(session, path)

    @cached_property
    def enrolled(self) -> EnrolledModel:
        """The networks for enrolled people, of a bundle that has some."""
        return EnrolledModel(self.bundle, self._session)

    @cached_property
    def baselines(self) -> BaselineModel:
        """People's own baselines, of any bundle."""
        pools = self.bundle.recipe.fusion.inputs == "probabilities"
        return BaselineModel(
            self.bundle,
            lambda features: self._read(self._readable(features, None)),
            self._fused_again if pools else None,
        )

    @property
    def enrollment(self) -> EnrolledModel | BaselineModel:
        """What profiles are made and used by: networks for enrolled people, else own baselines."""
        return self.enrolled if enrolls(self.bundle) else self.baselines

    def check_profile(self, profile: Profile) -> None:
        """Check that a profile was made with this recognizer.

        Raises:
            ProfileError: it was not.
        """
        self.enrollment.check(profile)
        n = len(self.bundle.dimensions)
        if any(len(clips) != n for clips in profile.ratings.values()):
            raise ProfileError("the profile does not fit the recognizer's dimensions: enroll again")

    def predict(self, features: Features, *, source: str, profile: Profile | None = None) -> Prediction:
        """Probabilities of one clip, or the reasons why there are none.

        Raises:
            ProfileError: the profile belongs to another recognizer.
        """
        features = self._readable(features, profile)
        reading, notes, meta = self._read(features), features.notes, features.meta
        known: Mapping[str, tuple[KnownClips, ...]] = {}
        if profile is not None and self.bundle.dimensions:
            self.check_profile(profile)
            known = profile.ratings
        rated = self._ratings.rated(features, self.face_frames, known)
        if rated.shifts:
            notes = (*notes, shifts_in_words(rated.shifts))
            meta = {**meta, "own_ratings": {name: round(one, 6) for name, one in rated.shifts.items()}}
        if profile is not None and reading.fused is not None:
            plain, enrollment = reading, self.enrollment
            if isinstance(enrollment, EnrolledModel):
                single, fused = enrollment.blend(features, profile, plain.single, reading.fused)
                reading = Reading(single.get("voice"), single.get("face"), fused)
            else:
                enrollment.check(profile)
                strengths = enrollment.strengths(profile.baselines)
                reading = enrollment.against(plain, profile.baselines, strengths)
                notes = (*notes, described(profile.baselines, strengths))
                meta = {**meta, "own_baseline": as_data(plain, strengths, self.bundle.emotions)}
        return Prediction(
            source=source,
            emotions=self.bundle.emotions,
            probabilities=reading.fused,
            used=tuple(reading.single) or rated.used,
            voice=reading.voice,
            face=reading.face,
            voice_missing=features.voice_missing,
            face_missing=features.face_missing,
            notes=notes,
            meta=meta,
            error=nothing_readable(features) if reading.fused is None and not rated.used else None,
            dimensions=rated.dimensions,
        )

    def _read(self, features: Features) -> Reading:
        """What the networks and the fusion say of a clip, without a profile."""
        bridged = is_bridged(features)
        outputs: dict[Modality, Outputs] = {}
        if features.voice is not None and "voice" in self._networks:
            outputs["voice"] = self._networks["voice"].run(None, {"inputs": features.voice[None]})
        if features.face is not None and not bridged and "face" in self._networks:
            frames = self.face_frames(features.face)[None]
            outputs["face"] = self._networks["face"].run(None, {"inputs": frames})
        single = {name: _normalized(np.exp(one[2][0].astype(np.float64))) for name, one in outputs.items()}
        if bridged and self.bundle.emotions:  # it says nothing but against the person's own clips
            single["face"] = np.full(len(self.bundle.emotions), 1 / len(self.bundle.emotions))
        fused: NDArray[np.float64] | None = None
        if len(outputs) == 2:
            fused = self._fuse(outputs["voice"], outputs["face"])
        elif single:
            fused = next(iter(single.values()))
        return Reading(single.get("voice"), single.get("face"), fused)

    def _readable(self, features: Features, profile: Profile | None) -> Features:
        """Without what a recognizer of one modality was not trained on, or has no standard for."""
        if is_bridged(features) and (profile is None or not has_bridged_face(profile)):
            features = replace(
                features,
                face=None,
                face_missing=NO_STANDARD,
                notes=tuple(note for note in features.notes if note != BRIDGE_NOTE),
                meta={key: value for key, value in features.meta.items() if key != FACE_FROM},
            )
        if "voice" not in self.bundle.modalities:
            features = replace(features, voice=None, voice_missing=UNTRAINED.format("voice"))
        if "face" not in self.bundle.modalities:
            features = replace(features, face=None, face_missing=UNTRAINED.format("face"))
        return features

    def profile(
        self,
        clips: Sequence[Features],
        ratings: Sequence[Mapping[str, float] | None],
        skipped: tuple[str, ...],
    ) -> Profile:
        """A profile of one person from the features of some recordings.

        Args:
            clips: of the person.
            ratings: what raters gave to each on the bundle's dimensions; None: nothing.
            skipped: a line for each recording that could not be read.

        Raises:
            ProfileError: there are none.
        """
        profile = self.enrollment.profile(clips, skipped)
        readable = [self._readable(one, profile) for one in clips]
        return replace(profile, ratings=self._ratings.known_clips(readable, ratings, self.face_frames))

    def face_frames(self, face: NDArray[Any]) -> NDArray[Any]:
        """See :meth:`Recognizer.face_frames`."""
        if self._frames is None or face.dtype != np.uint8:
            return face
        return np.asarray(self._frames.run(["outputs"], {"inputs": face})[0])

    def _fuse(self, voice: Outputs, face: Outputs) -> NDArray[np.float64]:
        """The mean over the fusion's members, each on what it was fitted on."""
        if self.bundle.recipe.fusion.inputs == "probabilities":
            return _fuse_logs(self._fusions, voice[2], face[2])
        members = []
        for k, session in enumerate(self._fusions):
            joined = np.concatenate([voice[0][:, k], face[0][:, k]], axis=1)
            members.append(session.run(["probabilities"], {"inputs": joined.astype(np.float32)})[0][0])
        return _normalized(np.mean(members, axis=0).astype(np.float64))

    def _fused_again(self, reading: Reading, face_strength: float) -> Reading:
        """The reading with both modalities, fused from them.

        Args:
            reading: against a person's own baselines.
            face_strength: how much of the face's mean was subtracted, 0 to 1. A bundle may fuse such a face
                in another way; what both ways say is then weighted by it.
        """
        assert reading.voice is not None and reading.face is not None
        least = np.exp(MIN_LOG_PROBABILITY)
        voice, face = (np.log(np.maximum(one, least))[None] for one in (reading.voice, reading.face))
        fused = _fuse_logs(self._fusions, voice, face)
        if self._baseline_fusions and face_strength:
            against = _fuse_logs(self._baseline_fusions, voice, face)
            fused = _normalized((1 - face_strength) * fused + face_strength * against)
        return replace(reading, fused=fused)


def _fuse_logs(fusions: Sequence[_Network], voice: NDArray[Any], face: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over a fusion's members of (1, n_emotions) log-probabilities."""
    joined = np.maximum(np.concatenate([voice, face], axis=1), MIN_LOG_PROBABILITY).astype(np.float32)
    members = [session.run(["probabilities"], {"inputs": joined})[0][0] for session in fusions]
    return _normalized(np.mean(members, axis=0).astype(np.float64))


class _Network:
    """A network of a bundle, whose failure is named as what it is: that of a file from elsewhere."""

    def __init__(self, session: Any, path: Path) -> None:
        self._session, self._path = session, path

    def run(self, outputs: list[str] | None, inputs: dict[str, NDArray[Any]]) -> Outputs:
        """What the network computes.

        Raises:
            BundleError: it fails, or asks for more memory than there is.
        """
        try:
            found: Outputs = self._session.run(outputs, inputs)
        except Exception as error:
            raise BundleError(f"{self._path} is a network that fails: {_first_line(error)}") from None
        return found


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def nothing_readable(features: Features) -> str:
    """Why a clip has neither a voice nor a face."""
    return f"no voice ({features.voice_missing}), no face ({features.face_missing})"


def shifts_in_words(shifts: Mapping[str, float]) -> str:
    """``ratings shifted for what is known of the person: valence +0.31``."""
    parts = ", ".join(f"{one_line(name)} {shift:+.2g}" for name, shift in shifts.items())
    return f"ratings shifted for what is known of the person: {parts}"


def _normalized(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The networks compute in float32: make the sum 1 again."""
    return np.asarray(probabilities / probabilities.sum(), dtype=np.float64)

"""A recognizer's second set of networks, for people whose voice and face are known from some recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import BundleError, ProfileError
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY
from emofuse.core.records import Features
from emofuse.features.face.bridge import bridged_scaler, is_bridged
from emofuse.features.own_baseline import Modality
from emofuse.features.profile import Profile
from emofuse.features.speaker_normalization import (
    Moments,
    SpeakerPrior,
    SpeakerScaler,
    blend,
    speaker_scaler,
    unenrolled_weight,
)
from emofuse.recognition.bundle import Bundle

Branch = Literal["voice", "face", "both"]
BRANCHES: Final[tuple[Branch, ...]] = ("voice", "face", "both")

BRIDGED_FACE: Final = "face-bridge"
"""A profile's moments of faces that came over the bridge (:mod:`emofuse.features.face.bridge`): they are on
another scale than those of a table, so the two are never mixed."""


def enrolls(bundle: Bundle) -> bool:
    """Whether a bundle has networks for enrolled people."""
    has_networks = any(f"{enrolled_file(branch)}.onnx" in bundle.files for branch in BRANCHES)
    return bundle.recipe.enrolment is not None and has_networks


def enrolled_file(part: str) -> str:
    """The name, without suffix, of an enrolled branch's network (.onnx) and speaker prior (.npz)."""
    return f"enrolled-{part}"


class EnrolledModel:
    """Networks for enrolled people, and the fusion of their outputs."""

    def __init__(self, bundle: Bundle, session: Callable[[str], Any]) -> None:
        """Load the networks of a bundle that :func:`enrolls`."""
        settings = bundle.recipe.enrolment
        names = [b for b in BRANCHES if f"{enrolled_file(b)}.onnx" in bundle.files]
        assert settings is not None
        self.prior_clips = settings.prior_clips
        self._networks = {b: session(f"{enrolled_file(b)}.onnx") for b in names}
        self._priors = {b: _read_prior(bundle, f"{enrolled_file(b)}.npz") for b in names}
        self._n_units = len(bundle.action_units)
        self._takes_roots = bundle.recipe.face.features.takes_roots
        fuses = len(bundle.modalities) > 1
        self._fusion = session(f"{enrolled_file('fusion')}.onnx") if fuses else None
        digests = "".join(bundle.files[f"{enrolled_file(b)}.onnx"]["sha256"] for b in names)
        self.fingerprint = hashlib.sha256(digests.encode()).hexdigest()[:16]

    def profile(self, clips: Sequence[Features], skipped: tuple[str, ...]) -> Profile:
        """A profile of one person from the features of some recordings.

        Raises:
            ProfileError: there are none.
        """
        if not clips:
            reasons = "; ".join(skipped[:3]) or "no recordings were given"
            raise ProfileError(f"nobody can be enrolled: {reasons}")
        moments: dict[str, Moments] = {}
        for branch, prior in self._priors.items():
            read = [one for one in clips if branch == "voice" or not is_bridged(one)]
            moments[branch] = self._moments(branch, read, len(prior.mean))
        over_bridge = [one for one in clips if is_bridged(one)]
        if over_bridge:
            moments[BRIDGED_FACE] = self._moments("face", over_bridge, self._n_units)
        return Profile(self.fingerprint, moments, len(clips), skipped)

    def _moments(self, branch: Branch, clips: Sequence[Features], n_values: int) -> Moments:
        rows = [row for row in (self._values(branch, one) for one in clips) if row is not None]
        return Moments.of(np.stack(rows) if rows else np.zeros((0, n_values)))

    def _values(self, branch: Branch, features: Features) -> NDArray[np.float32] | None:
        """The values of a clip before standardization; None where the clip lacks what the branch reads."""
        voice, face = features.voice, features.face
        if face is not None and self._takes_roots:
            face = np.sqrt(np.maximum(face, 0))
        if branch == "voice":
            return voice
        if branch == "face":
            return face
        return None if voice is None or face is None else np.concatenate([voice, face])

    def check(self, profile: Profile) -> None:
        """Check that a profile was made with this recognizer.

        Raises:
            ProfileError: it was not.
        """
        if profile.recogniser != self.fingerprint:
            raise ProfileError("the profile was made with another recognizer: enroll the person again")
        lengths: dict[str, int] = {branch: len(prior.mean) for branch, prior in self._priors.items()}
        if BRIDGED_FACE in profile.moments:
            lengths[BRIDGED_FACE] = self._n_units
        for name, length in lengths.items():
            moments = profile.moments.get(name)
            if moments is None or moments.mean.shape != (length,):
                raise ProfileError(
                    f"the profile does not fit the recognizer's {name}: enroll the person again"
                )

    def blend(
        self,
        features: Features,
        profile: Profile,
        single: Mapping[Modality, NDArray[np.float64]],
        fused: NDArray[np.float64],
    ) -> tuple[dict[Modality, NDArray[np.float64]], NDArray[np.float64]]:
        """The probabilities with and without the profile, weighted by the number of enrolled clips.

        Args:
            features: of the clip.
            profile: of the person.
            single: of each modality without the profile, (n_emotions,) probabilities; all equal for a face
                that came over the bridge, which says nothing without one.
            fused: of both together without it.

        Returns:
            The same two, for the enrolled person.
        """
        self.check(profile)
        bridged = is_bridged(features)
        logs = {}
        for branch, network in self._networks.items():
            values = self._values(branch, features)
            if values is not None:
                standard = self._scaler(branch, profile, bridged=bridged)
                logs[branch] = network.run(["log_probabilities"], {"inputs": standard.apply(values[None])})[0]

        def weighted(
            unenrolled: NDArray[np.float64], enrolled: NDArray[np.float64], branch: Branch
        ) -> NDArray[np.float64]:
            name = BRIDGED_FACE if bridged and branch != "voice" else branch
            share = unenrolled_weight(profile.moments[name].n, self.prior_clips)
            return np.asarray(blend(unenrolled[None], enrolled, share)[0], dtype=np.float64)

        blended = {
            name: weighted(unenrolled, np.exp(logs[name].astype(np.float64)), name)
            for name, unenrolled in single.items()
        }
        if len(single) < 2:
            return blended, next(iter(blended.values()))
        joined = np.concatenate([logs[b] for b in self._networks], axis=1)
        joined = np.maximum(joined, MIN_LOG_PROBABILITY).astype(np.float32)
        assert self._fusion is not None
        enrolled = self._fusion.run(["probabilities"], {"inputs": joined})[0].astype(np.float64)
        return blended, weighted(fused, enrolled, "both" if "both" in self._networks else "voice")

    def _scaler(self, branch: Branch, profile: Profile, *, bridged: bool) -> SpeakerScaler:
        """What standardizes the values of a branch for a person."""
        prior, n_voice = self._priors[branch], len(self._priors[branch].mean) - self._n_units
        if branch == "voice" or not bridged:
            return speaker_scaler(profile.moments[branch], prior, self.prior_clips)
        own, faces = profile.moments[BRIDGED_FACE], prior.of_columns(slice(n_voice, None))
        face = bridged_scaler(own, faces, self.prior_clips)
        if branch == "face":
            return face
        voices = prior.of_columns(slice(n_voice))
        voice = speaker_scaler(profile.moments["voice"], voices, self.prior_clips)
        return SpeakerScaler(
            np.concatenate([voice.center, face.center]), np.concatenate([voice.scale, face.scale])
        )


def has_bridged_face(profile: Profile) -> bool:
    """Whether a person was enrolled with faces that came over the bridge."""
    return BRIDGED_FACE in profile.moments and profile.moments[BRIDGED_FACE].n > 0


def _read_prior(bundle: Bundle, name: str) -> SpeakerPrior:
    try:
        return SpeakerPrior.read(bundle.read(name))
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{bundle.folder / name} is damaged: {error}") from None

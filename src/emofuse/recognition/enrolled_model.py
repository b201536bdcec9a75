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
from emofuse.features.profile import Profile
from emofuse.features.speaker_normalization import (
    Moments,
    SpeakerPrior,
    blend,
    speaker_scaler,
    unenrolled_weight,
)
from emofuse.recognition.bundle import Bundle

Modality = Literal["voice", "face"]
Branch = Literal["voice", "face", "both"]
BRANCHES: Final[tuple[Branch, ...]] = ("voice", "face", "both")


def enrolled_file(part: str) -> str:
    """The name, without suffix, of an enrolled branch's network (.onnx) and speaker prior (.npz)."""
    return f"enrolled-{part}"


class EnrolledModel:
    """Networks for enrolled people, and the fusion of their outputs."""

    def __init__(self, bundle: Bundle, session: Callable[[str], Any]) -> None:
        """Load the networks.

        Raises:
            ProfileError: the bundle has none.
        """
        settings = bundle.recipe.enrolment
        names = [b for b in BRANCHES if f"{enrolled_file(b)}.onnx" in bundle.files]
        if settings is None or not names:
            raise ProfileError(f"{bundle.folder}: this recognizer was not trained to enroll people")
        self.prior_clips = settings.prior_clips
        self._networks = {b: session(f"{enrolled_file(b)}.onnx") for b in names}
        self._priors = {b: _read_prior(bundle, f"{enrolled_file(b)}.npz") for b in names}
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
            rows = [row for row in (_values(branch, one) for one in clips) if row is not None]
            stacked = np.stack(rows) if rows else np.zeros((0, len(prior.mean)))
            moments[branch] = Moments.of(stacked)
        return Profile(self.fingerprint, moments, len(clips), skipped)

    def check(self, profile: Profile) -> None:
        """Check that a profile was made with this recognizer.

        Raises:
            ProfileError: it was not.
        """
        if profile.recogniser != self.fingerprint:
            raise ProfileError("the profile was made with another recognizer: enroll the person again")
        for branch, prior in self._priors.items():
            moments = profile.moments.get(branch)
            if moments is None or moments.mean.shape != prior.mean.shape:
                raise ProfileError(
                    f"the profile does not fit the recognizer's {branch}: enroll the person again"
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
            single: of each modality without the profile, (n_emotions,) probabilities.
            fused: of both together without it.

        Returns:
            The same two, for the enrolled person.
        """
        self.check(profile)
        logs = {}
        for branch, network in self._networks.items():
            values = _values(branch, features)
            if values is not None:
                standard = speaker_scaler(profile.moments[branch], self._priors[branch], self.prior_clips)
                logs[branch] = network.run(["log_probabilities"], {"inputs": standard.apply(values[None])})[0]
        blended = {
            name: self._weighted(unenrolled, np.exp(logs[name].astype(np.float64)), profile, name)
            for name, unenrolled in single.items()
        }
        if len(single) < 2:
            return blended, next(iter(blended.values()))
        joined = np.concatenate([logs[b] for b in self._networks], axis=1)
        joined = np.maximum(joined, MIN_LOG_PROBABILITY).astype(np.float32)
        assert self._fusion is not None
        enrolled = self._fusion.run(["probabilities"], {"inputs": joined})[0].astype(np.float64)
        return blended, self._weighted(
            fused, enrolled, profile, "both" if "both" in self._networks else "voice"
        )

    def _weighted(
        self, unenrolled: NDArray[np.float64], enrolled: NDArray[np.float64], profile: Profile, branch: Branch
    ) -> NDArray[np.float64]:
        share = unenrolled_weight(profile.moments[branch].n, self.prior_clips)
        return np.asarray(blend(unenrolled[None], enrolled, share)[0], dtype=np.float64)


def _values(branch: Branch, features: Features) -> NDArray[np.float32] | None:
    """The values of a clip before standardization; None where the clip lacks what the branch reads."""
    voice = features.voice
    face = None if features.face is None else np.sqrt(np.maximum(features.face, 0))
    if branch == "voice":
        return voice
    if branch == "face":
        return face
    return None if voice is None or face is None else np.concatenate([voice, face])


def _read_prior(bundle: Bundle, name: str) -> SpeakerPrior:
    try:
        return SpeakerPrior.read(bundle.read(name))
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{bundle.folder / name} is damaged: {error}") from None

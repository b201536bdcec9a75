"""What a recognizer knows of a person without networks for enrolled people: the person's own baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from emofuse.core.errors import ProfileError
from emofuse.core.records import Features
from emofuse.features.extraction import MODALITIES
from emofuse.features.own_baseline import (
    TYPICAL_NATS,
    Kind,
    Modality,
    OwnBaseline,
    Reading,
    baselines_of,
    fused_strength,
)
from emofuse.features.profile import Profile
from emofuse.recognition.bundle import FRAME_FILE, RATINGS_FILES, Bundle
from emofuse.timeline.plain_rows import by_emotion

Baselines = Mapping[Kind, OwnBaseline]
Strengths = Mapping[Modality, float]

INFORMATION: Final = "information_nats"
"""The key, in what a bundle's provenance says of a modality, of what a clip tells the network on average."""


class BaselineModel:
    """Own baselines of people, and readings against them."""

    def __init__(
        self,
        bundle: Bundle,
        read: Callable[[Features], Reading],
        fuse: Callable[[Reading, float], Reading] | None,
    ) -> None:
        """Read no network: those of the bundle are given.

        Args:
            bundle: whose outputs are shifted.
            read: features of a clip → its reading.
            fuse: the same reading with ``fused`` made of its voice and face; None where the fusion reads
                features, so that what it says is shifted itself.
        """
        self._bundle, self._read, self._fuse = bundle, read, fuse
        networks = [name for name in (f"{one}.onnx" for one in bundle.modalities) if name in bundle.files]
        names = [*networks, *bundle.fusions, *bundle.baseline_fusions]
        names += [FRAME_FILE] if FRAME_FILE in bundle.files else []
        if bundle.dimensions:
            names += [name for name in RATINGS_FILES.values() if name in bundle.files]
        digests = "".join(bundle.files[name]["sha256"] for name in names)
        self.fingerprint = hashlib.sha256(digests.encode()).hexdigest()[:16]

    def profile(self, clips: Sequence[Features], skipped: tuple[str, ...]) -> Profile:
        """A profile of one person from the features of some recordings.

        Raises:
            ProfileError: there are none.
        """
        if not clips:
            reasons = "; ".join(skipped[:3]) or "no recordings were given"
            raise ProfileError(f"nobody can be enrolled: {reasons}")
        baselines = baselines_of(self._read(one) for one in clips)
        return Profile(self.fingerprint, {}, len(clips), skipped, baselines=baselines)

    def check(self, profile: Profile) -> None:
        """Check that a profile was made with this recognizer.

        Raises:
            ProfileError: it was not.
        """
        if profile.recogniser != self.fingerprint:
            raise ProfileError("the profile was made with another recognizer: enroll the person again")
        n = len(self._bundle.emotions)
        if any(one.mean.shape != (n,) for one in profile.baselines.values()):
            raise ProfileError("the profile does not fit the recognizer's emotions: enroll the person again")

    def strengths(self, baselines: Baselines) -> dict[Modality, float]:
        """How much of each modality's mean is subtracted, 0 to 1, by the rule of :class:`OwnBaseline`."""
        return {
            name: baselines[name].strength(self._typical_nats(name))
            for name in MODALITIES
            if name in baselines
        }

    def _typical_nats(self, modality: Modality) -> float:
        facts = self._bundle.provenance.get(modality)
        value: Any = facts.get(INFORMATION) if isinstance(facts, Mapping) else None
        return float(value) if isinstance(value, int | float) else TYPICAL_NATS

    def fuse(self, reading: Reading, face_strength: float) -> Reading:
        """The same reading, fused from its voice and face; only where the fusion reads probabilities.

        Args:
            reading: of both.
            face_strength: how much of the face's mean was subtracted.
        """
        assert self._fuse is not None
        return self._fuse(reading, face_strength)

    def against(self, reading: Reading, baselines: Baselines, strengths: Strengths) -> Reading:
        """A reading of the same person against the baselines; ``reading`` itself where nothing is subtracted.

        Args:
            reading: of a clip.
            baselines: of the person.
            strengths: how much of each modality's mean is subtracted.
        """
        shifted = Reading(
            _subtracted(reading.voice, baselines.get("voice"), strengths.get("voice", 0.0)),
            _subtracted(reading.face, baselines.get("face"), strengths.get("face", 0.0)),
        )
        if shifted.voice is reading.voice and shifted.face is reading.face:
            return reading
        if shifted.voice is None or shifted.face is None:
            return Reading(
                shifted.voice, shifted.face, shifted.face if shifted.voice is None else shifted.voice
            )
        if self._fuse is not None:
            return self.fuse(shifted, strengths.get("face", 0.0))
        fused = _subtracted(reading.fused, baselines.get("fused"), fused_strength(strengths))
        return Reading(shifted.voice, shifted.face, fused)


def _subtracted(probabilities: Any, baseline: OwnBaseline | None, strength: float) -> Any:
    if probabilities is None or baseline is None or not strength:
        return probabilities
    return baseline.subtract(probabilities, strength)


def as_data(plain: Reading, strengths: Strengths, emotions: Sequence[str]) -> dict[str, Any]:
    """The share of each mean that was subtracted, and the reading without, in JSON types."""
    return {
        "subtracted": {name: round(share, 6) for name, share in strengths.items()},
        "plain": by_emotion({"voice": plain.voice, "face": plain.face, "fused": plain.fused}, emotions),
    }

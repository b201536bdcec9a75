"""A whole recipe: everything a run depends on, as frozen, validated data with a stable hash."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from emofuse.core.recipes.face import FacePart
from emofuse.core.recipes.fusion import Fusion
from emofuse.core.recipes.part import ADDED_LATER, Ensemble, Part, Positive
from emofuse.core.recipes.voice import VoiceFeatures, VoicePart


class Enrolment(Part):
    """A second pair of networks, on features standardized by each person's own unlabeled recordings."""

    prior_clips: Annotated[float, Field(gt=0, le=100)] = 3.0
    """Weight of the speaker prior, in recordings of a person."""
    both: Ensemble | None = None
    """A third network that sees voice and face together; none: without it."""
    clips: Annotated[tuple[Positive, ...], Field(strict=False)] = (1, 2, 4, 8, 16, 30)
    """Numbers of enrolled recordings that an evaluation measures."""
    draws: Positive = 5
    """Random selections of recordings per number."""


class Recipe(Part):
    """Everything a run depends on, apart from the corpus and the protocol."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    modalities: Annotated[
        tuple[Literal["voice", "face"], ...], Field(strict=False, min_length=1), ADDED_LATER
    ] = ("voice", "face")
    """What is read; with one of them, the other part says nothing, and nothing is fused."""
    voice: VoicePart = VoicePart()
    face: FacePart = FacePart()
    fusion: Fusion = Fusion()
    enrolment: Enrolment | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("modalities must name each once")
        kinds = {getattr(self, modality).network.kind for modality in self.modalities}
        if self.enrolment is not None and kinds != {"ensemble"}:
            raise ValueError("enrolment needs network.kind = 'ensemble' for voice and face")
        if self.fusion.refit and (self.voice.training.patience or self.face.training.patience):
            raise ValueError("refit trains on all actors: nobody is left for patience")
        return self

    def with_voice_features(self, features: VoiceFeatures) -> Recipe:
        """The same recipe with other voice features."""
        return self.model_copy(update={"voice": self.voice.model_copy(update={"features": features})})

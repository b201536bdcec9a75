"""What the parts of a recipe share: the frozen base class, constrained numbers, training settings."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _AddedLater:
    """The type of :data:`ADDED_LATER`."""

    def __repr__(self) -> str:
        return "ADDED_LATER"


ADDED_LATER: Final = _AddedLater()
"""Marks a key that came after recipes had been hashed: ``key: Annotated[bool, ADDED_LATER] = False``.

It marks the whole type, as in ``Annotated[float | None, ADDED_LATER]``.

While such a key has its default, the part is written, and so hashed, without it: older recipes keep their
hash, and what was computed with them is found again. The default must therefore mean what was done before
the key existed, and must never change.
"""


class Part(BaseModel):
    """A frozen part of a recipe: no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _none(cls, data: Any) -> Any:
        """TOML has no null: ``patience = "none"`` unsets what a recipe inherits from another."""
        if not isinstance(data, dict):
            return data
        return {key: None if value == "none" else value for key, value in data.items()}

    @model_serializer(mode="wrap")
    def _without_unused_later_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = write(self)
        if isinstance(self, Part):  # model_copy can put anything in the place of a part
            for key, field in type(self).model_fields.items():
                if ADDED_LATER in field.metadata and getattr(self, key) == field.default:
                    data.pop(key, None)
        return data

    def hash(self) -> str:
        """Sixteen hexadecimal digits of the sha256 of this part's canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Augmentation(Part):
    """Random changes to each training clip in each epoch. Zero disables one."""

    strength: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Log-mel: tempo, pitch, tilt, noise, time shift, masks. Faces: shift, zoom, rotation, brightness,
    flip."""
    mixup: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Parameter of the beta distribution that mixes two clips (Zhang et al. 2018)."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Standard deviation of Gaussian noise on standardized action units and blendshapes."""


class Training(Part):
    """One plain training loop: AdamW, one-cycle learning rate, cross-entropy."""

    epochs: Positive = 40
    batch_size: Annotated[int, Field(ge=2)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    patience: Positive | None = None
    """Stop when held-out training actors have not improved for this many epochs; none: run all epochs."""
    augmentation: Augmentation = Augmentation()


class Ensemble(Part):
    """An ensemble of a kernel machine, dense networks and a linear model on principal components of features.

    Ridge and temperature of the kernel machine are chosen by leave-one-actor-out on the training actors,
    which has a closed form.
    """

    components: Positive = 100
    """Principal components per view."""
    gamma: Annotated[float, Field(gt=0)] = 0.3
    """Of the Gaussian kernel, relative to the mean squared length of a view."""
    ridges: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False, min_length=1)] = (
        0.1, 0.2, 0.4,
    )  # fmt: skip
    person_damping: Annotated[float, Field(ge=0)] = 0.0
    """How much directions in which training actors differ are shrunk."""
    networks: Annotated[int, Field(ge=0, le=32)] = 3
    hidden: Positive = 128
    dropout: Fraction = 0.4
    linear: Annotated[float, Field(gt=0)] | None = None
    """C of a logistic regression in the ensemble; none: without it."""


class AttentionPooling(Part):
    """Small networks that weigh the equal parts of an utterance, each by several heads, and pool them."""

    networks: Annotated[int, Field(ge=1, le=32)] = 3
    hidden: Positive = 96
    heads: Positive = 4
    input_dropout: Fraction = 0.3
    dropout: Fraction = 0.4
    training: Training = Training(
        epochs=20,
        batch_size=64,
        learning_rate=2e-3,
        weight_decay=0.05,
        augmentation=Augmentation(noise=0.2, label_smoothing=0.1),
    )
    """Without patience, mixup and strength."""

"""The fusion part of a recipe: how voice and face become one decision."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from emofuse.core.recipes.part import ADDED_LATER, Fraction, Part, Positive

Classifier = Literal["pool", "lr", "pca-lr", "svm", "nn"]

MIN_LOG_PROBABILITY: Final = -10.0
"""Log-probabilities below this are raised to it: a network's certainty has no more weight in the fusion."""

MIN_STD: Final = 1e-4
"""Fusion inputs whose standard deviation over the training clips is below this are ignored."""


class NeuralFusion(Part):
    """The neural network among the classifiers: dense layers with batch normalization, ReLU and dropout."""

    hidden: Annotated[tuple[Positive, ...], Field(strict=False)] = (2096, 1024)
    dropout: Fraction = 0.4
    epochs: Positive = 30
    batch_size: Annotated[int, Field(ge=2)] = 32
    trials: Annotated[int, Field(ge=1)] = 5
    """Optuna trials; fewer than for the others, because each takes longer."""


class Fusion(Part):
    """How voice and face become one prediction.

    ``inner_folds`` splits the training actors; one pair of networks is trained without each part in turn.
    ``probabilities``: one fusion on the log-probabilities of every pair for the actors it has not seen.
    ``features``: one fusion per pair on the joined feature layers of the actors that pair has not seen
    (feature layers of different pairs are not comparable), averaged over the pairs.
    """

    inputs: Literal["features", "probabilities"] = "probabilities"
    inner_folds: Annotated[int, Field(ge=2, le=20)] = 4
    members: Positive | None = None
    """Train only this many of the inner_folds pairs; none: all."""
    classifiers: Annotated[tuple[Classifier, ...], Field(strict=False)] = ("lr", "pca-lr", "svm", "nn")
    nn: NeuralFusion = NeuralFusion()
    trials: Annotated[int, Field(ge=1)] = 20
    """Optuna trials per classifier."""
    sampler: Annotated[Literal["tpe", "random"], ADDED_LATER] = "tpe"
    """How a trial's settings are drawn: ``tpe`` learns from the trials before it, from the ninth on;
    ``random`` does not, so that trials may be computed in any order."""
    selection_folds: Annotated[int, Field(ge=2, le=20)] = 4
    """Folds of training actors on which hyperparameters and the classifier are chosen."""
    refit: bool = False
    """Train one more pair of networks on all training actors and predict with it instead of the others'
    mean."""
    face_likelihood: Annotated[bool, ADDED_LATER] = False
    """Fuse the likelihood of what the face network outputs, given each emotion, in place of its own
    probabilities: a face that shows nothing then says little. For ``pool`` alone."""

    @model_validator(mode="after")
    def _consistent(self) -> Fusion:
        if not self.classifiers or len(set(self.classifiers)) != len(self.classifiers):
            raise ValueError("classifiers must name at least one, each once")
        if self.members is not None and self.members > self.inner_folds:
            raise ValueError(f"members {self.members} is more than inner_folds {self.inner_folds}")
        if self.inputs == "probabilities" and self.members is not None:
            raise ValueError("members goes with inputs = 'features': probabilities need every inner fold")
        if self.refit and self.inputs != "probabilities":
            raise ValueError("refit goes with inputs = 'probabilities': feature layers are not comparable")
        if self.face_likelihood and (self.inputs != "probabilities" or self.classifiers != ("pool",)):
            raise ValueError("face_likelihood goes with inputs = 'probabilities' and classifiers = ['pool']")
        return self

"""What windows, segments and timelines need of a trained recognizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

if TYPE_CHECKING:
    from emofuse.core.dimensions import Scale
    from emofuse.core.recipes.recipe import Recipe
    from emofuse.core.records import Features, Prediction
    from emofuse.features.own_baseline import Kind, Modality, OwnBaseline, Reading
    from emofuse.features.profile import Profile


class BaselineModel(Protocol):
    """People's own baselines as this package sees them."""

    @property
    def fingerprint(self) -> str:
        """Of the networks that the baselines are of."""
        ...

    def strengths(self, baselines: Mapping[Kind, OwnBaseline]) -> dict[Modality, float]:
        """Which shares of a person's mean log-probabilities are subtracted, 0 to 1, by modality."""
        ...

    def against(
        self, reading: Reading, baselines: Mapping[Kind, OwnBaseline], strengths: Mapping[Modality, float]
    ) -> Reading:
        """A reading of the same person less these shares of the means, then fused again."""
        ...


class EmotionModel(Protocol):
    """A recognizer as this package sees it; :class:`emofuse.Recognizer` is one."""

    @property
    def recipe(self) -> Recipe:
        """What the features are computed with."""
        ...

    @property
    def emotions(self) -> tuple[str, ...]:
        """The order of the probabilities."""
        ...

    @property
    def dimensions(self) -> tuple[Scale, ...]:
        """The numeric scales that it rates on; none in most."""
        ...

    @property
    def licence(self) -> str:
        """The license of the trained model."""
        ...

    @property
    def decoder_threads(self) -> int:
        """Threads of each decoder; 0: one per core."""
        ...

    def predict_features(self, features: Features, *, profile: Profile | None = None) -> Prediction:
        """Probabilities from features that were extracted with ``recipe``."""
        ...

    def check_profile(self, profile: Profile) -> None:
        """Check that a profile was made with this recognizer.

        Raises:
            ProfileError: it was not.
        """
        ...

    @property
    def baselines(self) -> BaselineModel:
        """People's own baselines."""
        ...

    def face_frames(self, face: NDArray[Any]) -> NDArray[Any]:
        """(n, height, width) crops as the last part of the face network reads them, frame by frame."""
        ...

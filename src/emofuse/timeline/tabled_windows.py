"""Windows of recordings whose voice or face is read from a table of embeddings with times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from emofuse.core.errors import FeatureError
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.embeddings.tabled import Modality, check_windows, tabled
from emofuse.features.extraction import extract


@dataclass(frozen=True, slots=True)
class TabledWindows:
    """What tables have of one recording; no table, nothing."""

    recipe: Recipe
    source: str | Path | None

    def __post_init__(self) -> None:
        """Check that the tables have rows by time of it.

        Raises:
            FeatureError: one has not; or nobody knows which recording is read, as where it is live.
        """
        names = tabled(self.recipe)
        if names and self.source is None:
            raise FeatureError(
                f"this recognizer reads the {' and '.join(names)} from a table of embeddings, which has "
                "nothing of what is live"
            )
        if names and self.source is not None:
            check_windows(self.recipe, self.source)

    def reads(self, modality: Modality) -> bool:
        """Whether a modality is read from a table."""
        return modality in tabled(self.recipe)

    def array(self, modality: Modality, start_s: float, end_s: float) -> NDArray[Any] | None:
        """What a network reads of a window; None: it has no row in there."""
        assert self.source is not None
        features = extract(
            self.source, self.recipe, voice=modality == "voice", face=modality == "face",
            start_s=start_s, end_s=end_s,
        )  # fmt: skip
        return features.voice if modality == "voice" else features.face

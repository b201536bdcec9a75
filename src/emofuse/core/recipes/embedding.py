"""The part of a recipe that names embeddings of one's own: an ONNX file that makes them, or a table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from emofuse.core.recipes.part import Part, Positive

Pooling = Literal["mean", "std", "min", "max", "p10", "p90"]
"""What is taken over time of each value; ``p10`` and ``p90`` are percentiles."""


class Embedding(Part):
    """An ONNX file or a table, and how what it gives becomes the values of a recording.

    The values of a recording are those of view after view, in each view those of one pooling after the other.
    """

    file: Annotated[str | None, Field(exclude=True)] = None
    """Where the file lies, from the recipe's folder on. It is not part of the recipe's hash: sha256 is."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the file; a table for predictions is another one, of other recordings."""
    size: Annotated[int, Field(ge=1, le=65536)]
    """How many values it gives, of each time or of the whole recording."""
    trained_on: Annotated[str, Field(min_length=3, max_length=1000)]
    """The recordings it was trained on: figures on any of these say nothing. The model card repeats it."""
    licence: Annotated[str, Field(min_length=2, max_length=200)]
    """Of the file: a bundle holds a copy of an ONNX file."""
    pooling: Annotated[tuple[Pooling, ...], Field(strict=False)] = ("mean", "std")
    """What becomes of (n_times, size) values; empty: the file gives (size,) for the whole recording."""
    views: Positive = 1
    """Into how many views of equal size the values are divided, such as the layers of a network."""
    output: str | None = None
    """Of an ONNX file with several outputs: which one is read; none: the first."""
    other_table: Annotated[bool, Field(exclude=True)] = False
    """Whether ``file`` is a table that was given for a prediction, whose sha256 is not compared."""

    @model_validator(mode="after")
    def _consistent(self) -> Embedding:
        if len(set(self.pooling)) != len(self.pooling):
            raise ValueError("pooling must name each once")
        if self.size % self.views:
            raise ValueError(f"size {self.size} cannot be divided into {self.views} views")
        return self

    @property
    def over_time(self) -> bool:
        """Whether the file gives values for many times, which are pooled."""
        return bool(self.pooling)

    @property
    def n_values(self) -> int:
        """Number of values of a recording."""
        return self.size * max(1, len(self.pooling))

"""What routes say of annotations and results, as OpenAPI shows it.

Annotations are read, and checked, by :mod:`emofuse.timeline.annotations`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from emofuse.timeline.annotations import LONGEST_NAME, LONGEST_REASON, LONGEST_TEXT, MOST

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
_EXAMPLE: Final[dict[str, Any]] = {
    "names": {"person 1": "Anna"},
    "merges": {"person 3": "person 1"},
    "excluded": [{"start_s": 4.0, "end_s": 7.5, "reason": "a phone rings", "person": None}],
    "markers": [{"start_s": 2.0, "end_s": None, "text": "question 1"}],
}


class ExcludedSpanBody(BaseModel):
    """A span that does not count."""

    model_config = ConfigDict(extra="forbid")

    start_s: float
    end_s: float
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]
    person: Name | None = None
    """Whose; null: everybody's."""


class MarkerBody(BaseModel):
    """A note at a time, or for a span."""

    model_config = ConfigDict(extra="forbid")

    start_s: float
    end_s: float | None = None
    """null: it is for the time `start_s` alone."""
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class AnnotationsPatch(BaseModel):
    """A change of annotations."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    names: dict[Name, Name | None] | None = None
    """By person, as the timeline calls them, the name."""
    merges: dict[Name, Name | None] | None = None
    """By person, the person that they are the same as."""
    excluded: Annotated[list[ExcludedSpanBody], Field(max_length=MOST["excluded"])] | None = None
    markers: Annotated[list[MarkerBody], Field(max_length=MOST["markers"])] | None = None


def patch_schema() -> dict[str, Any]:
    """The JSON Schema of a change, without references: OpenAPI resolves them from elsewhere."""
    schema = AnnotationsPatch.model_json_schema()
    parts = schema.pop("$defs")

    def inlined(value: Any) -> Any:
        if isinstance(value, list):
            return [inlined(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inlined(parts[value["$ref"].rpartition("/")[2]])
        return {key: inlined(one) for key, one in value.items()}

    made: dict[str, Any] = inlined(schema)
    return made


class AnnotationsAnswer(BaseModel):
    """All that was changed about a timeline."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 3, **_EXAMPLE}]})

    version: int
    """How often they were changed: the `ETag`, in quotes."""
    names: dict[str, str]
    merges: dict[str, str]
    excluded: list[ExcludedSpanBody]
    markers: list[MarkerBody]


class ResultEntry(BaseModel):
    """A result of a job in one format."""

    format: str
    name: str
    """Of the file, when it is downloaded."""
    media_type: str
    url: str


class ResultList(BaseModel):
    """The results of a job that is done."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "annotations_version": 3,
                    "results": [
                        {
                            "format": "csv", "name": "interview.csv", "media_type": "text/csv",
                            "url": "/v1/jobs/0123456789abcdef0123456789abcdef/results/csv",
                        }
                    ],
                    "media": "/v1/jobs/0123456789abcdef0123456789abcdef/media",
                }
            ]
        }
    )  # fmt: skip

    annotations_version: int
    """Of the annotations that the results show."""
    results: list[ResultEntry]
    media: str
    """The recording itself."""

"""What routes of studies take and answer, as OpenAPI shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from emofuse.core.text import one_line
from emofuse.folders.participants import in_order
from emofuse.server.jobs.records import Job, JobState
from emofuse.server.schemas import ID
from emofuse.server.studies import Entry, Study
from emofuse.timeline.annotations import LONGEST_NAME, Annotations
from emofuse.timeline.people import is_numbered

LONGEST: Final = 200
"""Characters of the name of a study, and of a condition."""
MOST: Final = 1000
"""Recordings of a study."""
_JOB: Final = "0d1f7a52c1a94a37b1b1a3b0a3c1d9e4"
_STUDY: Final = "5f0c2ad1f8f04f0c9df6a1c0e7a1b2c3"
_ENTRY: Final[dict[str, Any]] = {"job": _JOB, "condition": "before", "participant": None}


def _not_blank(text: str) -> str:
    text = one_line(text)
    if not text:
        raise ValueError("it is blank")
    return text


Name = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_not_blank)]

Person = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_not_blank)]


class StudyRecordingBody(BaseModel):
    """A recording of a study."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ENTRY]})

    job: Annotated[str, Field(pattern=ID)]
    condition: Name | None = None
    """In which it was made."""
    participant: Person | None = None
    """Whose voice it is, where nobody is in view. Others are named by the annotations of the job."""

    def entry(self) -> Entry:
        """As it is kept."""
        return Entry(self.job, self.condition, self.participant)


class _Recordings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _check_once(self) -> Self:
        jobs = [one.job for one in getattr(self, "recordings", None) or ()]
        if len(set(jobs)) != len(jobs):
            raise ValueError("a recording is in a study once")
        return self


class NewStudyBody(_Recordings):
    """A new study."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "interviews", "recordings": [_ENTRY]}]}
    )

    name: Name
    recordings: Annotated[list[StudyRecordingBody], Field(max_length=MOST)] = []


class StudyPatch(_Recordings):
    """A change of a study: what it does not mention stays, the list of recordings is replaced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"recordings": [_ENTRY]}]})

    name: Name | None = None
    recordings: Annotated[list[StudyRecordingBody], Field(max_length=MOST)] | None = None


class StudyPerson(BaseModel):
    """Somebody in a recording."""

    person: str
    """As the annotations of the job call them."""
    name: str
    """Their name; as long as they have none, the same."""


class StudyRecording(BaseModel):
    """A recording of a study as it is now."""

    job: str
    file: str
    """As the tables call it."""
    condition: str | None
    participant: str | None
    state: JobState
    error: str | None
    duration_s: float | None
    people: list[StudyPerson]
    """Those in view; nobody, where there are only voices."""
    n_markers: int
    consent: str | None
    keep_until: str | None
    """When it is erased, and leaves the study; null: it has not ended, or is kept."""

    @classmethod
    def of(cls, entry: Entry, file: str, job: Job) -> StudyRecording:
        """An entry with what is known of its job."""
        annotations = Annotations.from_data(dict(job.annotations))
        seen = [row["person"] for row in job.outcome.get("summary", ()) if row.get("person") is not None]
        return cls(
            job=job.id, file=file, condition=entry.condition, participant=entry.participant,
            state=job.state, error=job.error, duration_s=job.outcome.get("duration_s"),
            people=[
                StudyPerson(person=one, name=annotations.names.get(one, one))
                for one in seen
                if one not in annotations.targets
            ],
            n_markers=len(annotations.markers), consent=job.consent, keep_until=job.keep_until,
        )  # fmt: skip


class StudyResult(BaseModel):
    """A table or a picture of a study."""

    result: str
    name: str
    """Of the file, when it is downloaded."""
    media_type: str
    url: str


class StudyAnswer(BaseModel):
    """A study."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _STUDY, "name": "interviews", "created": "2026-11-27T09:00:00.000Z", "version": 3,
                    "recordings": [
                        {
                            **_ENTRY, "file": "interview.mp4", "state": "done", "error": None,
                            "duration_s": 61.5, "people": [{"person": "person 1", "name": "Anna"}],
                            "n_markers": 2, "consent": "form 12", "keep_until": None,
                        }
                    ],
                    "participants": ["Anna"], "conditions": ["before"],
                    "results": [
                        {
                            "result": "summary", "name": "interviews-summary.csv", "media_type": "text/csv",
                            "url": f"/v1/studies/{_STUDY}/results/summary",
                        }
                    ],
                }
            ]
        }
    )  # fmt: skip

    id: str
    name: str
    created: str
    version: int
    """How often it was changed: the `ETag`, in quotes."""
    recordings: list[StudyRecording]
    participants: list[str]
    """All names of people; the same name in two recordings is the same person."""
    conditions: list[str]
    """In the order of the recordings: so are the rows of their means."""
    results: list[StudyResult]

    @classmethod
    def of(
        cls, study: Study, files: Sequence[str], jobs: Mapping[str, Job], results: list[StudyResult]
    ) -> StudyAnswer:
        """A study as clients see it.

        Args:
            study: the study.
            files: the name of each recording.
            jobs: by their ids; a recording without is left out.
            results: what there is of it.
        """
        recordings = [
            StudyRecording.of(entry, file, jobs[entry.job])
            for entry, file in zip(study.recordings, files, strict=True)
            if entry.job in jobs
        ]
        names = {person.name for one in recordings for person in one.people if not is_numbered(person.name)}
        names |= {one.participant for one in recordings if one.participant and not one.people}
        conditions = dict.fromkeys(one.condition for one in recordings if one.condition is not None)
        return cls(
            id=study.id, name=study.name, created=study.created, version=study.version,
            recordings=recordings,
            participants=[name for name in in_order(names) if name is not None],
            conditions=list(conditions),
            results=results,
        )  # fmt: skip


class StudyEntry(BaseModel):
    """A study in the list of all."""

    id: str
    name: str
    created: str
    version: int
    n_recordings: int


class StudyList(BaseModel):
    """All studies, in the order in which they were made."""

    studies: list[StudyEntry]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "studies": [
                        {
                            "id": _STUDY, "name": "interviews", "created": "2026-11-27T09:00:00.000Z",
                            "version": 3, "n_recordings": 20,
                        }
                    ]
                }
            ]
        }
    )  # fmt: skip

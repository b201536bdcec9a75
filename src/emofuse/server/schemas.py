"""What API v1 takes and answers, as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from emofuse.media.container import check_span
from emofuse.server.jobs.records import Job, JobState
from emofuse.server.jobs.retention import parse_keep
from emofuse.server.people import Person
from emofuse.server.purpose import LONGEST
from emofuse.timeline.segments import SegmentRules
from emofuse.timeline.windows import WindowRules

ID: Final = r"^[0-9a-f]{32}$"
LONGEST_CONSENT: Final = 500
LONGEST_KEEP_S: Final = 36_500 * 86_400.0
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
StreamNumber = Annotated[int, Field(ge=1, le=1000)]

_JOB_ID: Final = "0d1f7a52c1a94a37b1b1a3b0a3c1d9e4"
_PERSON_ID: Final = "7b0c2ad1f8f04f0c9df6a1c0e7a1b2c3"
_PROBABILITIES: Final[dict[str, Any]] = {
    "neutral": 0.02, "calm": 0.03, "happy": 0.81, "sad": 0.02, "angry": 0.03, "fearful": 0.03,
    "disgust": 0.01, "surprised": 0.05,
}  # fmt: skip


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:emofuse:problem:no-purpose",
                    "title": "No purpose",
                    "status": 409,
                    "detail": "Nobody has said what this service is used for: …",
                }
            ]
        }
    )


class _Span(BaseModel):
    """Which part of a recording is read, and which of its streams."""

    model_config = ConfigDict(extra="forbid")

    start_s: Annotated[Seconds | None, Field(description="Start of the span that is read.")] = None
    end_s: Annotated[Seconds | None, Field(description="End of the span.")] = None
    audio_stream: Annotated[
        StreamNumber | None, Field(description="Which of several audio streams, from 1 on.")
    ] = None
    video_stream: Annotated[
        StreamNumber | None, Field(description="Which of several video streams, from 1 on.")
    ] = None
    person: Annotated[
        str | None, Field(pattern=ID, description="The enrolled person who is seen and heard.")
    ] = None

    @model_validator(mode="after")
    def _check_span(self) -> Self:
        check_span(self.start_s, self.end_s)
        return self

    def options(self) -> dict[str, Any]:
        """What was given, as the workers take it."""
        return self.model_dump(exclude_none=True, exclude={"person", "consent"})


class PredictionOptions(_Span):
    """How a recording is read that is answered at once."""


class JobOptions(_Span):
    """How a recording is read that becomes a job; what is not given is as in the command."""

    window_s: Annotated[float | None, Field(ge=0.5, le=60, description="Length of a window.")] = None
    hop_s: Annotated[
        float | None, Field(ge=0.1, le=60, description="From the start of a window to that of the next.")
    ] = None
    faces_per_second: Annotated[
        float | None, Field(ge=0.5, le=60, description="Frames per second that are searched for faces.")
    ] = None
    abstain_below: Annotated[
        float | None, Field(ge=0, le=1, description="Segments with less confidence get no emotion.")
    ] = None
    identity: Annotated[
        bool | None, Field(description="Whether to tell people apart by embeddings of their faces.")
    ] = None
    own_baseline: Annotated[
        bool | None, Field(description="Whether people are read against their own baseline.")
    ] = None
    consent: Annotated[
        str | None,
        Field(
            max_length=LONGEST_CONSENT,
            description="What the people in it have agreed to, such as the number of a form. No name: "
            "addresses may be logged. PATCH /v1/jobs/{job_id} takes it in the body.",
        ),
    ] = None

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        rules = WindowRules()
        WindowRules(self.window_s or rules.window_s, self.hop_s or rules.hop_s)
        SegmentRules(abstain_below=0.0 if self.abstain_below is None else self.abstain_below)
        return self


class JobChange(BaseModel):
    """A change of what is kept with a job, and for how long; what is not mentioned stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"consent": "form 12 of 2026-11-20", "keep": "30d"}]}
    )

    consent: Annotated[str | None, Field(max_length=LONGEST_CONSENT)] = None
    """What the people in it have agreed to; null: nothing is known."""
    keep: Annotated[str | None, Field(max_length=20)] = None
    """How long it is kept, from now or from its end on: `12h`, `7d`, `2w`; null: until it is erased."""

    @field_validator("keep")
    @classmethod
    def _check_keep(cls, keep: str | None) -> str | None:
        if keep is not None and (parse_keep(keep) or 0.0) > LONGEST_KEEP_S:
            raise ValueError(f"{keep} is longer than a hundred years: use null")
        return keep


class PredictionAnswer(BaseModel):
    """The emotion that a person expresses in a recording, as probabilities."""

    source: str
    emotion: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    used: list[str]
    voice: dict[str, float] | None
    face: dict[str, float] | None
    voice_missing: str | None
    face_missing: str | None
    notes: list[str]
    purpose: str

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "source": "clip.mp4", "emotion": "happy", "confidence": 0.81,
                    "probabilities": _PROBABILITIES, "used": ["voice", "face"], "voice": _PROBABILITIES,
                    "face": _PROBABILITIES, "voice_missing": None, "face_missing": None, "notes": [],
                    "purpose": "a study of interviews",
                }
            ]
        },
    )  # fmt: skip


class FolderFileBody(BaseModel):
    """A recording that lies in one of the folders that the service may read."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"folder": 0, "path": "study/interview.mp4"}]}
    )

    folder: Annotated[
        int, Field(ge=0, le=1000, description="Which folder, in the order of --folder, from 0.")
    ]
    path: Annotated[
        str, Field(min_length=1, max_length=4096, description="The file, relative to it, with / between.")
    ]


class Progress(BaseModel):
    """How far a job is."""

    done_s: float
    """Seconds of the recording that were read."""
    total_s: float | None
    """Its duration, where the file says it."""


class JobAnswer(BaseModel):
    """A recording that is read, or was."""

    id: str
    name: str
    state: JobState
    progress: Progress
    purpose: str
    options: dict[str, Any]
    person: str | None
    created: str
    started: str | None
    finished: str | None
    keep_until: str | None
    attempts: int
    worker_deaths: int
    error: str | None
    outcome: dict[str, Any]
    annotations_version: int
    consent: str | None = None
    """What the people in it have agreed to."""
    keep_s: float | None = None
    """For how many seconds it is kept after its end; null: until somebody erases it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _JOB_ID, "name": "interview.mp4", "state": "running",
                    "progress": {"done_s": 62.0, "total_s": 1804.2}, "purpose": "a study of interviews",
                    "options": {"hop_s": 0.5}, "person": None, "created": "2026-11-27T09:00:00.000000Z",
                    "started": "2026-11-27T09:00:01.000000Z", "finished": None, "keep_until": None,
                    "attempts": 1, "worker_deaths": 0, "error": None, "outcome": {},
                    "annotations_version": 0, "consent": "form 12 of 2026-11-20", "keep_s": 604800.0,
                }
            ]
        }
    )  # fmt: skip

    @classmethod
    def of(cls, job: Job) -> JobAnswer:
        """A job as clients see it; one that is done has been read to its end."""
        end_s = job.outcome.get("duration_s") if job.state == "done" else None
        progress = Progress(done_s=job.done_s if end_s is None else end_s, total_s=end_s or job.total_s)
        return cls(
            id=job.id, name=job.name, state=job.state,
            progress=progress, purpose=job.purpose,
            options=dict(job.options), person=job.profile, created=job.created, started=job.started,
            finished=job.finished, keep_until=job.keep_until, attempts=job.attempts,
            worker_deaths=job.worker_deaths, error=job.error, outcome=dict(job.outcome),
            annotations_version=job.annotations_version, consent=job.consent, keep_s=job.keep_s,
        )  # fmt: skip


class JobList(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobAnswer]


class PersonAnswer(BaseModel):
    """Somebody who is enrolled."""

    id: str
    name: str
    created: str
    clips: int
    has_face: bool

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _PERSON_ID, "name": "Anna", "created": "2026-11-27T09:00:00.000Z", "clips": 8,
                    "has_face": False,
                }
            ]
        }
    )  # fmt: skip

    @classmethod
    def of(cls, person: Person) -> PersonAnswer:
        """A person as clients see them."""
        return cls(
            id=person.id, name=person.name, created=person.created, clips=person.clips,
            has_face=person.has_face,
        )  # fmt: skip


class EnrolledAnswer(PersonAnswer):
    """Somebody who has just been enrolled."""

    skipped: list[str] = []
    """Recordings that could not be used, and why."""
    note: str | None = None
    """Why faces were not read, where this recognizer could."""


class PersonList(BaseModel):
    """Everybody who is enrolled."""

    people: list[PersonAnswer]


class PurposeBody(BaseModel):
    """What the service is used for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"purpose": "a study of interviews"}]}
    )

    purpose: Annotated[str, Field(min_length=1, max_length=LONGEST)]


class PurposeAnswer(BaseModel):
    """What the service is used for; null: nobody has said so, and nothing is read."""

    purpose: str | None

    model_config = ConfigDict(json_schema_extra={"examples": [{"purpose": "a study of interviews"}]})


class ScaleAnswer(BaseModel):
    """A numeric scale: its name, its range, and how often intervals are to hold a rating."""

    name: str
    range: tuple[float, float]
    level: float


class ModelAnswer(BaseModel):
    """A trained recognizer; ``dimensions`` is left out where it rates on none."""

    name: str
    modalities: list[str]
    emotions: list[str]
    dimensions: list[ScaleAnswer] | None = None
    license: str


class ModelList(BaseModel):
    """What reads recordings here, and in which formats results can be had."""

    models: list[ModelAnswer]
    formats: dict[str, str]
    """Each export format and the suffix of its files."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "models": [
                        {
                            "name": "out-of-the-box",
                            "modalities": ["voice", "face"],
                            "emotions": list(_PROBABILITIES),
                            "license": "CC BY-NC-SA 4.0",
                        }
                    ],
                    "formats": {"csv": ".csv", "json": ".json"},
                }
            ]
        }
    )


class LivePlaces(BaseModel):
    """How many live sessions there may be at once, and how many are open."""

    sessions: int
    open: int

    model_config = ConfigDict(json_schema_extra={"examples": [{"sessions": 2, "open": 0}]})


class SessionAnswer(BaseModel):
    """How a browser is signed in."""

    token_wanted: bool

    model_config = ConfigDict(json_schema_extra={"examples": [{"token_wanted": True}]})


class Health(BaseModel):
    """Whether the service can work."""

    status: Literal["ok", "ending", "no workers"]

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

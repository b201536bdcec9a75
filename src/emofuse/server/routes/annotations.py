"""What a person changes about the timeline of a job: names, merges, excluded spans, markers."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from emofuse.core.errors import AnnotationError, JobConflictError, TimelineError
from emofuse.server.annotation_schemas import AnnotationsAnswer, patch_schema
from emofuse.server.jobs.records import Job
from emofuse.server.problems import Problem
from emofuse.server.reading import TIMELINE
from emofuse.server.routes.jobs import found
from emofuse.server.service import Service, service_of
from emofuse.server.uploads import read_data
from emofuse.system.json_files import parse_json
from emofuse.timeline.annotations import Annotations
from emofuse.timeline.stored import load_facts

router = APIRouter(tags=["annotations"])

_MEDIA_TYPES: Final = ("application/json", "application/merge-patch+json")
_TRIES: Final = 5
"""How often a change that names no version is made again, of what somebody else made meanwhile."""
_CHANGED: Final = "Changed meanwhile"
_ETAG: Final[dict[str, Any]] = {
    "ETag": {"description": "The version of the annotations.", "schema": {"type": "string"}}
}
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {200: {"headers": _ETAG}}
_PATCH: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "description": "The `ETag` of the annotations that the change was made of: if somebody else has "
            "changed them meanwhile, the answer is 412. Without it, the change is made of whatever there is.",
            "schema": {"type": "string", "pattern": "^[\\x20-\\x7e]*$"},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "A JSON merge patch (RFC 7396): what it does not mention stays, null takes back a "
        "name or a merge, lists are replaced.",
        "content": {kind: {"schema": patch_schema()} for kind in _MEDIA_TYPES},
    },
}


@router.get(
    "/v1/jobs/{job_id}/annotations", response_model=AnnotationsAnswer, responses=_ANSWER,
    summary="What was changed about a timeline",
)  # fmt: skip
async def get_annotations(request: Request, response: Response, job_id: str) -> AnnotationsAnswer:
    """Names, merges, excluded spans and markers, with their version as `ETag`."""
    job = await found(service_of(request), job_id)
    return _answer(job, response)


@router.patch(
    "/v1/jobs/{job_id}/annotations", response_model=AnnotationsAnswer, responses=_ANSWER,
    openapi_extra=_PATCH, summary="Change a timeline",
)  # fmt: skip
async def change_annotations(request: Request, response: Response, job_id: str) -> AnnotationsAnswer:
    """Change names, merges, excluded spans or markers; every result shows it from then on.

    Annotations always speak of the people and times of the recording as it was read. Undo is to set what was
    there before.
    """
    service = service_of(request)
    patch = await _patch(request, service.settings.quotas.json_bytes)
    wanted = request.headers.get("if-match")
    for left in reversed(range(_TRIES)):
        job = await done_job(service, job_id)
        _check_version(job, wanted)
        annotations = await service.blocking(_patched, service, job, patch)
        if annotations == job.annotations:
            return _answer(job, response)
        try:
            changed = await service.blocking(
                service.jobs.annotate, job.id, annotations, job.annotations_version
            )
        except JobConflictError:
            if wanted is None and left:
                continue
            raise _changed(await found(service, job_id)) from None
        return _answer(changed, response)
    raise AssertionError


async def done_job(service: Service, job_id: str) -> Job:
    """A job that has a result, for a route.

    Raises:
        Problem: 404, there is no such job; 409, it has no result.
    """
    job = await found(service, job_id)
    if job.state != "done":
        more = "wait until it is done" if job.is_open else "send the recording again"
        raise Problem(409, "Job not done", f"The job is {job.state}, and has no result: {more}.")
    return job


def annotations_of(job: Job) -> Annotations:
    """The annotations of a job."""
    return Annotations.from_data(dict(job.annotations))


def etag(job: Job) -> str:
    """The version of a job's annotations, as HTTP writes it."""
    return f'"{job.annotations_version}"'


def _answer(job: Job, response: Response) -> AnnotationsAnswer:
    response.headers["ETag"] = etag(job)
    return AnnotationsAnswer(version=job.annotations_version, **annotations_of(job).as_data())


async def _patch(request: Request, limit_bytes: int) -> object:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _MEDIA_TYPES:
        raise Problem(
            415, "Unsupported media type", f"A change is JSON: send it as {' or '.join(_MEDIA_TYPES)}."
        )
    try:
        return parse_json(await read_data(request, limit_bytes))
    except ValueError as error:
        raise Problem(422, "Invalid annotations", f"The change is not valid JSON: {error}.") from None


def _check_version(job: Job, wanted: str | None) -> None:
    if wanted is None:
        return
    if not {etag(job), "*"} & {one.strip() for one in wanted.split(",")}:
        raise _changed(job)


def _changed(job: Job) -> Problem:
    return Problem(
        412, _CHANGED,
        f"The annotations are at version {job.annotations_version} by now: read them again, and repeat the "
        "change.",
        headers={"ETag": etag(job)},
    )  # fmt: skip


def _patched(service: Service, job: Job, patch: object) -> dict[str, Any]:
    """The annotations after a change, which fit the job's timeline."""
    try:
        annotations = annotations_of(job).patched(patch)
        facts = load_facts(service.files.result(job.id) / TIMELINE)
        annotations.check_fits(facts.people, (facts.start_s, facts.start_s + facts.duration_s))
    except AnnotationError as error:
        raise Problem(422, "Invalid annotations", f"{error}.") from None
    except TimelineError:
        raise Problem(
            409, "Result not usable", "The result of the job is missing or damaged: send the recording again."
        ) from None
    return annotations.as_data()

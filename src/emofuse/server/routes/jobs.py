"""Long recordings become jobs, which survive a crash of whatever works on them."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Annotated, Any, Final

import anyio
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from emofuse.core.text import one_line
from emofuse.server.jobs.records import FolderFile, Job, JobState, NewJob, Source, new_job_id
from emofuse.server.jobs.retention import parse_keep
from emofuse.server.problems import Problem
from emofuse.server.routes.predictions import UPLOAD_BODY, profile_of
from emofuse.server.schemas import ID, FolderFileBody, JobAnswer, JobChange, JobList, JobOptions
from emofuse.server.service import Service, service_of
from emofuse.server.uploads import UploadRules, read_data, receive, shown_name
from emofuse.system.beneath import open_beneath

router = APIRouter(tags=["jobs"])

_JOB_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        **UPLOAD_BODY["requestBody"],
        "description": "A media file: as the body, or as the field `file` of a form; or where it lies in a "
        "folder of the service.",
        "content": {
            **UPLOAD_BODY["requestBody"]["content"],
            "application/json": {
                "schema": FolderFileBody.model_json_schema(),
                "examples": {"folder": {"value": {"folder": 0, "path": "study/interview.mp4"}}},
            },
        },
    }
}


@router.post(
    "/v1/jobs", status_code=202, response_model=JobAnswer, summary="Have a long recording read",
    openapi_extra=_JOB_BODY,
)  # fmt: skip
async def add_job(request: Request, options: Annotated[JobOptions, Query()]) -> JSONResponse:
    """Accept a recording of any length; it is read as soon as a worker is free.

    Once this has answered, the job is done, whatever is killed meanwhile. Its state is at `Location`.
    """
    service = service_of(request)
    service.running()
    purpose = await service.blocking(service.purpose.required)
    profile = await profile_of(service, options.person)
    max_open = service.settings.quotas.open_jobs
    if await service.blocking(service.jobs.open_count) >= max_open:
        raise _full(max_open)
    job_id = new_job_id()
    await service.blocking(service.files.create, job_id)
    try:
        source, name, file = await _recording(service, request, job_id)
        limits = service.limits(service.settings.quotas.duration_s)
        question = {"file": file, "name": name, "options": {**options.options(), "limits": limits}}
        await service.probe(question)
        service.running()
        new = NewJob(
            id=job_id, name=name, purpose=purpose, options=options.options(), source=source,
            profile=options.person if profile else None, keep_s=service.settings.keep_s,
            consent=one_line(options.consent or "") or None,
        )  # fmt: skip
        with anyio.CancelScope(shield=True):  # it is accepted, or it is not
            job = await service.blocking(service.jobs.add, new, max_open=max_open)
    except BaseException:
        with anyio.CancelScope(shield=True), contextlib.suppress(OSError):
            await service.blocking(service.files.erase, job_id)
        raise
    service.scheduler.wake()
    return JSONResponse(
        JobAnswer.of(job).model_dump(), status_code=202, headers={"Location": f"/v1/jobs/{job.id}"}
    )


@router.get("/v1/jobs", summary="List jobs")
async def list_jobs(
    request: Request,
    *,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    after: Annotated[
        str | None, Query(pattern=ID, description="The last job of the list before: those older than it.")
    ] = None,
) -> JobList:
    """Jobs, the newest first."""
    service = service_of(request)
    if after is not None:
        await found(service, after)
    jobs = await service.blocking(service.jobs.list, state=state, limit=limit, after=after)
    return JobList(jobs=[JobAnswer.of(job) for job in jobs])


@router.get("/v1/jobs/{job_id}", summary="How a job is doing")
async def get_job(request: Request, job_id: str) -> JobAnswer:
    """State and progress of a job."""
    return JobAnswer.of(await found(service_of(request), job_id))


@router.patch("/v1/jobs/{job_id}", summary="Change the consent of a recording, or how long it is kept")
async def change_job(request: Request, job_id: str, change: JobChange) -> JobAnswer:
    """Say what the people in a recording have agreed to, and how long it is kept.

    `keep` counts from now on for a job that has ended, else from its end.
    """
    service = service_of(request)
    job: Job | None = await found(service, job_id)
    if "consent" in change.model_fields_set:
        consent = one_line(change.consent or "") or None
        job = await service.blocking(service.jobs.note_consent, job_id, consent)
    if "keep" in change.model_fields_set:
        keep_s = None if change.keep is None else parse_keep(change.keep)
        job = await service.blocking(service.jobs.keep, job_id, keep_s)
    return JobAnswer.of(job or await found(service, job_id))


@router.delete(
    "/v1/jobs/{job_id}", response_model=JobAnswer, summary="Cancel or erase a job",
    responses={204: {"description": "Everything of the job is erased"}},
)  # fmt: skip
async def delete_job(
    request: Request,
    job_id: str,
    *,
    erase: Annotated[bool, Query(description="Erase the job, its recording and its results.")] = False,
) -> Response:
    """Cancel a job that is queued or running, also while it is decoding; with `erase`, forget any job."""
    service = service_of(request)
    job = await found(service, job_id)
    if erase:
        await service.blocking(service.erase_job, job_id)
        return Response(status_code=204)
    if job.is_open:
        await service.blocking(service.scheduler.cancel, job_id)
        job = await found(service, job_id)
    if job.state != "cancelled":
        raise Problem(
            409,
            "Job has ended",
            f"The job is {job.state}: it can be erased, with ?erase=true, not cancelled.",
        )
    return JSONResponse(JobAnswer.of(job).model_dump())


async def found(service: Service, job_id: str) -> Job:
    """A job, for a route.

    Raises:
        Problem: 404, there is none.
    """
    job = await service.blocking(service.jobs.get, job_id) if re.fullmatch(ID, job_id) else None
    if job is None:
        raise Problem(404, "No such job", "There is no job of that id, or not any more: GET /v1/jobs.")
    return job


async def _recording(
    service: Service, request: Request, job_id: str
) -> tuple[Source, str, str | dict[str, str]]:
    """Where the recording of a new job lies: its source, its name, and the same for a worker."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        place = _place(await read_data(request, service.settings.quotas.json_bytes))
        return await service.blocking(_in_folder, service, place)
    quotas = service.settings.quotas
    path = service.files.upload(job_id)
    form = await receive(request, lambda _: path, UploadRules(quotas.upload_bytes, quotas.idle_s))
    return "upload", form.files[0].name, os.fspath(path)


def _place(body: bytes) -> FolderFileBody:
    try:
        return FolderFileBody.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise Problem(422, "Invalid request", f"{where}: {first['msg']}") from None


def _in_folder(service: Service, place: FolderFileBody) -> tuple[Source, str, dict[str, str]]:
    missing = Problem(
        404, "No such recording", "There is no such file in a folder that the service may read."
    )
    if place.folder >= len(service.settings.folders):
        raise missing
    folder = service.settings.folders[place.folder].absolute()
    try:
        os.close(open_beneath(folder, place.path))
    except (OSError, ValueError):
        raise missing from None
    source: FolderFile = {"folder": place.folder, "path": place.path}
    return source, shown_name(place.path), {"folder": os.fspath(folder), "path": place.path}


def _full(max_open: int) -> Problem:
    return Problem(
        429, "Too many requests", f"{max_open} jobs are queued or running, as many as are allowed.",
        headers={"Retry-After": "30"},
    )  # fmt: skip

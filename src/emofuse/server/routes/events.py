"""What becomes of a job, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from emofuse.server.jobs.records import Job
from emofuse.server.routes.jobs import found
from emofuse.server.schemas import JobAnswer
from emofuse.server.service import Service, service_of

router = APIRouter(tags=["jobs"])

_LOOK_S: Final = 0.5
"""How often the job is looked at."""
_ALIVE_S: Final = 15.0
"""How often a comment shows that the connection lives while nothing happens."""
_RETRY_MS: Final = 3000


@router.get(
    "/v1/jobs/{job_id}/events", response_class=StreamingResponse, summary="Follow a job",
    responses={
        200: {
            "description": "Events named `job`, each with the job as data; the last one when it has ended",
            "content": {"text/event-stream": {}},
        },
        204: {"description": "The client has seen the end of the job: it need not connect again"},
    },
)  # fmt: skip
async def job_events(request: Request, job_id: str) -> Response:
    """Send an event whenever the job has changed: its state, or how far it is."""
    service = service_of(request)
    job = await found(service, job_id)
    if not job.is_open and request.headers.get("last-event-id") == _event_id(job):
        return Response(status_code=204)
    return StreamingResponse(_events(service, job), media_type="text/event-stream")


async def _events(service: Service, job: Job | None) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    job_id = job.id if job else ""
    shown, sent = "", time.monotonic()
    while job is not None:
        if (name := _event_id(job)) != shown:
            shown, sent = name, time.monotonic()
            yield f"id: {name}\nevent: job\ndata: {json.dumps(JobAnswer.of(job).model_dump())}\n\n"
        elif time.monotonic() - sent > _ALIVE_S:
            sent = time.monotonic()
            yield ": alive\n\n"
        if not job.is_open:
            return
        try:
            await asyncio.wait_for(service.stopping.wait(), _LOOK_S)
        except TimeoutError:
            job = await service.blocking(service.jobs.get, job_id)
        else:
            return  # the client connects again, to the service that goes on
    yield "event: erased\ndata: {}\n\n"


def _event_id(job: Job) -> str:
    """Of what is shown: another one when it has changed."""
    return f"{job.state}-{job.attempts}-{job.done_s:g}-{job.annotations_version}"

"""The results of a job in every export format, and the recording itself."""

from __future__ import annotations

import gzip
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from emofuse.exports.write import FORMATS
from emofuse.server.access import EXPORTED_PAGE_POLICY
from emofuse.server.annotation_schemas import ResultEntry, ResultList
from emofuse.server.exports import VIEW, export_name, media_type
from emofuse.server.jobs.records import Job
from emofuse.server.problems import Problem
from emofuse.server.routes.annotations import done_job, etag
from emofuse.server.routes.jobs import found
from emofuse.server.service import Service, service_of
from emofuse.server.uploads import shown_name
from emofuse.system.beneath import open_beneath, path_of

router = APIRouter(tags=["results"])

_Read = TypeVar("_Read")
_EXPORT_S: Final = 600.0
"""An export of a recording of ten hours takes a minute."""
_MEDIA_POLICY: Final = "sandbox; default-src 'none'"
"""Whatever a recording holds, a browser runs nothing of it."""
_PAGE: Final = "html"
_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_RESULT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file",
        "content": {
            **dict.fromkeys(sorted({media_type(one).partition(";")[0] for one in FORMATS}), _BINARY),
            "application/json": {"schema": {"type": "object"}},
        },
    },
    206: {"description": "The part of it that `Range` names"},
}
_VIEW_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The view",
        "headers": {"ETag": {"description": "The version of the annotations.", "schema": {"type": "string"}}},
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["annotations_version", "original_people", "view"],
                    "properties": {
                        "annotations_version": {"type": "integer"},
                        "original_people": {"type": "array", "items": {"type": "string"}},
                        "view": {"type": "object"},
                    },
                }
            }
        },
    },
    304: {"description": "The annotations are still those that `If-None-Match` names"},
}
_MEDIA: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The recording", "content": {"*/*": _BINARY}},
    206: {"description": "The part of it that `Range` names", "content": {"*/*": _BINARY}},
}


@router.get("/v1/jobs/{job_id}/results", summary="List the results of a job")
async def list_results(request: Request, job_id: str) -> ResultList:
    """Every format in which the timeline of a job can be had; they are made when they are asked for."""
    job = await done_job(service_of(request), job_id)
    return ResultList(
        annotations_version=job.annotations_version,
        results=[
            ResultEntry(
                format=kind,
                name=export_name(job.name, kind),
                media_type=media_type(kind).partition(";")[0],
                url=f"/v1/jobs/{job.id}/results/{kind}",
            )
            for kind in FORMATS
        ],
        media=f"/v1/jobs/{job.id}/media",
    )


@router.get(
    "/v1/jobs/{job_id}/results/{format}", response_class=Response, responses=_RESULT,
    summary="A result of a job",
)  # fmt: skip
async def get_result(request: Request, job_id: str, format: str) -> Response:  # noqa: A002 - the field's word
    """The timeline of a job in an export format, with its annotations and its purpose.

    The page looks for its recording beside itself: here, under the name of the recording.
    """
    service = service_of(request)
    job = await found(service, job_id)
    if format not in FORMATS:
        if format == job.name:
            return await _recording(service, job)
        raise Problem(404, "No such format", f"There is no format of that name: use {', '.join(FORMATS)}.")
    job = await done_job(service, job_id)
    path, stat = await _made(request, job, format, Path.stat)
    policy = {"Content-Security-Policy": EXPORTED_PAGE_POLICY} if format == _PAGE else {}
    return FileResponse(
        path, media_type=media_type(format), filename=export_name(job.name, format), stat_result=stat,
        content_disposition_type="inline" if format == _PAGE else "attachment",
        headers={"ETag": f'{etag(job)[:-1]}-{format}"', **policy},
    )  # fmt: skip


@router.get(
    "/v1/jobs/{job_id}/view", response_class=Response, responses=_VIEW_ANSWERS,
    summary="A timeline, as the page draws it",
)  # fmt: skip
async def get_view(request: Request, job_id: str) -> Response:
    """The timeline of a job, with its annotations, packed for the viewer of the page.

    `original_people` are the people of `view.people`, in the same order, by the names that annotations know
    them by. The view itself may change with every version; other programs take an export.
    """
    service = service_of(request)
    job = await done_job(service, job_id)
    headers = {"ETag": etag(job), "Vary": "Accept-Encoding"}
    if etag(job) in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    _, packed = await _made(request, job, VIEW, Path.read_bytes)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        whole = await service.blocking(gzip.decompress, packed)
        return Response(whole, media_type="application/json", headers=headers)
    return Response(packed, media_type="application/json", headers={**headers, "Content-Encoding": "gzip"})


async def _made(request: Request, job: Job, kind: str, read: Callable[[Path], _Read]) -> tuple[Path, _Read]:
    """A result of a job that is done, made if it is not there, and what is read of its file.

    Raises:
        Problem: the job or its result is gone.
    """
    service = service_of(request)
    try:
        path = await service.exports.made(
            job, kind, lambda question: service.ask(question, _EXPORT_S, request)
        )
        is_gone = await service.blocking(service.jobs.get, job.id) is None
        if is_gone:  # the worker may have made its folder again
            await service.blocking(service.files.erase, job.id)
        return path, await service.blocking(read, path)
    except FileNotFoundError:
        await found(service, job.id)
        raise Problem(409, "Result not usable", "The result of the job is missing.") from None


@router.get(
    "/v1/jobs/{job_id}/media", response_class=Response, responses=_MEDIA, summary="The recording of a job"
)
async def get_media(request: Request, job_id: str) -> Response:
    """The recording, as it was sent or as it lies in its folder; parts of it by `Range`."""
    service = service_of(request)
    return await _recording(service, await found(service, job_id))


class _OpenFile(FileResponse):
    """A file that is open already, and closed at the end of the response."""

    def __init__(self, descriptor: int, **more: Any) -> None:
        super().__init__(path_of(descriptor), stat_result=os.fstat(descriptor), **more)
        self._descriptor = descriptor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


async def _recording(service: Service, job: Job) -> Response:
    name = shown_name(job.name)
    guessed = mimetypes.guess_type(name)[0] or ""
    plays = guessed.startswith(("audio/", "video/"))
    more: dict[str, Any] = {
        "media_type": guessed if plays else "application/octet-stream",
        "filename": name,
        "content_disposition_type": "inline" if plays else "attachment",
        "headers": {"Content-Security-Policy": _MEDIA_POLICY},
    }
    try:
        if job.source == "upload":
            path = service.files.upload(job.id)
            return FileResponse(path, stat_result=await service.blocking(path.stat), **more)
        return _OpenFile(await service.blocking(_open_in_folder, service, job), **more)
    except OSError:
        raise Problem(404, "No recording", "The recording of the job is not there any more.") from None


def _open_in_folder(service: Service, job: Job) -> int:
    """A descriptor of the recording of a job, which lies in one of the folders."""
    source = job.source
    if source == "upload" or source["folder"] >= len(service.settings.folders):
        raise FileNotFoundError
    folder: Path = service.settings.folders[source["folder"]]
    return open_beneath(folder.absolute(), source["path"])

"""Studies: many recordings with conditions, and their tables and pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import FileResponse, JSONResponse

from emofuse.folders.study import RESULTS
from emofuse.server.problems import Problem
from emofuse.server.service import Service, service_of
from emofuse.server.studies import Entry, Study
from emofuse.server.study_results import file_names, result_name, result_type
from emofuse.server.study_schemas import (
    NewStudyBody,
    StudyAnswer,
    StudyEntry,
    StudyList,
    StudyPatch,
    StudyRecordingBody,
    StudyResult,
)

router = APIRouter(tags=["studies"])

_RESULT_S: Final = 600.0
_ETAG: Final[dict[str, Any]] = {
    "ETag": {"description": "The version of the study.", "schema": {"type": "string"}}
}
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {200: {"headers": _ETAG}}
_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_RESULT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file", "content": {"text/csv": _BINARY, "image/svg+xml": _BINARY}},
    206: {"description": "The part of it that `Range` names"},
}
IfMatch = Annotated[
    str | None,
    Header(
        description="The `ETag` of the study that the change was made of: if somebody else has changed it "
        "meanwhile, the answer is 412. Without it, the change is made of whatever there is."
    ),
]


@router.get("/v1/studies", summary="List studies")
async def list_studies(request: Request) -> StudyList:
    """All studies, in the order in which they were made."""
    service = service_of(request)
    studies = await service.blocking(service.studies.list)
    return StudyList(
        studies=[
            StudyEntry(
                id=one.id, name=one.name, created=one.created, version=one.version,
                n_recordings=len(one.recordings),
            )
            for one in studies
        ]
    )  # fmt: skip


@router.post("/v1/studies", status_code=201, response_model=StudyAnswer, summary="Make a study")
async def add_study(request: Request, body: NewStudyBody) -> JSONResponse:
    """Put recordings together that were read, or are being read, with a condition each."""
    service = service_of(request)
    service.running()
    if not await service.blocking(service.studies.room):
        raise Problem(409, "Too many studies", f"There are {service.settings.quotas.studies}: erase one.")
    entries = await service.blocking(_entries, service, body.recordings)
    study = await service.blocking(service.studies.add, body.name, entries)
    answer = await service.blocking(_answer, service, study)
    headers = {"Location": f"/v1/studies/{study.id}", "ETag": _etag(study)}
    return JSONResponse(answer.model_dump(), 201, headers)


@router.get("/v1/studies/{study_id}", responses=_ANSWER, summary="One study")
async def get_study(request: Request, response: Response, study_id: str) -> StudyAnswer:
    """Its recordings, the people in them and their conditions, with its version as `ETag`."""
    service = service_of(request)
    study = await _found(service, study_id)
    response.headers["ETag"] = _etag(study)
    return await service.blocking(_answer, service, study)


@router.patch("/v1/studies/{study_id}", responses=_ANSWER, summary="Change a study")
async def change_study(
    request: Request, response: Response, study_id: str, patch: StudyPatch, if_match: IfMatch = None
) -> StudyAnswer:
    """Change the name of a study, or its recordings and their conditions."""
    service = service_of(request)
    study = await service.blocking(service.studies.change, study_id, _changing(service, patch, if_match))
    if study is None:
        raise _missing()
    response.headers["ETag"] = _etag(study)
    return await service.blocking(_answer, service, study)


@router.delete("/v1/studies/{study_id}", status_code=204, summary="Erase a study")
async def erase_study(request: Request, study_id: str) -> Response:
    """Erase a study and what was made of it; its recordings stay."""
    service = service_of(request)
    if not await service.blocking(service.studies.erase, study_id):
        raise _missing()
    return Response(status_code=204)


@router.get(
    "/v1/studies/{study_id}/results/{result}", response_class=Response, responses=_RESULT,
    summary="A table or a picture of a study",
)  # fmt: skip
async def get_study_result(
    request: Request,
    study_id: str,
    result: str,
    *,
    dark: Annotated[bool, Query(description="Whether a picture is for a dark page.")] = False,
) -> Response:
    """A table or picture of all recordings that were read, as they are annotated now."""
    service = service_of(request)
    study = await _found(service, study_id)
    if result not in RESULTS:
        raise Problem(404, "No such result", f"There is no result of that name: use {', '.join(RESULTS)}.")
    try:
        path, key = await service.study_results.made(
            study.id, result, lambda question: service.ask(question, _RESULT_S, request),
            dark=dark and RESULTS[result] == ".svg",
        )  # fmt: skip
        stat = await service.blocking(path.stat)
    except FileNotFoundError:
        await _found(service, study_id)
        raise Problem(409, "Study changed", "The study was changed meanwhile: ask again.") from None
    return FileResponse(
        path, media_type=result_type(result), filename=result_name(study, result), stat_result=stat,
        headers={"ETag": f'"{key}"', "Cache-Control": "no-cache"},
    )  # fmt: skip


async def _found(service: Service, study_id: str) -> Study:
    study = await service.blocking(service.studies.get, study_id)
    if study is None:
        raise _missing()
    return study


def _missing() -> Problem:
    return Problem(404, "No such study", "There is no study of that id: GET /v1/studies.")


def _changing(service: Service, patch: StudyPatch, if_match: str | None) -> Any:
    """What makes a study the changed one, or refuses to."""

    def changed(study: Study) -> Study:
        if if_match is not None and not {_etag(study), "*"} & {one.strip() for one in if_match.split(",")}:
            raise Problem(
                412, "Changed meanwhile",
                f"The study is at version {study.version} by now: read it again, and repeat the change.",
                headers={"ETag": _etag(study)},
            )  # fmt: skip
        if patch.name is not None:
            study = replace(study, name=patch.name)
        if patch.recordings is not None:
            study = replace(study, recordings=tuple(_entries(service, patch.recordings)))
        return study

    return changed


def _entries(service: Service, recordings: list[StudyRecordingBody]) -> list[Entry]:
    """The entries of a study, whose jobs there are.

    Raises:
        Problem: 422, one is not there.
    """
    entries = [one.entry() for one in recordings]
    known = service.jobs.of_ids([one.job for one in entries])
    for number, one in enumerate(entries):
        if one.job not in known:
            raise Problem(
                422, "No such recording",
                f"recordings.{number}.job: there is no job {one.job}, or not any more: GET /v1/jobs.",
            )  # fmt: skip
    return entries


def _answer(service: Service, study: Study) -> StudyAnswer:
    jobs = service.jobs.of_ids([one.job for one in study.recordings])
    results = [
        StudyResult(
            result=name,
            name=result_name(study, name),
            media_type=result_type(name).partition(";")[0],
            url=f"/v1/studies/{study.id}/results/{name}",
        )
        for name in RESULTS
    ]
    return StudyAnswer.of(study, file_names(study, jobs), jobs, results)


def _etag(study: Study) -> str:
    return f'"{study.version}"'

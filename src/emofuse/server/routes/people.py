"""People who are enrolled: their profiles are made, listed and erased."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from emofuse.core.text import one_line
from emofuse.server.people import Person
from emofuse.server.problems import Problem
from emofuse.server.schemas import EnrolledAnswer, PersonAnswer, PersonList
from emofuse.server.service import Service, service_of
from emofuse.server.uploads import FILE_FIELD, UploadRules, receive

router = APIRouter(tags=["people"])

_LONGEST_NAME: Final = 200
_FIELDS: Final = {"name": 4 * _LONGEST_NAME, "with_face": 5}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", FILE_FIELD],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": _LONGEST_NAME},
                        "with_face": {
                            "type": "string", "enum": ["true", "false"], "default": "false",
                            "description": "Whether to keep an embedding of the face: biometric data.",
                        },
                        FILE_FIELD: {
                            "type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}
                        },
                    },
                }
            }
        },
    }
}  # fmt: skip


@router.post(
    "/v1/people", status_code=201, response_model=EnrolledAnswer, summary="Enroll a person",
    openapi_extra=_BODY,
)  # fmt: skip
async def enroll(request: Request) -> JSONResponse:
    """Make a profile of some recordings of one person, in several moods; the recordings are deleted.

    The profile works with the recognizer that made it. It is personal data.
    """
    service = service_of(request)
    service.running()
    await service.blocking(service.purpose.required)
    if not await service.blocking(service.people.room):
        raise Problem(
            409, "Too many people", f"{service.settings.quotas.people} people are enrolled: erase one."
        )
    quotas = service.settings.quotas
    with service.incoming.folder() as folder:
        rules = UploadRules(quotas.prediction_bytes, quotas.idle_s, quotas.enrollment_files, _FIELDS)
        form = await receive(request, lambda number: folder / str(number), rules)
        name, with_face = _fields(dict(form.fields))
        profile = folder / "profile.npz"
        question = {
            "do": "enroll",
            "files": [os.fspath(upload.path) for upload in form.files],
            "names": [upload.name for upload in form.files],
            "name": "the recordings",
            "out": os.fspath(profile),
            "with_face": with_face,
            "options": {"limits": service.limits(quotas.prediction_duration_s)},
        }
        reply = await service.ask(question, quotas.prediction_s, request)
        clips, has_face = int(reply["clips"]), bool(reply["has_face"])
        person = await service.blocking(service.people.add, name, profile, clips=clips, has_face=has_face)
    answer = EnrolledAnswer(
        **PersonAnswer.of(person).model_dump(), skipped=list(reply.get("skipped", ())), note=reply.get("note")
    )
    return JSONResponse(answer.model_dump(), 201, {"Location": f"/v1/people/{person.id}"})


@router.get("/v1/people", summary="List people")
async def list_people(request: Request) -> PersonList:
    """Everybody who is enrolled, in the order of enrollment."""
    service = service_of(request)
    people = await service.blocking(service.people.list)
    return PersonList(people=[PersonAnswer.of(person) for person in people])


@router.get("/v1/people/{person_id}", summary="One person")
async def get_person(request: Request, person_id: str) -> PersonAnswer:
    """Who is enrolled under an id."""
    return PersonAnswer.of(await _found(service_of(request), person_id))


@router.delete("/v1/people/{person_id}", status_code=204, summary="Erase a person")
async def erase_person(
    request: Request,
    person_id: str,
    *,
    recordings: Annotated[
        bool, Query(description="Also erase every recording that is read with the profile, and its results.")
    ] = False,
) -> Response:
    """Erase a person's profile; with `recordings`, everything that was, or will be, read with it, too.

    Without, jobs that wait to use it will fail, and say so. Recordings that were read without the profile are
    not known to be of this person: erase their jobs.
    """
    service = service_of(request)
    person = await _found(service, person_id)
    if recordings:
        await service.blocking(_erase_recordings, service, person.id)
    await service.blocking(service.people.erase, person.id)
    if recordings:  # of jobs that came meanwhile; from now on, none can
        await service.blocking(_erase_recordings, service, person.id)
    return Response(status_code=204)


def _erase_recordings(service: Service, person_id: str) -> None:
    for job_id in service.jobs.of_person(person_id):
        service.erase_job(job_id)


async def _found(service: Service, person_id: str) -> Person:
    person = await service.blocking(service.people.get, person_id)
    if person is None:
        raise Problem(404, "No such person", "Nobody is enrolled under that id: GET /v1/people.")
    return person


def _fields(given: dict[str, str]) -> tuple[str, bool]:
    """The name of a person, and whether the profile keeps the face."""
    name = one_line(given.get("name", ""))
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise Problem(422, "Invalid form", f"The field 'name' has 1 to {_LONGEST_NAME} characters.")
    with_face = given.get("with_face", "false")
    if with_face not in ("true", "false"):
        raise Problem(422, "Invalid form", "The field 'with_face' is true or false.")
    return name, with_face == "true"

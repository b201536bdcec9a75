"""A small recording is read while the client waits."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from emofuse.core.errors import ProfileError
from emofuse.server.problems import Problem
from emofuse.server.schemas import PredictionAnswer, PredictionOptions
from emofuse.server.service import Service, service_of
from emofuse.server.uploads import FILE_FIELD, UploadRules, receive

router = APIRouter(tags=["predictions"])

_BINARY: Final = {"type": "string", "format": "binary"}
UPLOAD_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A media file: as the body, or as the field `file` of a form.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object", "required": [FILE_FIELD], "properties": {FILE_FIELD: _BINARY},
                    "additionalProperties": False,
                }
            },
            "application/octet-stream": {"schema": _BINARY},
        },
    }
}  # fmt: skip


@router.post(
    "/v1/predictions", response_model=PredictionAnswer, summary="Read a small recording",
    openapi_extra=UPLOAD_BODY,
)  # fmt: skip
async def predict(request: Request, options: Annotated[PredictionOptions, Query()]) -> JSONResponse:
    """Read the emotion that a person expresses in a short recording, and answer with probabilities.

    The recording is deleted before the answer is sent. Its name, where the body is the recording, comes in
    `Content-Disposition: attachment; filename="clip.mp4"`.
    """
    service = service_of(request)
    service.running()
    purpose = await service.blocking(service.purpose.required)
    profile = await profile_of(service, options.person)
    quotas = service.settings.quotas
    with service.incoming.folder() as folder:
        rules = UploadRules(quotas.prediction_bytes, quotas.idle_s)
        form = await receive(request, lambda number: folder / str(number), rules)
        upload = form.files[0]
        question = {
            "do": "predict",
            "file": os.fspath(upload.path),
            "name": upload.name,
            "options": {**options.options(), "limits": service.limits(quotas.prediction_duration_s)},
            "profile": profile,
        }
        reply = await service.ask(question, quotas.prediction_s, request)
    return JSONResponse({**reply["prediction"], "purpose": purpose})


async def profile_of(service: Service, person: str | None) -> str | None:
    """The file with a person's profile.

    Raises:
        Problem: 422, there is no such person.
    """
    if person is None:
        return None
    try:
        return os.fspath(await service.blocking(service.people.profile, person))
    except ProfileError:
        raise Problem(422, "Unknown person", "Nobody is enrolled under that id: GET /v1/people.") from None

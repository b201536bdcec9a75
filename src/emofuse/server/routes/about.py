"""What the service is: its health, recognizers, purpose, figures and description."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from emofuse.exports.write import FORMATS
from emofuse.recognition.bundle import SHIPPED
from emofuse.server.metrics import MEDIA_TYPE
from emofuse.server.problems import Problem
from emofuse.server.schemas import Health, ModelAnswer, ModelList, PurposeAnswer, PurposeBody, ScaleAnswer
from emofuse.server.service import service_of

router = APIRouter(tags=["about"])

MODEL_CARD: Final = "MODEL-CARD.md"
"""In the folder of a bundle."""


@router.get(
    "/v1/health", response_model=Health, summary="Whether the service works",
    responses={503: {"description": "It does not", "model": Health}},
)  # fmt: skip
async def health(request: Request) -> JSONResponse:
    """Whether the service can take work. Needs no token, and says nothing else."""
    service = service_of(request)
    status = "ok"
    if service.stopping.is_set():
        status = "ending"
    elif not service.pool.state().workers:
        status = "no workers"
    return JSONResponse({"status": status}, 200 if status == "ok" else 503)


@router.get("/v1/models", summary="What reads recordings", response_model_exclude_none=True)
async def models(request: Request) -> ModelList:
    """The recognizer with its license, and the formats of results."""
    bundle = service_of(request).bundle
    name = SHIPPED.name if bundle.folder == SHIPPED else "own"
    model = ModelAnswer(
        name=name, modalities=list(bundle.modalities), emotions=list(bundle.emotions),
        dimensions=[ScaleAnswer.model_validate(one.to_dict()) for one in bundle.scales] or None,
        license=bundle.licence,
    )  # fmt: skip
    return ModelList(models=[model], formats=FORMATS)


@router.get(
    "/v1/models/card", response_class=Response, summary="The model card",
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def model_card(request: Request) -> Response:
    """On whom the recognizer was trained, how often it is right, and what it is not for."""
    service = service_of(request)
    try:
        text = await service.blocking((service.bundle.folder / MODEL_CARD).read_text, "utf-8")
    except OSError:
        raise Problem(404, "No model card", "The recognizer of this service came without one.") from None
    return Response(text, media_type="text/markdown; charset=utf-8")


@router.get("/v1/purpose", summary="What the service is used for")
async def get_purpose(request: Request) -> PurposeAnswer:
    """The purpose; without one, nothing is read."""
    service = service_of(request)
    return PurposeAnswer(purpose=await service.blocking(service.purpose.get))


@router.put("/v1/purpose", summary="Say what the service is used for")
async def set_purpose(request: Request, body: PurposeBody) -> PurposeAnswer:
    """Set the purpose of what is read from now on: it is kept with every job and in every export."""
    service = service_of(request)
    try:
        return PurposeAnswer(purpose=await service.blocking(service.purpose.set, body.purpose))
    except ValueError as error:
        raise Problem(422, "Invalid request", f"purpose: {error}") from None


@router.get(
    "/metrics", response_class=Response, summary="Figures for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def metrics(request: Request) -> Response:
    """Requests, workers and jobs in numbers."""
    service = service_of(request)
    return Response(await service.blocking(service.metrics.text), headers={"Content-Type": MEDIA_TYPE})


@router.get("/v1/openapi.json", summary="This description", response_model=dict[str, Any])
async def openapi(request: Request) -> JSONResponse:
    """Every route, what it takes and what it answers (OpenAPI 3.1)."""
    return JSONResponse(request.app.openapi())

"""The application: the routes of API v1 around one service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fastapi import APIRouter, FastAPI

from emofuse.core.version import __version__
from emofuse.server.access import COOKIE, Access, Tokens
from emofuse.server.bodies import Bodies
from emofuse.server.observed import Observed
from emofuse.server.problems import MEDIA_TYPE, answer_problems
from emofuse.server.routes import (
    about,
    events,
    jobs,
    label_studio,
    live,
    page,
    people,
    predictions,
    results,
    session,
    studies,
)
from emofuse.server.routes import annotations as annotation_routes
from emofuse.server.schemas import ProblemDetails
from emofuse.server.service import Service
from emofuse.server.settings import ServerSettings

_ABOUT = """\
Reads the emotion that a person expresses in voice and face. What is reported is expression as in the training
recordings, not what somebody feels. Recordings stay on this machine.

Errors are problem details (RFC 9457). A service with a token wants it with every request but
`GET /v1/health`: as `Authorization: Bearer TOKEN`, or, of a page, as the cookie that `POST /v1/session` sets.
Live sessions are a WebSocket at `/v1/live`, which OpenAPI does not describe: see docs/server.md.
"""
_PROBLEM: dict[str, Any] = {
    "description": "What is wrong, and how to fix it",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
}


def create_app(settings: ServerSettings) -> FastAPI:
    """The application of a service.

    The service is ``app.state.service``; the lifespan of the application starts it, unless it runs already,
    and stops it.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(service.start)
        try:
            yield
        finally:
            service.stopping.set()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(service.stop)

    app = FastAPI(
        title="emofuse", version=__version__, description=_ABOUT, lifespan=lifespan,
        # the pages that show an API load their script from elsewhere
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )  # fmt: skip
    tokens = Tokens(settings.token)
    app.state.service = service
    app.state.tokens = tokens
    answer_problems(app)
    # the last one added is the first to see a request
    app.add_middleware(Bodies, limit_bytes=settings.quotas.json_bytes, idle_s=settings.quotas.idle_s)
    app.add_middleware(Access, settings=settings, tokens=tokens)
    app.add_middleware(Observed, metrics=service.metrics)
    api = APIRouter(responses={"4XX": _PROBLEM, "5XX": _PROBLEM})
    for module in (
        predictions, jobs, annotation_routes, results, events, studies, live, people, about, session,
    ):  # fmt: skip
        api.include_router(module.router)
    if settings.label_studio is not None:
        api.include_router(label_studio.router)
    app.include_router(api)
    app.include_router(page.router)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Complete the OpenAPI document by what holds for all routes."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            components = document.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            schemas["ProblemDetails"] = ProblemDetails.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            components["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            }
            document["paths"] = _with_shared(document["paths"], schemas)
            document["security"] = [{"token": []}, {"session": []}, {}]
            document["paths"]["/v1/health"]["get"]["security"] = []
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI documents it


def _with_shared(part: Any, schemas: dict[str, Any]) -> Any:
    """A part of the document whose schemas refer to those of all, as OpenAPI has it, not to their own."""
    if isinstance(part, list):
        return [_with_shared(one, schemas) for one in part]
    if not isinstance(part, dict):
        return part
    for name, schema in part.get("$defs", {}).items():
        schemas[name] = _with_shared(schema, schemas)
    return {
        key: value.replace("#/$defs/", "#/components/schemas/")
        if key == "$ref" and isinstance(value, str)
        else _with_shared(value, schemas)
        for key, value in part.items()
        if key != "$defs"
    }

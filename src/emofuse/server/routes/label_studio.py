"""The machine learning backend of Label Studio: its routes, below ``/label-studio``.

They are those of ``label-studio-ml-backend`` 2. Nothing of them is there unless the service was told of a
Label Studio.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from emofuse.core.text import one_line
from emofuse.server.label_studio import PREFIX, Labeling, fetch, local_file, read_labeling, remote_name
from emofuse.server.problems import Problem
from emofuse.server.service import Service, service_of
from emofuse.system.beneath import open_beneath

logger = logging.getLogger("emofuse.server")

router = APIRouter(prefix=PREFIX, tags=["label-studio"])

_MOST_S: Final = 3600.0
"""How long reading a task may take. Label Studio waits as long as its ``ML_TIMEOUT_PREDICT`` says."""


class SetupBody(BaseModel):
    """What Label Studio says of a project; where its Label Studio lies is not believed."""

    model_config = ConfigDict(extra="ignore")
    schema_: str = Field("", alias="schema", max_length=200_000)


class Task(BaseModel):
    """A task of a project."""

    model_config = ConfigDict(extra="ignore")
    data: dict[str, Any]


class PredictBody(BaseModel):
    """What is to be predicted."""

    model_config = ConfigDict(extra="ignore")
    tasks: list[Task] = Field(max_length=100)
    label_config: str = Field(max_length=200_000)


@router.get("/health", summary="Whether the backend lives")
async def studio_health() -> dict[str, str]:
    """What Label Studio asks first."""
    return {"status": "UP", "model_class": "emofuse"}


@router.post("/setup", summary="Meet a project")
async def studio_setup(request: Request, body: SetupBody) -> dict[str, str]:
    """Check the labeling configuration of a project, and say which recognizer answers."""
    if body.schema_.strip():
        read_labeling(body.schema_)
    return {"model_version": _version(service_of(request))}


@router.get("/versions", summary="Which recognizer answers")
async def studio_versions(request: Request) -> dict[str, list[str]]:
    """The one version there is."""
    return {"versions": [_version(service_of(request))]}


@router.post("/webhook", summary="Hear of annotations")
async def studio_webhook() -> dict[str, str]:
    """Nothing is learned from single annotations: train from an export of them."""
    return {"status": "ok"}


@router.post("/predict", summary="Predict tasks")
async def studio_predict(request: Request, body: PredictBody) -> dict[str, list[dict[str, Any]]]:
    """Read the recordings of tasks, one after the other; `results` has as many entries as there are tasks.

    A recording that cannot be read has no regions, and its entry says why in `error`; where none can be
    read, the answer is the first problem.
    """
    service = service_of(request)
    service.running()
    await service.blocking(service.purpose.required)
    labeling = read_labeling(body.label_config)
    results: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for task in body.tasks:
        try:
            results.append(await _predicted(service, request, task, labeling))
        except Problem as problem:
            if problem.status in (400, 429, 503):
                raise
            logger.warning("a task of Label Studio was not read: %s", problem.title)
            problems.append(problem)
            results.append(
                {"model_version": _version(service), "score": 0.0, "result": [], "error": problem.detail}
            )
    if problems and len(problems) == len(results):
        raise problems[0]
    return {"results": results}


async def _predicted(service: Service, request: Request, task: Task, labeling: Labeling) -> dict[str, Any]:
    address = task.data.get(labeling.key)
    if not isinstance(address, str) or not address:
        raise Problem(422, "No recording", f"The task has no address in its data {labeling.key!r}.")
    quotas = service.settings.quotas
    question: dict[str, Any] = {
        "do": "label-studio", "name": remote_name(address), "labeling": dict(labeling.names),
        "options": {"limits": service.limits(quotas.duration_s)},
    }  # fmt: skip
    name = local_file(address)
    if name is not None and (file := await service.blocking(_in_folder, service, name)) is not None:
        reply = await service.ask({**question, "file": file}, _MOST_S, request)
    else:
        studio = service.settings.label_studio
        assert studio is not None
        with service.incoming.folder() as folder:
            out = folder / "0"
            await service.blocking(fetch, studio, address, out, quotas.upload_bytes)
            reply = await service.ask({**question, "file": os.fspath(out)}, _MOST_S, request)
    prediction: dict[str, Any] = reply["prediction"]
    return prediction


def _in_folder(service: Service, name: str) -> Mapping[str, str] | None:
    """The first folder of the service in which a file of Label Studio's local storage lies."""
    for folder in service.settings.folders:
        root: Path = folder.absolute()
        try:
            os.close(open_beneath(root, name))
        except OSError:
            continue
        return {"folder": os.fspath(root), "path": name}
    return None


def _version(service: Service) -> str:
    return one_line(service.bundle.recipe.name)

"""Errors as problem details (RFC 9457): one shape for everything that goes wrong, and no path in it."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from emofuse.core.errors import JobConflictError, JobError, JobQuotaError, JobStoreError

MEDIA_TYPE: Final = "application/problem+json"
FULL_DISK: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_URN: Final = "urn:emofuse:problem:"


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """An answer that is an error.

    Args:
        status: of HTTP.
        title: what kind of problem, in words that do not vary; the type is made of it.
        detail: what is wrong this time, and how to fix it. It names no path of this machine.
        headers: of the answer.
        more: further members of the answer.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    @property
    def type(self) -> str:
        """A name of the kind, for programs."""
        return _URN + re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": self.type, "title": self.title, "status": self.status, "detail": self.detail, **self.more,
        }  # fmt: skip
        return JSONResponse(body, self.status, self.headers, MEDIA_TYPE)


def too_many(detail: str, retry_after_s: float) -> Problem:
    """The problem of a client that should come again later."""
    seconds = max(1, round(retry_after_s + 0.5))
    return Problem(429, "Too many requests", detail, headers={"Retry-After": str(seconds)})


def disk_full() -> Problem:
    """The problem of a data folder without room."""
    return Problem(
        507,
        "Insufficient storage",
        "The disk of the service is full: erase jobs, or have it given more room.",
    )


def stopping() -> Problem:
    """The problem of a service that ends."""
    return Problem(
        503, "Service ends", "The service is ending: ask again when it runs.", headers={"Retry-After": "10"}
    )


def internal() -> Problem:
    """The problem of an error in the service itself; the log says where."""
    return Problem(500, "Internal error", "The service failed at this request; its log says where.")


def answer_problems(app: FastAPI) -> None:
    """Have an app answer its errors as problem details."""

    async def of_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def of_framework(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        detail = error.detail if error.detail != phrase else _DETAILS.get(error.status_code, phrase)
        title = phrase.capitalize()
        return Problem(error.status_code, title, str(detail), headers=error.headers).response()

    async def of_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [
            {"where": [_plain(part) for part in one["loc"]], "problem": str(one["msg"])}
            for one in error.errors()
        ]
        where = ".".join(map(str, errors[0]["where"])) if errors else "the request"
        detail = f"{where}: {errors[0]['problem']}" if errors else "The request is not as documented."
        return Problem(422, "Invalid request", detail, more={"errors": errors}).response()

    async def of_jobs(_: Request, error: Exception) -> Response:
        if isinstance(error, JobQuotaError):
            return too_many(f"{str(error).capitalize()}.", 30.0).response()
        if isinstance(error, JobConflictError):
            return Problem(409, "Changed meanwhile", f"{str(error).capitalize()}.").response()
        if isinstance(error, JobStoreError):
            return Problem(
                503, "Database not reached", "The database of jobs does not answer: come again.",
                headers={"Retry-After": "5"},
            ).response()  # fmt: skip
        raise error

    async def of_disk(_: Request, error: Exception) -> Response:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return disk_full().response()
        raise error

    app.add_exception_handler(JobError, of_jobs)
    app.add_exception_handler(OSError, of_disk)
    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, of_validation)


_DETAILS: Final = {
    404: "There is nothing at this address: GET /v1/openapi.json lists what there is.",
    405: "This address does not have that method: GET /v1/openapi.json lists what there is.",
}


def _plain(part: Any) -> str | int:
    return part if isinstance(part, int) else str(part).encode("utf-8", "backslashreplace").decode()

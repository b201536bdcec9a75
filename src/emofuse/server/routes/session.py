"""A browser signs in: afterwards a cookie, which no script can read, stands for the token."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from emofuse.server.access import COOKIE, SESSION_S, Tokens
from emofuse.server.schemas import SessionAnswer

router = APIRouter(tags=["session"])


@router.get("/v1/session", summary="Whether a token is wanted")
async def get_session(request: Request) -> SessionAnswer:
    """Whether this service wants a token at all; who gets this answer has shown it."""
    tokens: Tokens = request.app.state.tokens
    return SessionAnswer(token_wanted=tokens.wanted)


@router.post("/v1/session", status_code=204, summary="Sign in")
async def sign_in(request: Request) -> Response:
    """Set the cookie of a browser, for WebSockets, events and downloads, which cannot carry a header.

    The token comes in `Authorization: Bearer TOKEN`. A service without a token sets no cookie.
    """
    response = Response(status_code=204)
    tokens: Tokens = request.app.state.tokens
    if tokens.wanted:
        response.set_cookie(
            COOKIE, tokens.new_session(time.time()), max_age=int(SESSION_S), path="/", httponly=True,
            samesite="strict", secure=request.url.scheme == "https",
        )  # fmt: skip
    return response


@router.delete("/v1/session", status_code=204, summary="Sign out")
async def sign_out() -> Response:
    """Have the browser forget the cookie."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response

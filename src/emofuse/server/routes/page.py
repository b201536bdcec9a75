"""The page: three files that hold nothing of anybody, so that they need no token."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

router = APIRouter(include_in_schema=False)


@router.get("/")
async def shell() -> Response:
    """The page, which asks for the token and the purpose where they are missing."""
    return _answer("index.html", "text/html")


@router.get("/page/page.css")
async def style() -> Response:
    """How it looks."""
    return _answer("page.css", "text/css")


@router.get("/page/page.js")
async def script() -> Response:
    """What it does."""
    return _answer("page.js", "text/javascript")


@router.get("/favicon.ico", status_code=204)
async def icon() -> Response:
    """Nothing: browsers ask for it where no page names one."""
    return Response(status_code=204)


def _answer(name: str, media_type: str) -> Response:
    text = (resources.files("emofuse.server") / "page" / name).read_text(encoding="utf-8")
    return Response(text, media_type=f"{media_type}; charset=utf-8")

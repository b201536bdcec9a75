"""The page: files that hold nothing of anybody, so that they need no token.

Its own are in ``server/page``; the viewer of timelines, which exported pages have too, and the words of both
come from ``exports/page``.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from emofuse.exports import viewer
from emofuse.exports.page_texts import asset
from emofuse.server.problems import Problem
from emofuse.server.service import service_of

router = APIRouter(include_in_schema=False)

_KINDS: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_SHELL: Final = "index.html"


@router.get("/")
async def shell() -> Response:
    """The page, which asks for the token and the purpose where they are missing."""
    return _own(_SHELL)


@router.get("/page/viewer.css")
async def viewer_style() -> Response:
    """How timelines, and all that the page shares with them, look."""
    return Response(viewer.style(), media_type="text/css; charset=utf-8")


@router.get("/page/viewer.js")
async def viewer_script() -> Response:
    """The viewer of timelines: ``emofuseViewer.mount(root, view, {texts, media})``."""
    return Response(viewer.script(), media_type="text/javascript; charset=utf-8")


@router.get("/page/emotions.css")
async def emotion_style(request: Request) -> Response:
    """The colors of the emotions that the service's recognizer tells apart, by number: ``--e0``, ``.e0``."""
    style = viewer.emotion_style(service_of(request).bundle.emotions)
    return Response(style, media_type="text/css; charset=utf-8")


@router.get("/page/texts.json")
async def texts() -> Response:
    """All words of the page."""
    return Response(asset("texts.json"), media_type="application/json")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """A style sheet or a script of the page."""
    if name not in _names() or name == _SHELL:
        raise Problem(404, "No such file", "The page has no file of that name.")
    return _own(name)


@router.get("/favicon.ico", status_code=204)
async def icon() -> Response:
    """Nothing: browsers ask for it where no page names one."""
    return Response(status_code=204)


@functools.cache
def _names() -> frozenset[str]:
    """The files of the page; no other name is looked for."""
    found = (resources.files("emofuse.server") / "page").iterdir()
    return frozenset(one.name for one in found if one.name.rpartition(".")[2] in _KINDS)


def _own(name: str) -> Response:
    text = (resources.files("emofuse.server") / "page" / name).read_text(encoding="utf-8")
    return Response(text, media_type=f"{_KINDS[name.rpartition('.')[2]]}; charset=utf-8")

"""What Label Studio says to its machine learning backends: labeling configurations, and where recordings lie.

Label Studio decides what a task's data are, and whoever may write tasks decides with it. A recording is
therefore read from two places alone: below a folder of the service, where Label Studio's local storage is the
same folder, or from the one Label Studio that the service was told of, with the token that it was given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from emofuse.exports.label_studio import LOCAL_FILES
from emofuse.server.problems import Problem
from emofuse.server.uploads import shown_name
from emofuse.system.xml_files import parse_xml

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Mapping

PREFIX: Final = "/label-studio"
"""Of the routes: the address of the backend is that of the service with this after it."""
_DATA: Final = "/data/"
"""Where Label Studio has uploads and local files."""
_CONNECT_S: Final = 10.0
_READ_S: Final = 60.0
_VARIABLE: Final = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """The Label Studio that a service answers."""

    url: str
    """Its address, such as ``http://127.0.0.1:8080``."""
    token: str | None = field(default=None, repr=False)
    """Its access token; None: nothing is fetched from it."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"the address of Label Studio is http:// or https://, got {self.url!r}")


@dataclass(frozen=True, slots=True)
class Labeling:
    """The tags of a labeling configuration that predictions fill."""

    key: str
    """Of the task's data, where the address of the recording is."""
    names: Mapping[str, Any]
    """Fields of :class:`emofuse.exports.label_studio.LabelingNames`."""


def read_labeling(config: str) -> Labeling:
    """What of a labeling configuration can be filled: the first ``Labels`` of an ``Audio``.

    Raises:
        Problem: 422, it is not XML, or has no such tags.
    """
    try:
        root = parse_xml(config.encode())
    except ValueError as error:
        raise _no_labeling(str(error)) from None
    tags = {one.get("name", ""): one for one in root.iter() if one.get("name")}
    for labels in root.iter("Labels"):
        media = tags.get(labels.get("toName", ""))
        found = None if media is None else _VARIABLE.fullmatch(media.get("value", ""))
        if media is None or media.tag != "Audio" or found is None:
            continue
        values = sorted({one.get("value", "") for one in labels.iter("Label")})
        names = {
            "labels": labels.get("name", ""),
            "media": media.get("name", ""),
            "person": _person(root, media.get("name", "")),
            "values": values,
        }
        return Labeling(found[1], names)
    raise _no_labeling('it has no <Labels toName="…"> of an <Audio value="$…">')


def _person(root: ET.Element, media: str) -> str | None:
    """The name of a text area for the person of each region."""
    for area in root.iter("TextArea"):
        if area.get("toName") == media and area.get("perRegion") == "true" and area.get("name") == "person":
            return area.get("name")
    return None


def _no_labeling(why: str) -> Problem:
    return Problem(
        422, "Labeling configuration not usable",
        f"{why[:300]}. `emofuse timeline FILE --out a.label-studio.json` writes a configuration beside.",
    )  # fmt: skip


def local_file(address: str) -> str | None:
    """The name of a file of Label Studio's local storage, below its document root; None: it is none."""
    if not address.startswith(LOCAL_FILES.partition("?")[0]):
        return None
    (name, *_) = parse_qs(urlsplit(address).query).get("d", [""])
    return name.strip("/")


def remote_name(address: str) -> str:
    """The name of a recording, to show."""
    return shown_name(local_file(address) or unquote(urlsplit(address).path))


def fetch(studio: LabelStudio, address: str, out: Path, limit_bytes: int) -> None:
    """Fetch a recording from Label Studio, and from nowhere else.

    Args:
        studio: the one that is asked.
        address: of the recording, as it stands in a task.
        out: the file that is written.
        limit_bytes: of the recording.

    Raises:
        Problem: 413 it is too large, 422 it lies elsewhere, or there is none.
    """
    import httpx

    url = _own_url(studio, address)
    # no redirects: they lead elsewhere; no proxy of the environment, which would be elsewhere, too
    with httpx.Client(
        timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S), follow_redirects=False, trust_env=False
    ) as client:
        headers = {"Authorization": f"Token {studio.token}", "Accept-Encoding": "identity"}
        try:
            with client.stream("GET", url, headers=headers) as answer, out.open("xb") as file:
                if answer.status_code != 200:
                    raise _not_fetched(f"Label Studio answered {answer.status_code}")
                size = 0
                for piece in answer.iter_raw():
                    size += len(piece)
                    if size > limit_bytes:
                        raise Problem(
                            413, "Content too large", f"A recording may have {limit_bytes} bytes here."
                        )
                    file.write(piece)
        except httpx.HTTPError as error:
            raise _not_fetched(f"Label Studio was not reached ({type(error).__name__})") from None


def _own_url(studio: LabelStudio, address: str) -> str:
    """The address of a recording of this Label Studio.

    Raises:
        Problem: 422, it is none.
    """
    if studio.token is None:
        raise _not_fetched(
            "the service has no token of Label Studio: start it with --label-studio-token-file"
        )
    base, parts = urlsplit(studio.url), urlsplit(address)
    if parts.scheme or parts.netloc:
        own = (parts.scheme, parts.netloc.lower()) == (base.scheme, base.netloc.lower())
        path = parts.path.removeprefix(base.path.rstrip("/"))
    else:
        own, path = True, parts.path
    plain = unquote(unquote(path))
    if not own or not path.startswith(_DATA) or ".." in plain.split("/") or "\\" in plain:
        raise _not_fetched("the recording is not one of Label Studio's own, /data/…, and is not fetched")
    query = f"?{parts.query}" if parts.query else ""
    return f"{studio.url.rstrip('/')}{path}{query}"


def _not_fetched(why: str) -> Problem:
    return Problem(422, "Recording not readable", f"{why}.")

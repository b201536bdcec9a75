"""What a client of the service shares: requests, uploads, and what the service refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from emofuse.core.errors import RequestError

File = str | os.PathLike[str]


class Connection:
    """A connection to one service, as a context manager.

    Every call may raise :class:`RequestError`: the service refused, or was not reached.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = 120.0) -> None:
        """``url``: where it listens; ``token``: what it wants; ``timeout_s``: how long it may be silent."""
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # proxies of the environment are for other addresses: recordings go to the service alone
        self._http = httpx.Client(base_url=url, headers=self._headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _upload(self, path: str, file: File, options: Mapping[str, Any]) -> Any:
        with Path(file).open("rb") as content:
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(os.fstat(content.fileno()).st_size),
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(Path(file).name, safe='')}",
            }
            return self._json("POST", path, params=given(options), headers=headers, content=content)

    def _json(self, method: str, path: str, **how: Any) -> Any:
        return self._request(method, path, **how).json()

    def _request(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **how)
        except httpx.HTTPError as error:
            raise unreached(self._url, error) from error
        check(response)
        return response

    def _saved(self, path: str, to: File | None, **how: Any) -> bytes:
        """What the service answers, as it is; ``to``: also write it to this file."""
        data = self._request("GET", path, **how).content
        if to is not None:
            Path(to).write_bytes(data)
        return data


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def check(response: httpx.Response) -> None:
    """Raise what the service refused.

    Raises:
        RequestError: it did.
    """
    if not response.is_success:
        raise refusal(response.status_code, response.read())


def refusal(status: int, body: bytes | bytearray) -> RequestError:
    """The error that a refusal of the service is."""
    try:
        problem = json.loads(body)
        return RequestError(status, problem["title"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        return RequestError(status, "Refused", body.decode(errors="replace")[:200])


def unreached(url: str, error: Exception) -> RequestError:
    """The error that a service is that does not answer."""
    return RequestError(None, "Not reached", f"{url}: {error}: start it with emofuse serve")

"""A typed client of the service, for programs: ``pip install 'emofuse[server]'``.

>>> with Client() as client:                                                       # doctest: +SKIP
...     job = client.wait(client.submit("interview.mp4").id)
...     client.export(job.id, "html", "interview.html")
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from emofuse.core.errors import RequestError
from emofuse.server import schemas
from emofuse.server.live.messages import pack

LOCAL: Final = "http://127.0.0.1:8000"
ENDED: Final = frozenset(("done", "failed", "cancelled"))
"""States of a job that do not change any more."""
_RETRY_S: Final = 0.5

File = str | os.PathLike[str]


class Client:
    """One service. Every call may raise :class:`RequestError`: the service refused, or was not reached."""

    def __init__(self, url: str = LOCAL, *, token: str | None = None, timeout_s: float = 120.0) -> None:
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

    def predict(self, file: File, **options: Any) -> schemas.PredictionAnswer:
        """Read a small recording and wait for the answer. ``options``: those of POST /v1/predictions."""
        return schemas.PredictionAnswer.model_validate(self._upload("/v1/predictions", file, options))

    def submit(self, file: File, **options: Any) -> schemas.JobAnswer:
        """Send a recording of any length, piece by piece. ``options``: those of POST /v1/jobs."""
        return schemas.JobAnswer.model_validate(self._upload("/v1/jobs", file, options))

    def submit_from_folder(self, path: str, *, folder: int = 0, **options: Any) -> schemas.JobAnswer:
        """Have a recording read that lies below a folder of the service: the ``folder``-th, from 0."""
        body = {"folder": folder, "path": path}
        return schemas.JobAnswer.model_validate(
            self._json("POST", "/v1/jobs", params=_given(options), json=body)
        )

    def jobs(
        self, *, state: str | None = None, limit: int = 100, after: str | None = None
    ) -> list[schemas.JobAnswer]:
        """Jobs, the newest first; ``after``: those older than this one."""
        params = _given({"state": state, "limit": limit, "after": after})
        return schemas.JobList.model_validate(self._json("GET", "/v1/jobs", params=params)).jobs

    def job(self, job_id: str) -> schemas.JobAnswer:
        """State and progress of a job."""
        return self._job("GET", f"/{job_id}")

    def events(self, job_id: str, *, patience_s: float = 60.0) -> Iterator[schemas.JobAnswer]:
        """The job whenever it has changed, until it has ended; ``patience_s``: how long nobody may answer."""
        gone_s: float | None = None
        while True:
            try:
                for job in self._event_stream(job_id):
                    gone_s = None
                    yield job
                    if job.state in ENDED:
                        return
            except RequestError as error:
                if error.status is not None and error.status < 500:
                    raise
                gone_s = time.monotonic() if gone_s is None else gone_s
                if time.monotonic() - gone_s > patience_s:
                    raise
            time.sleep(_RETRY_S)

    def _event_stream(self, job_id: str) -> Iterator[schemas.JobAnswer]:
        try:
            with self._http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
                _check(response)
                event = ""
                for line in response.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "data" and event == "job":
                        yield schemas.JobAnswer.model_validate_json(value)
                    elif name == "data" and event == "erased":
                        raise RequestError(404, "No such job", "The job was erased.")
        except httpx.HTTPError as error:
            raise _unreached(self._url, error) from error

    def wait(self, job_id: str, *, patience_s: float = 60.0) -> schemas.JobAnswer:
        """The job when it has ended, however it did."""
        *_, last = self.events(job_id, patience_s=patience_s)
        return last

    def cancel(self, job_id: str) -> schemas.JobAnswer:
        """End a job that is queued or running, also while it is decoding."""
        return self._job("DELETE", f"/{job_id}")

    def erase(self, job_id: str) -> None:
        """Erase a job, its recording and its results."""
        self._request("DELETE", f"/v1/jobs/{job_id}", params={"erase": "true"})

    def export(self, job_id: str, format: str, to: File | None = None) -> bytes:  # noqa: A002 - the field's word
        """The timeline of a job that is done, in an export format; ``to``: also write it to this file."""
        data = self._request("GET", f"/v1/jobs/{job_id}/results/{format}").content
        if to is not None:
            Path(to).write_bytes(data)
        return data

    def annotate(self, job_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Name and merge people, leave spans out, set markers: see PATCH …/annotations."""
        return dict(self._json("PATCH", f"/v1/jobs/{job_id}/annotations", json=dict(changes)))

    def people(self) -> list[schemas.PersonAnswer]:
        """Everybody who is enrolled."""
        return schemas.PersonList.model_validate(self._json("GET", "/v1/people")).people

    def enroll(self, name: str, files: Sequence[File], *, with_face: bool = False) -> schemas.EnrolledAnswer:
        """Make a profile of recordings of one person; ``with_face``: keep an embedding of the face, too."""
        with ExitStack() as stack:
            parts = [("file", (Path(one).name, stack.enter_context(Path(one).open("rb")))) for one in files]
            data = {"name": name, "with_face": str(with_face).lower()}
            return schemas.EnrolledAnswer.model_validate(
                self._json("POST", "/v1/people", data=data, files=parts)
            )

    def erase_person(self, person_id: str) -> None:
        """Erase a person's profile."""
        self._request("DELETE", f"/v1/people/{person_id}")

    def models(self) -> schemas.ModelList:
        """What reads recordings, and the export formats."""
        return schemas.ModelList.model_validate(self._json("GET", "/v1/models"))

    def health(self) -> schemas.Health:
        """Whether the service can take work."""
        return schemas.Health.model_validate(self._json("GET", "/v1/health"))

    def purpose(self) -> str | None:
        """What the service is used for; None: nobody has said so."""
        return schemas.PurposeAnswer.model_validate(self._json("GET", "/v1/purpose")).purpose

    def set_purpose(self, purpose: str) -> None:
        """Say what the service is used for."""
        self._request("PUT", "/v1/purpose", json={"purpose": purpose})

    def live_places(self) -> schemas.LivePlaces:
        """How many live sessions there may be at once, and how many are open."""
        return schemas.LivePlaces.model_validate(self._json("GET", "/v1/live"))

    def live(self, **options: Any) -> LiveSession:
        """A live session, which starts where its ``with`` block does.

        ``options``: those of ``session.update``, such as ``video=False``.
        """
        return LiveSession(self._url, self._headers, options)

    def _upload(self, path: str, file: File, options: Mapping[str, Any]) -> Any:
        with Path(file).open("rb") as content:
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(os.fstat(content.fileno()).st_size),
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(Path(file).name, safe='')}",
            }
            return self._json("POST", path, params=_given(options), headers=headers, content=content)

    def _job(self, method: str, below: str, **how: Any) -> schemas.JobAnswer:
        return schemas.JobAnswer.model_validate(self._json(method, f"/v1/jobs{below}", **how))

    def _json(self, method: str, path: str, **how: Any) -> Any:
        return self._request(method, path, **how).json()

    def _request(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **how)
        except httpx.HTTPError as error:
            raise _unreached(self._url, error) from error
        _check(response)
        return response


class LiveSession:
    """Audio and pictures go to the service, messages come back. A context manager."""

    created: dict[str, Any]
    """What the service said at the start: the session, the recognizer and its emotions."""
    session: dict[str, Any]
    """How it is read."""

    def __init__(self, url: str, headers: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self._url, self._headers, self._options = url, headers, options
        self.connection: ClientConnection

    def __enter__(self) -> Self:
        address = self._url.replace("http", "ws", 1) + "/v1/live"
        with ExitStack() as stack:
            try:
                self.connection = stack.enter_context(
                    connect(address, additional_headers=self._headers, proxy=None, max_size=None)
                )
            except InvalidStatus as error:
                raise _refusal(error.response.status_code, error.response.body or b"") from None
            except (OSError, TimeoutError) as error:
                raise _unreached(self._url, error) from error
            self.created = self._expect("session.created")
            self.session = self.created["session"]
            if self._options:
                self._send(json.dumps({"type": "session.update", "session": self._options}))
                self.session = self._expect("session.updated")["session"]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _expect(self, kind: str) -> dict[str, Any]:
        message = next(self, {"type": "session.closed", "reason": "the connection was closed"})
        if message["type"] != kind:
            raise RequestError(None, "Live session", message.get("problem") or message["reason"])
        return message

    def send_audio(self, samples: bytes | NDArray[np.int16], time_s: float) -> None:
        """Send about 100 ms of 16 kHz mono audio, and when it started on the clock of this client."""
        payload = samples if isinstance(samples, bytes) else np.asarray(samples).astype("<i2").tobytes()
        self._send(pack("audio", payload, time_s))

    def send_picture(self, picture: bytes, time_s: float) -> None:
        """Send a JPEG or WebP picture, and when it was taken on the same clock."""
        self._send(pack("picture", picture, time_s))

    def _send(self, message: bytes | str) -> None:
        try:
            self.connection.send(message)
        except ConnectionClosed as error:
            raise RequestError(None, "Live session", f"it was closed: {error}") from None

    def pause(self) -> None:
        """Say that nothing comes for a while; the next audio or picture ends the pause."""
        self._send(json.dumps({"type": "session.pause"}))

    def close(self) -> None:
        """Ask for the end: what was sent is read, and the last message is ``session.closed``."""
        self._send(json.dumps({"type": "session.close"}))

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None: none comes in time, or the connection has ended."""
        try:
            return dict(json.loads(self.connection.recv(timeout_s)))
        except (TimeoutError, ConnectionClosed):
            return None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        message = self.receive()
        if message is None:
            raise StopIteration
        return message


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        raise _refusal(response.status_code, response.read())


def _refusal(status: int, body: bytes | bytearray) -> RequestError:
    try:
        problem = json.loads(body)
        return RequestError(status, problem["title"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        return RequestError(status, "Refused", body.decode(errors="replace")[:200])


def _unreached(url: str, error: Exception) -> RequestError:
    return RequestError(None, "Not reached", f"{url}: {error}: start it with emofuse serve")

"""A typed client of the service, for programs: ``pip install 'emofuse[server]'``.

>>> with Client() as client:                                                       # doctest: +SKIP
...     job = client.wait(client.submit("interview.mp4").id)
...     client.export(job.id, "html", "interview.html")
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx

from emofuse.core.errors import RequestError
from emofuse.server import schemas, study_schemas
from emofuse.server.client_connection import Connection, File, check, given, unreached
from emofuse.server.client_live import LiveSession

LOCAL: Final = "http://127.0.0.1:8000"
ENDED: Final = frozenset(("done", "failed", "cancelled"))
"""States of a job that do not change any more."""
_RETRY_S: Final = 0.5


class Client(Connection):
    """One service. Every call may raise :class:`RequestError`: the service refused, or was not reached."""

    def __init__(self, url: str = LOCAL, *, token: str | None = None, timeout_s: float = 120.0) -> None:
        """``url``: where it listens; ``token``: what it wants; ``timeout_s``: how long it may be silent."""
        super().__init__(url, token=token, timeout_s=timeout_s)

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
            self._json("POST", "/v1/jobs", params=given(options), json=body)
        )

    def jobs(
        self, *, state: str | None = None, limit: int = 100, after: str | None = None
    ) -> list[schemas.JobAnswer]:
        """Jobs, the newest first; ``after``: those older than this one."""
        params = given({"state": state, "limit": limit, "after": after})
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
                check(response)
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
            raise unreached(self._url, error) from error

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
        return self._saved(f"/v1/jobs/{job_id}/results/{format}", to)

    def change_job(self, job_id: str, **changes: str | None) -> schemas.JobAnswer:
        """Change the ``consent`` of a recording, or how long to ``keep`` it: see PATCH /v1/jobs/{job_id}."""
        return self._job("PATCH", f"/{job_id}", json=changes)

    def view(self, job_id: str) -> dict[str, Any]:
        """The timeline of a job that is done, as the page draws it: see GET …/view."""
        return dict(self._json("GET", f"/v1/jobs/{job_id}/view"))

    def annotate(self, job_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Name and merge people, leave spans out, set markers: see PATCH …/annotations."""
        return dict(self._json("PATCH", f"/v1/jobs/{job_id}/annotations", json=dict(changes)))

    def studies(self) -> list[study_schemas.StudyEntry]:
        """All studies, in the order in which they were made."""
        return study_schemas.StudyList.model_validate(self._json("GET", "/v1/studies")).studies

    def study(self, study_id: str) -> study_schemas.StudyAnswer:
        """One study: its recordings, the people in them and their conditions."""
        return self._study("GET", f"/{study_id}")

    def add_study(
        self, name: str, recordings: Iterable[Mapping[str, str | None]] = ()
    ) -> study_schemas.StudyAnswer:
        """Make a study of recordings: of each the ``job``, and maybe ``condition`` and ``participant``."""
        return self._study("POST", "", json={"name": name, "recordings": [dict(one) for one in recordings]})

    def change_study(
        self, study_id: str, changes: Mapping[str, Any], *, version: int | None = None
    ) -> study_schemas.StudyAnswer:
        """Change the ``name`` or the ``recordings`` of a study; ``version``: only if it is at this one."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return self._study("PATCH", f"/{study_id}", json=dict(changes), headers=headers)

    def study_result(self, study_id: str, result: str, to: File | None = None) -> bytes:
        """A table or a picture of a study: see GET /v1/studies; ``to``: also write it to this file."""
        return self._saved(f"/v1/studies/{study_id}/results/{result}", to)

    def erase_study(self, study_id: str) -> None:
        """Erase a study; its recordings stay."""
        self._request("DELETE", f"/v1/studies/{study_id}")

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

    def erase_person(self, person_id: str, *, recordings: bool = False) -> None:
        """Erase a person's profile; ``recordings``: also all recordings that were read with it."""
        self._request("DELETE", f"/v1/people/{person_id}", params={"recordings": str(recordings).lower()})

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

    def _study(self, method: str, below: str, **how: Any) -> study_schemas.StudyAnswer:
        return study_schemas.StudyAnswer.model_validate(self._json(method, f"/v1/studies{below}", **how))

    def _job(self, method: str, below: str, **how: Any) -> schemas.JobAnswer:
        return schemas.JobAnswer.model_validate(self._json(method, f"/v1/jobs{below}", **how))

"""The examples of docs/server.md, in their order, against a service; and whether they ask for every route."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.service import TOKEN, RunningService
from tests.test_docs import DOCS, blocks, commands, fits

ADDRESS = "http://127.0.0.1:8000"


class Examples:
    """Commands with the address and the ids of services that run."""

    def __init__(self, folder: Path, service: RunningService) -> None:
        self.folder, self.service = folder, service
        self._job = ""

    def run(self, words: str, *, fails: bool = False) -> str:
        """What a command prints; an answer of 400 and more fails it, unless it is to."""
        words = words.replace(ADDRESS, self.service.url)
        if re.search(r"\bID\b", words):
            words = re.sub(r"\bID\b", self._done_job(), words)
        if re.search(r"\bOTHER\b", words):
            words = re.sub(r"\bOTHER\b", self._other_job(), words)
        if re.search(r"\bPERSON\b", words):
            words = re.sub(
                r"\bPERSON\b", self.service.client.get("/v1/people").json()["people"][-1]["id"], words
            )
        if re.search(r"\bSTUDY\b", words):
            words = re.sub(
                r"\bSTUDY\b", self.service.client.get("/v1/studies").json()["studies"][-1]["id"], words
            )
        fail = "" if fails else "--fail-with-body"
        done = subprocess.run(
            ["/bin/sh", "-c", f'curl() {{ command curl -sS {fail} "$@"; }}\n{words}'],
            cwd=self.folder, env={**os.environ, "TOKEN": TOKEN}, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _done_job(self) -> str:
        """The first job, once it is done."""
        if not self._job:
            jobs: list[dict[str, Any]] = self.service.client.get("/v1/jobs").json()["jobs"]
            self._job = jobs[-1]["id"]
            assert self.service.wait_for(self._job, "done", "failed")["state"] == "done"
        return self._job

    def _other_job(self) -> str:
        """A job that takes long enough to be cancelled, or was."""
        for job in self.service.client.get("/v1/jobs").json()["jobs"]:
            if job["name"] == "long.wav" and job["state"] in ("queued", "running", "cancelled"):
                return str(job["id"])
        return str(self.service.add_job(self.folder / "long.wav", hop_s=0.1)["id"])


def answered(service: RunningService) -> set[tuple[str, str]]:
    """Method and route of what was answered with success."""
    families = text_string_to_metric_families(service.client.get("/metrics").text)
    samples = next(family.samples for family in families if family.name == "emofuse_requests")
    return {
        (sample.labels["method"], sample.labels["route"])
        for sample in samples
        if sample.labels["status"].startswith("2") and sample.value > 0
    }


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="the commands need a POSIX shell")
def test_every_route_has_an_example_that_works(
    tmp_path: Path,
    clip: Path,
    long_recording: Path,
    films: Path,
    guarded: RunningService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shutil.which("curl"), "the examples need curl"
    shutil.copy(clip, tmp_path / "clip.wav")
    shutil.copy(long_recording, tmp_path / "long.wav")
    (tmp_path / "notes.txt").write_text("no recording")
    names: dict[str, Any] = {}
    with RunningService(tmp_path / "data", purpose=None, folders=[str(films)]) as service:
        for block in blocks(DOCS / "server.md"):
            if block.marked("not run:") is not None:
                continue
            if block.language == "python":
                exec(compile(block.text.replace(ADDRESS, service.url), f"line {block.line}", "exec"), names)
                continue
            examples = Examples(tmp_path, guarded if block.marked("token") is not None else service)
            for command in commands(block):
                out = examples.run(command.words, fails=block.marked("answer") is not None)
                if command.shown is not None:
                    assert fits(command.shown, out + "\n"), f"line {block.line}: {out}"
        paths = service.client.get("/v1/openapi.json").json()["paths"]
        wanted = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        assert sorted(wanted - answered(service) - answered(guarded)) == []
        assert (tmp_path / "interview.html").stat().st_size > 10_000
        assert (tmp_path / "talk.csv").read_text(encoding="utf-8").count("\n") >= 1
        assert (tmp_path / "talk.html").read_text(encoding="utf-8").startswith("<!doctype html>")
        assert (tmp_path / "talk.wav").read_bytes() == clip.read_bytes()


def test_the_page_says_what_the_settings_are() -> None:
    from emofuse.server.settings import Quotas

    page, quotas = (DOCS / "server.md").read_text(encoding="utf-8"), Quotas()
    for shown in (
        f"{quotas.prediction_bytes // 2**20} MiB", f"{quotas.prediction_duration_s / 60:g} minutes at once",
        f"{quotas.upload_bytes // 2**30} GiB", f"{quotas.duration_s / 3600:g} hours as a job",
        f"{quotas.max_channels} channels", f"{quotas.max_sample_rate_hz // 1000} kHz",
        f"open jobs ({quotas.open_jobs})",
    ):  # fmt: skip
        assert shown in page
    assert quotas.idle_s == 60, "nothing came for a minute"
    assert quotas.drain_s == 8, "for eight seconds"

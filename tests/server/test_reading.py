"""What the workers of a service do with recordings, in real workers: the same as the command line."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import IsolationError, WorkerLostError
from emofuse.exports.write import FORMATS
from emofuse.features.profile import Profile
from emofuse.system.worker_pool import Reply, Ticket, WorkerPool
from emofuse.timeline.stored import load_timeline
from tests.support import media_files

READING = "emofuse.server.reading:load_reading"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(READING, {"bundle": None}, workers=1, memory_bytes=4 * 2**30) as pool:
        yield pool


def ask(pool: WorkerPool, do: str, **more: Any) -> Reply:
    return pool.submit({"do": do, **more}).future.result(timeout=PATIENCE_S)


def refused(pool: WorkerPool, do: str, **more: Any) -> tuple[str, str]:
    """The kind and the text of an error; the text names no path."""
    reply = ask(pool, do, **more)
    assert set(reply) == {"error", "kind"}, reply
    assert not re.search(r"(^|[\s'\"(])/|/tmp|/fd/|\.npz", reply["error"]), reply
    return reply["kind"], reply["error"]


def command(*arguments: object, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(cwd)
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture
def uploaded(tmp_path: Path) -> Path:
    """Where a service has put a recording, under a name of its own."""
    folder = tmp_path / "data" / "jobs" / "0123"
    folder.mkdir(parents=True)
    return folder / "upload"


def read_by_both(
    pool: WorkerPool, clip: Path, uploaded: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A clip as a worker and as the command reads it."""
    shutil.copy(clip, uploaded)
    reply = ask(pool, "predict", file=str(uploaded), name=clip.name, options={}, profile=None)
    printed = command("predict", clip.name, "-f", "json", cwd=clip.parent, monkeypatch=monkeypatch)
    return reply["prediction"], json.loads(printed)[0]


@pytest.mark.parametrize("emotion", ["happy", "sad", "silent"])
def test_a_prediction_is_that_of_the_command(
    pool: WorkerPool, video_clips: dict[str, Path], uploaded: Path, emotion: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ours, theirs = read_by_both(pool, video_clips[emotion], uploaded, monkeypatch)
    assert ours == theirs and ours["source"] == video_clips[emotion].name


@pytest.mark.ravdess
def test_a_prediction_of_a_real_clip_is_that_of_the_command(
    pool: WorkerPool, ravdess: Path, uploaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [*sorted(ravdess.rglob("01-*.mp4"))[:3], *sorted(ravdess.rglob("03-*.wav"))[:2]]
    assert len(clips) >= 2
    for clip in clips:
        ours, theirs = read_by_both(pool, clip, uploaded, monkeypatch)
        assert ours == theirs and ours["probabilities"]


def without_dates(data: bytes) -> bytes:
    return re.sub(rb'DATE="[^"]*"', b"", data)


def test_a_timeline_in_every_format_is_that_of_the_command(
    pool: WorkerPool, conversation: Path, tmp_path: Path, uploaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(conversation, uploaded)
    seen: list[Reply] = []
    request = {"file": str(uploaded), "name": "talk.mp4", "out": str(tmp_path / "attempt-1")}
    options = {"hop_s": 1.5, "abstain_below": 0.3, "start_s": 1.0, "own_baseline": False}
    ticket = pool.submit({"do": "timeline", **request, "options": options}, on_progress=seen.append)
    reply = ticket.future.result(timeout=PATIENCE_S)
    assert reply["duration_s"] > 5 and 0 < reply["n_people"] <= len(reply["summary"])
    assert seen and all(0 <= one["done_s"] <= one["total_s"] + 0.5 for one in seen)
    assert load_timeline(tmp_path / "attempt-1" / "timeline.npz").source == "talk.mp4"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    shutil.copy(conversation, theirs / "talk.mp4")
    outputs = [part for suffix in FORMATS.values() for part in ("-o", f"a{suffix}")]
    command(
        "timeline", "talk.mp4", "--hop", 1.5, "--abstain-below", 0.3, "--from", 1, "--no-baseline", *outputs,
        cwd=theirs, monkeypatch=monkeypatch,
    )  # fmt: skip
    monkeypatch.chdir(theirs)  # where a recording of that name lies
    for kind, suffix in FORMATS.items():
        written = {
            "timeline": str(tmp_path / "attempt-1"),
            "annotations": {},
            "out": str(ours / f"a{suffix}"),
        }
        assert ask(pool, "export", **written, format=kind, purpose=None) == {}
        assert without_dates((ours / f"a{suffix}").read_bytes()) == without_dates(
            (theirs / f"a{suffix}").read_bytes()
        ), kind


def test_annotations_and_the_purpose_are_in_an_export(
    pool: WorkerPool, conversation: Path, tmp_path: Path
) -> None:
    out = tmp_path / "attempt"
    reply = ask(pool, "timeline", file=str(conversation), name="talk.mp4", out=str(out), options={})
    assert reply["n_people"] >= 1
    given = {"timeline": str(out), "out": str(tmp_path / "a.json"), "format": "json", "purpose": "a study"}
    assert ask(pool, "export", **given, annotations={"names": {"person 1": "Anna"}}) == {}
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert data["people"][0] == "Anna" and data["purpose"] == "a study"
    kind, text = refused(pool, "export", **given, annotations={"names": {"person 99": "Bert"}})
    assert kind == "annotations" and "person 99" in text
    kind, text = refused(pool, "export", **{**given, "format": "docx"}, annotations={})
    assert kind == "export" and "unknown export format 'docx'" in text


def test_a_profile_is_that_of_the_command_and_names_what_it_skipped(
    pool: WorkerPool, video_clips: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = sorted(video_clips.values())[:2]
    broken = tmp_path / "upload-3"
    broken.write_bytes(b"not a recording" * 100)
    out = tmp_path / "profile"
    reply = ask(
        pool, "enroll", files=[*map(str, clips), str(broken)], names=["a.mp4", "b.mp4", "c.mp4"],
        out=str(out), with_face=False,
    )  # fmt: skip
    assert (reply["clips"], reply["has_face"]) == (2, False)
    assert [one.partition(":")[0] for one in reply["skipped"]] == ["c.mp4"]
    command("enroll", *clips, "-o", "theirs", cwd=tmp_path, monkeypatch=monkeypatch)
    assert out.read_bytes() == (tmp_path / "theirs").read_bytes()
    assert Profile.load(out).clips == 2
    used = ask(pool, "predict", file=str(clips[0]), name="a.mp4", options={}, profile=str(out))
    assert used["prediction"]["source"] == "a.mp4"


def test_errors_name_no_path(pool: WorkerPool, tmp_path: Path, video_clips: dict[str, Path]) -> None:
    secret = tmp_path / "data" / "secret"
    secret.mkdir(parents=True)
    file = secret / "upload"
    for do in ("probe", "predict", "timeline"):
        more = {"file": str(file), "name": "clip.mp4", "out": str(secret / "attempt-1"), "options": {}}
        file.unlink(missing_ok=True)
        assert refused(pool, do, **more) == ("media", "clip.mp4: there is no such file")
        file.write_bytes(b"not a recording" * 1000)
        kind, text = refused(pool, do, **more)
        assert kind == "media" and text.startswith("clip.mp4: not a media file, or damaged beyond reading")
        # a name that looks like a path is none
        assert refused(pool, do, **{**more, "name": "/etc/passwd"})[1].startswith("passwd: not a media file")
    assert not (secret / "attempt-1").exists()
    clip = {"file": str(min(video_clips.values())), "name": "clip.mp4", "options": {}}
    kind, text = refused(pool, "predict", **clip, profile=str(secret / "anna.profile"))
    assert kind == "profile" and text.startswith("the profile: there is no such profile")
    (secret / "results").write_bytes(b"a file, where a folder should be")
    kind, text = refused(pool, "timeline", **clip, out=str(secret / "results"))
    assert kind == "storage" and text.startswith("clip.mp4: its result cannot be written (")
    kind, text = refused(
        pool, "export", timeline=str(secret), out=str(secret / "a"), format="csv", purpose=""
    )
    assert (kind, text) == ("timeline", "the timeline: No such file or directory")
    kind, text = refused(pool, "predict", **{**clip, "options": {"start_s": 3.0, "end_s": 1.0}})
    assert kind == "options" and "the end must come after the start" in text
    assert refused(pool, "timeline", **{**clip, "options": {"window_s": 1000.0}})[0] == "options"
    kind, text = refused(pool, "dance", **clip)
    assert kind == "bug" and text.startswith("clip.mp4: an error of emofuse itself (KeyError in reading.py")


def test_what_asks_for_too_much_is_refused(pool: WorkerPool, tmp_path: Path) -> None:
    path = media_files.write_wav(tmp_path / "a", media_files.tone(4.0, 16_000, channels=2), 16_000)
    for limits, text in (
        ({"max_duration_s": 3.0}, "long.wav: it lasts 4 s, over the limit of 3"),
        ({"max_channels": 1}, "long.wav: its audio has 2 channels, over the limit of 1"),
    ):
        more = {"file": str(path), "name": "long.wav", "options": {"limits": limits}, "out": str(tmp_path)}
        for do in ("probe", "predict", "timeline"):
            assert refused(pool, do, **more) == ("limit", text)
    video = media_files.write_video(tmp_path / "a.mp4", [0, 3000, 6000, 9000])
    for do in ("probe", "predict"):
        more = {"file": str(video), "name": "big.mp4", "options": {"limits": {"max_pixels": 1000}}}
        kind, text = refused(pool, do, **more)
        assert kind == "limit" and text.startswith("big.mp4: frames of 160x96 are over the limit")


@pytest.mark.skipif(os.name != "posix", reason="files below a folder, as POSIX opens them")
def test_a_file_below_a_folder(pool: WorkerPool, tmp_path: Path, video_clips: dict[str, Path]) -> None:
    folder, outside = tmp_path / "allowed", tmp_path / "outside"
    (folder / "day 1").mkdir(parents=True)
    outside.mkdir()
    clip = video_clips["happy"]
    shutil.copy(clip, folder / "day 1" / "a.mp4")
    shutil.copy(clip, outside / "a.mp4")
    (folder / "link.mp4").symlink_to(outside / "a.mp4")
    (folder / "linked").symlink_to(outside)
    os.mkfifo(folder / "pipe.mp4")

    def file(path: str) -> Mapping[str, Any]:
        return {"file": {"folder": str(folder), "path": path}, "name": "a.mp4", "options": {}}

    assert ask(pool, "probe", **file("day 1/a.mp4")) == {}
    found = ask(pool, "predict", **file("day 1/a.mp4"))["prediction"]
    assert found == ask(pool, "predict", file=str(clip), name="a.mp4", options={})["prediction"]
    for path in ("b.mp4", "link.mp4", "linked/a.mp4", "../outside/a.mp4", "pipe.mp4", "day 1", "/etc/passwd"):
        assert refused(pool, "predict", **file(path)) == (
            "media",
            "a.mp4: there is no such file that may be read",
        )
    (folder / "b.mp4").write_bytes(b"not a recording" * 1000)
    kind, text = refused(pool, "predict", **file("b.mp4"))
    assert kind == "media" and text.startswith("a.mp4: not a media file")


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory, conversation: Path) -> Path:
    """The conversation again and again, for ten minutes; its packets are copied."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    with av.open(str(path), "w") as out:
        with av.open(str(conversation)) as source:
            assert source.duration is not None
            length_s = source.duration / av.time_base + 0.2
            streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for n in range(round(600 / length_s)):
            with av.open(str(conversation)) as source:
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    packet.pts += round(n * length_s / packet.time_base)
                    packet.dts += round(n * length_s / packet.time_base)
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
    return path


def decoding(pool: WorkerPool, film: Path, out: Path) -> Ticket:
    """A job of ten minutes that has read its first seconds."""
    reading = threading.Event()

    def note(message: Reply) -> None:
        if message["done_s"] > 1:
            reading.set()

    request = {"do": "timeline", "file": str(film), "name": "long.mp4", "out": str(out), "options": {}}
    ticket = pool.submit(request, on_progress=note)
    assert reading.wait(PATIENCE_S)
    return ticket


def test_a_job_that_is_cancelled_while_it_decodes_ends_and_its_worker_stays(
    pool: WorkerPool, long_film: Path, tmp_path: Path
) -> None:
    died = pool.state().died
    ticket = decoding(pool, long_film, tmp_path / "attempt-1")
    ticket.cancel()
    assert concurrent.futures.wait([ticket.future], PATIENCE_S).done and ticket.future.cancelled()
    assert not (tmp_path / "attempt-1").exists()
    assert ask(pool, "probe", file=str(long_film), name="long.mp4") == {}
    assert pool.state().died == died


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_worker_that_is_killed_while_it_decodes_costs_its_job_alone(
    pool: WorkerPool, long_film: Path, tmp_path: Path
) -> None:
    ticket = decoding(pool, long_film, tmp_path / "attempt-1")
    assert ticket.worker is not None
    os.kill(ticket.worker.process.pid, signal.SIGKILL)
    error = ticket.future.exception(timeout=PATIENCE_S)
    assert isinstance(error, WorkerLostError) and not error.killed
    assert not (tmp_path / "attempt-1").exists()
    assert ask(pool, "probe", file=str(long_film), name="long.mp4") == {}


def test_enrollment_can_be_cancelled(pool: WorkerPool, long_film: Path, tmp_path: Path) -> None:
    names = [f"{n}.mp4" for n in range(200)]
    request = {"do": "enroll", "files": [str(long_film)] * 200, "names": names, "out": str(tmp_path / "p")}
    ticket = pool.submit(request)
    ticket.cancel()
    assert concurrent.futures.wait([ticket.future], PATIENCE_S).done and ticket.future.cancelled()
    assert not (tmp_path / "p").exists()


def test_a_live_session_runs_in_a_worker(pool: WorkerPool) -> None:
    ready = threading.Event()
    ticket = pool.submit(
        {"do": "live", "limits": {"max_pixels": 1_000_000, "block_s": 1.0}}, urgent=True,
        on_progress=lambda message: ready.set() if "ready" in message else None,
    )  # fmt: skip
    assert ready.wait(PATIENCE_S)
    ticket.send({"begin": {"options": {"video": False}}})
    ticket.send({"end": True})
    assert ticket.future.result(timeout=PATIENCE_S)["windows"] == 0


def test_a_service_without_its_recognizer_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(IsolationError, match="is not a bundle"):
        WorkerPool(READING, {"bundle": str(tmp_path)}, workers=1).start()

"""A recognizer that only rates: predictions, enrollment, live, LSL and the service."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse import Profile, Recognizer
from emofuse.cli.app import app
from emofuse.core.errors import ProfileError
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.corpus.synthetic.clip import TakeCode, take_speech
from emofuse.corpus.synthetic.voice import SAMPLE_RATE_HZ
from emofuse.server.live.session import live_session
from emofuse.training.train_bundle import train
from tests.server.live.test_session import REQUEST, DirectTalk, begin, messages
from tests.support import live_parts, media_files, rated_corpus
from tests.support.lsl import loopback
from tests.support.service import RunningService
from tests.support.typed import not_none

ROOT = Path(__file__).parents[2]
RECEIVER = """
import json, sys
import pylsl
(info,) = pylsl.resolve_byprop("name", sys.argv[1], timeout=300)
inlet = pylsl.StreamInlet(info)
inlet.open_stream(timeout=60)
for _ in range(20):
    values, _ = inlet.pull_sample(timeout=300)
    if values[0] == values[0]:  # rated: not NaN
        break
print(json.dumps([inlet.info(timeout=60).channel_count(), values]))
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = rated_corpus.make_voices(tmp_path_factory.mktemp("corpus"), speakers=6, takes=1)
    return rated_corpus.write_table(made, "clips.csv", labels=False)


@pytest.fixture(scope="module")
def bundle(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "recipe.toml").write_text(rated_corpus.RECIPE)
    train(load_corpus(table), load_recipe(folder / "recipe.toml"), folder / "bundle")
    return folder / "bundle"


@pytest.fixture(scope="module")
def recognizer(bundle: Path) -> Recognizer:
    return Recognizer.load(bundle)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine seconds of a synthetic voice."""
    takes = [take_speech(5, TakeCode(emotion, 1, 1, 1, 1)).samples for emotion in (3, 4, 5)]
    samples = np.concatenate(takes)[None, : 9 * SAMPLE_RATE_HZ].astype(np.float32)
    written: Path = media_files.write_wav(
        tmp_path_factory.mktemp("talk") / "talk.wav", samples, SAMPLE_RATE_HZ
    )
    return written


def clips_of(table: Path, speaker: int) -> list[Path]:
    return sorted((table.parent / f"Actor_{speaker:02d}").glob("*.wav"))


def test_a_profile_shifts_ratings_by_what_is_known(
    recognizer: Recognizer, table: Path, tmp_path: Path
) -> None:
    clips = clips_of(table, 2)
    ratings = [{"valence": 9.0, "arousal": 0.0}] * 6
    unrated, rated = recognizer.enroll(clips[:6]), recognizer.enroll(clips[:6], ratings=ratings)
    assert {name: [one.n for one in known] for name, known in unrated.ratings.items()} == {"voice": [6, 6]}
    assert [one.n_rated for one in rated.ratings["voice"]] == [6, 6]
    rated.save(tmp_path / "a.profile")
    loaded = Profile.load(tmp_path / "a.profile")
    assert loaded.ratings == rated.ratings
    plain, shifted = recognizer.predict(clips[7]), recognizer.predict(clips[7], profile=loaded)
    for number, dimension in enumerate(recognizer.bundle.dimensions):
        one = dimension.systems["voice"]
        wanted = not_none(one.personal).of(one.weights, one.offset, {"voice": rated.ratings["voice"][number]})
        before, after = (not_none(p.dimensions[dimension.name]) for p in (plain, shifted))
        assert after.value == pytest.approx(dimension.within(before.value + wanted))
        assert shifted.meta["own_ratings"][dimension.name] == pytest.approx(
            after.value - before.value, abs=1e-6
        )
    assert not_none(shifted.dimensions["valence"]).value >= not_none(plain.dimensions["valence"]).value
    assert "valence" in shifted.notes[-1]
    assert "own_ratings" not in plain.meta
    plain_windows, windows = (recognizer.timeline(clips[7], profile=one).windows for one in (None, loaded))
    moved = [
        after.ratings["valence"].value - before.ratings["valence"].value
        for before, after in zip(plain_windows, windows, strict=True)
        if before.ratings
    ]
    assert moved and min(moved) >= 0


def test_what_does_not_fit_is_refused(recognizer: Recognizer, table: Path) -> None:
    clips = clips_of(table, 2)
    with pytest.raises(ValueError, match="does not rate on 'dominance'; its dimensions: valence, arousal"):
        recognizer.enroll(clips[:1], ratings=[{"dominance": 1.0}])
    with pytest.raises(ValueError, match="ratings of 1 recordings do not fit 2"):
        recognizer.enroll(clips[:2], ratings=[None])
    profile = recognizer.enroll(clips[:2])
    with pytest.raises(ProfileError, match="made with another recognizer"):
        recognizer.predict(clips[3], profile=replace(profile, recogniser="0" * 16))
    short = replace(profile, ratings={"voice": profile.ratings["voice"][:1]})
    with pytest.raises(ProfileError, match="does not fit the recognizer's dimensions"):
        recognizer.predict(clips[3], profile=short)
    with pytest.raises(ProfileError, match="another recognizer"):
        Recognizer.load().predict(clips[3], profile=profile)


def test_the_commands_enroll_and_predict(table: Path, bundle: Path, tmp_path: Path) -> None:
    def run(*command: object, status: int = 0) -> str:
        done = CliRunner().invoke(app, [str(part) for part in command])
        assert done.exit_code == status, (done.output, done.exception)
        return done.output

    clips, profile = clips_of(table, 3), tmp_path / "b.profile"
    said = run("enroll", *clips[:4], "--bundle", bundle, "--ratings", table, "--out", profile)
    assert "4 of 4 recordings read (voice 4)" in said
    assert "It holds mean ratings, but no audio" in said
    assert Profile.load(profile).ratings["voice"][0].n_rated == 4
    assert "valence" in run("predict", clips[5], "--bundle", bundle, "--profile", profile)
    said = run("enroll", clips[0], "--ratings", table, "--out", profile, status=2)
    assert "does not rate on any scale" in " ".join(said.split())
    said = run("predict", *clips[:3], "--bundle", bundle, "--same-person")
    assert "valence" in said


def test_a_live_session_of_the_service_has_ratings_in_windows_and_table(
    recognizer: Recognizer, talk: Path
) -> None:
    parts = live_parts.audio_parts(live_parts.pcm_of(talk))
    session = DirectTalk(begin(video=False, table=True), *messages(parts), {"end": True})
    n = live_session(recognizer, REQUEST, session)["windows"]
    (ready,) = session.of("ready")
    assert ready["emotions"] == []
    assert [one["name"] for one in ready["dimensions"]] == ["valence", "arousal"]
    rated = [one for one in session.of("window") if "dimensions" in one]
    assert 1 <= len(rated) <= n
    assert all(set(one["dimensions"]) == {"valence", "arousal"} for one in rated)
    assert all(one["shown"] is None and one["emotion"] is None for one in session.of("window"))
    head, *lines = session.of("table")
    rows = list(csv.DictReader((head + "".join(lines)).splitlines()))
    assert len(rows) == n
    values = [one["dimensions"]["valence"]["value"] for one in rated]
    found = [float(row["rated_valence"]) for row in rows if row["rated_valence"]]
    assert found == pytest.approx(values, abs=1e-5)


def test_live_sends_ratings_to_receivers_of_lsl(bundle: Path, talk: Path, tmp_path: Path) -> None:
    environment = loopback(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "emofuse", "live", str(talk), "--bundle", str(bundle), "--loop",
         "--format", "json", "--lsl", "rated test"],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as live:  # fmt: skip
        try:
            assert live.stdout is not None
            lines = (json.loads(line) for line in live.stdout)
            line = next(one for one in lines if "dimensions" in one)
            received = subprocess.run(
                [sys.executable, "-c", RECEIVER, "rated test"],
                env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            live.kill()
    assert received.returncode == 0, received.stderr
    n_channels, values = json.loads(received.stdout)
    assert n_channels == len(values) == 2 * 3 + 3
    assert set(line["dimensions"]) == {"valence", "arousal"}
    value, low, high = values[:3]
    assert low <= value <= high


@pytest.fixture(scope="module")
def service(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service") / "data", bundle=str(bundle)) as running:
        yield running


def test_the_service_reads_enrolls_and_sums_up(service: RunningService, table: Path, talk: Path) -> None:
    (model,) = service.client.get("/v1/models").json()["models"]
    assert model["emotions"] == []
    assert [one["name"] for one in model["dimensions"]] == ["valence", "arousal"]
    assert set(service.predict(talk).json()["dimensions"]) == {"valence", "arousal"}
    job = service.wait_for(service.add_job(talk)["id"], "done", "failed")
    assert job["state"] == "done", job
    view: dict[str, Any] = service.client.get(f"/v1/jobs/{job['id']}/view").json()["view"]
    assert [one["name"] for one in view["scales"]] == ["valence", "arousal"]
    assert len(view["series"][0]["ratings"]) == 2
    for kind in service.client.get("/v1/models").json()["formats"]:
        answer = service.client.get(f"/v1/jobs/{job['id']}/results/{kind}")
        assert answer.status_code == 200, (kind, answer.text)
    files = [("file", (clip.name, clip.read_bytes())) for clip in clips_of(table, 4)[:3]]
    person = service.client.post("/v1/people", data={"name": "Dana"}, files=files)
    assert person.status_code == 201, person.text
    again = service.predict(talk, person=person.json()["id"]).json()
    assert set(again["meta"]["own_ratings"]) == {"valence", "arousal"}

"""A batch of real files: interrupted, killed, with broken files, and with slow ones."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import batch as batch_benchmark
from emofuse import Recognizer
from emofuse.core.errors import BatchError, BundleError, IsolationError, JournalError, ProfileError
from emofuse.core.labels import EMOTIONS
from emofuse.features.profile import Profile
from emofuse.features.speaker_normalization import Moments
from emofuse.recognition.batch import (
    default_limit_s,
    predict_in_processes,
    predict_table,
    stamp,
)
from emofuse.recognition.batch_inputs import find_recordings
from emofuse.recognition.bundle import SHIPPED, _warn_once, load_bundle
from emofuse.recognition.tables import columns
from emofuse.recognition.worker_settings import WorkerSettings
from emofuse.system.journal import Journal
from tests.support import small_corpora
from tests.support.typed import not_none

N_FILES, N_BROKEN = 40, 10


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("mixed") / "files"
    batch_benchmark.make_files(folder, N_FILES, N_BROKEN, n_videos=1)
    return folder


@pytest.fixture
def sounds(tmp_path: Path) -> list[Path]:
    (tmp_path / "sounds").mkdir()
    return [batch_benchmark.write_sound(tmp_path / "sounds" / f"{i}.wav", i) for i in range(6)]


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """The recognizer that comes with emofuse."""
    return Recognizer.load(SHIPPED)


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_killed_twice_and_resumed_gives_the_same_table(mixed: Path, tmp_path: Path) -> None:
    options = ["--jobs", 2]
    assert batch_benchmark.problems(mixed, tmp_path, N_FILES, N_BROKEN, options) == []
    rows = rows_of(tmp_path / "whole.csv")
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    kinds = {row["file"].rsplit("-", 1)[-1] for row in rows if row["error"]}
    assert kinds == {name.rsplit("-", 1)[-1] for name, _ in batch_benchmark.breakers(b"moov", b"")}
    assert all(row["file"] in row["error"] for row in rows if row["error"])


def test_a_batch_agrees_with_one_by_one(
    recognizer: Recognizer, video_clips: dict[str, Path], sounds: list[Path], tmp_path: Path
) -> None:
    files = [*sounds[:2], video_clips["happy"], video_clips["silent"], tmp_path / "none.wav"]
    predictions = list(recognizer.predict_files(files))
    result = predict_table(files, recognizer, tmp_path / "t.csv", jobs=2)
    assert (result.rows, result.failed, result.resumed) == (5, 1, 0)
    rows = rows_of(result.out)
    assert tuple(rows[0]) == columns(EMOTIONS)
    for row, one in zip(rows, predictions, strict=True):
        assert row["file"] == one.source
        assert row["emotion"] == (one.emotion or "")
        assert row["used"] == "+".join(one.used)
        assert row["error"] == (one.error or "")
        if one.probabilities is not None:
            np.testing.assert_allclose([float(row[e]) for e in EMOTIONS], one.probabilities, atol=1e-5)
    (failure,) = result.errors
    assert failure == predictions[-1].error
    printed = predict_in_processes(find_recordings(files), WorkerSettings.of(recognizer), jobs=2)
    for one, other in zip(predictions, printed, strict=True):
        assert (one.source, one.emotion, one.used, one.error) == (
            other.source, other.emotion, other.used, other.error,
        )  # fmt: skip
        for name in ("probabilities", "voice", "face"):
            if getattr(one, name) is not None:
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-5)
        assert dict(one.meta) == dict(other.meta)


def journal_of(table: Path) -> Path:
    return table.with_name(f"{table.name}.partial.jsonl")


class StopError(Exception):
    """Stands in for whatever ends a run."""


def stopped_after(n: int, files: list[Path], recognizer: Recognizer, table: Path) -> None:
    def on_progress(done: int, _failed: int, _total: int) -> None:
        if done >= n:
            raise StopError

    with pytest.raises(StopError):
        predict_table(files, recognizer, table, on_progress=on_progress)
    assert journal_of(table).exists() and not table.exists()


def test_only_what_is_new_or_changed_is_read_again(
    recognizer: Recognizer, sounds: list[Path], tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    stopped_after(4, sounds, recognizer, table)
    batch_benchmark.write_sound(sounds[1], 77)
    os.utime(sounds[1], ns=(1, 1))
    files = [*sounds[1:], batch_benchmark.write_sound(tmp_path / "new.wav", 8)]  # without the first file
    reports: list[tuple[int, int, int]] = []
    result = predict_table(files, recognizer, table, on_progress=lambda *counts: reports.append(counts))
    assert result.resumed == 2
    assert reports[0] == (2, 0, 6)
    assert reports[-1] == (6, 0, 6)
    assert not journal_of(table).exists()
    fresh = predict_table(files, recognizer, tmp_path / "fresh.csv")
    assert fresh.resumed == 0
    assert fresh.out.read_bytes() == table.read_bytes()


def test_the_journal_of_another_recognizer_is_not_resumed(
    recognizer: Recognizer, sounds: list[Path], tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    stopped_after(2, sounds, recognizer, table)
    other = shutil.copytree(SHIPPED, tmp_path / "other")
    manifest = json.loads((other / "bundle.json").read_text())
    manifest["provenance"]["corpus"] = "another one"
    (other / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(JournalError, match="another recogniser, which cannot be resumed"):
        predict_table(sounds, other, table)
    shutil.rmtree(other)
    shutil.copytree(SHIPPED, other)  # the same recognizer in another folder
    assert predict_table(sounds, other, table).resumed == 2


def test_a_profile_is_passed_to_the_workers(
    recognizer: Recognizer, ensemble_bundle: Path, few_folder: Path
) -> None:
    known = Recognizer.load(ensemble_bundle, action_units=few_folder / small_corpora.TABLE)
    files = sorted((few_folder / "Actor_01").glob("*.wav"))[:4]
    profile = known.enroll(files)
    predictions = predict_in_processes(find_recordings(files), WorkerSettings.of(known, profile), jobs=1)
    for file, one in zip(files, predictions, strict=True):
        wanted = known.predict(file, profile=profile).probabilities
        np.testing.assert_allclose(not_none(one.probabilities), not_none(wanted), rtol=1e-4, atol=0)
        assert not np.allclose(
            not_none(known.predict(file).probabilities), not_none(wanted), rtol=0.1, atol=0
        )
    with pytest.raises(ProfileError):
        WorkerSettings.of(recognizer, profile)


def test_the_parent_process_loads_no_network(
    recognizer: Recognizer, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, logger="emofuse"):
        assert (
            WorkerSettings.of(load_bundle(SHIPPED))
            == WorkerSettings.of(SHIPPED)
            == WorkerSettings.of(recognizer)
        )
    assert caplog.text.count("CC BY-NC-SA 4.0: no commercial use") == 1
    code = (
        "import sys; from emofuse.recognition.worker_settings import WorkerSettings\n"
        "WorkerSettings.of(None)\n"
        "print([name for name in ('onnxruntime', 'av', 'cv2', 'dlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_recognizer_that_no_worker_can_load_ends_the_batch(sounds: list[Path], tmp_path: Path) -> None:
    altered = shutil.copytree(SHIPPED, tmp_path / "altered")
    (altered / "voice.onnx").write_bytes(b"no network")
    with pytest.raises(IsolationError, match=r"voice\.onnx is altered"):
        predict_table(sounds, altered, tmp_path / "t.csv")
    assert not list(tmp_path.glob("t.csv*"))


def test_the_identity_covers_what_the_rows_depend_on(tmp_path: Path) -> None:
    def about(**more: Any) -> dict[str, str | None]:
        return WorkerSettings(SHIPPED, EMOTIONS, **more).identity()

    def profile(mean: float) -> Profile:
        return Profile("r", {"voice": Moments(3, np.full(4, mean), np.ones(4))}, 3)

    (tmp_path / "units.csv").write_text("code,AU01_r\n")
    units = about(action_units=tmp_path / "units.csv")
    (tmp_path / "units.csv").write_text("code,AU02_r\n")
    all_of_them = [about(), units, about(action_units=tmp_path / "units.csv")]
    all_of_them += [about(profile=profile(1.0)), about(profile=profile(2.0))]
    assert len({tuple(one.values()) for one in all_of_them}) == 5
    assert about(profile=profile(1.0)) == all_of_them[3]
    with WorkerSettings(SHIPPED, EMOTIONS, profile=profile(1.0)).setup() as setup:
        assert setup["profile"] is not None
        handed = WorkerSettings(SHIPPED, EMOTIONS, profile=Profile.load(setup["profile"]))
        assert handed.identity() == all_of_them[3]


def test_entries_of_a_journal_that_are_no_results_are_read_again(sounds: list[Path], tmp_path: Path) -> None:
    wanted = predict_table(sounds[:1], SHIPPED, tmp_path / "wanted.csv")
    name, stamped = str(sounds[0]), stamp(str(sounds[0]))
    row = dict.fromkeys(columns(EMOTIONS))
    with Journal(tmp_path / "t.csv.partial.jsonl", WorkerSettings.of(SHIPPED).identity()) as journal:
        rows: list[Any] = [
            None, 5, [], {}, {"error": None}, {**row, "more": 1}, {**row, "happy": "x"}, {**row, "error": 5},
            {**row, "notes": []}, dict(reversed(row.items())),
        ]  # fmt: skip
        for one in rows:
            journal.append({"file": name, "stamp": stamped, "row": one})
        journal.append({"file": [name], "stamp": stamped, "row": row})
        journal.append({"row": row})
    result = predict_table(sounds[:1], SHIPPED, tmp_path / "t.csv")
    assert (result.rows, result.resumed, result.failed) == (1, 0, wanted.failed)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "wanted.csv").read_bytes()


@pytest.mark.parametrize("changed", ["source_digest", "library_versions"])
def test_other_code_or_libraries_do_not_resume(
    sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    settings = WorkerSettings.of(SHIPPED)
    with Journal(tmp_path / "t.csv.partial.jsonl", settings.identity()) as journal:
        journal.append({"file": "a"})
    monkeypatch.setattr(f"emofuse.recognition.worker_settings.{changed}", lambda *_: "other")
    named = {"source_digest": "version of its code", "library_versions": "version of a library"}[changed]
    with pytest.raises(JournalError, match=f"of a run with another {named}, which cannot be resumed"):
        predict_table(sounds, SHIPPED, tmp_path / "t.csv")


def test_a_file_that_takes_too_long_has_failed(
    recognizer: Recognizer, video_clips: dict[str, Path], sounds: list[Path], tmp_path: Path
) -> None:
    files = [sounds[0], video_clips["happy"], sounds[1]]
    result = predict_table(files, recognizer, tmp_path / "t.csv", timeout_s=0.001)
    assert result.failed == 3
    assert result.errors[1] == f"{video_clips['happy']}: took longer than 0.001 s"
    assert predict_table(files, recognizer, tmp_path / "t.csv", timeout_s=0).failed == 0


def test_the_limit_grows_with_the_file() -> None:
    assert default_limit_s(0) == 600
    assert default_limit_s(10**9) == pytest.approx(600 + 10_000)


def test_invalid_batches_are_refused_before_anything_is_read(
    recognizer: Recognizer, sounds: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(BatchError, match=r"t\.xlsx: a table ends in \.csv, \.jsonl, \.parquet"):
        predict_table(sounds, recognizer, tmp_path / "t.xlsx")
    with pytest.raises(BatchError, match="is a folder"):
        (tmp_path / "folder.csv").mkdir()
        predict_table(sounds, recognizer, tmp_path / "folder.csv")
    with pytest.raises(BatchError, match="no recording to read"):
        predict_table([], recognizer, tmp_path / "t.csv")
    with pytest.raises(BundleError, match="is not a bundle"):
        predict_table(sounds, tmp_path, tmp_path / "t.csv")
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def run(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "emofuse", "predict", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="interrupts as POSIX does")
def test_an_interrupt_ends_cleanly(mixed: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    with run(mixed, "--jobs", 2, "--out", table) as process:
        while batch_benchmark.journal_results(table) < 5 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "emofuse: interrupted; repeat the command to resume"
    assert "Traceback" not in stderr
    assert not table.exists()
    assert batch_benchmark.journal_results(table) >= 5

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import FeatureError
from emofuse.core.recipes.load import load_recipe
from emofuse.features.extraction import extract

RECIPE = """
name = "small"
modalities = ["voice"]
[voice.features]
kind = "encoder"
duration_s = 10.0
encoder_sha256 = "55f855d40fd1a27dc3a904160ea855d81a8867ce2f2802e0260459cfa14e5ea6"
[voice.network]
kind = "ensemble"
"""


@pytest.fixture
def folder(tmp_path: Path, few_folder: Path) -> Path:
    for number, clip in enumerate(sorted(few_folder.rglob("03-*-01.wav"))[:4]):
        target = tmp_path / "recordings" / f"person {number % 2}"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, target)
    (tmp_path / "r.toml").write_text(RECIPE)
    return tmp_path / "recordings"


def test_arrays_and_parquet_hold_what_is_extracted(tmp_path: Path, folder: Path) -> None:
    arguments = ["embed", str(folder), "--recipe", str(tmp_path / "r.toml"), "--out", str(tmp_path / "x")]
    arguments += ["--cache", str(tmp_path / "cache"), "--jobs", "1"]
    done = CliRunner().invoke(app, [*arguments, "--format", "npy", "--format", "parquet"])
    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'x' / 'voice.npy'}: 3072 values of the voice each" in done.stdout
    values = np.load(tmp_path / "x" / "voice.npy")
    with (tmp_path / "x" / "voice.csv").open(newline="") as file:
        (_, *names) = [row[0] for row in csv.reader(file)]
    assert names == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))
    table = pq.read_table(tmp_path / "x" / "voice.parquet").to_pydict()
    assert table["file"] == names
    np.testing.assert_array_equal(np.array(table["embedding"], np.float32), values)
    expected = extract(folder / names[1], load_recipe(tmp_path / "r.toml"))
    np.testing.assert_array_equal(values[1], expected.voice)

    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    assert len(stored) == 4
    (tmp_path / "x" / "voice.npy").unlink()
    assert CliRunner().invoke(app, arguments).exit_code == 0  # as after an interrupt
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")} == stored
    np.testing.assert_array_equal(np.load(tmp_path / "x" / "voice.npy"), values)


def test_what_cannot_be_read_has_no_row(tmp_path: Path, folder: Path) -> None:
    (folder / "broken.wav").write_text("not a recording")
    arguments = ["embed", str(folder), "--recipe", str(tmp_path / "r.toml"), "--out", str(tmp_path / "x")]
    done = CliRunner().invoke(app, [*arguments, "--cache", str(tmp_path / "cache"), "--jobs", "1"])
    assert done.exit_code == 1
    assert "broken.wav" in done.stderr
    assert len(np.load(tmp_path / "x" / "voice.npy")) == 4


def test_wrong_arguments(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "x"), "--cache", str(tmp_path / "cache"), "--jobs", "1"]
    wrong = CliRunner().invoke(app, ["embed", str(folder), "--recipe", "whisper-only", *out, "-f", "csv"])
    assert wrong.exit_code == 2
    assert "use one of npy, parquet" in wrong.output
    tabled = CliRunner().invoke(app, ["embed", str(folder), "--recipe", "ravdess-au", *out])
    assert isinstance(tabled.exception, FeatureError)
    assert "reads the face from a table" in str(tabled.exception)
    nothing = CliRunner().invoke(
        app, ["embed", str(tmp_path / "empty"), "--recipe", str(tmp_path / "r.toml"), *out]
    )
    assert isinstance(nothing.exception, FeatureError)
    assert not (tmp_path / "x").exists()

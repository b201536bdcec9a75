from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks import batch as batch_benchmark
from emofuse.cli.app import app
from emofuse.cli.sharding import size_text

N = 4


def emofuse(*args: object) -> Result:
    return CliRunner().invoke(app, [*map(str, args)])


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("merge") / "sounds"
    folder.mkdir()
    for number in range(N):
        batch_benchmark.write_sound(folder / f"{number}.wav", number)
    (folder / "broken.wav").write_bytes(b"no sound")
    return folder


def test_shards_of_a_list_are_merged(sounds: Path, tmp_path: Path) -> None:
    listed = emofuse("predict", sounds, "--list", tmp_path / "list")
    assert listed.exit_code == 0
    assert f"{tmp_path / 'list'}: 5 files, " in listed.stderr and "sha256" in listed.stderr
    parts = [tmp_path / f"part-{n}.csv" for n in (1, 2)]
    done = [
        emofuse("predict", sounds, "--list", tmp_path / "list", "--shard", f"{n}/2", "--out", part)
        for n, part in enumerate(parts, 1)
    ]
    assert sorted(one.exit_code for one in done) == [0, 1]  # the broken file is in one of them
    assert ", shard 2/2" in done[1].stderr
    whole = emofuse("predict", sounds, "--out", tmp_path / "whole.csv")
    merged = emofuse("merge", *parts, "--out", tmp_path / "merged.csv")
    assert merged.exit_code == whole.exit_code == 1
    assert f"{tmp_path / 'merged.csv'}: 5 files, 1 failed" in merged.stderr
    (error,) = [line for line in whole.stderr.splitlines() if line.startswith("emofuse: ")]
    assert error in merged.stderr.splitlines()
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    quiet = emofuse("merge", *parts, "--out", tmp_path / "merged.csv", "--quiet")
    assert quiet.stderr.splitlines() == [error]


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_shard_that_is_killed_and_run_again_changes_nothing(tmp_path: Path) -> None:
    """Of four, with real kills; of forty in tests/soak/test_shards.py."""
    files, parts = tmp_path / "files", [tmp_path / f"{number}.csv" for number in range(1, 5)]
    files.mkdir()
    for number in range(32):
        batch_benchmark.write_sound(files / f"{number}.wav", number)
    assert emofuse("predict", files, "--out", tmp_path / "whole.csv").exit_code == 0
    for number, part in enumerate(parts, 1):
        if number != 3:
            assert emofuse("predict", files, "--shard", f"{number}/4", "--out", part).exit_code == 0
    killed = [files, "--shard", "3/4", "--out", parts[2]]
    assert 1 <= batch_benchmark.kill_after(killed, parts[2], 1) < 8
    unfinished = emofuse("merge", *parts, "--out", tmp_path / "m.csv")
    assert "3.csv is not finished: repeat its command to resume it" in str(unfinished.exception)
    missing = emofuse("merge", *parts[:2], parts[3], "--out", tmp_path / "m.csv")
    assert str(missing.exception) == "1 of 4 shards is missing: 3: run it with --shard 3/4"
    assert emofuse("predict", *killed).exit_code == 0
    assert emofuse("merge", *parts, "--out", tmp_path / "m.csv").exit_code == 0
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_errors_are_one_line(sounds: Path, tmp_path: Path) -> None:
    for command, says in (
        (["merge", tmp_path / "1.csv", "--out", tmp_path / "x.csv"], "1.csv: there is no such table"),
        (["predict", sounds, "--shard", "1/2", "--list", tmp_path / "none", "--out", tmp_path / "x.csv"],
         "write the list first, by --list"),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "emofuse", *map(str, command)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        line = done.stderr.splitlines()[-1]
        assert line.startswith("emofuse: ") and says in line and "Traceback" not in done.stderr


def test_sizes_are_told_to_three_digits() -> None:
    sizes = {0: "0 kB", 96_200: "96.2 kB", 17_149_000: "17.1 MB", 2_000_000_000: "2 GB", 10**13: "10 TB"}
    assert {n: size_text(n) for n in sizes} == sizes


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--shard", "3"], "as in 3/40"), (["--shard", "5/4"], "count from 1 to 4"),
     (["--shard", "1/2"], "--shard needs a table of its own"),
     (["--shard", "1/2", "--out", "x.csv", "--same-person"], "without --same-person"),
     (["--list", "l", "--out", "x.csv"], "--list only writes the list")],
)  # fmt: skip
def test_options_that_do_not_fit_are_usage_errors(
    sounds: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = emofuse("predict", sounds, *options)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_timelines_of_shards_are_merged(sounds: Path, tmp_path: Path) -> None:
    assert emofuse("timeline", sounds, "--list", tmp_path / "list").exit_code == 0
    done = [
        emofuse("timeline", sounds, "--out-dir", tmp_path / "R", "-f", "csv", "--list", tmp_path / "list",
                "--shard", shard)
        for shard in ("1/2", "2/2")
    ]  # fmt: skip
    assert sorted(one.exit_code for one in done) == [0, 1]
    assert f"{tmp_path / 'R'}, shard 1/2: " in done[0].stdout
    whole = emofuse("timeline", sounds, "--out-dir", tmp_path / "whole", "-f", "csv")
    merged = emofuse("merge", tmp_path / "R", "--out", tmp_path / "merged")
    assert merged.exit_code == whole.exit_code == 1
    assert f"wrote {tmp_path / 'merged' / 'summary.csv'}: 5 recordings, 1 failed" in merged.stdout
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "merged").iterdir())
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "merged" / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--shard", "1/2"], "--shard is a part of a folder"),
        (["--list", "l", "--out-dir", "R"], "--list only"),
    ],
)
def test_options_of_timeline_that_do_not_fit(sounds: Path, options: list[str], says: str) -> None:
    done = emofuse("timeline", sounds, *options)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())

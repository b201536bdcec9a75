from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from emofuse.cli.app import app


def test_the_command_writes_the_curve(au_folder: Path, au_toml: Path, tmp_path: Path) -> None:
    args = ["learning-curve", str(au_folder), "-r", str(au_toml), "-p", "actors-2", "-j", "1",
            "-o", str(tmp_path / "run"), "--shares", "1", "--cache", str(tmp_path / "cache")]  # fmt: skip
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    assert "coded minutes" in result.output and "by chance 12.5 %" in " ".join(result.output.split())
    for suffix in ("json", "csv", "svg", "png"):
        assert (tmp_path / "run" / f"learning-curve.{suffix}").is_file()


def test_shares_that_are_none(au_folder: Path, tmp_path: Path) -> None:
    for shares in ("", "0", "1.1", "half"):
        args = ["learning-curve", str(au_folder), "-o", str(tmp_path / "run"), "--shares", shares]
        assert CliRunner().invoke(app, args).exit_code == 2

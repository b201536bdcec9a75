"""The command line as users see it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import emofuse
from emofuse.cli import app as cli_app
from emofuse.cli.app import app
from tests.support import small_corpora

COMMANDS = [
    ("demo",), ("predict",), ("timeline",), ("merge",), ("status",), ("live",), ("enroll",),
    ("evaluate",), ("cross",), ("leak",), ("robustness",), ("train",), ("report",), ("compare",),
    ("recipes",), ("agreement",), ("elan-recognizer",), ("corpus", "export"),
    ("learning-curve",),
    ("quantize",), ("ship",), ("serve",), ("corpus", "check"), ("corpus", "list"), ("corpus", "fetch"),
    ("statistics",),
    ("corpus", "synth"), ("corpus", "from-annotations"), ("embed",),
    ("weights", "list"), ("weights", "fetch"), ("weights", "encoder"), ("faces", "train"), ("faces", "test"),
]  # fmt: skip


def emofuse_process(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emofuse", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_version() -> None:
    done = emofuse_process("--version")
    assert done.returncode == 0
    assert done.stdout == f"emofuse {emofuse.__version__}\n"
    assert done.stderr == ""


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for name in {command[0] for command in COMMANDS}:
        assert f" {name} " in result.stdout
    assert CliRunner().invoke(app, []).exit_code == 2
    assert "Usage" in CliRunner().invoke(app, []).output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], terminal_width=200)
    assert result.exit_code == 0
    assert f"Example: emofuse {' '.join(command)}" in " ".join(result.stdout.split())


def test_the_list_of_commands_is_complete() -> None:
    names = {command.name or "" for command in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        names |= {
            f"{group.typer_instance.info.name} {(c.name or c.callback.__name__)}"
            for c in group.typer_instance.registered_commands if c.callback
        }  # fmt: skip
    assert names == {" ".join(command) for command in COMMANDS}


def test_errors_are_one_line_with_status_1(tmp_path: Path) -> None:
    for args, says in (
        (["evaluate", tmp_path / "none", "--out", tmp_path / "run"], "no such folder or table"),
        (["train", tmp_path, "--recipe", "nope", "--out", tmp_path / "b"], "no recipe 'nope'"),
    ):
        done = emofuse_process(*args)
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert len(lines) == 1
        assert lines[0].startswith("emofuse: ")
        assert says in lines[0]
        assert done.stdout == ""


def test_a_folder_that_cannot_be_written(tmp_path: Path, au_folder: Path, au_toml: Path) -> None:
    (tmp_path / "file").write_text("")
    done = emofuse_process(
        "evaluate",
        au_folder,
        "-r",
        au_toml,
        "-o",
        tmp_path / "file" / "run",
        "-j",
        1,
        "--cache",
        tmp_path / "c",
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "emofuse: " in done.stderr


@pytest.mark.parametrize(
    "args",
    [["nonsense"], ["predict"], ["predict", "x", "-b", "y", "-f", "xml"], ["train", "x"],
     ["evaluate", "x", "-o", "y", "--jobs", "-1"], ["--nope"], ["demo", "--seed", "-1"]],
)  # fmt: skip
def test_usage_errors_are_status_2(args: list[str]) -> None:
    assert CliRunner().invoke(app, args).exit_code == 2


def test_an_interrupt_is_status_130(tmp_path: Path, au_folder: Path, au_toml: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "emofuse", "evaluate", str(au_folder), "-r", str(au_toml), "-p", "actors-2",
         "-o", str(out), "-j", "1", "--cache", str(tmp_path / "cache")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None and not (tmp_path / "cache").exists():
        time.sleep(0.01)  # waits for a file, not for time
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in error
    assert error.splitlines()[-1] == "emofuse: interrupted"


def test_unencodable_characters_are_escaped(tmp_path: Path) -> None:
    name = tmp_path / "日.mp4"
    small_corpora.write_clip(name, emotion=2)
    for option in ("table", "csv", "json"):
        done = subprocess.run(
            [sys.executable, "-m", "emofuse", "predict", str(name), "--format", option],
            capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        text = done.stdout.decode("cp1252" if option == "table" else "utf-8")
        assert ("\\u65e5" if option == "table" else "日") in text


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
def test_too_little_memory_is_one_line(tmp_path: Path, au_folder: Path, au_toml: Path) -> None:
    """Too little to load the libraries: an ImportError, as the loader has it."""
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20)); "
    command = ["evaluate", au_folder, "-r", au_toml, "-p", "actors-2", "-o", tmp_path / "run", "-j", 2]
    done = subprocess.run(
        [sys.executable, "-c", f"{limited} runpy.run_module('emofuse', run_name='__main__')",
         *map(str, command)],
        capture_output=True, text=True, check=False, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "emofuse: there is not enough memory: close other programs, or use fewer jobs"
    ]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "/x: No space left on device"),
    ],
)
def test_errors_of_the_system_are_told(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli_app, "app", fail)
    with pytest.raises(SystemExit, match="1"):
        cli_app._run()
    assert says in capsys.readouterr().err

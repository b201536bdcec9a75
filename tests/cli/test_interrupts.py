"""Real commands, real signals: the full matrix is one of the long runs (``make soak``)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.interrupted import interrupted
from tests.support.processes import wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

LIMIT_S = 5.0
"""From a signal to the exit, on a machine that is busy with other tests; alone it takes under 2 s."""


def check(folder: Path, number: signal.Signals, *command: object, ready: str, to_all: bool = False) -> str:
    """Interrupt a command once a path below a folder exists; return what it wrote on standard error."""
    ended = interrupted(command, lambda: any(folder.glob(ready)), number, folder=folder, to_all=to_all)
    assert ended is not None, "it had ended before: it must have more to do"
    assert ended.status == 128 + number, ended
    assert ended.took_s < LIMIT_S, ended
    assert ended.left == (), ended
    assert not any(text in ended.stderr for text in ("Traceback", "Exception ignored", "leaked")), ended
    return ended.stderr


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_evaluate(tmp_path: Path, au_folder: Path, au_toml: Path, number: signal.Signals, jobs: int) -> None:
    recipe = tmp_path / "long.toml"
    recipe.write_text(au_toml.read_text().replace("epochs = 2", "epochs = 2000"))
    said = check(
        tmp_path, number, "evaluate", au_folder, "-r", recipe, "-p", "actors-2", "-o", tmp_path / "run",
        "-j", jobs, "--cache", tmp_path / "cache", ready="run/run.json", to_all=jobs == 2,
    )  # fmt: skip
    if number == signal.SIGINT:
        assert said.splitlines()[-1] == "emofuse: interrupted"
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_batch(tmp_path: Path, au_folder: Path, number: signal.Signals) -> None:
    table = tmp_path / "table.csv"
    said = check(
        tmp_path, number, "predict", au_folder, "-j", 2, "-o", table, ready="table.csv.partial.jsonl"
    )
    if number == signal.SIGINT:
        assert said.splitlines()[-1] == "emofuse: interrupted; repeat the command to resume"
    assert not table.exists()


STUCK = """
import sys, threading, time
from pathlib import Path
from emofuse.cli.interrupts import end_on_signals, left_to_command
from emofuse.system.isolated_workers import Task, isolated

end_on_signals()
folder, what = Path(sys.argv[1]), sys.argv[2]
if what == "swallows":
    workers = isolated("tests.system.test_isolated_workers:clumsy", {}, [Task(1, {"what": "hang"})], 1)
    threading.Thread(target=next, args=(workers,), daemon=True).start()
    while True:
        try:
            (folder / "ready").touch()
            time.sleep(60)
        except BaseException as error:
            (folder / "swallowed").touch()
else:
    with left_to_command():
        try:
            (folder / "ready").touch()
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(2)
            print("ended by itself", flush=True)
"""


@pytest.mark.parametrize("what", ["swallows", "takes its time"])
def test_what_does_not_end_by_itself_is_ended(tmp_path: Path, what: str) -> None:
    """As where a callback of a C library swallows the exception; unless a command wants to do it itself."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(tmp_path), what],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert wait_until((tmp_path / "ready").exists, limit_s=60)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    if what == "swallows":
        assert (tmp_path / "swallowed").exists()
        assert (process.returncode, stdout, stderr) == (130, "", "emofuse: interrupted\n")
    else:
        assert (process.returncode, stdout, stderr) == (0, "ended by itself\n", "")


IMPORTING = """
import os, sys, time
from pathlib import Path
try:
    Path(sys.argv[1], "ready").touch()
    time.sleep(60)
except BaseException:
    os.abort()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_library_that_is_being_imported_meets_no_exception(tmp_path: Path, number: signal.Signals) -> None:
    """Torch's C++ aborts the process when one passes through it; so does this module."""
    (tmp_path / "fragile.py").write_text(IMPORTING)
    code = "from emofuse.cli.interrupts import end_on_signals; end_on_signals(); import fragile"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip
    try:
        assert wait_until((tmp_path / "ready").exists, limit_s=60)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert stderr == ("emofuse: interrupted\n" if number == signal.SIGINT else "")

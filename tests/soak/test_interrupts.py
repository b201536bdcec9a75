"""Every command that works long, with one job and two, interrupted at random points of its work."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support import small_faces
from tests.support.interrupted import interrupted

pytestmark = pytest.mark.soak

LIMIT_S = 2.0
EARLIEST_S, LATEST_S = 1.0, 8.0
"""When the signal comes, after the start of the command."""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    for split, n in (("train", 20_000), ("public_test", 300)):
        small_faces.write_split(folder, split, small_faces.wave_images(n, len(split)))
    return folder


@pytest.fixture(scope="module")
def toml(au_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that takes long."""
    path = tmp_path_factory.mktemp("recipe") / "long.toml"
    text = au_toml.read_text(encoding="utf-8").replace("trials = 2", "trials = 400")
    path.write_text(text.replace("epochs = 2", "epochs = 100"), encoding="utf-8")
    return path


COMMANDS = {
    "evaluate": (1, 2), "train": (1, 2), "leak": (1, 2), "robustness": (1, 2), "demo": (1, 2),
    "ship": (1, 2), "corpus check": (1, 2), "predict": (1, 2), "timeline": (1,), "faces train": (1,),
}  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("name", "jobs"), [(name, n) for name, jobs in COMMANDS.items() for n in jobs])
def test_commands_end_within_two_seconds(
    name: str, jobs: int, number: signal.Signals, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "out"
    of = request.getfixturevalue
    on = ["-j", jobs, "--cache", of("home") / "soak-cache"]
    commands: dict[str, Callable[[], Sequence[object]]] = {
        "evaluate": lambda: ["evaluate", of("au_folder"), "-r", of("toml"), "-p", "actors-2", "-o", out, *on],
        "train": lambda: ["train", of("au_folder"), "-r", of("toml"), "-o", out, *on],
        "leak": lambda: ["leak", of("au_folder"), "-r", of("toml"), "-p", "actors-2", "-o", out, *on],
        "robustness": lambda: ["robustness", of("au_run"), of("au_folder"), "-j", jobs, "--cache", out],
        "demo": lambda: ["demo", "-o", out, "-j", jobs],
        "ship": lambda: ["ship", of("au_folder"), "--face-from", _shipped(), "-r", "out-of-the-box",
                         "-o", out, *on],
        "corpus check": lambda: ["corpus", "check", of("many"), "-j", jobs],
        "predict": lambda: ["predict", of("many"), "-j", jobs, "-o", out / "table.csv"],
        "timeline": lambda: ["timeline", of("hour"), "-o", out / "t.csv"],
        "faces train": lambda: ["faces", "train", of("faces"), "-a", "compact", "-o", out],
    }  # fmt: skip
    command = commands[name]()
    out.parent.mkdir(exist_ok=True)
    latest_s, ended = LATEST_S, None
    while ended is None:  # some commands end sooner on some machines: what has ended cannot be interrupted
        shutil.rmtree(out, ignore_errors=True)
        wait_s = random.uniform(EARLIEST_S, latest_s)
        ended = interrupted(
            command, _past(time.monotonic() + wait_s), number, folder=tmp_path, to_all=random.random() < 0.5
        )
        if ended is None and latest_s == EARLIEST_S:
            text = (tmp_path / "stderr.txt").read_text(encoding="utf-8")
            pytest.fail(f"emofuse {name} had ended within {wait_s:.1f} s: {text}")
        latest_s = max(EARLIEST_S, wait_s - 1)
    print(f"emofuse {name}, {jobs} jobs, {number.name} after {wait_s:.1f} s: ended in {ended.took_s:.2f} s")
    assert ended.status == 128 + number, ended
    assert ended.took_s < LIMIT_S, ended
    assert ended.left == (), ended
    assert not any(text in ended.stderr for text in ("Traceback", "Exception ignored", "leaked")), ended


def _past(at_s: float) -> Callable[[], bool]:
    return lambda: time.monotonic() > at_s


def _shipped() -> Path:
    from emofuse.recognition.bundle import shipped_bundle

    return shipped_bundle()

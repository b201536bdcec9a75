"""Trials in a real PostgreSQL: each is computed and counted once, whatever happens to the workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.fusion import Fusion
from emofuse.training.shared_studies import SharedStudies, sharing
from emofuse.training.tuning import Parameters, Search
from tests.support.postgres import Postgres, find

LIMIT_S = 300
PASSWORD = "s3cret%/@:?"
N = 14


def bowl(parameters: Parameters) -> float:
    """A loss with its minimum at C = 1, gamma = 0.1, without any fitting."""
    import math

    gamma = math.log10(parameters.get("gamma", 1e-2)) + 1
    return float(math.log10(parameters["C"]) ** 2 + gamma**2 + (parameters["kernel"] == "poly"))


def search(sampler: str, loss: Any = bowl) -> Search:
    settings = Fusion.model_validate({"trials": N, "sampler": sampler})
    return Search("svm", loss, settings, 5, "fold-1", "all")


class Stuck:
    """The loss as :func:`bowl` says, but the third call touches a file and stands still."""

    def __init__(self, file: Path) -> None:
        self.file, self.calls = file, 0

    def __call__(self, parameters: Parameters) -> float:
        self.calls += 1
        if self.calls == 3:
            self.file.touch()
            while self.file.exists():
                time.sleep(0.02)
        return bowl(parameters)


WORKER = """
import sys
from pathlib import Path
from emofuse.training.shared_studies import SharedStudies
from tests.training.test_shared_studies import Stuck, search
url, file, sampler, grace_s = sys.argv[1:]
search(sampler, Stuck(Path(file))).join(SharedStudies(url, heartbeat_s=1, grace_s=int(grace_s)))
"""


@contextmanager
def stuck_worker(url: str, file: Path, sampler: str, grace_s: int) -> Iterator[subprocess.Popen[str]]:
    """Another process, in the middle of its third trial."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, url, str(file), sampler, str(grace_s)],
        cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + LIMIT_S
        while not file.exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


def trials(url: str) -> list[Any]:
    storage = optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    (name,) = optuna.get_all_study_names(storage)
    found = optuna.load_study(study_name=name, storage=storage).get_trials()
    storage.engine.dispose()
    return found


def check_complete(url: str) -> None:
    """The agreed number, each once, and nothing is left over."""
    complete = [one for one in trials(url) if one.state == optuna.trial.TrialState.COMPLETE]
    assert sorted(one.user_attrs["number"] for one in complete) == list(range(N))
    states = Counter(one.state.name for one in trials(url))
    assert set(states) <= {"COMPLETE", "FAIL"}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_worker_finds_what_a_search_of_its_own_finds(
    postgres: Postgres, tmp_path: Path, sampler: str
) -> None:
    """To the bit, with the trials that learn from earlier ones; the file then has them, too."""
    alone = search(sampler).best()
    url = postgres.new_database()
    with sharing(SharedStudies(url)):
        assert search(sampler).best(tmp_path / "t.sqlite3") == alone
    check_complete(url)
    assert search(sampler, lambda _: pytest.fail("nothing is left")).best(tmp_path / "t.sqlite3") == alone


def test_a_killed_worker_loses_no_trial_and_none_counts_twice(postgres: Postgres, tmp_path: Path) -> None:
    """Without history, the settings are those of a search that nobody has disturbed."""
    url = postgres.new_database()
    studies = SharedStudies(url, heartbeat_s=1, grace_s=3)
    with stuck_worker(url, tmp_path / "stuck", "random", 3) as worker:
        worker.kill()
        with sharing(studies):
            assert search("random").best() == search_alone("random")
    check_complete(url)
    failed = [one for one in trials(url) if one.state == optuna.trial.TrialState.FAIL]
    assert [one.user_attrs["number"] for one in failed] == [2]


def search_alone(sampler: str) -> Any:
    with sharing(None):
        return search(sampler).best()


def test_workers_share_what_is_there(postgres: Postgres, tmp_path: Path) -> None:
    """While one works on its third trial, the other takes the rest, and waits for it."""
    url = postgres.new_database()
    with stuck_worker(url, tmp_path / "stuck", "random", 60) as worker:
        search("random").join(SharedStudies(url))  # returns, though a trial is not complete
        left = [one for one in trials(url) if one.state == optuna.trial.TrialState.RUNNING]
        assert [one.user_attrs["number"] for one in left] == [2]
        (tmp_path / "stuck").unlink()
        with sharing(SharedStudies(url)):
            assert search("random").best() == search_alone("random")
        assert worker.wait(LIMIT_S) == 0
    check_complete(url)
    assert len(trials(url)) == N


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be stopped there")
def test_a_worker_that_stood_still_too_long_does_not_count(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    with stuck_worker(url, tmp_path / "stuck", "tpe", 2) as worker:
        os.kill(worker.pid, signal.SIGSTOP)
        with sharing(SharedStudies(url, heartbeat_s=1, grace_s=2)):
            found = search("tpe").best()
        (tmp_path / "stuck").unlink()
        os.kill(worker.pid, signal.SIGCONT)
        _, said = worker.communicate(timeout=LIMIT_S)
        assert (worker.returncode, said) == (0, "")
    check_complete(url)
    assert found.score == min(one.value for one in trials(url) if one.value is not None)


def test_a_loss_that_fails_ends_the_search_and_can_be_repeated(postgres: Postgres) -> None:
    url = postgres.new_database()

    def fails(_: Parameters) -> float:
        raise ExperimentError("nothing to fit")

    for _ in range(2):
        with sharing(SharedStudies(url)), pytest.raises(ExperimentError, match="nothing to fit"):
            search("random", fails).best()
    with sharing(SharedStudies(url)):
        assert search("random").best() == search_alone("random")


def test_other_data_is_another_study(postgres: Postgres) -> None:
    studies = SharedStudies(postgres.new_database())
    one = Search("lr", lambda p: p["C"], Fusion(trials=1), 5, "fold-1", "these")
    other = Search("lr", lambda p: -p["C"], Fusion(trials=1), 5, "fold-1", "those")
    with sharing(studies):
        assert one.best().score > 0 > other.best().score


@pytest.mark.parametrize("url", ["sqlite:///trials.sqlite3", "trials", "mysql://user@host/name"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ExperimentError, match="is not a database of trials: use postgresql://USER@HOST/NAME"):
        SharedStudies(url).check()


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(ExperimentError, match="cannot be used: connection failed") as caught:
        SharedStudies("postgresql://me:secret@127.0.0.1:1/trials").check()
    assert "postgresql+psycopg://me:***@127.0.0.1:1/trials" in str(caught.value)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_password_is_taken_from_elsewhere() -> None:
    programs = find()
    if programs is None:
        pytest.skip("there is no PostgreSQL on this machine")
    server = Postgres(programs, password=PASSWORD)
    try:
        url = f"postgresql://emofuse@127.0.0.1:{server.port}/postgres"
        studies = SharedStudies(url, PASSWORD)
        assert "s3cret" not in repr(studies)
        with sharing(studies):
            assert search("random").best() == search_alone("random")
        with pytest.raises(ExperimentError, match="cannot be used"):
            SharedStudies(url, "wrong").check()
        with psycopg.connect(url, password=PASSWORD) as connection:
            found = connection.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()
        assert found == (N,)
    finally:
        server.close()

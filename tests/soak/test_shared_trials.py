"""Four workers share the trials of a search on a real PostgreSQL, and two are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from emofuse.core.recipes.fusion import Fusion
from emofuse.training.shared_studies import SharedStudies
from emofuse.training.tuning import Parameters, Search
from tests.support.postgres import Postgres

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform == "win32", reason="PostgreSQL is started as on POSIX systems"),
]

N_TRIALS, WORKERS, KILLED, STUDIES = 40, 4, 2, 5
TRIAL_S = 0.3
LIMIT_S = 900


def loss(parameters: Parameters) -> float:
    """Of 0.3 s on average, with its minimum, 0, at C = 1 and gamma = 0.1 of the rbf kernel."""
    time.sleep(random.expovariate(1 / TRIAL_S))
    return bowl(parameters)


def bowl(parameters: Parameters) -> float:
    gamma = np.log10(parameters.get("gamma", 1e-2)) + 1
    return float(np.log10(parameters["C"]) ** 2 + gamma**2 + (parameters["kernel"] != "rbf"))


def search(sampler: str, seed: int, of: Any = loss) -> Search:
    settings = Fusion.model_validate({"trials": N_TRIALS, "sampler": sampler})
    return Search("svm", of, settings, seed, "fold-1", "soak")


def studies(url: str) -> SharedStudies:
    return SharedStudies(url, heartbeat_s=1, grace_s=5)


class Deadly:
    """The loss, whose process is killed in the middle of one of its calls."""

    def __init__(self, fatal_call: int) -> None:
        self.left = fatal_call

    def __call__(self, parameters: Parameters) -> float:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(parameters)


WORKER = """
import sys, time
from pathlib import Path
from tests.soak.test_shared_trials import Deadly, search, studies
from emofuse.training.shared_studies import sharing
url, sampler, seed, fatal_call, folder, number = sys.argv[1:]
import optuna, sqlalchemy, psycopg
Path(folder, number).touch()
while len(list(Path(folder).iterdir())) < 4:
    time.sleep(0.01)
with sharing(studies(url)):
    print(search(sampler, int(seed), Deadly(int(fatal_call))).best().score)
"""


def shared_by_four(url: str, sampler: str, seed: int, folder: Path) -> float:
    """The best loss, that both workers which are left say; two are killed in the middle of a trial."""
    root = Path(__file__).parents[2]
    fatal_calls = [random.randint(1, 4) if n < KILLED else 0 for n in range(WORKERS)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, sampler, str(seed), str(fatal), str(folder), str(n)],
            cwd=root, stdout=subprocess.PIPE, text=True,
        )
        for n, fatal in enumerate(fatal_calls)
    ]  # fmt: skip
    try:
        said = [worker.communicate(timeout=LIMIT_S)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL] * KILLED + [0, 0]
    (best,) = {float(one) for one in said[KILLED:]}
    return best


def trials(url: str) -> list[Any]:
    storage = optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    (name,) = optuna.get_all_study_names(storage)
    found: list[Any] = optuna.load_study(study_name=name, storage=storage).get_trials()
    storage.engine.dispose()
    return found


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_trials_survive_two_of_four_workers(postgres: Postgres, sampler: str, tmp_path: Path) -> None:
    alone, shared = [], []
    for seed in range(STUDIES):
        alone.append(search(sampler, seed, bowl).best().score)
        url = postgres.new_database()
        folder = tmp_path / str(seed)
        folder.mkdir()
        shared.append(shared_by_four(url, sampler, seed, folder))
        found = trials(url)
        complete = [one for one in found if one.state == optuna.trial.TrialState.COMPLETE]
        assert sorted(one.user_attrs["number"] for one in complete) == list(range(N_TRIALS))
        states = Counter(one.state.name for one in found)
        print(f"{sampler}, seed {seed}: {dict(states)}, best {shared[-1]:.4f}, alone {alone[-1]:.4f}")
        assert states == {"COMPLETE": N_TRIALS, "FAIL": KILLED}
        assert shared[-1] == min(one.value for one in complete)
    if sampler == "random":
        assert shared == alone
    else:
        print(
            f"tpe, best of {N_TRIALS} trials over {STUDIES} seeds: alone {np.mean(alone):.4f} ± "
            f"{np.std(alone):.4f}, by {WORKERS} workers {np.mean(shared):.4f} ± {np.std(shared):.4f}"
        )

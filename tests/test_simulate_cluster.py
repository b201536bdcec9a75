"""benchmarks/simulate_cluster.py where its answers can be told without it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulate_cluster import COSTS, Costs, Nodes, clips, films, make_tasks, plan, simulate

WORK_S = np.random.default_rng(3).lognormal(0, 1, 3000)


def test_equal_files_take_as_many_rounds_as_there_are_cores_for() -> None:
    work_s = np.full(1001, 2.0)
    nodes = Nodes(5, 4, start_s=3.0, task_s=0.5)
    found = simulate(work_s, make_tasks(work_s, 0), nodes)
    assert found.makespan_s == pytest.approx(3.0 + math.ceil(1001 / 20) * 2.5)
    assert found.useful_s == pytest.approx(2002)
    assert found.lost_s == 0


def test_half_a_core_takes_twice_as_long() -> None:
    tasks = make_tasks(WORK_S, 5)
    whole = simulate(WORK_S, tasks, Nodes(3, 1, start_s=2, task_s=0))
    half = simulate(WORK_S, tasks, Nodes(3, 1, share=0.5, start_s=2, task_s=0))
    assert half.makespan_s == pytest.approx(2 * whole.makespan_s)


def test_a_driver_that_is_busy_is_waited_for() -> None:
    work_s = np.full(1000, 1.0)
    nodes = Nodes(10, 10, task_s=0, driver_s=0.1)
    found = simulate(work_s, make_tasks(work_s, 0), nodes)
    assert found.makespan_s == pytest.approx(1000 * 0.1 + 1)
    in_tens = simulate(work_s, make_tasks(work_s, 10), nodes)
    assert in_tens.makespan_s == pytest.approx(100 * 0.1 + 10)


@pytest.mark.parametrize("reports", ["file", "task"])
def test_every_file_counts_once_however_often_nodes_fail(reports: str) -> None:
    nodes = Nodes(
        6, 2, mean_life_s=120, repair_s=20, noticed_s=5, slow_share=0.34, start_s=1, reports=reports
    )
    found = simulate(WORK_S, make_tasks(WORK_S, 10), nodes, seed=4)
    assert found.failures > 20
    assert found.lost_s > 0
    assert found.rows == len(WORK_S)
    assert found.reads == [1] * len(WORK_S)
    # what was done fits into what there was: a fast node may do in a second a second of work, a slow one less
    assert WORK_S.sum() <= found.useful_s + 1e-6 <= 3 * WORK_S.sum()
    assert found.useful_s + found.lost_s <= found.capacity_s + 1e-6


def test_rows_that_come_one_by_one_lose_less() -> None:
    nodes = Nodes(6, 2, mean_life_s=200, repair_s=20, start_s=1)
    tasks = make_tasks(WORK_S, 60)
    one_by_one = simulate(WORK_S, tasks, nodes, seed=1)
    at_the_end = simulate(WORK_S, tasks, replace(nodes, reports="task"), seed=1)
    assert one_by_one.lost_s < at_the_end.lost_s


def test_a_batch_that_outlives_all_its_nodes_ends() -> None:
    work_s = np.full(50, 10.0)
    nodes = Nodes(2, 1, mean_life_s=15, repair_s=5, noticed_s=1, start_s=1, reports="task")
    found = simulate(work_s, make_tasks(work_s, 0), nodes, seed=2)
    assert found.rows == 50
    assert found.lost_s > 0


def test_the_same_seed_gives_the_same_batch() -> None:
    nodes = Nodes(6, 2, mean_life_s=100, slow_share=0.5)
    one, again, other = (simulate(WORK_S, make_tasks(WORK_S, 9), nodes, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_tasks_have_each_file_once_and_no_more_work_than_wanted() -> None:
    tasks = make_tasks(WORK_S, 12)
    assert [index for task in tasks for index in task] == list(range(len(WORK_S)))
    assert all(len(task) == 1 or WORK_S[task].sum() <= 12 for task in tasks)


def test_tasks_shrink_towards_the_end_if_so_many_are_in_flight() -> None:
    sizes = list(map(len, make_tasks(np.ones(100), 1000, slots=4)))
    assert sum(sizes) == 100 and sizes[0] == 100 // 8
    assert sizes == sorted(sizes, reverse=True) and sizes[-8:] == [1] * 8


def test_the_measured_costs_hold_together() -> None:
    costs = Costs.load(COSTS)
    assert len(costs.clip_s) == len(costs.clip_film_s) == len(costs.clip_bytes) > 5
    assert 0 < costs.film_decode_ratio < min(costs.film_ratio)
    lengths_s, work_s = films(costs, 100, 0)
    assert lengths_s.sum() == pytest.approx(360_000)
    assert work_s.sum() == pytest.approx(360_000 * np.mean(costs.film_ratio), rel=0.1)
    assert clips(costs, 10, 0).sum() == pytest.approx(
        36_000 * np.sum(costs.clip_s) / np.sum(costs.clip_film_s), rel=0.1
    )


def test_the_documentation_shows_the_measured_costs(capsys: pytest.CaptureFixture[str]) -> None:
    plan(Costs.load(COSTS), Nodes(100, 16))
    shown = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() in shown

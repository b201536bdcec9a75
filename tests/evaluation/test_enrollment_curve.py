"""The curve over enrolled clips: which clips are scored after which, and what its points mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from emofuse.core.recipes.recipe import Recipe
from emofuse.evaluation.enrollment_curve import ALL, EnrolledOutputs, curve_over_clips, query_enrolled
from emofuse.evaluation.results import MAIN_SYSTEMS
from emofuse.features.extraction import MODALITIES
from emofuse.features.speaker_normalization import blend
from emofuse.training.dataset import Inputs
from emofuse.training.ensemble_jobs import enrollment_draws
from emofuse.training.fusion import fit_fusion, join_inputs
from emofuse.training.jobs import load_outputs, run_network_job
from emofuse.training.plan import Plan, make_plan, network_jobs
from tests.support import small_ensembles
from tests.support.typed import not_none


@dataclass
class Fold:
    """One finished fold of a small evaluation."""

    recipe: Recipe
    inputs: Inputs
    plan: Plan
    strangers: dict[Any, dict[int, np.ndarray]]
    answers: EnrolledOutputs


def done(folder: Path, *, both: bool) -> Fold:
    recipe = small_ensembles.recipe(both=both)
    inputs = small_ensembles.make_inputs(folder)
    inputs.has["face"][[17, 20]] = False
    tested = np.isin(inputs.speakers, ["02", "05"])
    plan = make_plan("p", inputs, np.flatnonzero(~tested).tolist(), np.flatnonzero(tested).tolist(), recipe)
    for job in network_jobs(plan, inputs, recipe):
        run_network_job(job, inputs, recipe, folder)
    rows = inputs.having("both", plan.test)
    answers = [load_outputs(plan, m, rows, plan.scoring, folder) for m in MODALITIES]
    fusion = fit_fusion(plan, inputs, recipe, folder)
    outputs = [
        *(np.exp(one.log_probabilities) for one in answers),
        fusion.predict(fusion.chosen, recipe, answers),
    ]
    strangers: dict[Any, dict[int, np.ndarray]] = {
        name: dict(zip(rows.tolist(), values, strict=True))
        for name, values in zip(MAIN_SYSTEMS, outputs, strict=True)
    }
    return Fold(recipe, inputs, plan, strangers, query_enrolled(plan, inputs, recipe, folder, strangers))


@pytest.fixture(scope="module", params=[True, False], ids=["both", "two networks"])
def fold(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fold:
    return done(tmp_path_factory.mktemp("fold"), both=request.param)


def test_every_draw_scores_the_speakers_other_clips(fold: Fold) -> None:
    test = fold.inputs.having("both", fold.plan.test)
    expected = [
        (row, clips, draw)
        for _, clips, draw, enrolled, scored in enrollment_draws(test, fold.inputs, fold.recipe)
        for row in scored
        if row not in enrolled
    ]
    one = fold.answers
    few = one.clips != ALL
    assert list(zip(one.rows[few], one.clips[few], one.draws[few], strict=True)) == expected
    assert one.rows[~few].tolist() == test.tolist()
    for clips in (1, 4):
        mine = (one.clips == clips) & (one.draws == 0) & (fold.inputs.speakers[one.rows] == "05")
        assert mine.sum() == 16 - clips
    for name in MAIN_SYSTEMS:
        np.testing.assert_allclose(one.probabilities[name].sum(1), 1)


def test_after_all_clips_outputs_are_blended_by_their_number(fold: Fold) -> None:
    one = fold.answers
    everything = one.clips == ALL
    rows = one.rows[everything]
    known = np.array([(fold.inputs.speakers[rows] == s).sum() for s in fold.inputs.speakers[rows]])
    assert set(known.tolist()) == {14, 16}
    work = fold.inputs.folder
    names: list[Any] = [*MODALITIES, *(["both"] if fold.recipe.enrolment.both else [])]  # type: ignore[union-attr]
    answers = [load_outputs(fold.plan, b, rows, fold.plan.scoring, work, enrolled=True) for b in names]
    model = fit_fusion(fold.plan, fold.inputs, fold.recipe, work, enrolled=True)
    fused = model.classifiers[model.chosen][0].predict_proba(join_inputs(fold.recipe, answers, None))
    outputs = {"voice": np.exp(answers[0].log_probabilities), "face": np.exp(answers[1].log_probabilities),
            "fused": fused}  # fmt: skip
    for name in MAIN_SYSTEMS:
        for i, row in enumerate(rows):
            stranger = fold.strangers[name][int(row)][None]
            expected = blend(stranger, outputs[name][i : i + 1], 3 / (known[i] + 3))[0]
            np.testing.assert_allclose(one.probabilities[name][everything][i], expected, atol=1e-9)


def test_few_clips_have_less_weight_than_many(fold: Fold) -> None:
    """With one clip, the outputs without enrollment have a weight of three quarters."""
    one = fold.answers
    for name in MAIN_SYSTEMS:
        strangers = np.stack([fold.strangers[name][int(row)] for row in one.rows])
        far = np.abs(one.probabilities[name] - strangers).sum(1)
        assert 0 < far[one.clips == 1].mean() < far[one.clips == ALL].mean()


def test_outputs_are_kept_for_a_run_that_resumes(fold: Fold) -> None:
    path = fold.inputs.folder / "p" / "enrolled.npz"
    before = path.stat().st_mtime_ns
    again = query_enrolled(fold.plan, fold.inputs, fold.recipe, fold.inputs.folder, fold.strangers)
    assert path.stat().st_mtime_ns == before
    for name in MAIN_SYSTEMS:
        np.testing.assert_array_equal(again.probabilities[name], fold.answers.probabilities[name])


def test_the_curve_agrees_with_scikit_learn(fold: Fold) -> None:
    curve = curve_over_clips([fold.answers], fold.strangers, fold.inputs, seed=1)["systems"]
    assert list(curve) == list(MAIN_SYSTEMS)
    for name in MAIN_SYSTEMS:
        points = curve[name]
        assert [point["clips"] for point in points] == [0, 1, 4, "all"]
        assert [point["draws"] for point in points] == [1, 2, 2, 1]
        assert [point["n"] for point in points] == [30, 2 * 28, 2 * 22, 30]
        rows = np.array(sorted(fold.strangers[name]))
        stranger = np.stack([fold.strangers[name][int(row)] for row in rows])
        truth = fold.inputs.labels[rows]
        # at 0 nobody is enrolled
        assert points[0]["accuracy"] == pytest.approx(accuracy_score(truth, stranger.argmax(1)))
        assert points[0]["log_loss"] == pytest.approx(log_loss(truth, stranger, labels=range(8)))
        for point, clips in zip(points[1:], (1, 4, ALL), strict=True):
            mine = fold.answers.clips == clips
            truth = fold.inputs.labels[fold.answers.rows[mine]]
            outputs = fold.answers.probabilities[name][mine]
            assert point["accuracy"] == pytest.approx(accuracy_score(truth, outputs.argmax(1)))
            assert point["log_loss"] == pytest.approx(log_loss(truth, outputs, labels=range(8)))
            assert point["ci95"][0] <= point["accuracy"] <= point["ci95"][1]
            assert 0 <= point["ece"] <= 1


def test_the_curve_is_over_all_folds(fold: Fold) -> None:
    one = fold.answers
    second = np.isin(fold.inputs.speakers[one.rows], ["05"])
    parts = [
        EnrolledOutputs(
            one.rows[mask],
            one.clips[mask],
            one.draws[mask],
            {n: p[mask] for n, p in one.probabilities.items()},
        )
        for mask in (~second, second)
    ]
    whole, apart = (curve_over_clips(a, fold.strangers, fold.inputs, 1)["systems"] for a in ([one], parts))
    for name in MAIN_SYSTEMS:
        for a, b in zip(whole[name], apart[name], strict=True):
            assert (a["clips"], a["n"], a["draws"]) == (b["clips"], b["n"], b["draws"])
            assert a["accuracy"] == pytest.approx(b["accuracy"])


def test_no_label_of_the_test_part_reaches_the_outputs(fold: Fold, tmp_path: Path) -> None:
    """The same fold with other labels for the tested clips: every output is the same, bit for bit."""
    recipe, plan = fold.recipe, fold.plan
    inputs = small_ensembles.make_inputs(tmp_path)
    inputs.has["face"][[17, 20]] = False
    inputs.labels[plan.test] = (inputs.labels[plan.test] + 3) % 8
    for job in network_jobs(plan, inputs, recipe):
        run_network_job(job, inputs, recipe, tmp_path)
    again = query_enrolled(plan, inputs, recipe, tmp_path, fold.strangers)
    for name in MAIN_SYSTEMS:
        np.testing.assert_array_equal(again.probabilities[name], fold.answers.probabilities[name])


def test_speakers_with_too_few_clips_for_a_draw(tmp_path: Path) -> None:
    """Only the point "all" is left."""
    recipe = small_ensembles.recipe(both=False)
    recipe = recipe.model_copy(
        update={"enrolment": not_none(recipe.enrolment).model_copy(update={"clips": (40,)})}
    )
    inputs = small_ensembles.make_inputs(tmp_path, n_actors=4, takes=1)
    test = np.flatnonzero(inputs.speakers == "02")
    train = np.flatnonzero(inputs.speakers != "02")
    recipe = recipe.model_copy(update={"fusion": recipe.fusion.model_copy(update={"inner_folds": 3})})
    plan = make_plan("p", inputs, train.tolist(), test.tolist(), recipe)
    for job in network_jobs(plan, inputs, recipe):
        run_network_job(job, inputs, recipe, tmp_path)
    strangers: dict[Any, Any] = {name: {int(row): np.full(8, 1 / 8) for row in test} for name in MAIN_SYSTEMS}
    answers = query_enrolled(plan, inputs, recipe, tmp_path, strangers)
    assert answers.clips.tolist() == [ALL] * 8
    curve = curve_over_clips([answers], strangers, inputs, 0)["systems"]["fused"]
    assert [point["clips"] for point in curve] == [0, "all"]

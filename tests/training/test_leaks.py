"""Leakage in training: nothing of the test part, and no speaker's own clips, reaches what is fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.recipes.recipe import Recipe
from emofuse.features.extraction import MODALITIES
from emofuse.features.speaker_normalization import SpeakerPrior
from emofuse.training.dataset import Inputs
from emofuse.training.ensemble_jobs import values_of
from emofuse.training.fusion import fit_fusion
from emofuse.training.jobs import load_outputs, run_network_job
from emofuse.training.plan import Plan, make_plan, network_jobs
from tests.support import small_ensembles, small_inputs
from tests.support.small_inputs import make_inputs, small_recipe, with_patience


@pytest.mark.parametrize(
    "recipe",
    [small_recipe(), with_patience(small_recipe("features", inner_folds=3, members=1))],
    ids=["probabilities", "features-with-patience"],
)
def test_nothing_of_the_test_part_reaches_what_is_fitted(tmp_path: Path, recipe: Recipe) -> None:
    inputs = make_inputs(tmp_path / "a", n_actors=8 if recipe.fusion.inputs == "features" else 6)
    test = np.flatnonzero(np.isin(inputs.speakers, ["02", "05"]))
    train = np.flatnonzero(~np.isin(inputs.speakers, ["02", "05"]))
    others = small_inputs.corrupted(inputs, test, tmp_path / "b")
    fitted = []
    for side in (inputs, others):
        plan = make_plan("fold-1", side, train.tolist(), test.tolist(), recipe)
        work = side.folder / "work"
        jobs = network_jobs(plan, side, recipe)
        for job in jobs:
            run_network_job(job, side, recipe, work)
        weights = [(work / job.name / "weights.safetensors").read_bytes() for job in jobs]
        curves = [(work / job.name / "curve.json").read_bytes() for job in jobs]
        fusion = fit_fusion(plan, side, recipe, work)
        probe = np.random.default_rng(3).standard_normal((9, 64)).astype(np.float32)
        fused: list[Any] = [model for name in recipe.fusion.classifiers for model in fusion.classifiers[name]]
        models = [model.predict_proba(probe[:, : model.n_inputs]) for model in fused]
        rows = test[:5]
        outputs = [load_outputs(plan, m, rows, [plan.members[0].index], work) for m in MODALITIES]
        fitted.append((weights, curves, fusion.tuned, fusion.chosen, models, outputs))
    (w1, c1, t1, ch1, m1, s1), (w2, c2, t2, ch2, m2, s2) = fitted
    assert w1 == w2
    assert c1 == c2
    assert t1 == t2
    assert ch1 == ch2
    for one, two in zip(m1, m2, strict=True):
        np.testing.assert_array_equal(one, two)
    # the test part did differ: so do the networks' outputs for it
    assert not np.allclose(s1[0].logs, s2[0].logs)
    assert not np.allclose(s1[1].logs, s2[1].logs)


def everything_fitted(
    side: Inputs, recipe: Recipe, train: np.ndarray, test: np.ndarray, plant: Callable[[Plan], Plan] | None
) -> dict[str, Any]:
    """Everything that is fitted, by name."""
    plan = make_plan("fold-1", side, train.tolist(), test.tolist(), recipe)
    plan = plan if plant is None else plant(plan)
    work = side.folder / "work"
    found: dict[str, Any] = {}
    for job in network_jobs(plan, side, recipe):
        run_network_job(job, side, recipe, work)
        found[f"{job.name} weights"] = (work / job.name / "weights.safetensors").read_bytes()
        found[f"{job.name} curve"] = (work / job.name / "curve.json").read_bytes()
        if job.enrolled:
            with np.load(work / job.name / "population.npz") as file:
                found[f"{job.name} population"] = [file[name].tobytes() for name in sorted(file.files)]
    for enrolled in (False, True) if recipe.enrolment else (False,):
        fusion = fit_fusion(plan, side, recipe, work, enrolled=enrolled)
        outputs: dict[str, Any] = {"tuned": fusion.tuned, "chosen": fusion.chosen}
        for name, models in fusion.classifiers.items():
            outputs[name] = [model.to_onnx() for model in models]
        found |= {f"fusion {name}{' enrolled' * enrolled}": value for name, value in outputs.items()}
    return found


def what_differs(
    folder: Path,
    inputs: Inputs,
    recipe: Recipe,
    plant: Callable[[Plan], Plan] | None = None,
) -> set[str]:
    """Names of what is fitted differently when the test part has other labels and features."""
    test = np.flatnonzero(np.isin(inputs.speakers, ["02", "05"]))
    train = np.flatnonzero(~np.isin(inputs.speakers, ["02", "05"]))
    one, other = (
        everything_fitted(side, recipe, train, test, plant)
        for side in (inputs, small_inputs.corrupted(inputs, test, folder / "corrupted"))
    )
    assert one.keys() == other.keys()
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize(("refit", "both"), [(True, True), (False, False)])
def test_nothing_of_the_test_part_reaches_ensembles_and_enrollment(
    tmp_path: Path, refit: bool, both: bool
) -> None:
    """Test clips of a speaker may standardize that speaker's own when they are scored; they enter no fit."""
    inputs = small_ensembles.make_inputs(tmp_path / "a")
    more: dict[str, Any] = {"classifiers": ["pool", "lr"], "trials": 2} if refit else {}
    recipe = small_ensembles.recipe(refit=refit, both=both, **more)
    assert what_differs(tmp_path, inputs, recipe) == set()
    # the test part did differ: so do the networks' outputs for it
    outputs = []
    for folder in (inputs.folder, tmp_path / "corrupted"):
        (path,) = folder.glob(f"work/fold-1/member-{2 if refit else 0}-voice-enrolled/outputs.npz")
        with np.load(path) as file:
            outputs.append(file["log_probabilities"][-5:])
    assert not np.allclose(*outputs)


def a_network_trains_on_test_clips(plan: Plan) -> Plan:
    assert plan.refitted is not None
    rows = np.sort(np.concatenate([plan.refitted.network_rows, plan.test[:1]]))
    return replace(plan, refitted=replace(plan.refitted, network_rows=rows))


def the_fusion_is_fitted_on_test_clips(plan: Plan) -> Plan:
    first = plan.members[0]
    first = replace(first, fusion_rows=np.concatenate([first.fusion_rows, plan.test[:8]]))
    return replace(plan, members=(first, *plan.members[1:]))


def stopped_by_test_clips(plan: Plan) -> Plan:
    members = [replace(m, stopping_rows=np.concatenate([m.stopping_rows, plan.test])) for m in plan.members]
    return replace(plan, members=tuple(members))


@pytest.mark.parametrize(
    ("leak", "shows"),
    [
        (a_network_trains_on_test_clips, "fold-1/member-2-voice-enrolled weights"),
        (the_fusion_is_fitted_on_test_clips, "fusion pool enrolled"),
    ],
)
def test_a_planted_leak_is_caught(tmp_path: Path, leak: Callable[[Plan], Plan], shows: str) -> None:
    inputs = small_ensembles.make_inputs(tmp_path / "a")
    assert shows in what_differs(tmp_path, inputs, small_ensembles.recipe(), leak)


def test_a_leak_through_the_stopping_epoch_is_caught(tmp_path: Path) -> None:
    recipe = with_patience(small_recipe(inner_folds=3, classifiers=["lr"]))
    inputs = make_inputs(tmp_path / "a", takes=1)
    assert what_differs(tmp_path, inputs, recipe) == set()
    leaky = what_differs(
        tmp_path / "leaky", inputs_copied(inputs, tmp_path / "b"), recipe, stopped_by_test_clips
    )
    assert any(name.endswith("curve") for name in leaky)


def inputs_copied(inputs: Inputs, folder: Path) -> Inputs:
    """The same features in a folder where nothing is fitted yet."""
    folder.mkdir()
    for path in inputs.folder.glob("*.npy"):
        (folder / path.name).write_bytes(path.read_bytes())
    return replace(inputs, folder=folder)


def test_a_leak_through_the_speaker_prior_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = small_ensembles.make_inputs(tmp_path / "a")
    recipe = small_ensembles.recipe(both=False)
    real = SpeakerPrior.of
    side = [inputs]

    def of_all_speakers(rows: np.ndarray, _: np.ndarray) -> SpeakerPrior:
        branch: Any = "voice" if rows.shape[1] > 100 else "face"
        return real(values_of(branch, side[0], recipe, enrolled=True)[0], side[0].speakers)

    def follow(plan: Plan) -> Plan:
        if (tmp_path / "corrupted").exists() and (inputs.folder / "work").exists():
            side[0] = replace(inputs, folder=tmp_path / "corrupted")
        return plan

    monkeypatch.setattr(SpeakerPrior, "of", of_all_speakers)
    differs = what_differs(tmp_path, inputs, recipe, follow)
    assert "fold-1/member-0-voice-enrolled population" in differs
    assert "fold-1/member-0-voice-enrolled weights" in differs
    assert "fold-1/member-0-voice weights" not in differs


def test_enrollment_does_not_leak_test_clips_in_speaker_dependent_folds(tmp_path: Path) -> None:
    """A speaker has clips in both parts: the test ones do not standardize those that fusion is fitted on."""
    inputs = small_ensembles.make_inputs(tmp_path / "a", n_actors=4)
    recipe = small_ensembles.recipe(both=False, refit=False)
    rng = np.random.default_rng(0)
    test = np.sort(rng.choice(len(inputs.labels), 16, replace=False))
    train = np.setdiff1d(np.arange(len(inputs.labels)), test)
    one, other = (
        everything_fitted(side, recipe, train, test, None)
        for side in (inputs, small_inputs.corrupted(inputs, test, tmp_path / "corrupted"))
    )
    assert {name for name in one if one[name] != other[name]} == set()


def test_what_is_fitted_depends_on_the_training_part(tmp_path: Path) -> None:
    """If weights did not depend on the training part, no test here could fail."""
    recipe = small_recipe()
    inputs = make_inputs(tmp_path / "a", n_actors=4, takes=1)
    train = np.flatnonzero(inputs.speakers != "04")
    others = small_inputs.corrupted(inputs, train[-1:], tmp_path / "b")
    weights = []
    for side in (inputs, others):
        plan = make_plan("fold-1", side, train.tolist(), [], recipe)
        job = next(j for j in network_jobs(plan, side, recipe) if train[-1] in j.train)
        run_network_job(job, side, recipe, side.folder / "work")
        weights.append((side.folder / "work" / job.name / "weights.safetensors").read_bytes())
    assert weights[0] != weights[1]

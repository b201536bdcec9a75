"""Who may see whom: nothing of the test part, and nobody's own clips, reaches what is fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import ExperimentError, WeightsError
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY
from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.speaker_normalization import SpeakerPrior
from emofuse.training.dataset import MODALITIES, Inputs
from emofuse.training.ensemble_jobs import values_of
from emofuse.training.fusion import fit_fusion, join_inputs
from emofuse.training.jobs import load_network, load_outputs, run_network_job
from emofuse.training.loop import infer
from emofuse.training.plan import Plan, derive_seed, make_plan, network_jobs
from tests.support import small_ensembles

N_MELS, N_FRAMES, N_UNITS = 26, 20, 5


def small_recipe(inputs: str = "probabilities", **fusion: Any) -> Recipe:
    training = {"epochs": 1, "batch_size": 8}
    return parse_recipe(
        {
            "name": "x",
            "seed": 5,
            "voice": {
                "features": {"n_mels": N_MELS},
                "network": {"channels": [], "hidden": 6, "n_features": 7},
                "training": training,
            },
            "face": {
                "features": {"kind": "au-table", "table": "t.csv"},
                "network": {"kind": "au-mlp", "hidden": 4},
                "training": training,
            },
            "fusion": {
                "inputs": inputs,
                "inner_folds": 2,
                "trials": 2,
                "selection_folds": 2,
                "nn": {"hidden": [5], "epochs": 1, "trials": 1},
                **fusion,
            },
        }
    )


def with_patience(recipe: Recipe) -> Recipe:
    data = recipe.model_dump(mode="json")
    for part in ("voice", "face"):
        data[part]["training"] |= {"epochs": 3, "patience": 1}
    return parse_recipe(data)


def make_inputs(folder: Path, n_actors: int = 6, takes: int = 3, seed: int = 0) -> Inputs:
    """Random features that depend on the emotion a little."""
    n = n_actors * 8 * takes
    labels = np.arange(n) % 8
    speakers = np.array([f"{1 + i // (8 * takes):02d}" for i in range(n)])
    rng = np.random.default_rng(seed)
    voice = (
        rng.standard_normal((n, N_MELS, N_FRAMES))
        + labels[:, None, None] * np.linspace(-0.3, 0.3, N_MELS)[None, :, None]
    )
    face = np.abs(rng.standard_normal((n, N_UNITS)) + labels[:, None] % np.arange(1, N_UNITS + 1))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "voice.npy", voice.astype(np.float32))
    np.save(folder / "face.npy", face.astype(np.float32))
    there = np.ones(n, dtype=bool)
    return Inputs(folder, labels, speakers, {"voice": there, "face": there.copy()})


def spoilt(inputs: Inputs, rows: np.ndarray, folder: Path) -> Inputs:
    """The same, but ``rows`` have other emotions and noise for features."""
    rng = np.random.default_rng(99)
    labels = inputs.labels.copy()
    labels[rows] = (labels[rows] + rng.integers(1, 8, len(rows))) % 8
    folder.mkdir(parents=True)
    for path in sorted(inputs.folder.glob("*.npy")):
        array = np.load(path)
        array[rows] = rng.uniform(0, 50, array[rows].shape)
        np.save(folder / path.name, array)
    return Inputs(folder, labels, inputs.speakers, inputs.has, inputs.n_voice_variants)


@pytest.mark.parametrize(
    "recipe",
    [small_recipe(), with_patience(small_recipe("features", inner_folds=3, members=1))],
    ids=["probabilities", "features-with-patience"],
)
def test_nothing_of_the_test_part_reaches_what_is_fitted(tmp_path: Path, recipe: Recipe) -> None:
    inputs = make_inputs(tmp_path / "a", n_actors=8 if recipe.fusion.inputs == "features" else 6)
    test = np.flatnonzero(np.isin(inputs.speakers, ["02", "05"]))
    train = np.flatnonzero(~np.isin(inputs.speakers, ["02", "05"]))
    others = spoilt(inputs, test, tmp_path / "b")
    fitted = []
    for place in (inputs, others):
        plan = make_plan("fold-1", place, train.tolist(), test.tolist(), recipe)
        work = place.folder / "work"
        jobs = network_jobs(plan, place, recipe)
        for job in jobs:
            run_network_job(job, place, recipe, work)
        weights = [(work / job.name / "weights.safetensors").read_bytes() for job in jobs]
        curves = [(work / job.name / "curve.json").read_bytes() for job in jobs]
        fusion = fit_fusion(plan, place, recipe, work)
        probe = np.random.default_rng(3).standard_normal((9, 64)).astype(np.float32)
        fused: list[Any] = [model for name in recipe.fusion.classifiers for model in fusion.classifiers[name]]
        models = [model.predict_proba(probe[:, : model.n_inputs]) for model in fused]
        rows = test[:5]
        said = [load_outputs(plan, m, rows, [plan.members[0].index], work) for m in MODALITIES]
        fitted.append((weights, curves, fusion.tuned, fusion.chosen, models, said))
    (w1, c1, t1, ch1, m1, s1), (w2, c2, t2, ch2, m2, s2) = fitted
    assert w1 == w2
    assert c1 == c2
    assert t1 == t2
    assert ch1 == ch2
    for one, two in zip(m1, m2, strict=True):
        np.testing.assert_array_equal(one, two)
    # and the test part was other indeed: the networks say other things of it
    assert not np.allclose(s1[0].logs, s2[0].logs)
    assert not np.allclose(s1[1].logs, s2[1].logs)


def everything_fitted(
    place: Inputs, recipe: Recipe, train: np.ndarray, test: np.ndarray, plant: Callable[[Plan], Plan] | None
) -> dict[str, Any]:
    """Every array and choice that fitting leaves, by name."""
    plan = make_plan("fold-1", place, train.tolist(), test.tolist(), recipe)
    plan = plan if plant is None else plant(plan)
    work = place.folder / "work"
    found: dict[str, Any] = {}
    for job in network_jobs(plan, place, recipe):
        run_network_job(job, place, recipe, work)
        found[f"{job.name} weights"] = (work / job.name / "weights.safetensors").read_bytes()
        found[f"{job.name} curve"] = (work / job.name / "curve.json").read_bytes()
        if job.enrolled:
            with np.load(work / job.name / "population.npz") as file:
                found[f"{job.name} population"] = [file[name].tobytes() for name in sorted(file.files)]
    for enrolled in (False, True) if recipe.enrolment else (False,):
        fusion = fit_fusion(plan, place, recipe, work, enrolled=enrolled)
        said: dict[str, Any] = {"tuned": fusion.tuned, "chosen": fusion.chosen}
        for name, models in fusion.classifiers.items():
            said[name] = [model.to_onnx() for model in models]
        found |= {f"fusion {name}{' enrolled' * enrolled}": value for name, value in said.items()}
    return found


def what_differs(
    folder: Path,
    inputs: Inputs,
    recipe: Recipe,
    plant: Callable[[Plan], Plan] | None = None,
) -> set[str]:
    """Names of what is fitted otherwise once the test part has other labels and other sound."""
    test = np.flatnonzero(np.isin(inputs.speakers, ["02", "05"]))
    train = np.flatnonzero(~np.isin(inputs.speakers, ["02", "05"]))
    one, other = (
        everything_fitted(place, recipe, train, test, plant)
        for place in (inputs, spoilt(inputs, test, folder / "spoilt"))
    )
    assert one.keys() == other.keys()
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize(("refit", "both"), [(True, True), (False, False)])
def test_nothing_of_the_test_part_reaches_ensembles_and_enrolment(
    tmp_path: Path, refit: bool, both: bool
) -> None:
    """Test clips of a person may standardise that person's own, when asked about; they enter no fit."""
    inputs = small_ensembles.make_inputs(tmp_path / "a")
    more: dict[str, Any] = {"classifiers": ["pool", "lr"], "trials": 2} if refit else {}
    recipe = small_ensembles.recipe(refit=refit, both=both, **more)
    assert what_differs(tmp_path, inputs, recipe) == set()
    # and the test part was other indeed: the networks say other things of it
    said = []
    for folder in (inputs.folder, tmp_path / "spoilt"):
        (path,) = folder.glob(f"work/fold-1/member-{2 if refit else 0}-voice-enrolled/outputs.npz")
        with np.load(path) as file:
            said.append(file["log_probabilities"][-5:])
    assert not np.allclose(*said)


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
    """The same, where nothing is fitted yet."""
    folder.mkdir()
    for path in inputs.folder.glob("*.npy"):
        (folder / path.name).write_bytes(path.read_bytes())
    return replace(inputs, folder=folder)


def test_a_leak_through_what_is_known_of_people_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = small_ensembles.make_inputs(tmp_path / "a")
    recipe = small_ensembles.recipe(both=False)
    real = SpeakerPrior.of
    place = [inputs]

    def of_everybody(rows: np.ndarray, _: np.ndarray) -> SpeakerPrior:
        branch: Any = "voice" if rows.shape[1] > 100 else "face"
        return real(values_of(branch, place[0], enrolled=True)[0], place[0].speakers)

    def remember(plan: Plan) -> Plan:
        if (tmp_path / "spoilt").exists() and (inputs.folder / "work").exists():
            place[0] = replace(inputs, folder=tmp_path / "spoilt")
        return plan

    monkeypatch.setattr(SpeakerPrior, "of", of_everybody)
    differs = what_differs(tmp_path, inputs, recipe, remember)
    assert "fold-1/member-0-voice-enrolled population" in differs
    assert "fold-1/member-0-voice-enrolled weights" in differs
    assert "fold-1/member-0-voice weights" not in differs


def test_in_speaker_dependent_folds_enrolment_does_not_carry_test_clips_over(tmp_path: Path) -> None:
    """A person has clips in both parts: the test ones do not standardise those the fusion learns from."""
    inputs = small_ensembles.make_inputs(tmp_path / "a", n_actors=4)
    recipe = small_ensembles.recipe(both=False, refit=False)
    rng = np.random.default_rng(0)
    test = np.sort(rng.choice(len(inputs.labels), 16, replace=False))
    train = np.setdiff1d(np.arange(len(inputs.labels)), test)
    one, other = (
        everything_fitted(place, recipe, train, test, None)
        for place in (inputs, spoilt(inputs, test, tmp_path / "spoilt"))
    )
    assert {name for name in one if one[name] != other[name]} == set()


def test_refitted_networks_alone_answer_about_the_test(tmp_path: Path) -> None:
    inputs = small_ensembles.make_inputs(tmp_path, n_actors=5)
    test = np.flatnonzero(inputs.speakers == "03")
    train = np.flatnonzero(inputs.speakers != "03")
    recipe = small_ensembles.recipe()
    plan = make_plan("p", inputs, train.tolist(), test.tolist(), recipe)
    assert plan.refitted is not None
    assert plan.scoring == [plan.refitted.index] == [2]
    jobs = network_jobs(plan, inputs, recipe)
    assert len(jobs) == 3 * (2 + 3)
    assert len({job.name for job in jobs}) == len(jobs)
    for job in jobs:
        if job.member == 2:
            assert job.train == tuple(train)
            assert job.score == tuple(test)
            assert job.test == (tuple(test) if job.enrolled else ())
        else:
            assert job.test == ()
            assert set(job.score) == set(plan.members[job.member].fusion_rows.tolist())
            assert not set(inputs.speakers[list(job.train)]) & set(inputs.speakers[list(job.score)])
        run_network_job(job, inputs, recipe, tmp_path / "work")
    # the fusion stands on the inner members' answers, on nothing that the refitted networks say
    models = [fit_fusion(plan, inputs, recipe, tmp_path / "work", enrolled=e) for e in (False, True)]
    for path in (tmp_path / "work" / "p").glob("member-2-*/outputs.npz"):
        path.unlink()
    for path in (tmp_path / "work" / "p").glob("tuning-*.sqlite3"):
        path.unlink()
    again = [fit_fusion(plan, inputs, recipe, tmp_path / "work", enrolled=e) for e in (False, True)]
    for one, two in zip(models, again, strict=True):
        assert one.tuned == two.tuned
        assert one.classifiers["pool"][0].to_onnx() == two.classifiers["pool"][0].to_onnx()
    # out of fold: each training clip once, as the member that had not seen its actor answered
    member = plan.members[1]
    rows = member.fusion_rows
    answers = [load_outputs(plan, m, rows, [1], tmp_path / "work") for m in MODALITIES]
    path = tmp_path / "work" / "p" / "member-1-voice" / "outputs.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    said = np.maximum(arrays["log_probabilities"], MIN_LOG_PROBABILITY)
    np.testing.assert_allclose(join_inputs(recipe, answers, 0)[:, :8], said, atol=1e-5)
    arrays["log_probabilities"] = np.roll(arrays["log_probabilities"], 1, axis=1)
    np.savez(path, **arrays)
    for sqlite in (tmp_path / "work" / "p").glob("tuning-*.sqlite3"):
        sqlite.unlink()
    changed = fit_fusion(plan, inputs, recipe, tmp_path / "work")
    assert changed.classifiers["pool"][0].to_onnx() != models[0].classifiers["pool"][0].to_onnx()


def test_too_few_actors_for_ensembles_are_told_before_training(tmp_path: Path) -> None:
    inputs = small_ensembles.make_inputs(tmp_path, n_actors=3, takes=1)
    plan = make_plan("fold-1", inputs, range(24), (), small_ensembles.recipe())
    with pytest.raises(ExperimentError, match="fold-1: an ensemble trains on clips of at least two actors"):
        network_jobs(plan, inputs, small_ensembles.recipe())


def test_networks_without_ensemble_are_refitted_too(tmp_path: Path) -> None:
    """Also where there is no test, as for a bundle."""
    recipe = small_recipe(refit=True, classifiers=["pool"])
    inputs = make_inputs(tmp_path, n_actors=4, takes=1)
    plan = make_plan("all", inputs, range(32), (), recipe)
    for job in network_jobs(plan, inputs, recipe):
        run_network_job(job, inputs, recipe, tmp_path / "work")
    (job,) = [j for j in network_jobs(plan, inputs, recipe) if j.member == 2 and j.modality == "voice"]
    assert job.train == tuple(range(32))
    load_network(job, inputs, recipe, tmp_path / "work")
    assert fit_fusion(plan, inputs, recipe, tmp_path / "work").chosen == "pool"


def test_what_is_fitted_depends_on_the_training_part(tmp_path: Path) -> None:
    """The test above could not fail if weights were the same whatever is trained on."""
    recipe = small_recipe()
    inputs = make_inputs(tmp_path / "a", n_actors=4, takes=1)
    train = np.flatnonzero(inputs.speakers != "04")
    others = spoilt(inputs, train[-1:], tmp_path / "b")
    weights = []
    for place in (inputs, others):
        plan = make_plan("fold-1", place, train.tolist(), [], recipe)
        job = next(j for j in network_jobs(plan, place, recipe) if train[-1] in j.train)
        run_network_job(job, place, recipe, place.folder / "work")
        weights.append((place.folder / "work" / job.name / "weights.safetensors").read_bytes())
    assert weights[0] != weights[1]


def test_plans_of_random_corpora_keep_actors_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    planned = 0
    for _ in range(400):
        n_actors = int(rng.integers(2, 14))
        names = np.array([f"{n:02d}" if rng.random() < 0.7 else f"s{n}" for n in range(1, n_actors + 1)])
        n = int(rng.integers(n_actors, 60))
        speakers = rng.permutation(np.concatenate([names, rng.choice(names, n - n_actors)]))
        has = {m: rng.random(n) < rng.choice([0.6, 1.0]) for m in MODALITIES}
        inputs = Inputs(tmp_path, rng.integers(0, 8, n), speakers, has)
        tested = rng.choice(names, int(rng.integers(0, n_actors)), replace=False)
        test = np.flatnonzero(np.isin(speakers, tested))
        train = np.flatnonzero(~np.isin(speakers, tested))
        folds = int(rng.integers(2, 7))
        patience = bool(rng.random() < 0.5)
        features = bool(rng.random() < 0.5)
        members = {"members": int(rng.integers(1, min(folds, n_actors) + 1))} if features else {}
        recipe = small_recipe("features" if features else "probabilities", inner_folds=folds, **members)
        recipe = with_patience(recipe) if patience else recipe
        try:
            plan = make_plan("p", inputs, train.tolist(), test.tolist(), recipe)
            jobs = network_jobs(plan, inputs, recipe)
        except ExperimentError:
            continue
        planned += 1
        assert set(plan.train) == set(train)
        assert set(plan.test) == set(test)
        for member in plan.members:
            parts = [member.network_rows, member.stopping_rows, member.fusion_rows]
            together = np.concatenate(parts)
            assert len(together) == len(set(together.tolist()))
            assert set(together.tolist()) == set(train.tolist())
            whose = [set(speakers[rows].tolist()) for rows in parts]
            assert not whose[0] & whose[1]
            assert not whose[0] & whose[2]
            assert not whose[1] & whose[2]
            assert len(whose[2]) >= (2 if features else 1)
            assert bool(len(parts[1])) == patience
            assert not set().union(*whose) & set(tested.tolist())
        if not features:
            asked = np.concatenate([member.fusion_rows for member in plan.members])
            assert sorted(asked.tolist()) == sorted(train.tolist())
        for job in jobs:
            seen = set(speakers[list(job.train)].tolist())
            stopped = set(speakers[list(job.held_out)].tolist())
            scored = set(speakers[list(job.score)].tolist())
            assert not seen & scored
            assert not seen & stopped
            assert not patience or not stopped & scored
            assert job.modality != "both"
            assert all(has[job.modality][list(job.train + job.held_out + job.score)])
    assert planned > 100


def test_a_job_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    recipe = small_recipe()
    inputs = make_inputs(tmp_path, n_actors=3, takes=1)
    plan = make_plan("p", inputs, range(24), (), recipe)
    job = network_jobs(plan, inputs, recipe)[0]
    run_network_job(job, inputs, recipe, tmp_path)
    folder = tmp_path / job.name
    assert sorted(path.name for path in folder.iterdir()) == [
        "curve.json", "outputs.npz", "weights.safetensors",
    ]  # fmt: skip
    (folder / "weights.safetensors").write_bytes(b"kept")
    run_network_job(job, inputs, recipe, tmp_path)
    assert (folder / "weights.safetensors").read_bytes() == b"kept"
    # without the last file the job was broken off: it is done again, with the same outcome
    (folder / "curve.json").unlink()
    said = (folder / "outputs.npz").read_bytes()
    run_network_job(job, inputs, recipe, tmp_path)
    assert (folder / "weights.safetensors").read_bytes() != b"kept"
    with np.load(folder / "outputs.npz") as new:
        (tmp_path / "old.npz").write_bytes(said)
        with np.load(tmp_path / "old.npz") as old:
            assert all((new[name] == old[name]).all() for name in old.files)


def test_a_loaded_network_says_what_the_trained_one_said(tmp_path: Path) -> None:
    recipe = small_recipe()
    inputs = make_inputs(tmp_path, n_actors=3, takes=1)
    plan = make_plan("p", inputs, range(16), range(16, 24), recipe)
    for modality in MODALITIES:
        job = next(j for j in network_jobs(plan, inputs, recipe) if j.modality == modality)
        run_network_job(job, inputs, recipe, tmp_path)
        features, logs = infer(
            load_network(job, inputs, recipe, tmp_path), np.array(inputs.load(modality)[16:24])
        )
        said = load_outputs(plan, modality, np.arange(16, 24), [job.member], tmp_path)
        np.testing.assert_allclose(said.features[0], features, atol=1e-6)
        np.testing.assert_allclose(said.logs[0], logs, atol=1e-6)
        np.testing.assert_allclose(np.exp(said.log_probabilities).sum(1), 1)


def test_joined_inputs_are_voice_first_and_bounded() -> None:
    from emofuse.training.jobs import NetworkOutputs

    rng = np.random.default_rng(0)
    voice = NetworkOutputs(
        rng.random((2, 3, 7), dtype=np.float32), np.log(rng.dirichlet(np.full(8, 0.1), (2, 3)) + 1e-9)
    )
    face = NetworkOutputs(rng.random((2, 3, 4), dtype=np.float32), np.log(rng.dirichlet(np.ones(8), (2, 3))))
    joined = join_inputs(small_recipe("features"), [voice, face], 1)
    assert joined.shape == (3, 11)
    assert (joined[:, :7] == voice.features[1]).all()
    logs = join_inputs(small_recipe(), [voice, face], None)
    assert logs.shape == (3, 16)
    assert logs.dtype == np.float32
    assert logs.min() == MIN_LOG_PROBABILITY
    geometric = np.exp(face.logs.mean(0))
    np.testing.assert_allclose(np.exp(logs[:, 8:]), geometric / geometric.sum(1, keepdims=True), atol=1e-4)


def test_seeds_of_parts_differ_and_stay() -> None:
    seeds = {derive_seed(seed, plan, member, m) for seed in (0, 1) for plan in ("fold-1", "fold-11")
             for member in (0, 1, 10) for m in MODALITIES}  # fmt: skip
    assert len(seeds) == 24
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(0, "fold-1", 0, "voice") == derive_seed(0, "fold-1", 0, "voice")


@pytest.mark.parametrize(
    ("actors", "recipe", "says"),
    [
        (1, small_recipe(), "1 training actors are too few, 2 are needed"),
        (2, with_patience(small_recipe()), "2 training actors are too few, 3 are needed"),
        (4, with_patience(small_recipe(inner_folds=2)), "patience needs fusion.inner_folds of 3 or more"),
    ],
)
def test_too_few_actors(tmp_path: Path, actors: int, recipe: Recipe, says: str) -> None:
    inputs = make_inputs(tmp_path, n_actors=actors, takes=1)
    with pytest.raises(ExperimentError, match=says):
        make_plan("fold-1", inputs, range(8 * actors), (), recipe)


def test_fewer_actors_than_pairs(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, n_actors=2, takes=1)
    recipe = small_recipe("features", inner_folds=4, members=3)
    with pytest.raises(ExperimentError, match=r"fold-1: .*lower fusion\.inner_folds"):
        make_plan("fold-1", inputs, range(16), (), recipe)


def test_a_fusion_of_one_actor_is_refused_before_training(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, n_actors=8, takes=1)
    recipe = small_recipe("features", inner_folds=4)
    with pytest.raises(ExperimentError, match="7 training actors in 4 inner folds leave a fusion one actor"):
        make_plan("fold-1", inputs, range(56), (), recipe)
    assert len(make_plan("fold-1", inputs, range(64), (), recipe).members) == 4
    # probabilities are fused for everybody at once
    assert len(make_plan("fold-1", inputs, range(32), (), small_recipe(inner_folds=4)).members) == 4


def test_a_modality_that_training_actors_lack(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, n_actors=3, takes=1)
    inputs.has["face"][:] = inputs.speakers == "03"
    plan = make_plan("fold-1", inputs, range(24), (), small_recipe())
    with pytest.raises(ExperimentError, match="too few clips with a face"):
        network_jobs(plan, inputs, small_recipe())


def keras_weights(path: Path) -> Path:
    """An Emotion CNN file of the published layout, with small random weights."""
    import h5py

    shapes = {
        "conv2d_1": (5, 5, 1, 64), "conv2d_2": (3, 3, 64, 64), "conv2d_3": (3, 3, 64, 64),
        "conv2d_4": (3, 3, 64, 128), "conv2d_5": (3, 3, 128, 128), "dense_1": (128, 1024),
        "dense_2": (1024, 1024), "dense_3": (1024, 7),
    }  # fmt: skip
    rng = np.random.default_rng(7)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in shapes]
        for layer, shape in shapes.items():
            group = file.create_group(layer)
            names = [f"{layer}/kernel:0", f"{layer}/bias:0"]
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            scale = np.sqrt(2 / np.prod(shape[:-1]))
            group[names[0]] = (rng.standard_normal(shape) * scale).astype(np.float32)
            group[names[1]] = np.zeros(shape[-1], dtype=np.float32)
    return path


def rosred(tmp_path: Path, weights: str) -> Recipe:
    from emofuse.core.recipes.load import load_recipe

    path = tmp_path / "small-rosred.toml"
    path.write_text(
        'extends = "rosred-2022"\n'
        'name = "small-rosred"\n'
        "[voice.training]\nepochs = 1\n"
        "[face.features]\nn_frames = 2\n"
        "[face.training]\nepochs = 1\n"
        f"[face.network.emotion_cnn]\n{weights}\n"
        "[fusion]\ntrials = 1\nselection_folds = 2\n"
        "nn = { hidden = [16], epochs = 1, trials = 1 }\n"
    )
    return load_recipe(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[int, int], Inputs]:
    def make(n_actors: int, takes: int) -> Inputs:
        inputs = make_inputs(tmp_path / "pictures", n_actors, takes)
        rng = np.random.default_rng(0)
        n = len(inputs.labels)
        shades = 20 * inputs.labels.astype(np.uint8)
        images = rng.integers(0, 60, (n, 224, 224, 3), np.uint8) + shades[:, None, None, None]
        np.save(inputs.folder / "voice.npy", images)
        stacks = rng.integers(0, 60, (n, 2, 48, 48), np.uint8) + shades[:, None, None, None]
        np.save(inputs.folder / "face.npy", stacks)
        return inputs

    return make


def test_the_notebooks_way_joins_1400_features_and_compares_four_classifiers(
    tmp_path: Path, pictures: Callable[[int, int], Inputs]
) -> None:
    keras_weights(tmp_path / "cnn.h5")
    recipe = rosred(tmp_path, 'source = "file"\npath = "cnn.h5"')
    inputs = pictures(8, 2)
    n = len(inputs.labels)
    plan = make_plan("fold-1", inputs, range(n), (), recipe)
    assert len(plan.members) == 1
    assert len(set(inputs.speakers[plan.members[0].fusion_rows])) == 2
    test = plan.members[0].network_rows[:4]  # asked about only
    plan = make_plan("fold-1", inputs, [i for i in range(n) if i not in test], test.tolist(), recipe)
    for job in network_jobs(plan, inputs, recipe):
        run_network_job(job, inputs, recipe, tmp_path)
    fusion = fit_fusion(plan, inputs, recipe, tmp_path)
    voice, face = (load_outputs(plan, m, test, [0], tmp_path) for m in MODALITIES)
    assert voice.features.shape == (1, 4, 1000)
    assert face.features.shape == (1, 4, 400)
    assert join_inputs(recipe, [voice, face], 0).shape == (4, 1400)
    assert [t.classifier for t in fusion.tuned] == ["lr", "pca-lr", "svm", "nn"]
    assert fusion.chosen == min(fusion.tuned, key=lambda t: t.score).classifier
    for name in ("lr", "pca-lr", "svm", "nn"):
        said = fusion.predict(name, recipe, [voice, face])
        assert said.shape == (4, 8)
        np.testing.assert_allclose(said.sum(1), 1, atol=1e-6)


def test_absent_weights_stop_a_job_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: Callable[[int, int], Inputs]
) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "none"))
    recipe = rosred(tmp_path, 'source = "deepface"')
    inputs = pictures(8, 1)
    plan = make_plan("fold-1", inputs, range(64), (), recipe)
    job = next(j for j in network_jobs(plan, inputs, recipe) if j.modality == "face")
    with pytest.raises(WeightsError, match=r"emofuse weights fetch deepface-emotion.*emotion_cnn\.path"):
        run_network_job(job, inputs, recipe, tmp_path / "work")
    assert not (tmp_path / "work" / job.name).exists()

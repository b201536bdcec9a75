"""Late fusion: its inputs, its classifiers, and the outputs that it is fitted on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY
from emofuse.features.extraction import MODALITIES
from emofuse.system.executors import Processes
from emofuse.training.fusion import fit_fusion, join_inputs, share_trials
from emofuse.training.jobs import load_network, load_outputs, run_network_job
from emofuse.training.plan import make_plan, network_jobs
from emofuse.training.resources import Resources
from emofuse.training.shared_studies import SharedStudies
from tests.support import small_ensembles, small_inputs
from tests.support.postgres import Postgres
from tests.support.small_inputs import make_inputs, small_recipe


def test_joined_inputs_are_voice_first_and_clipped() -> None:
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


def test_the_notebooks_fusion_joins_1400_features_and_compares_four_classifiers(tmp_path: Path) -> None:
    small_inputs.keras_weights(tmp_path / "cnn.h5")
    recipe = small_inputs.rosred(tmp_path, 'source = "file"\npath = "cnn.h5"')
    inputs = small_inputs.make_images(tmp_path / "images", 8, 2)
    n = len(inputs.labels)
    plan = make_plan("fold-1", inputs, range(n), (), recipe)
    assert len(plan.members) == 1
    assert len(set(inputs.speakers[plan.members[0].fusion_rows])) == 2
    test = plan.members[0].network_rows[:4]  # scored only
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
        probabilities = fusion.predict(name, recipe, [voice, face])
        assert probabilities.shape == (4, 8)
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_only_refitted_networks_score_the_test_part(tmp_path: Path) -> None:
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
    # the fusion is fitted on the members' outputs, and on none of the refitted networks'
    models = [fit_fusion(plan, inputs, recipe, tmp_path / "work", enrolled=e) for e in (False, True)]
    for path in (tmp_path / "work" / "p").glob("member-2-*/outputs.npz"):
        path.unlink()
    for path in (tmp_path / "work" / "p").glob("tuning-*.sqlite3"):
        path.unlink()
    again = [fit_fusion(plan, inputs, recipe, tmp_path / "work", enrolled=e) for e in (False, True)]
    for one, two in zip(models, again, strict=True):
        assert one.tuned == two.tuned
        assert one.classifiers["pool"][0].to_onnx() == two.classifiers["pool"][0].to_onnx()
    # out of fold: each training clip once, scored by the member that had not seen its actor
    member = plan.members[1]
    rows = member.fusion_rows
    answers = [load_outputs(plan, m, rows, [1], tmp_path / "work") for m in MODALITIES]
    path = tmp_path / "work" / "p" / "member-1-voice" / "outputs.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    probabilities = np.maximum(arrays["log_probabilities"], MIN_LOG_PROBABILITY)
    np.testing.assert_allclose(join_inputs(recipe, answers, 0)[:, :8], probabilities, atol=1e-5)
    arrays["log_probabilities"] = np.roll(arrays["log_probabilities"], 1, axis=1)
    np.savez(path, **arrays)
    for sqlite in (tmp_path / "work" / "p").glob("tuning-*.sqlite3"):
        sqlite.unlink()
    changed = fit_fusion(plan, inputs, recipe, tmp_path / "work")
    assert changed.classifiers["pool"][0].to_onnx() != models[0].classifiers["pool"][0].to_onnx()


def test_workers_without_a_plan_of_their_own_compute_trials_of_others(
    postgres: Postgres, tmp_path: Path
) -> None:
    """Two classifiers of one plan, by two processes: the same to the bit where trials do not learn."""
    recipe = small_recipe(sampler="random", trials=4, classifiers=["lr", "svm"])
    inputs = make_inputs(tmp_path, n_actors=4, takes=1)
    plan = make_plan("all", inputs, range(32), (), recipe)
    for folder in ("alone", "shared"):
        for job in network_jobs(plan, inputs, recipe):
            run_network_job(job, inputs, recipe, tmp_path / folder)
    alone = fit_fusion(plan, inputs, recipe, tmp_path / "alone")
    stages: dict[str, tuple[int, int]] = {}
    resources = Resources(
        Processes(2), on_progress=lambda stage, done, total: stages.update({stage: (done, total)}),
        studies=SharedStudies(postgres.new_database()),
    )  # fmt: skip
    share_trials([plan], inputs, recipe, tmp_path / "shared", resources)
    assert stages == {"trials": (2, 2)}
    with resources.computing():
        shared = fit_fusion(plan, inputs, recipe, tmp_path / "shared")
    assert shared.tuned == alone.tuned
    assert all((shared.out_of_fold[name] == alone.out_of_fold[name]).all() for name in alone.classifiers)


def test_networks_without_ensemble_are_refitted_too(tmp_path: Path) -> None:
    """Also where there is no test part, as for a bundle."""
    recipe = small_recipe(refit=True, classifiers=["pool"])
    inputs = make_inputs(tmp_path, n_actors=4, takes=1)
    plan = make_plan("all", inputs, range(32), (), recipe)
    for job in network_jobs(plan, inputs, recipe):
        run_network_job(job, inputs, recipe, tmp_path / "work")
    (job,) = [j for j in network_jobs(plan, inputs, recipe) if j.member == 2 and j.modality == "voice"]
    assert job.train == tuple(range(32))
    load_network(job, inputs, recipe, tmp_path / "work")
    assert fit_fusion(plan, inputs, recipe, tmp_path / "work").chosen == "pool"

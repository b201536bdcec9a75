"""The inputs of ensembles, and the files that their jobs write."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from emofuse.core.recipes.recipe import Recipe
from emofuse.features.speaker_normalization import Moments, SpeakerPrior, speaker_scaler, standardize_speakers
from emofuse.features.voice.descriptors import descriptor_size, descriptor_views
from emofuse.training.dataset import Inputs
from emofuse.training.ensemble_jobs import enrollment_draws, layout_of, load_ensemble, values_of
from emofuse.training.jobs import run_network_job
from emofuse.training.loop import infer
from emofuse.training.networks.descriptor_ensemble import Layout
from emofuse.training.plan import NetworkJob, Plan, make_plan, network_jobs
from tests.support import small_ensembles


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    found: Recipe = small_ensembles.recipe()
    return found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Six actors, of whom two are tested; some of these have clips that lack a face."""
    made: Inputs = small_ensembles.make_inputs(tmp_path_factory.mktemp("inputs"))
    made.has["face"][[17, 20]] = False
    return made


@pytest.fixture(scope="module")
def plan(inputs: Inputs, recipe: Recipe) -> Plan:
    tested = np.isin(inputs.speakers, ["02", "05"])
    return make_plan("p", inputs, np.flatnonzero(~tested).tolist(), np.flatnonzero(tested).tolist(), recipe)


@pytest.fixture(scope="module")
def jobs(inputs: Inputs, recipe: Recipe, plan: Plan) -> dict[str, NetworkJob]:
    """The jobs of the refitted networks, after they have run."""
    found = [job for job in network_jobs(plan, inputs, recipe) if job.member == 2]
    for job in found:
        run_network_job(job, inputs, recipe, inputs.folder)
    return {job.name.removeprefix("p/member-2-"): job for job in found}


def test_loudness_is_used_for_enrolled_speakers_only(recipe: Recipe) -> None:
    views = descriptor_views(26)
    size = descriptor_size(26)
    level = (views["level"].start, views["level"].stop)
    stranger = layout_of("voice", recipe, size, enrolled=False)
    known = layout_of("voice", recipe, size, enrolled=True)
    assert level not in stranger.views
    assert known.views == (*stranger.views, level)
    assert not known.root and not stranger.root
    assert layout_of("face", recipe, 6, enrolled=False) == Layout(((0, 6),), root=True)
    # for enrolled speakers, roots are taken before standardizing
    assert layout_of("face", recipe, 6, enrolled=True) == Layout(((0, 6),))
    assert layout_of("both", recipe, size + 6, enrolled=True) == Layout((*known.views, (size, size + 6)), 1)


def test_values_cover_every_variant(inputs: Inputs) -> None:
    voice, faster = (np.asarray(inputs.load("voice", k)) for k in (0, 1))
    face = np.asarray(inputs.load("face"))
    assert all(
        (a == b).all()
        for a, b in zip(values_of("voice", inputs, enrolled=True), (voice, faster), strict=True)
    )
    np.testing.assert_array_equal(values_of("face", inputs, enrolled=False), [face])
    np.testing.assert_allclose(values_of("face", inputs, enrolled=True), [np.sqrt(face)])
    both = values_of("both", inputs, enrolled=True)
    np.testing.assert_allclose(both[1], np.concatenate([faster, np.sqrt(face)], axis=1))
    assert len(both) == 2
    assert all(one.dtype == np.float32 for one in both)


def test_a_job_writes_what_others_write_and_more_where_enrolled(
    inputs: Inputs, jobs: dict[str, NetworkJob]
) -> None:
    usual = {"curve.json", "outputs.npz", "weights.safetensors"}
    assert list(jobs) == ["voice", "face", "voice-enrolled", "face-enrolled", "both-enrolled"]
    for name, job in jobs.items():
        folder = inputs.folder / job.name
        more = {"population.npz", "draws.npz"} if job.enrolled else set()
        assert {path.name for path in folder.iterdir()} == usual | more
        epochs = json.loads((folder / "curve.json").read_text())
        assert len(epochs) == (0 if name == "both-enrolled" else 2)  # it has no dense networks
        with np.load(folder / "outputs.npz") as outputs:
            assert outputs["rows"].tolist() == list(job.score)
            np.testing.assert_allclose(np.exp(outputs["log_probabilities"]).sum(1), 1)


def test_a_loaded_ensemble_has_the_outputs_of_the_fitted_one(
    inputs: Inputs, recipe: Recipe, jobs: dict[str, NetworkJob]
) -> None:
    for job in jobs.values():
        rows = np.array(job.score)
        values = values_of(job.modality, inputs, enrolled=job.enrolled)[0]
        queried = values[rows]
        folder = inputs.folder / job.name
        if job.enrolled:
            people = inputs.speakers
            known = SpeakerPrior.read(folder / "population.npz")
            expected = SpeakerPrior.of(values[list(job.train)], people[list(job.train)])
            for name in ("mean", "spread", "within"):
                np.testing.assert_array_equal(getattr(known, name), getattr(expected, name))
            queried = standardize_speakers(queried, people[rows], known, 3.0)
        features, logs = infer(load_ensemble(job, recipe, inputs.folder), queried)
        with np.load(folder / "outputs.npz") as outputs:
            np.testing.assert_allclose(outputs["log_probabilities"], logs, atol=1e-5)
            np.testing.assert_allclose(outputs["features"], features, atol=1e-4)


def test_enrolled_clips_are_never_scored(inputs: Inputs, recipe: Recipe, plan: Plan) -> None:
    test = inputs.having("both", plan.test)
    draws = enrollment_draws(test, inputs, recipe)
    assert [one[:3] for one in draws] == [
        (who, clips, draw) for who in ("02", "05") for clips in (1, 4) for draw in (0, 1)
    ]
    for person, clips, _, enrolled, scored in draws:
        assert len(enrolled) == clips
        assert not set(enrolled) & set(scored)
        own = test[inputs.speakers[test] == person]
        assert sorted([*enrolled, *scored]) == own.tolist()
    assert len({tuple(enrolled) for _, clips, _, enrolled, _ in draws if clips == 4}) == 4


def test_draws_depend_on_speaker_and_seed_alone(inputs: Inputs, recipe: Recipe, plan: Plan) -> None:
    """Every branch, fold and order of rows has the same draws, whoever else is tested."""
    test = inputs.having("both", plan.test)
    everybody = {one[:3]: one[3].tolist() for one in enrollment_draws(test, inputs, recipe)}
    turned = enrollment_draws(test[::-1][inputs.speakers[test[::-1]] == "05"], inputs, recipe)
    assert {one[:3]: one[3].tolist() for one in turned} == {
        k: v for k, v in everybody.items() if k[0] == "05"
    }
    other = recipe.model_copy(update={"seed": 99})
    assert {one[:3]: one[3].tolist() for one in enrollment_draws(test, inputs, other)} != everybody


def test_no_draw_enrolls_all_clips_of_a_speaker(inputs: Inputs, recipe: Recipe, plan: Plan) -> None:
    assert recipe.enrolment is not None
    enrolment = recipe.enrolment.model_copy(update={"clips": (15, 16, 40)})
    draws = enrollment_draws(plan.test, inputs, recipe.model_copy(update={"enrolment": enrolment}))
    assert {clips for _, clips, *_ in draws} == {15}
    assert all(len(scored) == 1 for *_, scored in draws)


def test_outputs_after_few_enrolled_clips(
    inputs: Inputs, recipe: Recipe, plan: Plan, jobs: dict[str, NetworkJob]
) -> None:
    """Every branch scores the same clips after the same draws; one is computed here again."""
    test = inputs.having("both", plan.test)
    draws = enrollment_draws(test, inputs, recipe)
    places = []
    for name in ("voice-enrolled", "face-enrolled", "both-enrolled"):
        job = jobs[name]
        with np.load(inputs.folder / job.name / "draws.npz") as file:
            outputs: dict[str, Any] = {key: file[key] for key in file.files}
        places.append([outputs[key].tolist() for key in ("rows", "clips", "draws")])
        person, clips, draw, enrolled, scored = draws[6]
        values = values_of(job.modality, inputs, enrolled=True)[0]
        known = SpeakerPrior.read(inputs.folder / job.name / "population.npz")
        standard = speaker_scaler(Moments.of(values[enrolled]), known, 3.0)
        logs = infer(load_ensemble(job, recipe, inputs.folder), standard.apply(values[scored]))[1]
        here = (
            (outputs["clips"] == clips)
            & (outputs["draws"] == draw)
            & (inputs.speakers[outputs["rows"]] == person)
        )
        assert outputs["rows"][here].tolist() == scored.tolist()
        np.testing.assert_allclose(outputs["log_probabilities"][here], logs, atol=1e-4)
    assert places[0] == places[1] == places[2]
    assert places[0][0] == [row for *_, scored in draws for row in scored]


def test_networks_that_do_not_score_the_test_part_draw_nothing(
    inputs: Inputs, recipe: Recipe, plan: Plan
) -> None:
    job = next(j for j in network_jobs(plan, inputs, recipe) if j.member == 0 and j.enrolled)
    run_network_job(job, inputs, recipe, inputs.folder)
    assert not (inputs.folder / job.name / "draws.npz").exists()

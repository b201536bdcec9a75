"""The inputs of ensembles, and the files that their jobs write."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.part import Ensemble
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.face.functionals import n_functionals
from emofuse.features.shipped_networks import EXPRESSION_SHA256
from emofuse.features.speaker_normalization import Moments, SpeakerPrior, speaker_scaler, standardize_speakers
from emofuse.features.voice.descriptors import descriptor_size, descriptor_views
from emofuse.features.voice.speech_encoder import SHIPPED_SHA256
from emofuse.system.onnx_session import create_session
from emofuse.training.dataset import Branch, Inputs
from emofuse.training.ensemble_jobs import enrollment_draws, experts_of, load_ensemble, values_of
from emofuse.training.jobs import run_network_job
from emofuse.training.loop import infer
from emofuse.training.networks.descriptor_ensemble import Layout, MeanOfExperts
from emofuse.training.networks.onnx_export import export_ensemble
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


def layout_of(branch: Branch, recipe: Recipe, n_values: int, *, enrolled: bool) -> Layout:
    (expert,) = experts_of(branch, recipe, n_values, enrolled=enrolled)
    assert isinstance(expert.view, Layout)
    return expert.view


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


def test_an_encoder_may_have_an_ensemble_of_its_own(recipe: Recipe) -> None:
    features = recipe.voice.features.model_copy(update={"encoder_sha256": SHIPPED_SHA256})
    size, alone = descriptor_size(26), Ensemble(components=7)
    together = recipe.with_voice_features(features)
    blocks = tuple((size + 1024 * k, size + 1024 * (k + 1)) for k in range(3))
    descriptors = layout_of("voice", recipe, size, enrolled=True).views
    assert layout_of("voice", together, size + 3072, enrolled=True).views == (*descriptors, *blocks)
    network = together.voice.network.model_copy(update={"encoder": alone})
    apart = together.model_copy(update={"voice": together.voice.model_copy(update={"network": network})})
    first, second = experts_of("voice", apart, size + 3072, enrolled=True)
    assert first == (Layout(descriptors), recipe.voice.network.ensemble)
    assert second == (Layout(blocks), alone)
    both = layout_of("both", apart, size + 3072 + 6, enrolled=True)
    assert both == Layout((*descriptors, *blocks, (size + 3072, size + 3078)), 1)


def test_two_ensembles_of_a_voice_are_averaged(inputs: Inputs, recipe: Recipe, plan: Plan) -> None:
    """Each is the one that would be fitted alone; a bundle's graph gives the same as torch."""
    features = recipe.voice.features.model_copy(update={"encoder_sha256": SHIPPED_SHA256})
    rng = np.random.default_rng(0)
    folder = inputs.folder / "apart"
    folder.mkdir()
    signal = rng.standard_normal((8, 3072))[inputs.labels]
    for name in ("voice", "voice-1"):
        values = np.load(inputs.folder / f"{name}.npy")
        more = (signal + 2 * rng.standard_normal(signal.shape)).astype(np.float32)
        np.save(folder / f"{name}.npy", np.concatenate([values, more], axis=1))
    given = replace(inputs, folder=folder)
    settings = Ensemble(components=7, networks=0)
    network = recipe.voice.network.model_copy(update={"encoder": settings})
    voice = recipe.voice.model_copy(update={"features": features, "network": network})
    apart = recipe.model_copy(update={"voice": voice})
    (job,) = [
        job for job in network_jobs(plan, inputs, apart)
        if job.member == 2 and job.modality == "voice" and not job.enrolled
    ]  # fmt: skip
    run_network_job(job, given, apart, folder)
    found = load_ensemble(job, given, apart, folder)
    assert isinstance(found, MeanOfExperts)
    rows = given.load("voice")[list(job.score)]
    parts = [infer(one, rows)[1] for one in found.experts]
    mean = np.mean(parts, axis=0)
    expected = mean - np.logaddexp.reduce(mean, axis=1, keepdims=True)
    with np.load(folder / job.name / "outputs.npz") as outputs:
        np.testing.assert_allclose(outputs["log_probabilities"], expected, atol=1e-5)
    graph = export_ensemble([found], rows[0])
    (logs,) = create_session(graph).run(["log_probabilities"], {"inputs": rows})
    np.testing.assert_allclose(logs, expected, atol=1e-4)
    right = (parts[1].argmax(1) == given.labels[list(job.score)]).mean()
    assert right > 0.5  # the encoder's ensemble reads the columns that were made to tell


def test_functionals_of_a_face_are_views_of_their_own_and_no_roots_are_taken(
    inputs: Inputs, recipe: Recipe
) -> None:
    features = FaceFeatures(kind="functionals", expression_sha256=EXPRESSION_SHA256)
    video = recipe.model_copy(update={"face": recipe.face.model_copy(update={"features": features})})
    # 51 movements, 3 angles, 6 values of a pose; 8 log-probabilities; two peaks
    ends = [51 + 3, 51 + 6, 2 * 51, 4 * 8]
    bounds = np.cumsum([0, *ends]).tolist()
    faces = tuple(pairwise(bounds))
    n = n_functionals(features)
    assert n == bounds[-1] == 245
    for enrolled in (False, True):
        assert layout_of("face", video, n, enrolled=enrolled) == Layout(faces)
    voice = layout_of("voice", video, 0, enrolled=True).views
    size = max(stop for _, stop in voice)
    both = layout_of("both", video, size + n, enrolled=True)
    assert both == Layout((*voice, *((size + a, size + b) for a, b in faces)), second=4)
    face = np.asarray(inputs.load("face"))
    np.testing.assert_array_equal(values_of("face", inputs, video, enrolled=True)[0], face)


def test_values_cover_every_variant(inputs: Inputs, recipe: Recipe) -> None:
    voice, faster = (np.asarray(inputs.load("voice", k)) for k in (0, 1))
    face = np.asarray(inputs.load("face"))
    assert all(
        (a == b).all()
        for a, b in zip(values_of("voice", inputs, recipe, enrolled=True), (voice, faster), strict=True)
    )
    np.testing.assert_array_equal(values_of("face", inputs, recipe, enrolled=False), [face])
    np.testing.assert_allclose(values_of("face", inputs, recipe, enrolled=True), [np.sqrt(face)])
    both = values_of("both", inputs, recipe, enrolled=True)
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
        values = values_of(job.modality, inputs, recipe, enrolled=job.enrolled)[0]
        queried = values[rows]
        folder = inputs.folder / job.name
        if job.enrolled:
            people = inputs.speakers
            known = SpeakerPrior.read(folder / "population.npz")
            expected = SpeakerPrior.of(values[list(job.train)], people[list(job.train)])
            for name in ("mean", "spread", "within"):
                np.testing.assert_array_equal(getattr(known, name), getattr(expected, name))
            queried = standardize_speakers(queried, people[rows], known, 3.0)
        features, logs = infer(load_ensemble(job, inputs, recipe, inputs.folder), queried)
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
        values = values_of(job.modality, inputs, recipe, enrolled=True)[0]
        known = SpeakerPrior.read(inputs.folder / job.name / "population.npz")
        standard = speaker_scaler(Moments.of(values[enrolled]), known, 3.0)
        logs = infer(load_ensemble(job, inputs, recipe, inputs.folder), standard.apply(values[scored]))[1]
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

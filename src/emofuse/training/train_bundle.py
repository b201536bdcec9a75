"""Corpus × recipe → a bundle: the recognizer that prediction uses, trained on every speaker of the corpus."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.corpus import Corpus
from emofuse.features.own_baseline import information_nats
from emofuse.recognition.baseline_model import INFORMATION
from emofuse.recognition.bundle import RATINGS_FILES, Bundle, check_free, save_bundle
from emofuse.recognition.embedding_files import (
    embedding_copies,
    embedding_terms,
    licence_with_embeddings,
)
from emofuse.recognition.enrolled_model import enrolled_file
from emofuse.system.file_lock import empty_locked, locked_folder
from emofuse.training.dataset import Inputs, need_labels, part_entries, read_dataset
from emofuse.training.fusion import fit_fusion, share_trials
from emofuse.training.jobs import load_network, load_outputs, pretrained_sha256, run_network_jobs
from emofuse.training.measured import measure_bundle
from emofuse.training.networks.onnx_export import export_ensemble, export_ratings
from emofuse.training.plan import NetworkJob, Plan, make_plan, network_jobs
from emofuse.training.rating_jobs import load_rating_network, run_rating_jobs
from emofuse.training.rating_plan import RatingJob, rating_jobs
from emofuse.training.ratings import fit_ratings
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import RunMarks, check_run, claim_run, software


def train(
    corpus: Corpus,
    recipe: Recipe,
    out: Path,
    resources: Resources = ONE_PROCESS,
    *,
    measure_on: Sequence[Corpus] = (),
) -> Bundle:
    """Train a recognizer on every take of a corpus and write it as a bundle.

    The pairs of networks leave training actors out in turn, as in ``emofuse evaluate``, so that the fusion is
    fitted on actors that the networks had not seen. No take is set aside for testing.

    Args:
        corpus: the takes.
        recipe: what is fitted, and how.
        out: folder of the bundle; must not exist or be empty. Work goes to ``out``.work beside it, from
            where an interrupted run resumes, and is removed at the end.
        resources: executor, device, stored features, progress.
        measure_on: corpora that the finished bundle reads once; nothing is fitted on them. Their figures are
            in its provenance, ``measured``.

    Raises:
        BundleError: ``out`` is not empty.
        ExperimentError: the corpus is too small, or the work folder holds another run or is in use.
    """
    if measure_on:
        need_labels(corpus, "--measure")
    out = out.resolve()
    check_free(out)
    run = out.with_name(out.name + ".work")
    with locked_folder(run), resources.computing():
        check_free(out)  # another run may just have ended
        bundle = _train(corpus, recipe, out, run, resources, measure_on)
        empty_locked(run)
    return bundle


def _train(
    corpus: Corpus,
    recipe: Recipe,
    out: Path,
    run: Path,
    resources: Resources,
    measure_on: Sequence[Corpus],
) -> Bundle:
    pretrained = pretrained_sha256(recipe, corpus)
    work = run / "work"
    marks: RunMarks = {"recipe": recipe.hash(), "pretrained_sha256": pretrained, **resources.marks(recipe)}
    check_run(run, marks)
    dataset = read_dataset(corpus, recipe, work, resources)
    claim_run(run, {**marks, "corpus": dataset.fingerprint})
    inputs = dataset.inputs
    plan = make_plan("all", inputs, range(len(dataset.takes)), (), recipe)
    jobs = network_jobs(plan, inputs, recipe)
    run_network_jobs(jobs, inputs, recipe, work, resources)
    ratings = rating_jobs(plan, inputs, recipe)
    run_rating_jobs(ratings, inputs, recipe, work, resources)
    scoring = [job for job in jobs if job.member in plan.scoring]
    files, chosen = _network_files(scoring, inputs, recipe, work), None
    files |= _rating_files([job for job in ratings if job.member in plan.scoring], inputs, recipe, work)
    share_trials([plan], inputs, recipe, work, resources)
    if len(inputs.modalities) > 1 and inputs.emotions:
        resources.on_progress("fusions", 0, 1)
        fusion = fit_fusion(plan, inputs, recipe, work)
        resources.on_progress("fusions", 1, 1)
        chosen = fusion.chosen
        for k, model in enumerate(fusion.classifiers[chosen]):
            files[f"fusion-{k}.onnx"] = model.to_onnx()
    copies = embedding_copies(recipe)
    files |= copies
    if recipe.enrolment is not None and inputs.emotions:
        files |= _enrolled_files(scoring, inputs, recipe, work)
        if len(inputs.modalities) > 1:
            enrolled = fit_fusion(plan, inputs, recipe, work, enrolled=True)
            files[f"{enrolled_file('fusion')}.onnx"] = enrolled.classifiers[enrolled.chosen][0].to_onnx()
    save = partial(
        save_bundle,
        files=files,
        recipe=recipe,
        emotions=inputs.emotions,
        licence=licence_with_embeddings(recipe, corpus.name, corpus.licence),
        action_units=dataset.action_units,
        terms=embedding_terms(recipe, copies),
        dimensions=fit_ratings(plan, inputs, work),
    )
    provenance: dict[str, Any] = {
        "corpus": corpus.name,
        "synthetic": corpus.synthetic,
        "takes": len(dataset.takes),
        "speakers": sorted(set(inputs.speakers.tolist())),
        **({"corpora": part_entries(corpus, dataset.takes)} if corpus.parts else {}),
        "features_fingerprint": dataset.fingerprint,
        "recipe_hash": recipe.hash(),
        "pretrained_sha256": pretrained,
        "fusion": chosen,
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software(),
        "compute": resources.compute.entry(),
        "notes": [*dataset.notes, *resources.notes(recipe)],
        **_information(plan, jobs, inputs, work),
    }
    if measure_on:
        shutil.rmtree(run / "draft", ignore_errors=True)
        draft = save(run / "draft", provenance=provenance)
        provenance["measured"] = [
            measure_bundle(draft, other, recipe.seed, resources) for other in measure_on
        ]
    return save(out, provenance=provenance)


def _information(
    plan: Plan, jobs: Sequence[NetworkJob], inputs: Inputs, work: Path
) -> dict[str, dict[str, float]]:
    """What a clip tells each modality's networks on average, for own baselines: by modality.

    Of clips whose speakers a network had not seen. A modality of which every network has seen all speakers,
    as where a corpus has no other and the recipe refits, is left out.
    """
    trained = {(job.member, job.modality) for job in jobs if not job.enrolled}
    facts: dict[str, dict[str, float]] = {}
    for modality in inputs.modalities:
        parts = [
            np.exp(load_outputs(plan, modality, rows, [member.index], work).log_probabilities)
            for member in plan.members
            if (member.index, modality) in trained
            and len(rows := inputs.having(modality, member.fusion_rows))
        ]
        if parts:
            facts[modality] = {INFORMATION: information_nats(np.concatenate(parts))}
    return facts


def _network_files(
    jobs: Sequence[NetworkJob], inputs: Inputs, recipe: Recipe, work: Path
) -> dict[str, bytes]:
    """The networks of each modality as ONNX."""
    files = {}
    for modality in inputs.modalities if inputs.emotions else ():
        networks = [
            load_network(job, inputs, recipe, work)
            for job in jobs
            if job.modality == modality and not job.enrolled
        ]
        files[f"{modality}.onnx"] = export_ensemble(networks, inputs.load(modality)[0].copy())
    return files


def _rating_files(jobs: Sequence[RatingJob], inputs: Inputs, recipe: Recipe, work: Path) -> dict[str, bytes]:
    """The networks that output ratings, of each modality, as ONNX; none without dimensions."""
    files = {}
    for modality in inputs.modalities if inputs.dimensions else ():
        networks = [
            load_rating_network(job, inputs, recipe, work) for job in jobs if job.modality == modality
        ]
        files[RATINGS_FILES[modality]] = export_ratings(networks, inputs.load(modality)[0].copy())
    return files


def _enrolled_files(
    jobs: Sequence[NetworkJob], inputs: Inputs, recipe: Recipe, work: Path
) -> dict[str, bytes]:
    """The networks for enrolled speakers, each with its speaker prior."""
    files = {}
    for job in (job for job in jobs if job.enrolled):
        network = load_network(job, inputs, recipe, work)
        example = np.zeros(len(network.mean), dtype=np.float32)
        name = enrolled_file(job.modality)
        files[f"{name}.onnx"] = export_ensemble([network], example)
        files[f"{name}.npz"] = (work / job.name / "population.npz").read_bytes()
    return files

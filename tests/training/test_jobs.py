"""Network jobs: finished ones are skipped, and trained networks load with the same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import WeightsError
from emofuse.features.extraction import MODALITIES
from emofuse.training.jobs import load_network, load_outputs, run_network_job
from emofuse.training.loop import infer
from emofuse.training.plan import make_plan, network_jobs
from tests.support import small_inputs
from tests.support.small_inputs import make_inputs, small_recipe


def test_a_finished_job_is_skipped(tmp_path: Path) -> None:
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
    # without the last file the job was interrupted: it is run again, with the same results
    (folder / "curve.json").unlink()
    outputs = (folder / "outputs.npz").read_bytes()
    run_network_job(job, inputs, recipe, tmp_path)
    assert (folder / "weights.safetensors").read_bytes() != b"kept"
    with np.load(folder / "outputs.npz") as new:
        (tmp_path / "old.npz").write_bytes(outputs)
        with np.load(tmp_path / "old.npz") as old:
            assert all((new[name] == old[name]).all() for name in old.files)


def test_a_loaded_network_has_the_outputs_of_the_trained_one(tmp_path: Path) -> None:
    recipe = small_recipe()
    inputs = make_inputs(tmp_path, n_actors=3, takes=1)
    plan = make_plan("p", inputs, range(16), range(16, 24), recipe)
    for modality in MODALITIES:
        job = next(j for j in network_jobs(plan, inputs, recipe) if j.modality == modality)
        run_network_job(job, inputs, recipe, tmp_path)
        features, logs = infer(
            load_network(job, inputs, recipe, tmp_path), np.array(inputs.load(modality)[16:24])
        )
        outputs = load_outputs(plan, modality, np.arange(16, 24), [job.member], tmp_path)
        np.testing.assert_allclose(outputs.features[0], features, atol=1e-6)
        np.testing.assert_allclose(outputs.logs[0], logs, atol=1e-6)
        np.testing.assert_allclose(np.exp(outputs.log_probabilities).sum(1), 1)


def test_missing_weights_stop_a_job_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "none"))
    recipe = small_inputs.rosred(tmp_path, 'source = "deepface"')
    inputs = small_inputs.make_images(tmp_path / "images", 8, 1)
    plan = make_plan("fold-1", inputs, range(64), (), recipe)
    job = next(j for j in network_jobs(plan, inputs, recipe) if j.modality == "face")
    with pytest.raises(WeightsError, match=r"emofuse weights fetch deepface-emotion.*emotion_cnn\.path"):
        run_network_job(job, inputs, recipe, tmp_path / "work")
    assert not (tmp_path / "work" / job.name).exists()

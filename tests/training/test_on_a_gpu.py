"""Training on a GPU: the same figures as on the CPU, up to rounding. Skipped where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.system.executors import Processes
from emofuse.training.compute import Compute, computing
from emofuse.training.kernel_machine import MOST_ROWS
from emofuse.training.torch_settings import reproducible
from tests.support.drawn_trainings import TRAININGS, Trained, weights_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use"),
]
GPU = Compute("cuda")


@pytest.fixture(autouse=True)
def settings_of_the_process() -> Any:
    """Nothing of the whole process is changed by any training."""

    def settings() -> list[Any]:
        from emofuse.training import torch_settings

        return [
            torch.get_num_threads(),
            *(setting._read() for setting, _ in torch_settings._GPU_SETTINGS),
            *torch.random.get_rng_state().tolist(),
            *torch.cuda.get_rng_state().tolist(),
        ]

    before = settings()
    yield
    assert settings() == before


def on_gpu(train: Callable[[], Trained]) -> Trained:
    with computing(GPU):
        return train()


@pytest.mark.parametrize("name", TRAININGS)
def test_figures_are_those_of_the_cpu_up_to_rounding(name: str) -> None:
    """Of all that is drawn, nothing differs: the losses of the first epochs agree to three digits or more."""
    cpu, gpu = TRAININGS[name](), on_gpu(TRAININGS[name])
    assert gpu.losses == pytest.approx(cpu.losses, rel=2e-3)
    np.testing.assert_allclose(gpu.logs, cpu.logs, atol=0.03)
    assert np.abs(gpu.logs - cpu.logs).mean() < 3e-3
    assert (gpu.logs.argmax(1) == cpu.logs.argmax(1)).mean() >= 0.95
    assert all(value.device.type == "cpu" for value in gpu.network.state_dict().values())


@pytest.mark.parametrize("name", ["compact voice", "blendshapes", "ensemble", "attention"])
def test_the_same_card_gives_the_same_weights_again(name: str) -> None:
    first, again = (weights_of(on_gpu(TRAININGS[name]).network) for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_bfloat16_is_coarser_and_learns() -> None:
    exact = on_gpu(TRAININGS["compact voice"])
    with computing(Compute("cuda", "bfloat16")):
        coarse = TRAININGS["compact voice"]()
    assert coarse.losses != exact.losses
    assert coarse.losses == pytest.approx(exact.losses, rel=0.05)


def test_float32_is_not_tf32() -> None:
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(1, 64, 32, 32, generator=generator), torch.randn(64, 64, 3, 3, generator=generator))
    expected = torch.nn.functional.conv2d(x.double(), w.double())
    with computing(GPU), reproducible() as device:
        found = torch.nn.functional.conv2d(x.to(device), w.to(device)).cpu().double()
    assert (found - expected).abs().max() < 1e-3  # TF32: 0.03 and more


def test_a_kernel_machine_with_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    from emofuse.training import kernel_machine

    assert MOST_ROWS > 100
    monkeypatch.setattr(kernel_machine, "MOST_ROWS", 100)
    monkeypatch.setattr(kernel_machine, "N_LANDMARKS", 60)
    for name in ("ensemble", "ensemble, two corpora"):
        cpu, gpu = TRAININGS[name](), on_gpu(TRAININGS[name])
        np.testing.assert_allclose(gpu.logs, cpu.logs, atol=0.03)


@pytest.mark.parametrize("architecture", ["compact", "emotion"])
def test_an_expression_network(architecture: Any, tmp_path: Path) -> None:
    """One of each, resumed after an interrupt, ends as one in one go, near that of the CPU."""
    from emofuse.core.errors import ExperimentError
    from emofuse.training.expression import ExpressionSettings, train_expression
    from tests.support.small_faces import wave_images

    settings = ExpressionSettings(architecture, epochs=2, batch_size=8, learning_rate=0.02, bfloat16=False)
    faces, held_out = wave_images(160, 0), wave_images(64, 1)
    cpu = train_expression(faces, held_out, settings, tmp_path / "cpu")

    def stop(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with computing(GPU):
        gpu = train_expression(faces, held_out, settings, tmp_path / "gpu")
        with pytest.raises(KeyboardInterrupt):
            train_expression(faces, held_out, settings, tmp_path / "again", on_epoch=stop)
        train_expression(faces, held_out, settings, tmp_path / "again")
        coarse = train_expression(faces, held_out, replace(settings, bfloat16=True), tmp_path / "coarse")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("gpu", "again")]
    assert weights[0] == weights[1]
    assert gpu.fer2013_accuracy == pytest.approx(cpu.fer2013_accuracy, abs=0.05)
    assert coarse.fer2013_accuracy == pytest.approx(cpu.fer2013_accuracy, abs=0.15)
    with pytest.raises(ExperimentError, match=r"\(device differ\)"):
        train_expression(faces, held_out, settings, tmp_path / "gpu")


def test_results_name_the_card() -> None:
    entry = Compute.of("cuda", "bfloat16").entry()
    assert entry["card"] == torch.cuda.get_device_name()
    assert (entry["device"], entry["precision"]) == ("cuda", "bfloat16")
    assert entry["cuda"] == torch.version.cuda
    assert Compute.of("auto") == GPU
    assert GPU.marks == {"device": "cuda"}


def test_processes_share_the_card() -> None:
    from emofuse.training.resources import Resources

    resources = Resources(Processes(2), compute=GPU)
    losses = resources.map("networks", losses_of, [("action units",), ("fusion",)])
    assert losses == [on_gpu(TRAININGS[name]).losses for name in ("action units", "fusion")]


def losses_of(name: str) -> list[float]:
    return TRAININGS[name]().losses

"""Where networks are trained: the choice, and that without a GPU the figures are those of ever."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from emofuse.core.errors import DeviceError, ExperimentError
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.cross_validation import evaluate
from emofuse.system.executors import Processes
from emofuse.training.compute import CPU, Compute, computing, current_compute
from emofuse.training.resources import Resources
from tests.support.drawn_trainings import TRAININGS, weights_of

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
BFLOAT16 = Compute("cpu", "bfloat16")


def test_the_default_is_what_published_figures_rest_on() -> None:
    assert Compute.of() == Compute() == CPU == Resources().compute == current_compute()
    assert (CPU.device, CPU.precision, CPU.marks) == ("cpu", "float32", {})
    assert CPU.entry() == {"device": "cpu", "precision": "float32"}


@without_gpu
def test_auto_is_the_default_where_there_is_no_gpu() -> None:
    assert Compute.of("auto") == CPU
    assert Compute.of("auto", "bfloat16") == BFLOAT16


@without_gpu
def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match=r"no GPU can be used: .*leave out --device cuda"):
        Compute.of("cuda")


def test_a_build_for_the_cpu_is_told_from_a_gpu_that_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match="is built for the CPU alone"):
        Compute.of("cuda")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(DeviceError, match=r"built for CUDA 13\.0, finds none"):
        Compute.of("cuda")


def test_a_choice_holds_in_its_block_and_thread_alone() -> None:
    seen = []
    with computing(BFLOAT16):
        assert current_compute() == BFLOAT16
        thread = threading.Thread(target=lambda: seen.append(current_compute()))
        thread.start()
        thread.join()
    assert current_compute() == CPU
    assert seen == [CPU]


@pytest.mark.parametrize("name", ["compact voice", "ensemble", "attention"])
def test_bfloat16_trains_other_networks_that_still_learn(name: str) -> None:
    exact = TRAININGS[name]()
    with computing(BFLOAT16):
        coarse = TRAININGS[name]()
    first, second = weights_of(exact.network), weights_of(coarse.network)
    assert any(not torch.equal(first[key], second[key]) for key in first)
    assert all(value.dtype == first[key].dtype for key, value in second.items())
    assert coarse.losses == pytest.approx(exact.losses, rel=0.05)
    assert coarse.losses[-1] < coarse.losses[0]


@without_gpu
def test_auto_without_a_gpu_is_equal_to_the_default_to_the_bit(
    au_run: Path, au_folder: Path, au_toml: Path, store: Any, tmp_path: Path
) -> None:
    """The same folder, the same stored features, the same predictions, through other processes too."""
    stored = sorted(path for path in store.root.rglob("*") if path.is_file())
    resources = Resources(Processes(2), store=store, compute=Compute.of("auto"))
    evaluate(load_corpus(au_folder), load_recipe(au_toml), "actors-2", tmp_path / "run", resources)
    assert sorted(path for path in store.root.rglob("*") if path.is_file()) == stored
    for name in ("predictions.csv", "run.json"):
        assert (tmp_path / "run" / name).read_bytes() == (au_run / name).read_bytes()
    weights = sorted(au_run.glob("work/*/*/weights.safetensors"))
    assert weights
    for path in weights:
        assert (tmp_path / "run" / path.relative_to(au_run)).read_bytes() == path.read_bytes()
    ours, theirs = (json.loads((run / "results.json").read_text()) for run in (tmp_path / "run", au_run))
    for clock in ("started", "finished", "seconds"):
        del ours[clock], theirs[clock]
    assert ours == theirs
    assert ours["compute"] == {"device": "cpu", "precision": "float32"}


def test_a_run_resumes_only_in_the_precision_in_which_it_began(
    au_run: Path, au_folder: Path, au_toml: Path, store: Any, tmp_path: Path
) -> None:
    corpus, recipe = load_corpus(au_folder), load_recipe(au_toml)
    coarse = Resources(store=store, compute=BFLOAT16)
    with pytest.raises(ExperimentError, match=r"holds another run \(precision differ\)"):
        evaluate(corpus, recipe, "actors-2", au_run, coarse)
    results = evaluate(corpus, recipe, "actors-2", tmp_path / "run", coarse)
    assert results["compute"] == {"device": "cpu", "precision": "bfloat16"}
    assert (tmp_path / "run" / "predictions.csv").read_bytes() != (au_run / "predictions.csv").read_bytes()
    with pytest.raises(ExperimentError, match=r"\(precision differ\)"):
        evaluate(corpus, recipe, "actors-2", tmp_path / "run", Resources(store=store))

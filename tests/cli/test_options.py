from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.cli.options import (
    DeviceChoice,
    Precision,
    compute,
    people_names,
    processes,
    recording,
    seconds,
    window_rules,
)
from emofuse.core.errors import DeviceError
from emofuse.training.compute import CPU, Compute


def test_zero_jobs_means_one_process_per_usable_core() -> None:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert processes(0) == usable
    assert processes(3) == 3


def test_an_empty_name_is_a_usage_error() -> None:
    assert recording(".") == Path()
    with pytest.raises(typer.BadParameter, match="an empty name is not a recording"):
        recording("")


def test_invalid_window_rules_are_a_usage_error() -> None:
    assert window_rules(3, 1, 5).hop_s == 1
    with pytest.raises(typer.BadParameter):
        window_rules(3, 0, 5)


def test_times_may_be_clock_times_within_their_limits() -> None:
    assert seconds()("1:30") == 90 and seconds()(3.0) == 3 and seconds(0)("0") == 0
    for text in ("nan", "inf", "1:75", "soon"):
        with pytest.raises(typer.BadParameter, match="is not a time"):
            seconds()(text)
    with pytest.raises(typer.BadParameter, match="-1 is not a time from 0 on"):
        seconds(0)("-1")
    with pytest.raises(typer.BadParameter, match=r"2:00:00 is not a time from 0\.5 to 3600"):
        seconds(0.5, 3600)("2:00:00")


def test_people_are_named_by_their_numbers() -> None:
    assert people_names([]) == {}
    assert people_names(["1=Anna, the host", "person-2=Bert,Person 13 = C=D"]) == {
        "person 1": "Anna, the host", "person 2": "Bert", "person 13": "C=D",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["Anna", "=Anna", "0=Anna", "1=", "1= ", "x=Anna", "1=A,2=A", "1=A,1=B"])
def test_names_that_say_nothing_are_usage_errors(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="--names"):
        people_names([text])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "command", ["demo --out run", "faces train fer2013 --architecture compact --out run"]
)
def test_a_gpu_that_is_not_there_ends_a_command_before_any_work(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command.split(), "--device", "cuda"])
    assert isinstance(done.exception, DeviceError)
    assert list(tmp_path.iterdir()) == []


def test_a_device_and_a_precision_are_chosen() -> None:
    assert compute(DeviceChoice.CPU) == CPU
    assert compute(DeviceChoice.AUTO, Precision.BFLOAT16) == Compute.of("auto", "bfloat16")

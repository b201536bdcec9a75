from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from emofuse.cli.options import processes, recording, window_rules


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

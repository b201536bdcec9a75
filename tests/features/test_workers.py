"""Processes that read takes: results in their places, and a take that kills its process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emofuse.core.errors import EmofuseError, FeatureError
from emofuse.core.records import Clip, Features, Take
from emofuse.features.workers import in_processes


def take_of(name: str) -> Take:
    return Take(name, "s", "happy", Clip(Path(f"{name}.wav"), name, name, "s", "happy", "audio"), None)


def read(take: Take) -> Features | EmofuseError:
    """In a worker: "killer" ends it as a crash of a decoder would."""
    if take.take == "killer":
        os._exit(9)
    return FeatureError(f"{take.take} by {os.getpid()}")


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "killer", "b", "c"]])
def test_every_take_has_a_result(names: list[str]) -> None:
    takes = [take_of(name) for name in ("skipped", *names)]
    results: dict[int, Features | EmofuseError] = {}

    def done(place: int, result: Features | EmofuseError) -> None:
        assert place not in results
        results[place] = result

    in_processes(read, takes, range(1, len(takes)), 2, done)
    assert sorted(results) == list(range(1, len(takes)))
    for place, result in results.items():
        name = takes[place].take
        if name == "killer":
            assert str(result) == "killer.wav: the process that read it died"
        else:
            assert str(result).startswith(f"{name} by ") and not str(result).endswith(str(os.getpid()))

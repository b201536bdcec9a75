"""Fifty broken files of each format that a study brings: a clear line each. `make soak` reads a thousand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.system.isolated_workers import Lost
from tests.support.broken_files import ALL_DAMAGES, FORMATS, MOST_BYTES, Broken, broken, written

SEEDS = range(55)


def test_broken_files_are_refused_in_a_line(tmp_path: Path) -> None:
    found = Broken(tmp_path).run(list(FORMATS), SEEDS)
    assert found.offenders == []
    for kind in FORMATS:
        read, refused = found.outcomes[kind, "read"], found.outcomes[kind, "refused"]
        assert read + refused == len(SEEDS), kind
        # damage without effect would prove nothing
        assert refused >= len(SEEDS) // 3, kind


@pytest.mark.parametrize("kind", FORMATS)
def test_the_files_that_are_broken_are_valid(kind: str, tmp_path: Path) -> None:
    FORMATS[kind].read(written(kind, tmp_path / "valid"))


def test_seeds_are_reproducible() -> None:
    content = bytes(range(256)) * 8
    for damage in ALL_DAMAGES:
        found = {broken(content, damage, np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4, 5)}
        assert len(found) >= 4
        assert content not in found


def test_offenders_are_detected(tmp_path: Path) -> None:
    found = Broken(tmp_path)
    fine: dict[str, Any] = {"error": "x.toml: name is missing", "expected": True, "bytes": 0, "printed": ""}
    found.judge("recipe", 0, fine)
    found.judge("recipe", 1, {**fine, "error": None})
    assert found.offenders == []
    found.judge("recipe", 2, Lost("took longer than 10 s"))
    found.judge("recipe", 3, {**fine, "expected": False})
    found.judge("recipe", 4, {**fine, "bytes": MOST_BYTES + 1})
    found.judge("recipe", 5, {**fine, "error": "two\nlines"})
    found.judge("recipe", 6, {**fine, "printed": "Traceback"})
    assert [one.partition(" (")[0] for one in found.offenders] == [f"recipe, seed {k}" for k in range(2, 7)]

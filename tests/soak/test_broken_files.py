"""A thousand broken files of each format that a study brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.broken_files import FORMATS, Broken

pytestmark = pytest.mark.soak

SEEDS = range(10_000, 11_000)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_thousand_broken_files_are_refused_in_a_line(kind: str, tmp_path: Path) -> None:
    found = Broken(tmp_path).run([kind], SEEDS, jobs=2)
    print(f"{kind}: {dict(found.outcomes)}")
    assert found.offenders == []
    assert sum(found.outcomes.values()) == len(SEEDS)

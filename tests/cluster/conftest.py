"""A real Ray cluster on this machine, whose head has one core."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.ray_nodes import RayNodes


@pytest.fixture(scope="session")
def head() -> Iterator[RayNodes]:
    """A cluster of its head alone."""
    with RayNodes(head_cores=1) as nodes:
        yield nodes

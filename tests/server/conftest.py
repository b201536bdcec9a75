"""One service for all tests that change nothing of it, and recordings to send to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.service import TOKEN, RunningService
from tests.support.small_corpora import write_wav
from tests.support.speech import speech_like

RATE = 16_000
OFTEN = {"requests_per_s": 1000.0, "burst": 1_000_000}
"""Tests may ask as often as they like, but for those of the rate."""


@pytest.fixture(scope="session")
def clip(home: Path) -> Path:
    """Three seconds of somebody's voice."""
    return write_wav(home / "clip.wav", speech_like(RATE), RATE)


@pytest.fixture(scope="session")
def long_recording(home: Path) -> Path:
    """Half an hour of it: nobody reads that in a moment, least of all in steps of 0.1 s."""
    return write_wav(home / "long.wav", np.tile(speech_like(RATE, 600.0), 3), RATE)


@pytest.fixture(scope="session")
def films(home: Path, clip: Path) -> Path:
    """A folder that the service may read."""
    folder = home / "films"
    (folder / "study").mkdir(parents=True)
    (folder / "study" / "talk.wav").write_bytes(clip.read_bytes())
    return folder


@pytest.fixture(scope="session")
def service(home: Path, films: Path) -> Iterator[RunningService]:
    """A service without a token, with a folder."""
    with RunningService(home / "service", folders=[str(films)], quotas=OFTEN) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(home: Path) -> Iterator[RunningService]:
    """A service with a token."""
    with RunningService(home / "guarded", token=TOKEN, quotas=OFTEN) as running:
        yield running

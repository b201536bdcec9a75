from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment
from tests.support import timelines
from tests.support.annotation_files import Span, write_eaf, write_textgrid

PEOPLE = ("Anna", "Bert")
LABELS = ("neutral", "happy", "sad", "angry")
DURATION_S = 600.0


def _spans(rng: np.random.Generator, n: int) -> list[Span]:
    cuts = [0.0, *np.sort(rng.uniform(0, DURATION_S, n)).round(2).tolist(), DURATION_S]
    return [(start, end, LABELS[rng.integers(4)]) for start, end in pairwise(cuts) if end - start > 0.02]


def _coded_again(rng: np.random.Generator, spans: list[Span], right: float) -> list[Span]:
    """As another coder would have it: some spans left out, some with another label."""
    return [
        (start, end, label if rng.random() < right else LABELS[rng.integers(4)])
        for start, end, label in spans
        if rng.random() > 0.1
    ]


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    """A folder with ten minutes of talk.mp4: its timeline, and files by eva, tim and zoe."""
    return write_coded(tmp_path, "talk.mp4", 1)


def write_coded(folder: Path, source: str, seed: int) -> Path:
    rng, stem = np.random.default_rng(seed), source.partition(".")[0]
    truth = {person: _spans(rng, 90) for person in PEOPLE}
    said = [
        Segment(start, end, label, 0.7, person=person)
        for person in PEOPLE
        for start, end, label in _coded_again(rng, truth[person], 0.6)
    ]
    said.sort(key=lambda one: (one.start_s, str(one.person)))
    timeline = timelines.timeline(source=source, duration_s=DURATION_S, people=PEOPLE, segments=tuple(said))
    write_timeline(timeline, folder / f"{source}.json")
    for coder, right in (("eva", 0.9), ("tim", 0.8)):
        tiers = {person: _coded_again(rng, truth[person], right) for person in PEOPLE}
        write_eaf(folder / f"{stem}.{coder}.eaf", tiers)
    tiers = {person: _coded_again(rng, truth[person], 0.7) for person in PEOPLE}
    write_textgrid(folder / f"{stem}.zoe.TextGrid", tiers, DURATION_S)
    return folder

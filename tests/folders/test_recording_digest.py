from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emofuse.folders.recording_digest import RecordingDigest
from emofuse.timeline.summary import excluded_s, summary_rows
from tests.support import timelines


@pytest.mark.parametrize("seed", range(6))
def test_a_digest_comes_back_as_it_was(seed: int, tmp_path: Path) -> None:
    timeline = timelines.marked_timeline(seed)
    digest = RecordingDigest.of(timeline)
    assert [row["person"] for row in digest.summary] == [row["person"] for row in summary_rows(timeline)]
    assert [row["excluded_s"] for row in digest.summary] == [
        excluded_s(timeline, row["person"]) for row in digest.summary
    ]
    digest.save(tmp_path / "digest.json")
    again = RecordingDigest.load(tmp_path / "digest.json")
    assert again is not None
    for name in ("emotions", "duration_s", "n_people", "notes", "summary"):
        assert getattr(again, name) == getattr(digest, name), name
    assert len(again.curves) == len(digest.curves)
    for one, other in zip(again.curves, digest.curves, strict=True):
        assert (one.person, one.marker) == (other.person, other.marker)
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema": "emofuse-recording-digest-1"}', '{"schema": "old"}']
)
def test_what_cannot_be_used_is_nothing(content: str, tmp_path: Path) -> None:
    path = tmp_path / "digest.json"
    assert RecordingDigest.load(path) is None
    path.write_text(content, encoding="utf-8")
    assert RecordingDigest.load(path) is None
    RecordingDigest.of(timelines.timeline()).save(path)
    data = json.loads(path.read_bytes())
    path.write_text(json.dumps(data | {"curves": [{"person": None}]}), encoding="utf-8")
    assert RecordingDigest.load(path) is None

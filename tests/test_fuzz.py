"""A sample of benchmarks/fuzz.py: damaged recordings crash no process and hang none, and errors are clear."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.fuzz import DAMAGES, KINDS, Fuzz
from emofuse.core.errors import EmofuseError
from emofuse.exports.write import write_timeline
from emofuse.recognition.bundle import SHIPPED
from emofuse.recognition.recognizer import Recognizer
from emofuse.recognition.worker_settings import WorkerSettings
from emofuse.system.isolated_workers import Lost

SEEDS = range(1000, 1060)


def test_damaged_recordings_never_crash_or_hang(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path).run(SEEDS, WorkerSettings.of(SHIPPED), 2)
    assert fuzz.offenders == []
    assert sum(fuzz.outcomes.values()) == len(SEEDS)
    # damage without effect, or so heavy that every file is refused, would prove nothing
    assert min(fuzz.outcomes[outcome] for outcome in ("read", "read with a note", "refused")) >= 3


def test_timelines_of_damaged_recordings_never_crash(tmp_path: Path) -> None:
    fuzz, recognizer = Fuzz(tmp_path), Recognizer.load(SHIPPED)
    outcomes: Counter[str] = Counter()
    for seed in SEEDS:
        try:
            found = recognizer.timeline(fuzz.write(seed))
        except EmofuseError as error:
            outcomes["refused"] += 1
            assert "Error" not in str(error)
        else:
            outcomes["read with a note" if found.notes else "read"] += 1
            write_timeline(found, tmp_path / "a.eaf")
    assert len(outcomes) == 3 and min(outcomes.values()) >= 3


def test_seeds_are_reproducible_and_cover_every_kind_and_damage(tmp_path: Path) -> None:
    fuzz, again = Fuzz(tmp_path), Fuzz(tmp_path)
    assert fuzz.originals == again.originals
    names, unchanged = set(), 0
    for seed in SEEDS:
        path = fuzz.write(seed)
        names.add(path.name[7:])
        data = path.read_bytes()
        assert again.write(seed).read_bytes() == data
        unchanged += data in fuzz.originals.values()
    assert unchanged <= 2  # a block that is moved to where it was
    assert len(names) == len(KINDS) * len(DAMAGES)


def test_offenders_are_detected(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path)
    fine: dict[str, Any] = {
        "error": None,
        "voice_missing": None,
        "face_missing": "no video stream",
        "notes": [],
    }
    fuzz.judge(1, "a.wav", fine)
    assert fuzz.offenders == []
    fuzz.judge(2, "b.wav", Lost("took longer than 10 s"))
    fuzz.judge(3, "c.wav", {**fine, "error": "ValueError: not enough values to unpack"})
    fuzz.judge(4, "d.wav", {**fine, "notes": ["<Frame at 0x7f00deadbeef>"]})
    assert [offender[:6] for offender in fuzz.offenders] == ["seed 2", "seed 3", "seed 4"]

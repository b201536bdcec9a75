"""Every format by one way in; and damaged files of every format, which say what is wrong."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz import DAMAGES, damaged
from emofuse.coding.read import READERS, annotation_files, is_annotation_file, read_annotations
from emofuse.core.errors import AnnotationError
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment
from tests.support import timelines
from tests.support.annotation_files import write_csv

SEEDS = range(50)
"""Of CI; by hand, make soak reads a thousand."""


def test_the_suffix_says_the_format(tmp_path: Path) -> None:
    timeline = timelines.timeline(people=("Anna",), segments=(Segment(1, 2, "happy", 0.5, person="Anna"),))
    for suffix in (".eaf", ".TextGrid", ".csv"):
        spans = read_annotations(write_timeline(timeline, tmp_path / f"a{suffix}")).spans
        (span,) = [one for one in spans if one.label == "happy"]
        assert (span.start_s, span.end_s) == (1.0, 2.0)
    with pytest.raises(
        AnnotationError, match=r"a\.docx: annotations are read from files with the suffix \.eaf"
    ):
        read_annotations(tmp_path / "a.docx")
    with pytest.raises(AnnotationError, match=r"none\.eaf: No such file"):
        read_annotations(tmp_path / "none.eaf")


def test_files_of_folders(tmp_path: Path) -> None:
    for name in ("b/x.eaf", "a/y.CSV", "a/z.mp4", "w.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [
        path.relative_to(tmp_path).as_posix() for path in annotation_files([tmp_path, tmp_path / "q.eaf"])
    ]
    assert found == ["a/y.CSV", "b/x.eaf", "w.tsv", "q.eaf"]
    assert not is_annotation_file(tmp_path / "a" / "z.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="the folder has no annotations"):
        list(annotation_files([tmp_path / "empty"]))


def originals(folder: Path) -> dict[str, bytes]:
    """A file of each format, as other programs and we write them."""
    import pandas as pd

    timeline = timelines.random_timeline(3)
    found = {
        suffix: write_timeline(timeline, folder / f"intact{suffix}").read_bytes()
        for suffix in (".eaf", ".TextGrid")
    }
    spans = [(float(n), n + 0.5, "happy") for n in range(40)]
    found[".csv"] = write_csv(folder / "intact.csv", spans).read_bytes()
    header = "Subject\tBehavior\tBehavior type\tTime\n"
    rows = "".join(f"Anna\tsad\t{('START', 'STOP')[n % 2]}\t{n}.5\n" for n in range(40))
    found[".tsv"] = (header + rows).encode()
    found[".txt"] = write_csv(folder / "b.txt", spans, "start;end;label").read_bytes().replace(b",", b";")
    pd.DataFrame(spans, columns=["start_s", "end_s", "label"]).to_parquet(folder / "intact.parquet")
    found[".parquet"] = (folder / "intact.parquet").read_bytes()
    assert {suffix.lower() for suffix in found} == set(READERS)
    return found


def outcomes_of_damage(folder: Path, seeds: range) -> dict[str, Counter[str]]:
    """Read damaged files of every format; each is read, or refused with a line that names it."""
    counted: dict[str, Counter[str]] = {}
    for suffix, intact in originals(folder).items():
        for seed in seeds:
            path = folder / f"damaged{suffix}"
            damage = DAMAGES[seed % len(DAMAGES)]
            path.write_bytes(damaged(intact, damage, np.random.default_rng(seed)))
            try:
                read_annotations(path)
            except AnnotationError as error:
                text = str(error)
                assert text.startswith(str(path)) and len(text) < 1000, (suffix, seed, text)
                assert not re.search(r"Traceback|\b[A-Z]\w*(Error|Exception)\b|0x[0-9a-f]{6,}", text), text
                counted.setdefault(suffix, Counter())["refused"] += 1
            else:
                counted.setdefault(suffix, Counter())["read"] += 1
    return counted


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    counted = outcomes_of_damage(tmp_path, SEEDS)
    assert set(map(str.lower, counted)) == set(READERS)
    # damage that every file survives, or none, would prove nothing
    assert sum(one["refused"] for one in counted.values()) > 100
    assert sum(one["read"] for one in counted.values()) > 20

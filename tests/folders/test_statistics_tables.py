"""Tables for SPSS and R, against the means that they are made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emofuse.core.errors import BatchError
from emofuse.core.labels import EMOTIONS
from emofuse.folders.condition_means import condition_means
from emofuse.folders.statistics_tables import read_summary, write_statistics
from emofuse.folders.tables import Outcome, write_summary
from emofuse.timeline.summary import summary_columns

PEOPLE = ("Anna", "=1+1", 'שלום, "B"', "person 1", "Čeněk's")
CONDITIONS = ("before", "After lunch!", "after-lunch", "後")


def outcomes(labels: tuple[str, ...], *, seed: int = 0, conditions: bool = True) -> list[Outcome]:
    """Twelve recordings of one to four people, some of whom are not read."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(12):
        rows = []
        condition = CONDITIONS[number % 4] if conditions else None
        for person in rng.permutation(np.array(PEOPLE, dtype=object))[: rng.integers(1, 5)]:
            read = rng.random() < 0.9
            shares = rng.dirichlet(np.ones(len(labels) + 1))
            values = dict.fromkeys(summary_columns(labels)) | {"person": person, "condition": condition}
            values["read_s"] = float(rng.uniform(1, 100)) if read else 0.0
            if read:
                values |= {f"share_{one}": float(shares[n]) for n, one in enumerate(labels)}
                values["share_abstained"] = float(shares[-1])
                chances = rng.dirichlet(np.ones(len(labels)))
                values |= {f"mean_probability_{one}": float(chances[n]) for n, one in enumerate(labels)}
            rows.append(values)
        found.append(Outcome(f"film {number}.mp4", condition, summary=rows))
    return found


LABELS = (EMOTIONS, ("ja", "nein"), tuple(f'感情 {n} "<&>' for n in range(50)), ("A b", "a-b", "A_b", "!?"))


@pytest.mark.parametrize("labels", LABELS, ids=["eight", "two", "fifty", "alike"])
def test_tables_hold_the_means(labels: tuple[str, ...], tmp_path: Path) -> None:
    given = outcomes(labels)
    write_summary(tmp_path / "summary.csv", given, labels)
    assert read_summary(tmp_path / "summary.csv")[1] == labels
    long_path, wide_path, syntax = write_statistics(tmp_path, tmp_path / "out")
    people = [one for one in condition_means(given, labels) if one.person is not None]
    long, wide = (pd.read_csv(path, keep_default_na=False, na_values=[""]) for path in (long_path, wide_path))
    assert len(long) == len(people) * (len(labels) + 1)
    rows: list[Any] = list(long.itertuples())
    for number, one in enumerate(people):
        own = rows[number * (len(labels) + 1) : (number + 1) * (len(labels) + 1)]
        assert {row.condition for row in own} == {one.condition}
        assert {str(row.participant).removeprefix("'") for row in own} == {str(one.person)}
        assert [row.label for row in own] == [*labels, "abstained"]
        assert sum(row.share for row in own) == pytest.approx(1, abs=1e-4)
        for row in own:
            assert row.share == pytest.approx(one.values[f"share_{row.label}"], abs=1e-6)
    assert len(wide) == len({one.person for one in people}) == wide["participant"].nunique()
    # the same figures, in another shape
    shares = wide[[name for name in wide.columns.tolist() if str(name).startswith("share_")]].to_numpy()
    assert np.nansum(shares) == pytest.approx(long["share"].sum(), abs=1e-3)
    assert np.isfinite(shares).sum() == len(long)
    assert_syntax(syntax.read_text(encoding="utf-8"), [long_path, wide_path])


def assert_syntax(text: str, tables: list[Path]) -> None:
    """SPSS' rules of names, and the columns of each table in their order."""
    assert text.startswith("* Encoding: UTF-8.\n") and "SET DECIMAL=DOT." in text
    blocks = text.split("GET DATA")[1:]
    assert len(blocks) == len(tables)
    for block, path in zip(blocks, tables, strict=True):
        columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")
        read = block.partition("/VARIABLES=")[2].partition("\n  .")[0].split()
        assert read[::2] == columns and f"/FILE='{path.name}'" in block
        assert len({name.lower() for name in columns}) == len(columns)
        for name in columns:
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]{0,63}", name) and not name.endswith(".")
            assert f"\n  {name} '" in block and f"VARIABLE LEVEL {name} (" in block


def test_without_conditions_there_is_one(tmp_path: Path) -> None:
    write_summary(tmp_path / "summary.csv", outcomes(EMOTIONS, conditions=False), EMOTIONS)
    long, wide, _ = write_statistics(tmp_path, tmp_path)
    assert set(pd.read_csv(long)["condition"]) == {"all"}
    assert "share_happy.all" in pd.read_csv(wide).columns


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "emofuse timeline DIR --out-dir"),
        ("", "is not the summary"),
        ("file,person\na,b\n", "is not the summary"),
        (
            "file,person,condition,read_s,share_abstained,share_x,mean_probability_x\na,b,,many,,,\n",
            "cannot be",
        ),
        ("file,person,condition,read_s,share_abstained,share_x,mean_probability_x\na,b\n", "cannot be read"),
        ("file,person,condition,read_s,share_abstained,mean_probability_x\na,b,,1,1,1\n", "cannot be read"),
        ("file,person,condition,read_s,share_abstained,share_x,mean_probability_x\n", "nobody in it"),
    ],
)
def test_what_is_no_summary_is_named(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "summary.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BatchError, match=says):
        write_statistics(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import FeatureError
from emofuse.features.face.action_units import read_action_units

GOOD = "code,AU01_r,AU12_c\n01-01-03-01-02-01-07,0.5,1\n01-01-04-01-02-01-08,2,0\n"


def test_rows_are_found_by_take(tmp_path: Path) -> None:
    path = tmp_path / "au.csv"
    path.write_text("\ufeff" + GOOD + "\n", encoding="utf-8")
    table = read_action_units(path)
    assert table.names == ("AU01_r", "AU12_c") and len(table.rows) == 2
    row = table.row("01-03-01-02-01-07")
    assert row is not None and row.dtype == np.float32
    np.testing.assert_array_equal(row, [0.5, 1])
    assert table.row("01-03-01-02-01-09") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("0.5", "high"), "line 2, column AU01_r: 'high' is not a number"),
        (GOOD.replace(",2,", ",nan,"), "line 3, column AU01_r: 'nan' is not a finite number"),
        (GOOD.replace(",2,", ",,"), "line 3, column AU01_r: '' is not a number"),
        (GOOD.replace("04-01-02-01-08", "03-01-02-01-07"), "line 3, column code: .* twice"),
        (GOOD + "01-01-05-01-02-01-08,1\n", "line 4 has 2 columns"),
        (GOOD.replace("01-01-03-01-02-01-07", "seven"), "line 2, column code: 'seven'"),
        (GOOD.replace("code", "name"), "line 1 must name a column 'code'"),
        ("", "no rows"),
        ("code,AU01_r\n", "no rows"),
    ],
)
def test_errors_are_located(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "au.csv"
    path.write_text(text)
    with pytest.raises(FeatureError, match=message):
        read_action_units(path)


def test_unreadable_tables(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="No such file"):
        read_action_units(tmp_path / "nothing.csv")
    path = tmp_path / "bytes.csv"
    path.write_bytes(b"code,\xff\xfe\n")
    with pytest.raises(FeatureError, match="cannot be read"):
        read_action_units(path)


@pytest.mark.ravdess
def test_the_published_table(ravdess: Path) -> None:
    table = read_action_units(ravdess / "openface_au_mean.csv")
    assert len(table.names) == 35 and len(table.rows) == 1200

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from emofuse.system.parquet_files import parquet_problem


def test_problems_are_named_in_words(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no such file")
    for name, words in (("none.parquet", "No such file"), ("text.parquet", "damaged, or no Parquet file")):
        with pytest.raises((OSError, pyarrow.ArrowException)) as caught:
            pyarrow.parquet.ParquetFile(tmp_path / name)
        assert words in parquet_problem(caught.value)

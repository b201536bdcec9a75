from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emofuse.core.errors import FeatureError
from emofuse.features.embeddings.tables import read_embedding_table, table_part
from emofuse.system.checksums import file_digest
from tests.features.embeddings.test_pooled import embedding

TIMES: dict[str, Any] = {
    "file": ["a/1.wav", "a/1.wav", "2", "a/1.wav"], "time": [0.0, 0.5, 0.0, 1.5],
    "one": [1.0, 2.0, 3.0, 4.0], "two": [1, 1, 2, 2],
}  # fmt: skip


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def npy(path: Path, values: Any, index: str) -> Path:
    np.save(path, values, allow_pickle=True)
    path.with_suffix(".csv").write_text(index)
    return path


def test_times_and_spans_of_a_recording(tmp_path: Path) -> None:
    table = read_embedding_table(parquet(tmp_path / "t.parquet", TIMES))
    np.testing.assert_array_equal(table.of("/x/a/1.wav", None, None), [[1, 1], [2, 1], [4, 2]])
    np.testing.assert_array_equal(table.of("/x/a/1.wav", 0.5, 1.5), [[2, 1]])
    np.testing.assert_array_equal(table.of("2.mp4", None, 0.1), [[3, 2]])
    assert table.of("b/1.wav", None, None) == "no row for 1.wav in t.parquet"
    assert table.of("a/1.wav", 2.0, 3.0) == "no row of a/1.wav from 2 to 3 s in t.parquet"


def test_lists_arrays_and_columns_are_the_same(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    lists = {"file": list("abcd"), "embedding": list(values)}
    columns = {"file": list("abcd"), **{f"c{k}": values[:, k] for k in range(3)}}
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 3)
    for path in (
        parquet(tmp_path / "lists.parquet", lists),
        parquet(tmp_path / "fixed.parquet", {"file": list("abcd"), "embedding": fixed}),
        parquet(tmp_path / "columns.parquet", columns),
        npy(tmp_path / "array.npy", np.asfortranarray(values), "file\na\nb\nc\nd\n"),
    ):
        table = read_embedding_table(path)
        np.testing.assert_array_equal(table.values, values)
        np.testing.assert_array_equal(table.of("x/c.wav", None, None), values[2:3])


def test_spans_are_found_by_both_ends(tmp_path: Path) -> None:
    spans = {"file": ["a.wav"] * 2, "start": [0.0, 2.0], "end": [2.0, 3.5], "v": [1.0, 2.0]}
    table = read_embedding_table(parquet(tmp_path / "t.parquet", spans))
    np.testing.assert_array_equal(table.of("a.wav", 2.0, 3.5), [[2.0]])
    assert "no row of a.wav with start 2 and end 3" in str(table.of("a.wav", 2.0, 3.0))
    assert "2 spans of a.wav, and no row of the whole" in str(table.of("a.wav", None, None))
    whole = read_embedding_table(npy(tmp_path / "w.npy", np.ones((1, 1)), "file\na.wav\n"))
    assert "needs the column time, or start and end" in str(whole.of("a.wav", 1.0, 2.0))


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"name": ["a"], "v": [1.0]}, "no column file"),
        ({"file": ["a"]}, "no column of values"),
        ({"file": ["a"], "v": ["x"]}, "column 'v' holds string, not numbers"),
        ({"file": ["a"], "v": [{"x": 1.0}]}, "holds struct"),
        ({"file": ["a"], "v": [[1.0]]}, "holds list"),
        ({"file": ["a"], "embedding": [[[1.0]]]}, "not lists of numbers"),
        ({"file": ["a"], "embedding": [["x"]]}, "not lists of numbers"),
        ({"file": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]}, "not of one length"),
        ({"file": ["a", "b"], "embedding": [[1.0], None]}, "is missing|not of one length"),
        ({"file": ["a", "b"], "embedding": [[1.0, 2.0], [None, 1.0]]}, "not of one length, or hold no"),
        ({"file": ["a", "b"], "v": [1.0, None]}, "a value is missing"),
        ({"file": ["a", "a"], "v": [1.0, 2.0]}, "rows 1 and 2 are both of a"),
        ({"file": ["a", "b", "a"], "time": [1.0, 0, 0.5], "v": [1, 2, 3]}, "row 3: the times of a do not"),
        ({"file": ["a", "a"], "time": [1.0, 1.0], "v": [1, 2]}, "row 2: the times of a do not increase"),
        ({"file": ["a"], "time": [float("nan")], "v": [1]}, "row 1: time 'nan' is not a time"),
        ({"file": ["a"], "time": [-1.0], "v": [1]}, "row 1: time '-1.0' is not"),
        ({"file": ["a"], "time": ["soon"], "v": [1]}, "row 1: time 'soon' is not"),
        ({"file": ["a"], "time": [[1.0]], "v": [1]}, r"row 1: time '\[1.0\]' is not"),
        ({"file": [""], "v": [1]}, "row 1: file is no name"),
        ({"file": [None], "v": [1]}, "row 1: file is no name"),
        ({"file": [7], "v": [1]}, "row 1: file is no name|cannot be read"),
        ({"file": pa.array([], pa.string()), "v": pa.array([], pa.float32())}, "no rows|cannot be read"),
        ({"file": ["a"], "time": [1.0], "start": [0.0], "end": [1.0], "v": [1]}, "not all of them"),
    ],
)
def test_wrong_parquet(tmp_path: Path, columns: dict[str, Any], problem: str) -> None:
    path = parquet(tmp_path / "t.parquet", columns)
    with pytest.raises(FeatureError, match=problem) as caught:
        read_embedding_table(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "index", "problem"),
    [
        (np.array([{}], object), "file\na\n", "no numbers"),
        (np.ones(3), "file\na\nb\nc\n", r"\(3,\), not \(n_rows, size\)"),
        (np.ones((1, 2), complex), "file\na\n", "complex128"),
        (np.array([["a"]]), "file\na\n", "<U1"),
        (np.ones((2, 2)), "file\na\n", "has 1 rows"),
        (np.ones((1, 2)), "file\na\nb\n", "has more rows"),
        (np.ones((1, 2)), "name\na\n", "no column file"),
        (np.ones((1, 2)), "file,time\na,later\n", "'later' is not a time"),
    ],
)
def test_wrong_arrays(tmp_path: Path, values: Any, index: str, problem: str) -> None:
    with pytest.raises(FeatureError, match=problem):
        read_embedding_table(npy(tmp_path / "t.npy", values, index))


def test_an_array_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    path = npy(tmp_path / "t.npy", np.ones((2, 3), np.float32), "file\na\nb\n")
    path.write_bytes(path.read_bytes().replace(b"(2, 3)", b"(2, 3)".replace(b"3", b"9")))
    with pytest.raises(FeatureError, match="declares 72 bytes and holds 24"):
        read_embedding_table(path)
    path.with_suffix(".csv").unlink()
    np.save(path, np.ones((2, 3)))
    with pytest.raises(FeatureError, match=r"t\.csv: says whose the rows .*No such file"):
        read_embedding_table(path)


def test_a_table_that_is_not_the_recipes(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", TIMES)
    right = embedding(2, file=str(path), sha256=file_digest(path), pooling=("mean",))
    found = table_part(right, "voice", "a/1.wav", (None, None)).array
    assert found is not None
    np.testing.assert_allclose(found, [7 / 3, 4 / 3], rtol=1e-6)
    with pytest.raises(FeatureError, match="wrong sha256"):
        table_part(embedding(2, file=str(path)), "voice", "a/1.wav", (None, None))
    with pytest.raises(FeatureError, match="set a pooling"):
        table_part(right.model_copy(update={"pooling": ()}), "voice", "a/1.wav", (None, None))
    other = embedding(2, file=str(path), other_table=True, pooling=("max",))
    assert table_part(other, "voice", "a/1.wav", (None, None)).missing is None
    assert (
        table_part(other, "voice", None, (None, None)).missing
        == "a recording without a name has no row in t.parquet"
    )
    assert "--embeddings face=TABLE" in str(table_part(embedding(), "face", "a", (None, None)).missing)
    with pytest.raises(FeatureError, match=r"gives \(3, 2\) values, and the recipe reads \(n_times, 3\)"):
        table_part(other.model_copy(update={"size": 3}), "voice", "a/1.wav", (None, None))

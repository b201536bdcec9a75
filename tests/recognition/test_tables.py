from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import BatchError, MissingExtraError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Prediction
from emofuse.recognition.tables import check_table, columns, failure, table_row, to_pandas, write_table

PREDICTIONS = [
    Prediction(
        'a, "b"\n.wav', EMOTIONS, np.array([0.1234567, 0.8765433, 0, 0, 0, 0, 0, 0]), ("voice",),
        face_missing="no video stream", notes=("short", "no face in one frame"),
    ),
    Prediction.failed("caf\udce9.mp4", EMOTIONS, "caf\udce9.mp4: there is no such file"),
]  # fmt: skip


def test_a_row_holds_the_prediction() -> None:
    row = table_row(PREDICTIONS[0])
    assert tuple(row) == columns(EMOTIONS)
    assert [row[e] for e in EMOTIONS] == [0.123457, 0.876543, 0, 0, 0, 0, 0, 0]
    assert (row["emotion"], row["used"], row["voice_missing"]) == ("calm", "voice", None)
    assert (row["face_missing"], row["notes"]) == ("no video stream", "short; no face in one frame")
    failed = table_row(PREDICTIONS[1])
    assert failed["error"] == "caf\\xe9.mp4: there is no such file"
    assert {failed[e] for e in (*EMOTIONS, "emotion", "used", "notes")} == {None}


def test_the_same_rows_in_every_format(tmp_path: Path) -> None:
    import pyarrow.parquet

    rows = [table_row(prediction) for prediction in PREDICTIONS]
    for suffix in ("csv", "jsonl", "parquet"):
        write_table(tmp_path / f"t.{suffix}", rows, EMOTIONS)
    lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    assert tuple(table.column_names) == columns(EMOTIONS)
    assert table.to_pylist() == rows
    assert {str(table.schema.field(e).type) for e in EMOTIONS} == {"double"}
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        for read, row in zip(csv.DictReader(file), rows, strict=True):
            for name, value in row.items():
                shown = "" if value is None else f"{value:.6f}" if isinstance(value, float) else value
                assert read[name] == shown


def test_parquet_has_its_columns_even_if_nothing_could_be_read(tmp_path: Path) -> None:
    import pyarrow.parquet

    write_table(tmp_path / "t.parquet", [table_row(PREDICTIONS[1])], EMOTIONS)
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    assert str(table.schema.field("happy").type) == "double"
    assert str(table.schema.field("emotion").type) == "string"


def test_a_table_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BatchError, match=r"t\.xlsx: a table ends in \.csv, \.jsonl, \.parquet"):
        check_table(tmp_path / "t.xlsx")
    (tmp_path / "t.CSV").mkdir()
    with pytest.raises(BatchError, match="is a folder"):
        check_table(tmp_path / "t.CSV")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    check_table(tmp_path / "t.csv")
    with pytest.raises(MissingExtraError, match=r"emofuse\[tables\]"):
        check_table(tmp_path / "t.parquet")


def test_a_failure_names_its_file_once() -> None:
    assert failure("a.wav", "a.wav: empty") == "a.wav: empty"
    assert failure("a.wav", "no voice, no face") == "a.wav: no voice, no face"


def test_pandas_takes_names_that_are_not_utf8() -> None:
    table = to_pandas(PREDICTIONS)
    assert table["file"].tolist() == ['a, "b"\n.wav', "caf\\xe9.mp4"]
    assert table.loc[0, "calm"] == 0.8765433


def test_a_prediction_is_restored_from_plain_data() -> None:
    for prediction in PREDICTIONS:
        restored = Prediction.from_dict(json.loads(json.dumps(prediction.as_dict())), EMOTIONS)
        assert restored.as_dict() == prediction.as_dict()

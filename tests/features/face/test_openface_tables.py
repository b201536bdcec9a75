from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import FeatureError
from emofuse.core.recipes.load import load_recipe
from emofuse.features.extraction import extract
from emofuse.features.face.action_units import ActionUnitTable, read_action_units
from tests.support.typed import not_none

OPENFACE = "frame, face_id, timestamp, confidence, success, gaze_0_x, AU01_r, AU12_r, AU12_c"
PYFEAT = (
    "FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,x_0,AU01,AU12,AU43,anger,Pitch,input,frame"
)


def write(path: Path, header: str, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def row(table: ActionUnitTable, take: str) -> list[float]:
    found = table.row(take)
    assert found is not None and found.dtype == np.float32
    return [round(float(value), 5) for value in found]


def test_openface_is_pooled_over_the_frames_with_a_good_detection(tmp_path: Path) -> None:
    path = write(
        tmp_path / "01-01-03-01-02-01-07.csv",
        OPENFACE,
        "1, 0, 0.000, 0.98, 1, 0.1, 1.0, 2.0, 1",
        "2, 0, 0.033, 0.95, 1, 0.1, 2.0, 4.0, 0",
        "3, 0, 0.066, 0.98, 0, 0.1, 5.0, 5.0, 1",
        "4, 0, 0.100, 0.30, 1, 0.1, 5.0, 5.0, 1",
        "5, 0, 0.133, 0.98, 1, 0.1, -nan(ind), 5.0, 1",
        "",
    )
    table = read_action_units(path)
    assert table.names == ("AU01_r", "AU12_r", "AU12_c")
    assert row(table, "01-03-01-02-01-07") == [1.5, 3.0, 0.5]
    assert not table.faceless


def test_the_most_frequent_face_counts(tmp_path: Path) -> None:
    """FaceLandmarkVidMulti: two faces per frame, one of which leaves; FaceLandmarkImg: faces of one image."""
    path = write(
        tmp_path / "pair.csv",
        OPENFACE,
        "1, 0, 0.0, 0.98, 1, 0, 5, 5, 1",
        "1, 1, 0.0, 0.91, 1, 0, 1, 1, 0",
        "2, 0, 0.1, 0.98, 0, 0, 5, 5, 1",
        "2, 1, 0.1, 0.91, 1, 0, 3, 1, 0",
    )
    assert row(read_action_units(path), "pair") == [2.0, 1.0, 0.0]
    image = write(tmp_path / "one.csv", "face, confidence, AU01_r", "0, 0.80, 1", "1, 0.95, 2", "2, 0.2, 3")
    assert row(read_action_units(image), "one") == [2.0]


def test_pyfeat_with_many_recordings_in_one_table(tmp_path: Path) -> None:
    """No identities: the largest face of each frame; Windows paths; frames without a face are empty."""
    path = write(
        tmp_path / "all.csv",
        PYFEAT,
        "9,9,10,10,0.99,1,0.9,0.9,0.9,0.1,0,C:\\videos\\02-01-03-01-02-01-07.mp4,0",
        "9,9,40,50,0.99,1,0.1,0.2,0.3,0.1,0,C:\\videos\\02-01-03-01-02-01-07.mp4,0",
        "9,9,40,50,0.99,1,0.3,0.4,0.5,0.1,0,C:\\videos\\02-01-03-01-02-01-07.mp4,1",
        "9,9,40,50,0.20,1,0.9,0.9,0.9,0.1,0,C:\\videos\\02-01-03-01-02-01-07.mp4,2",
        ",,,,,,,,,,,C:\\videos\\02-01-03-01-02-01-07.mp4,3",
        "9,9,40,50,0.99,1,0.5,0.5,0.5,0.1,0,/videos/interview.one.mp4,0",
        "nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nobody.mp4,0.0",
    )
    table = read_action_units(path)
    assert table.names == ("AU01", "AU12", "AU43")
    assert row(table, "01-03-01-02-01-07") == [0.2, 0.3, 0.4]
    assert row(table, "interview.one") == [0.5, 0.5, 0.5]
    assert table.faceless == {"nobody"}
    assert table.why_missing("nobody") == "no frame with a well-detected face of take nobody in all.csv"
    assert table.why_missing("else") == "no row for take else in all.csv"


def test_pyfeat_with_identities(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.csv",
        "FaceScore,AU01,input,frame,Identity",
        "0.9,0.8,a.mp4,0,Person_1", "0.9,0.2,a.mp4,0,Person_0", "0.9,0.4,a.mp4,1,Person_0",
    )  # fmt: skip
    assert row(read_action_units(path), "a") == [0.3]


def test_a_folder_of_tables(tmp_path: Path) -> None:
    folder = tmp_path / "openface"
    write(folder / "01-01-03-01-02-01-07.csv", "frame, success, AU01_r, AU12_c", "1, 1, 0.5, 1")
    write(folder / "01-01-04-01-02-01-07.csv", "frame,success,AU12_c,AU01_r", "1,1,0,2")
    write(folder / "02-01-04-01-02-01-07.csv", "frame,success,AU12_c,AU01_r", "1,1,1,4")
    write(folder / "02-01-05-01-02-01-07.csv", "frame,success,AU12_c,AU01_r", "1,0,1,4")
    write(folder / "._01-01-03-01-02-01-07.csv", "what macOS leaves")
    (folder / "01-01-03-01-02-01-07_of_details.txt").write_text("Input: a.mp4\n")
    table = read_action_units(folder)
    assert table.names == ("AU01_r", "AU12_c")
    assert row(table, "01-03-01-02-01-07") == [0.5, 1.0]
    # of two recordings of one take, the first by name
    assert row(table, "01-04-01-02-01-07") == [2.0, 0.0]
    assert table.faceless == {"01-05-01-02-01-07"}
    other = table.in_order(("AU12_c",))
    assert row(other, "01-03-01-02-01-07") == [1.0] and other.faceless == table.faceless
    with pytest.raises(FeatureError, match=r"also reads AU01; the table has AU01_r, AU12_c"):
        table.in_order(("AU01",))


def test_the_face_branch_gets_the_row_that_was_read(tmp_path: Path, video_clips: dict[str, Path]) -> None:
    table = read_action_units(write(tmp_path / "happy.csv", "frame,success,AU01_r", "1,1,2", "2,0,0"))
    recipe = load_recipe("ravdess-au")
    assert extract(video_clips["happy"], recipe, voice=False, take="happy", table=table).face == [2.0]
    none = extract(video_clips["happy"], recipe, voice=False, take="sad", table=table)
    assert none.face_missing == "no row for take sad in happy.csv"


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("frame, confidence, success, gaze_0_x", ["1,1,1,1"], "line 1 names no action units .* without -aus"),
        ("frame,success,AU01_r,AU01_r", ["1,1,1,1"], "names an action unit twice"),
        ("frame,success,AU01_r", ["1,1"], "line 2 has 2 columns, the first line 3"),
        ("frame,success,AU01_r", ["1,1,2", "2,1,high"], "line 3, column AU01_r: 'high' is not a number"),
        ("frame,success,AU01_r", ["1,yes,2"], "line 2, column success: 'yes' is not a number"),
        ("frame,success,AU01_r", ["1,1,inf"], "line 2: an action unit is not a finite number"),
        ("frame,success,AU01_r", [], "has no rows"),
        (
            "AU01_r,AU12_r",
            ["1,1"],
            "line 1 must name a column 'code' .* or the columns of OpenFace or py-feat",
        ),
    ],
)
def test_errors_are_located(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        read_action_units(write(tmp_path / "t.csv", header, *rows))


def test_errors_of_folders(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"no \.csv file in this folder"):
        read_action_units(tmp_path)
    write(tmp_path / "a.csv", "frame,success,AU01_r", "1,1,1")
    write(tmp_path / "b.csv", "frame,success,AU02_r", "1,1,1")
    with pytest.raises(
        FeatureError, match=r"b\.csv: its action units are not those of a\.csv: AU01_r, AU02_r"
    ):
        read_action_units(tmp_path)
    write(tmp_path / "b.csv", "code,AU01_r", "01-01-04-01-02-01-07,1")
    with pytest.raises(FeatureError, match=r"b\.csv: not a table of frames"):
        read_action_units(tmp_path)


def test_means_are_those_of_pandas(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["frame", " timestamp", " confidence", " success", " AU01_r", " AU12_r"])
        for i in range(200):
            confidence = round(float(rng.uniform(0.5, 1)), 3)
            lines.writerow([i, i / 30, confidence, int(rng.random() > 0.2), *rng.uniform(0, 5, 2).round(2)])
    frame = pandas.read_csv(path, skipinitialspace=True)
    good = frame[(frame.success == 1) & (frame.confidence >= 0.7)]
    assert 20 < len(good) < 180
    np.testing.assert_allclose(
        not_none(read_action_units(path).row("x")), good[["AU01_r", "AU12_r"]].mean().to_numpy(), rtol=1e-6
    )

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from emofuse.core.errors import CorpusError
from emofuse.core.labels import FER_PLUS
from emofuse.corpus.fer2013 import Cleaning, Faces, clean_training_faces, read_fer2013

# neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, no face
VOTES = np.array(
    [
        [0, 8, 0, 0, 2, 0, 0, 0, 0, 0],  # clear
        [0, 8, 1, 0, 1, 0, 0, 0, 0, 0],  # two errors: 8 of 8 counted
        [4, 0, 0, 5, 0, 0, 1, 0, 0, 0],  # 5 of 9 counted is more than half
        [4, 0, 0, 4, 2, 0, 0, 0, 0, 0],  # a tie
        [3, 0, 0, 4, 3, 0, 0, 0, 0, 0],  # the most, but not half
        [5, 0, 0, 3, 2, 0, 0, 0, 0, 0],  # half is not more than half
        [0, 0, 3, 0, 0, 0, 0, 0, 7, 0],  # unknown
        [0, 0, 0, 0, 0, 0, 0, 2, 0, 8],  # no face
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # only errors
        [0, 0, 4, 0, 0, 0, 0, 0, 2, 4],  # tie of an emotion and no face
        [0, 0, 0, 0, 0, 4, 0, 0, 3, 3],  # the most, "unknown" and "no face" count against it
    ]
)


def faces_of(votes: np.ndarray[Any, Any]) -> Faces:
    n = len(votes)
    return Faces(np.zeros((n, 48, 48), np.uint8), np.zeros(n, np.int64), votes.astype(np.int64))


def test_votes_worked_by_hand() -> None:
    happy, sad, neutral, disgust = (FER_PLUS.index(x) for x in ("happiness", "sadness", "neutral", "disgust"))
    faces = faces_of(VOTES)
    assert faces.majority.tolist() == [happy, happy, sad, -1, -1, -1, -1, -1, -1, -1, -1]
    assert faces.most_voted.tolist() == [
        happy, happy, sad, -1, sad, neutral, -1, -1, -1, -1, disgust,
    ]  # fmt: skip
    shares = faces.distribution
    assert shares.shape == (11, 8)
    assert shares.dtype == np.float32
    assert_allclose(shares[0], [0, 0.8, 0, 0, 0.2, 0, 0, 0], atol=1e-7)
    assert_allclose(shares[1], [0, 1, 0, 0, 0, 0, 0, 0])
    assert_allclose(shares[2], np.array([4, 0, 0, 5, 0, 0, 0, 0]) / 9, atol=1e-7)
    assert_allclose(shares[10], [0, 0, 0, 0, 0, 1, 0, 0])
    for row in (6, 7, 8):
        assert not shares[row].any()
    assert faces.counted[1].tolist() == [0, 8, 0, 0, 0, 0, 0, 0, 0, 0]


def test_faces_check_their_shapes() -> None:
    good = faces_of(VOTES)
    assert len(good.take(good.majority >= 0)) == 3
    with pytest.raises(ValueError, match=r"\(n, 48, 48\) uint8"):
        Faces(good.images.astype(np.float32), good.emotion, good.votes)
    with pytest.raises(ValueError, match=r"\(n, 48, 48\) uint8"):
        Faces(good.images[:, :40], good.emotion, good.votes)
    with pytest.raises(ValueError, match="11 faces"):
        Faces(good.images, good.emotion[:10], good.votes)


def write(folder: Path, split: str = "train", **changes: Any) -> Path:
    n = 3
    arrays = {
        "images": np.arange(n * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(n, 48, 48),
        "emotion": np.array([0, 6, 3], np.int8),
        "votes": VOTES[:n].astype(np.int8),
    } | changes
    with (folder / f"{split}.npz").open("wb") as file:
        np.savez_compressed(file, **{k: v for k, v in arrays.items() if v is not None})
    return folder / f"{split}.npz"


def test_reading_a_file(tmp_path: Path) -> None:
    write(tmp_path, "public_test")
    faces = read_fer2013(tmp_path, "public_test")
    assert faces.emotion.tolist() == [0, 6, 3]
    assert faces.emotion.dtype == faces.votes.dtype == np.int64
    assert_array_equal(faces.votes, VOTES[:3])
    assert faces.images[1, 0, :3].tolist() == [0, 1, 2]  # 48 · 48 = 9 · 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"votes": None}, "votes"),
        ({"images": np.zeros((3, 48, 40), np.uint8)}, r"\(3, 48, 40\)"),
        ({"images": np.zeros((3, 48, 48), np.float32)}, "float32"),
        ({"images": np.uint8(3)}, r"faces are \(n, 48, 48\) uint8, not \(\)"),
        ({"emotion": np.array([0, 1])}, "3 faces"),
        ({"emotion": np.array([0, 1, 7])}, "labels must be 0 to 6"),
        ({"emotion": np.array([0, 1, -1])}, "labels must be 0 to 6"),
        ({"emotion": np.array([0.5, 1, np.nan])}, "emotion must be integers, not float64"),
        ({"emotion": np.array(["a", "b", "c"])}, "emotion must be integers"),
        ({"votes": np.full((3, 10), -1)}, "votes must be counts"),
        ({"votes": VOTES[:3, :8]}, r"votes \(3, 8\)"),
        # an array of objects is a pickle, which would run what it likes
        ({"emotion": np.array([0, 1, "x"], dtype=object)}, "holds no numbers or text"),
        (
            {"images": np.zeros((0, 48, 48), np.uint8), "emotion": np.zeros(0, int), "votes": VOTES[:0]},
            "there must be at least one face",
        ),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(CorpusError, match=message) as caught:
        read_fer2013(tmp_path, "train")
    assert str(path) in str(caught.value)


def test_files_that_are_damaged_or_missing(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no .*train\.npz: FER2013 is read as train\.npz"):
        read_fer2013(tmp_path, "train")
    path = write(tmp_path)
    whole = path.read_bytes()
    lone = io.BytesIO()
    np.save(lone, np.zeros(3))
    middle = whole.index(b"images.npy") + 60  # inside the compressed images
    for damaged in (
        b"", b"PK\x03\x04", b"no archive at all", whole[:-30], lone.getvalue(),
        whole[:middle] + bytes(byte ^ 255 for byte in whole[middle : middle + 40]) + whole[middle + 40 :],
    ):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=r"train\.npz: not a file of FER2013 faces"):
            read_fer2013(tmp_path, "train")


def image(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)


def labeled(*faces: tuple[np.ndarray[Any, Any], int]) -> Faces:
    votes = np.zeros((len(faces), 10), np.int64)
    votes[:, 0] = np.arange(len(faces))  # tells the copies apart
    return Faces(np.stack([f[0] for f in faces]), np.array([f[1] for f in faces]), votes)


def test_cleaning_drops_only_what_it_counts() -> None:
    blank = np.full((48, 48), 7, np.uint8)
    training = labeled(
        (image(0), 3), (blank, 1), (image(1), 2), (image(2), 4), (image(0), 3),
        (image(3), 0), (image(3), 5), (blank, 1), (image(0), 3), (image(4), 6), (image(3), 0),
    )  # fmt: skip
    held_out = labeled((image(1), 2), (image(9), 0), (blank, 1))
    kept, cleaning = clean_training_faces(training, held_out)
    # images 0 (the first copy), 2 and 4 are kept: 1 is held out, 3 has two labels
    assert kept.votes[:, 0].tolist() == [0, 3, 9]
    assert kept.emotion.tolist() == [3, 4, 6]
    assert cleaning == Cleaning(blank=2, in_other_split=1, contradictory=3, repeated=2)
    assert_array_equal(kept.images, training.images[[0, 3, 9]])


def test_a_held_out_face_is_dropped_even_with_another_label() -> None:
    training = labeled((image(1), 2), (image(1), 3), (image(2), 0))
    kept, cleaning = clean_training_faces(training, labeled((image(1), 6)))
    assert kept.votes[:, 0].tolist() == [2]
    assert cleaning == Cleaning(blank=0, in_other_split=2, contradictory=0, repeated=0)


def test_clean_faces_are_unchanged() -> None:
    training = labeled((image(0), 0), (image(1), 1))
    kept, cleaning = clean_training_faces(training, labeled((image(2), 0)))
    assert len(kept) == 2
    assert cleaning == Cleaning(0, 0, 0, 0)

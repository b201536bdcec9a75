"""Ratings in tables of clips: which columns they are, what is missing, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from emofuse.core.errors import CorpusError
from emofuse.corpus.joined import join_corpora
from emofuse.corpus.load import load_corpora, load_corpus
from emofuse.corpus.rating_columns import parse_dimensions
from emofuse.training.dataset import ratings_of, usable_takes


def write(
    folder: Path, head: list[str], *rows: list[str], name: str = "clips.csv", delimiter: str = ","
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / row[0]).touch()
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([head, *rows])
    return folder / name


def test_valence_arousal_and_dominance_are_ratings_by_their_names(tmp_path: Path) -> None:
    head = ["path", "emotion", "speaker", "arousal", "valence", "age"]
    corpus = load_corpus(write(tmp_path, head, ["a.wav", "happy", "s1", "0.5", "-1", "30"],
                               ["b.wav", "sad", "s2", "", "NA", "31"]))  # fmt: skip
    assert corpus.dimensions == ("valence", "arousal"), "in the usual order"
    assert [clip.ratings for clip in corpus.clips] == [{"valence": -1.0, "arousal": 0.5}, {}]
    assert corpus.emotions == ("happy", "sad")
    assert [take.ratings for take in corpus.takes()] == [{"valence": -1.0, "arousal": 0.5}, {}]
    ratings = ratings_of(corpus.takes(), corpus.dimensions)
    assert ratings[0].tolist() == [-1.0, 0.5]
    assert str(ratings[1].tolist()) == "[nan, nan]"


def test_any_columns_can_be_named_or_none(tmp_path: Path) -> None:
    table = write(tmp_path, ["path", "emotion", "speaker", "valence", "self rating"],
                  ["a.wav", "happy", "s1", "1", "2"], ["b.wav", "sad", "s1", "3", "4"])  # fmt: skip
    corpus = load_corpus(table, dimensions=("self rating", "valence"))
    assert corpus.dimensions == ("self rating", "valence")
    assert corpus.clips[1].ratings == {"self rating": 4.0, "valence": 3.0}
    assert load_corpus(table, dimensions=()).dimensions == ()
    with pytest.raises(CorpusError, match=r"--dimensions age: no clip of .* has a rating in a column"):
        load_corpus(table, dimensions=("age",))
    with pytest.raises(CorpusError, match="--dimensions speaker: that column means something else"):
        load_corpus(table, dimensions=("speaker",))


def test_a_table_may_have_ratings_and_no_labels(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, ["path", "speaker", "valence"], ["a.wav", "s1", "1"],
                               ["b.wav", "s2", ""], ["c.wav", "s2", "2.5"]))  # fmt: skip
    assert (corpus.emotions, corpus.dimensions) == ((), ("valence",))
    assert [take.take for take in usable_takes(corpus)] == ["a.wav", "c.wav"]
    with pytest.raises(CorpusError, match="no column emotion"):
        load_corpus(write(tmp_path / "other", ["path", "speaker", "age"], ["a.wav", "s1", "1"]))


def test_a_decimal_comma_is_read(tmp_path: Path) -> None:
    table = write(tmp_path, ["path", "speaker", "valence"], ["a.wav", "s1", "1,5"], delimiter=";")
    assert load_corpus(table).clips[0].ratings == {"valence": 1.5}


@pytest.mark.parametrize("cell", ["high", "inf", "1.2.3", "1,2,3", "--1"])
def test_what_is_no_number_is_refused_with_its_line(tmp_path: Path, cell: str) -> None:
    table = write(tmp_path, ["path", "emotion", "speaker", "valence"], ["a.wav", "happy", "s1", "1"],
                  ["b.wav", "sad", "s1", cell])  # fmt: skip
    with pytest.raises(CorpusError, match=r"line 3: valence '.*' is not a number .*--dimensions none"):
        load_corpus(table)
    assert load_corpus(table, dimensions=()).dimensions == ()


def test_files_of_one_take_have_one_rating(tmp_path: Path) -> None:
    head = ["path", "emotion", "speaker", "take", "valence"]
    one = write(tmp_path / "one", head, ["a.wav", "happy", "s1", "t", "1"], ["a.mp4", "happy", "s1", "t", ""])
    (take,) = load_corpus(one).takes()
    assert take.ratings == {"valence": 1.0}
    two = write(
        tmp_path / "two", head, ["a.wav", "happy", "s1", "t", "1"], ["a.mp4", "happy", "s1", "t", "2"]
    )
    with pytest.raises(CorpusError, match="line 3: take t has another valence in line 2"):
        load_corpus(two)


def test_parquet_is_read_the_same_way(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "a.wav").touch()
    (tmp_path / "b.wav").touch()
    columns = {
        "path": ["a.wav", "b.wav"],
        "speaker": ["s1", "s2"],
        "arousal": [0.25, None],
        "note": ["x", "y"],
    }
    parquet.write_table(pa.table(columns), tmp_path / "clips.parquet")
    corpus = load_corpus(tmp_path / "clips.parquet")
    assert [clip.ratings for clip in corpus.clips] == [{"arousal": 0.25}, {}]


def test_joined_corpora_have_the_dimensions_of_all(tmp_path: Path) -> None:
    head = ["path", "emotion", "speaker"]
    one = write(
        tmp_path / "one", [*head, "valence"], ["a.wav", "happy", "s1", "1"], ["b.wav", "sad", "s1", "2"]
    )
    two = write(
        tmp_path / "two", [*head, "arousal"], ["a.wav", "happy", "s1", "3"], ["b.wav", "sad", "s1", "4"]
    )
    joined = load_corpora([one, two])
    assert joined.dimensions == ("valence", "arousal")
    assert joined.clips[2].ratings == {"arousal": 3.0}
    assert join_corpora([load_corpus(one)]).dimensions == ("valence",)


def test_names_of_dimensions_are_checked() -> None:
    assert parse_dimensions(" valence , self rating") == ("valence", "self rating")
    assert parse_dimensions("None") == ()
    for text, says in (("a,,b", "needs a name"), ("a,a", "named twice"), ("a=b", "letters, digits")):
        with pytest.raises(ValueError, match=says):
            parse_dimensions(text)
    with pytest.raises(ValueError, match="too many"):
        parse_dimensions(",".join(f"d{i}" for i in range(51)))

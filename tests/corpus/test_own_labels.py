"""Labels of a table as they are written: any names, with advice where one may be a slip of the pen."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS
from emofuse.corpus.check import check_corpus
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.load import load_corpus
from emofuse.corpus.own_labels import corpus_advice, label_advice, rater_notes


def table_of(folder: Path, labels: list[str]) -> Path:
    """A clip per label; no file is opened."""
    for number in range(len(labels)):
        (folder / f"{number}.wav").touch()
    rows = [f"{number}.wav,{label},s{number % 3}" for number, label in enumerate(labels)]
    table = folder / "clips.csv"
    table.write_text("\n".join(["path,emotion,speaker", *rows]) + "\n", encoding="utf-8")
    return table


def read(folder: Path, labels: list[str]) -> Corpus:
    return load_corpus(table_of(folder, labels))


@pytest.mark.parametrize(
    "labels",
    [
        ["stressed", "not stressed"],
        ["Ärger", "très content", "怒り", "🙂", "A/B", "-1", "ennuyé", "fâché", "100 %", "x", "y", "z"],
        [f"label {i:02d}" for i in range(50)],
    ],
    ids=["2", "12", "50"],
)
def test_labels_are_used_as_they_are_written(tmp_path: Path, labels: list[str]) -> None:
    corpus = read(tmp_path, labels * 2)
    assert [clip.emotion for clip in corpus.clips] == labels * 2
    assert corpus.emotions == tuple(sorted(labels))
    assert corpus_advice(corpus) == []


def test_the_order_of_rows_makes_no_difference(tmp_path: Path) -> None:
    forward, backward = tmp_path / "a", tmp_path / "b"
    forward.mkdir()
    backward.mkdir()
    labels = ["zen", "sad", "bored", "happy"]
    assert read(forward, labels).emotions == read(backward, labels[::-1]).emotions
    assert read(forward, labels).emotions == ("happy", "sad", "bored", "zen")


def test_emotions_in_capitals_are_the_emotions(tmp_path: Path) -> None:
    corpus = read(tmp_path, [name.upper() for name in EMOTIONS[::-1]] + ["happy"])
    assert corpus.emotions == EMOTIONS
    assert corpus.clips[0].emotion == "surprised"


def test_beside_other_labels_an_emotion_in_capitals_is_a_label(tmp_path: Path) -> None:
    assert read(tmp_path, ["Happy", "Bored"]).emotions == ("Bored", "Happy")


def test_decomposed_letters_are_one_label_in_composed_form(tmp_path: Path) -> None:
    corpus = read(tmp_path, [unicodedata.normalize("NFD", "fâché"), "gai"])
    assert corpus.emotions == ("fâché", "gai")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["Bored", "bored"], "'Bored' and 'bored' differ only in capitals"),
        ([f"l{i}" for i in range(51)], r"there are 51 labels \(l0, l1, l2, l3, l4 …\), at most 50 are told"),
        (["sad", "file"], "line 3: the label 'file' is the name of a column of tables: rename it"),
        (["sad", '"a,b"'], "line 3: the label 'a,b' has a comma"),
        (["sad", "a\u202eb"], "line 3: the label .* has an invisible character"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_in_a_line(
    tmp_path: Path, labels: list[str], reason: str
) -> None:
    with pytest.raises(CorpusError, match=reason) as caught:
        read(tmp_path, labels)
    assert "\n" not in str(caught.value)


def test_a_composed_and_a_decomposed_form_are_one_label(tmp_path: Path) -> None:
    labels = ["é", unicodedata.normalize("NFD", "é"), "x"]
    assert read(tmp_path, labels).emotions == ("x", "é")


def test_a_clip_may_have_no_label(tmp_path: Path) -> None:
    corpus = read(tmp_path, ["tired", "", "awake"])
    assert [clip.emotion for clip in corpus.clips] == ["tired", None, "awake"]
    assert corpus.emotions == ("awake", "tired")


class TestShares:
    """Columns with the shares of several raters."""

    def test_shares_sum_to_one_and_the_greatest_is_the_label(self, tmp_path: Path) -> None:
        for name in "abc":
            (tmp_path / f"{name}.wav").touch()
        table = tmp_path / "clips.csv"
        table.write_text(
            "path,speaker,share:tense,share:relaxed,share:unsure\n"
            "a.wav,1,3,1,0\nb.wav,1,,0.2,0.6\nc.wav,2,,,\n",
            encoding="utf-8",
        )
        first, second, third = load_corpus(table).clips
        assert first.shares == {"tense": 0.75, "relaxed": 0.25, "unsure": 0.0}
        assert first.emotion == "tense"
        assert second.shares == pytest.approx({"tense": 0.0, "relaxed": 0.25, "unsure": 0.75})
        assert third.emotion is None
        assert not third.shares
        assert load_corpus(table).emotions == ("relaxed", "tense", "unsure")
        assert load_corpus(table).takes()[0].shares == first.shares

    def test_a_label_beside_shares_is_what_counts_as_right(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").touch()
        columns = {
            "path": ["a.wav"], "speaker": ["1"], "emotion": ["Sad"], "share:Sad": [1.0], "share:HAPPY": [3],
        }  # fmt: skip
        pq.write_table(pa.table(columns), tmp_path / "clips.parquet")
        (clip,) = load_corpus(tmp_path / "clips.parquet").clips
        assert (clip.emotion, dict(clip.shares)) == ("sad", {"sad": 0.25, "happy": 0.75})

    @pytest.mark.parametrize(("share", "reason"), [("-1", "must be zero or more"), ("x", "is not a number")])
    def test_wrong_shares_are_refused_in_a_line(self, tmp_path: Path, share: str, reason: str) -> None:
        (tmp_path / "a.wav").touch()
        table = tmp_path / "clips.csv"
        table.write_text(f"path,speaker,share:a,share:b\na.wav,1,{share},1\n")
        with pytest.raises(CorpusError, match=f"line 2: share:a '?{share}'? {reason}"):
            load_corpus(table)


class TestAdvice:
    """What a user with one misspelled label needs."""

    @pytest.mark.parametrize(
        ("label", "meant"),
        [
            ("Joy", "happy"), ("happiness", "happy"), ("anger", "angry"), ("ANG", "angry"),
            ("Happy", "happy"), ("fear", "fearful"), ("suprised", "surprised"), ("Neutrall", "neutral"),
            ("disgusted", "disgust"),
        ],
    )  # fmt: skip
    def test_what_looks_like_an_emotion_beside_emotions_is_named(self, label: str, meant: str) -> None:
        (advice,) = label_advice({"calm": 40, "bored": 40, label: 1})
        assert advice == (
            f"'{label}' (1 clip) is a label of its own; if {meant} is meant, correct the table, or give a "
            "map of its labels (--labels FILE)"
        )

    def test_what_is_rare_and_looks_like_a_frequent_label_is_named(self) -> None:
        (advice,) = label_advice({"stressed": 300, "relaxed": 280, "stresed": 2})
        assert "'stresed' (2 clips) is spelled like 'stressed' (300 clips); if that is meant" in advice

    @pytest.mark.parametrize(
        "counts",
        [
            {"stressed": 300, "unstressed": 290},
            {"tired": 3, "awake": 300},
            {"happy": 3, "sad": 3, "bored": 3},
            dict.fromkeys(EMOTIONS, 5),
            {},
        ],
    )
    def test_other_labels_need_no_advice(self, counts: dict[str, int]) -> None:
        assert label_advice(counts) == []

    def test_the_labels_of_a_known_set_have_a_map(self) -> None:
        (advice,) = label_advice({"anger": 5, "happiness": 5, "sadness": 5})
        assert "--labels ekman-6 makes the eight emotions of them" in advice


class TestRaterNotes:
    """What corpus check says of raters."""

    def test_agreement_ties_and_labels_that_few_chose_are_named(self, tmp_path: Path) -> None:
        for name in "abcd":
            (tmp_path / f"{name}.wav").touch()
        (tmp_path / "clips.csv").write_text(
            "path,speaker,emotion,share:tense,share:relaxed\n"
            "a.wav,1,,4,0\nb.wav,1,tense,1,3\nc.wav,2,,2,2\nd.wav,2,,,\n"
        )
        corpus = load_corpus(tmp_path / "clips.csv")
        assert rater_notes(corpus) == [
            "3 clips with shares of raters, of whom two agree in 70.8 % of draws",  # (1 + 0.625 + 0.5) / 3
            "1 clip (c.wav): several labels were chosen equally often; without a label in the column "
            "emotion, the first column of these counts as right",
            "1 clip (b.wav): the label in the column emotion is not the one that most raters chose",
        ]
        report = check_corpus(corpus)
        assert "raters: 3\n  3 clips with shares of raters" in report.as_text()
        assert report.as_dict()["raters"] == rater_notes(corpus)

    def test_a_label_each_is_not_worth_a_word(self, tmp_path: Path) -> None:
        assert rater_notes(read(tmp_path, ["tired", "", "awake"])) == []

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emofuse.core.errors import CorpusError
from emofuse.core.label_maps import convert_label, label_map
from emofuse.core.labels import EMOTIONS, LABEL_SETS, emotions_of
from emofuse.corpus.common_labels import common_labels, meet, occurring_labels
from emofuse.corpus.load import load_corpus

RAVDESS, NEMO, EMODB = EMOTIONS, emotions_of("nemo-6"), ("neutral", "happy", "sad", "angry")


def test_labels_are_those_of_both_sides_in_order() -> None:
    assert common_labels([RAVDESS], EMODB).labels == EMODB
    assert common_labels([NEMO], RAVDESS).labels == NEMO
    assert common_labels([RAVDESS, NEMO], RAVDESS).labels == EMOTIONS
    assert common_labels([("b", "a", "c")], ("c", "b", "d")).labels == ("b", "c")


def test_calm_is_neutral_where_one_side_has_no_calm_and_there_is_a_neutral() -> None:
    assert common_labels([RAVDESS, NEMO], EMODB).merged == {"calm": "neutral"}
    assert common_labels([NEMO], RAVDESS).of("calm") == "neutral"
    assert common_labels([RAVDESS], RAVDESS).of("calm") == "calm"
    assert common_labels([("calm", "tense")], ("tense", "calm", "neutral")).merged == {}
    # a side with calm alone, and one with neutral alone, mean the same by it
    assert common_labels([("calm", "sad")], ("neutral", "sad")).labels == ("neutral", "sad")
    assert common_labels([("calm", "sad")], ("happy", "sad")).labels == ("sad",)


@pytest.mark.parametrize("name", [name for name in LABEL_SETS if "calm" not in LABEL_SETS[name].values()])
def test_single_labels_meet_as_the_named_maps_say(name: str) -> None:
    """What a label of RAVDESS is in another set, by the map of that name."""
    common = common_labels([emotions_of(name)], EMOTIONS)
    to_set, back = label_map("ravdess-8", name), label_map(name, "ravdess-8")
    for emotion in EMOTIONS:
        label = convert_label(emotion, to_set)
        assert common.of(emotion) == (None if label is None else convert_label(label, back))


def test_shares_of_raters_meet_too() -> None:
    common = common_labels([EMOTIONS], EMODB)
    shares = common.of_shares({"calm": 0.3, "neutral": 0.2, "sad": 0.1, "disgust": 0.4, "happy": 0.0})
    assert shares == pytest.approx({"neutral": 5 / 6, "sad": 1 / 6})
    assert common.of_shares({"disgust": 1.0}) == common.of_shares({}) == {}


def test_corpora_meet(tmp_path: Path) -> None:
    for name in ("r/03-01-02-01-01-01-01.wav", "r/03-01-05-01-01-01-02.wav", "r/03-01-07-01-01-01-02.wav",
                 "e/03a01Na.wav", "e/08a01Wa.wav", "e/08a01Wb.wav", "e/08a01La.wav"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    ravdess, emodb = load_corpus(tmp_path / "r"), load_corpus(tmp_path / "e")
    assert occurring_labels(ravdess) == ("calm", "angry", "disgust")
    (first, second), notes = meet([ravdess], emodb)
    assert first.emotions == second.emotions == ("neutral", "angry")
    assert [clip.emotion for clip in first.clips] == ["neutral", "angry", None]
    assert [clip.emotion for clip in ravdess.clips] == ["calm", "angry", "disgust"]
    assert [take.emotion for take in second.takes()] == ["neutral", None, "angry", "angry"]
    assert notes == [
        "labels that RAVDESS and EMO-DB both have: neutral, angry",
        "calm counts as neutral: one side has no calm",
        "takes of RAVDESS that are left out: 1 disgust",
    ]
    lonely = replace(emodb, clips=emodb.clips[:1])
    with pytest.raises(CorpusError, match=r"RAVDESS and EMO-DB have fewer than two .* \(neutral\): map them"):
        meet([ravdess], lonely)

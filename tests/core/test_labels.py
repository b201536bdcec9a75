from __future__ import annotations

import pytest

from emofuse.core.colors import EMOTION_COLORS
from emofuse.core.labels import EMOTIONS, FER2013, FER_PLUS, LABEL_SETS, emotion_index


def test_emotions_are_in_the_order_of_ravdess_codes() -> None:
    assert [emotion_index(name) + 1 for name in EMOTIONS] == list(range(1, 9))
    assert EMOTIONS[0] == "neutral"
    assert EMOTIONS[7] == "surprised"
    assert set(EMOTION_COLORS) == set(EMOTIONS)
    with pytest.raises(ValueError, match="unknown emotion 'joy': use one of neutral, calm"):
        emotion_index("joy")


def test_sets_are_as_long_as_their_names_say() -> None:
    assert len(LABEL_SETS) == 9
    for name, labels in LABEL_SETS.items():
        assert len(labels) == int(name.rsplit("-", 1)[1]), name


def test_no_two_labels_of_a_set_mean_the_same() -> None:
    for name, labels in LABEL_SETS.items():
        assert len(set(labels.values())) == len(labels), name
        assert set(labels.values()) <= {*EMOTIONS, "contempt", "boredom"}, name


def test_label_sets_are_in_the_order_of_their_sources() -> None:
    assert tuple(LABEL_SETS["ravdess-8"]) == EMOTIONS
    assert tuple(LABEL_SETS["fer-7"]) == FER2013
    assert tuple(LABEL_SETS["fer-plus-8"]) == FER_PLUS


def test_german_initials() -> None:
    initials = {
        word[0]: word for word in ("Wut", "Langeweile", "Ekel", "Angst", "Freude", "Trauer", "Neutral")
    }
    meant = {initials[code]: meaning for code, meaning in LABEL_SETS["emo-db-7"].items()}
    assert meant == {
        "Wut": "angry", "Langeweile": "boredom", "Ekel": "disgust", "Angst": "fearful",
        "Freude": "happy", "Trauer": "sad", "Neutral": "neutral",
    }  # fmt: skip

"""Ratings of synthetic takes: known by construction, and nothing else changes by them."""

from __future__ import annotations

import csv
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.label_maps import heuristic_valence_arousal
from emofuse.core.labels import EMOTIONS
from emofuse.corpus.load import load_corpus
from emofuse.corpus.synthetic.clip import TakeCode, take_expressions, take_speech
from emofuse.corpus.synthetic.expression import prototypes
from emofuse.corpus.synthetic.ratings import (
    HALF_RANGE,
    MIDDLE,
    RATINGS_FILE,
    _directions,
    take_ratings,
    write_ratings,
)


def test_prototypes_are_about_at_their_places_on_the_circumplex() -> None:
    places = heuristic_valence_arousal(np.eye(len(EMOTIONS)))
    for modality in ("voice", "face"):
        found = prototypes(modality) @ _directions(modality)
        assert found[0] == pytest.approx([0, 0], abs=1e-9), "neutral"
        for number in (0, 1):
            assert np.corrcoef(found[:, number], places[:, number])[0, 1] > 0.9


def test_voice_and_face_of_a_take_agree_and_no_rating_is_chance() -> None:
    # actor by actor: those before are forgotten
    takes = [
        TakeCode(emotion, 1, s, 1, actor) for actor in (1, 2, 3) for emotion in range(1, 9) for s in (1, 2)
    ]
    voice, face = (
        np.array([list(take_ratings(7, code, (one,)).values()) for code in takes])
        for one in ("voice", "face")
    )
    for number in (0, 1):
        assert np.corrcoef(voice[:, number], face[:, number])[0, 1] > 0.5
    assert ((voice == 1) | (voice == 7)).mean() < 0.1, "few are beyond the scale"


def test_a_rating_is_the_mean_of_what_voice_and_face_show() -> None:
    code = TakeCode(3, 2, 1, 1, 4)
    shown = take_expressions(9, code)
    voice, face = (np.array(astuple(shown[one])) @ _directions(one) for one in ("voice", "face"))
    wanted = MIDDLE + HALF_RANGE * (voice + face) / 2
    assert list(take_ratings(9, code).values()) == pytest.approx(np.clip(wanted, 1, 7).tolist())
    alone = take_ratings(9, code, ("voice",))
    assert alone["arousal"] == pytest.approx(np.clip(MIDDLE + HALF_RANGE * voice[1], 1, 7))
    assert take_ratings(9, code) == take_ratings(9, code)
    assert take_ratings(8, code) != take_ratings(9, code)


def test_emotions_differ_in_the_way_that_is_known() -> None:
    found: dict[str, list[list[float]]] = {emotion: [] for emotion in EMOTIONS}
    for actor in range(1, 7):
        for number, emotion in enumerate(EMOTIONS, 1):
            takes = (take_ratings(1, TakeCode(number, 1, s, 1, actor)) for s in (1, 2))
            found[emotion] += [list(one.values()) for one in takes]
    means = {emotion: np.mean(values, axis=0) for emotion, values in found.items()}
    assert means["happy"][0] > 5
    assert means["sad"][0] < 3
    assert means["angry"][1] > 5.5
    assert means["calm"][1] < 4
    assert means["neutral"] == pytest.approx([MIDDLE, MIDDLE], abs=0.5)


def test_asking_for_ratings_changes_no_voice() -> None:
    code = TakeCode(5, 1, 1, 1, 3)
    before = take_speech(2, code).samples
    take_ratings(2, code)
    np.testing.assert_array_equal(take_speech(2, code).samples, before)


def test_the_table_describes_the_corpus(tmp_path: Path) -> None:
    folder = tmp_path / "Actor_02"
    folder.mkdir()
    # one take with its video and its voice, one with its voice alone; the table reads names only
    for name in ("01-01-03-01-01-01-02.mp4", "03-01-03-01-01-01-02.wav", "03-01-04-01-01-01-02.wav"):
        (folder / name).write_bytes(b"-")
    assert write_ratings(tmp_path, 7) == tmp_path / RATINGS_FILE
    with (tmp_path / RATINGS_FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["speaker"], row["emotion"]) for row in rows] == [
        ("Actor_02/01-01-03-01-01-01-02.mp4", "02", "happy"),
        ("Actor_02/03-01-04-01-01-01-02.wav", "02", "sad"),
    ]
    both, alone = TakeCode(3, 1, 1, 1, 2), TakeCode(4, 1, 1, 1, 2)
    assert float(rows[0]["valence"]) == pytest.approx(take_ratings(7, both)["valence"], abs=0.005)
    assert float(rows[1]["arousal"]) == pytest.approx(
        take_ratings(7, alone, ("voice",))["arousal"], abs=0.005
    )
    corpus = load_corpus(tmp_path / RATINGS_FILE)
    assert corpus.dimensions == ("valence", "arousal")
    assert corpus.emotions == ("happy", "sad")

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


def test_prototypes_are_at_their_places_on_the_circumplex() -> None:
    places = heuristic_valence_arousal(np.eye(len(EMOTIONS)))
    for modality in ("voice", "face"):
        np.testing.assert_allclose(prototypes(modality) @ _directions(modality), places, atol=1e-9)


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
    means = {
        emotion: np.mean(
            [list(take_ratings(1, TakeCode(k, 1, s, 1, actor)).values())
             for actor in range(1, 13) for s in (1, 2)], axis=0)
        for k, emotion in enumerate(EMOTIONS, 1)
    }  # fmt: skip
    assert means["happy"][0] > 5
    assert means["sad"][0] < 3.5
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

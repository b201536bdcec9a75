"""The data card counts the clips of the run and names the caveats that apply to them."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.evaluation.report.data_card import data_card
from emofuse.evaluation.run_files import Run, read_run
from tests.support.report_cards import Card


@pytest.fixture(scope="module")
def run(complete_run: Run) -> Run:
    return complete_run


@pytest.fixture(scope="module")
def data(run: Run) -> Card:
    return Card(data_card(run))


@pytest.fixture
def real_names(run: Run, tmp_path: Path) -> Path:
    """A run with all but two takes of three actors; one more has no face."""
    rows = []
    for actor, code, intensity, statement, repetition in itertools.product(
        ("07", "08", "09"), range(1, 9), "12", "12", "12"
    ):
        take = f"01-{code:02d}-0{intensity}-0{statement}-0{repetition}-{actor}"
        if (code, intensity) == (1, "2") or take in ("01-08-01-01-01-08", "01-05-02-01-02-09"):
            continue
        for system in ("voice", "face")[: 1 if take == "01-04-01-01-01-07" else 2]:
            rows.append(f"{take},03-{take},{actor},{EMOTIONS[code - 1]},1,{system},1,0,0,0,0,0,0,0")
    head = f"take,clip,actor,emotion,fold,system,{','.join(EMOTIONS)}"
    (tmp_path / "predictions.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    (tmp_path / "results.json").write_text(json.dumps(dict(run.results)), encoding="utf-8")
    (tmp_path / "details.json").write_text(json.dumps(dict(run.details)), encoding="utf-8")
    return tmp_path


def test_the_data_card_counts_the_clips_of_the_run(real_names: Path) -> None:
    data = Card(data_card(read_run(real_names)))
    with (real_names / "predictions.csv").open(encoding="utf-8", newline="") as file:
        clips = {row["take"]: row for row in csv.DictReader(file)}
    assert len(clips) == 178
    sexes = Counter((c["emotion"], "male" if int(c["actor"]) % 2 else "female") for c in clips.values())
    table = data.tables["Emotions"]
    assert table[0] == ["Emotion", "By female actors", "By male actors", "Clips"]
    for emotion, female, male, both in table[1:-1]:
        assert (int(female), int(male)) == (sexes[emotion, "female"], sexes[emotion, "male"])
        assert int(both) == int(female) + int(male)
    assert table[-1] == ["all", "59", "119", "178"]
    facts = data.text["Intensities, statements and actors"]
    strong = sum(take.split("-")[2] == "02" for take in clips)
    kids = sum(take.split("-")[3] == "01" for take in clips)
    assert f"strong: {strong}." in facts
    assert f"Kids are talking by the door: {kids}." in facts
    assert "Actors: 07, 08, 09. Clips per actor: 59 to 60." in facts
    assert "Clips with a face: 177 of 178." in data.text["Voice and face"]
    face = data.text["Voice and face"]
    assert "not read from video. It comes from a table of action units" in face
    assert "averaged over each clip, openface_au_mean.csv" in face
    assert "4 of them are not here" in data.text["What is missing"]
    assert ["03-01-01-01-01-01-99.wav", "no <audio> stream & nothing else"] in data.tables["What is missing"]
    assert "CC BY-NC-SA 4.0" in data.text["Overview"]
    assert "PLoS ONE 13(5): e0196391" in data.text["Source"]


def test_caveats_are_named_when_they_apply(real_names: Path, data: Card) -> None:
    caveats = "Caveats"
    text = Card(data_card(read_run(real_names))).text[caveats]
    assert "03-01-03-01-02-01-07 and of 03-01-03-01-02-02-07 (actor 7) is the same file" in text
    assert "one may be used for training" not in text
    assert "Neutral has no strong intensity" in text
    assert "neutral (12); the most common one has 24" in text
    assert "same file" not in data.all

    path = real_names / "predictions.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    remaining = [line for line in lines if not line.startswith(("01-03-01-02-02-07", "01-01"))]
    path.write_text("\n".join(remaining), encoding="utf-8")
    fewer = Card(data_card(read_run(real_names))).text[caveats]
    assert "same file" not in fewer
    assert "Neutral has" not in fewer
    assert "Emotions without any clip: neutral." in fewer


def test_without_speaker_independence_the_identical_files_may_be_split(real_names: Path, run: Run) -> None:
    results = {**run.results, "speaker_independent": False}
    (real_names / "results.json").write_text(json.dumps(results), encoding="utf-8")
    assert "one may be used for training and the other for testing" in data_card(read_run(real_names))


def test_facts_missing_from_the_names_are_not_made_up(real_names: Path) -> None:
    path = real_names / "predictions.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("\n01-0", "\nclip"), encoding="utf-8")
    plain = Card(data_card(read_run(real_names)))
    assert plain.tables["Emotions"][0] == ["Emotion", "Clips"]
    assert plain.tables["Emotions"][-1] == ["all", "178"]
    assert "Intensity:" not in plain.all
    assert "Statement:" not in plain.all

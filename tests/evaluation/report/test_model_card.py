"""The cards say what the files of the run say, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.pretrained import WEIGHTS
from emofuse.evaluation.report.data_card import data_card
from emofuse.evaluation.report.model_card import model_card
from emofuse.evaluation.report.write import write_report
from emofuse.evaluation.run_files import Run, read_run
from tests.support.report_cards import Card, changed
from tests.support.typed import not_none

OPTIONAL = (
    "Results by emotion",
    "Abstaining",
    "Results by group",
    "Enrolled speakers",
    "Degraded recordings",
)


@pytest.fixture(scope="module")
def run(complete_run: Run) -> Run:
    return complete_run


@pytest.fixture(scope="module")
def card(run: Run) -> Card:
    return Card(model_card(run))


def percent_text(value: float, bounds: list[float]) -> str:
    return f"{100 * value:.1f} ({100 * bounds[0]:.1f} to {100 * bounds[1]:.1f})"


def test_sections_are_in_order_and_say_what_they_must(card: Card) -> None:
    assert next(iter(card.text)) == "Model card: ravdess-au on RAVDESS speech"
    assert card.headings == [
        "Overview",
        "What it recognizes, and what it does not",
        "Out-of-scope uses",
        "Training and evaluation",
        "What pretrained parts were trained on",
        "Results",
        "Results by emotion",
        "Calibration",
        "Abstaining",
        "Results by group",
        "Enrolled speakers",
        "Degraded recordings",
        "Notes from the run",
        "License",
        "How to reproduce it",
    ]
    assert "9b1f03ac77de" in card.text["Overview"]
    assert "voice from sound, face from the action-unit table" in card.text["Overview"]
    reads = card.text["What it recognizes, and what it does not"]
    assert "acted in a studio by 24 North American actors; 20 of them" in reads
    assert "It does not recognize what somebody feels" in reads
    for use in ("Hiring", "Policing", "surveillance", "Lie detection", "Diagnosis", "decision about a person",
                "Spontaneous speech"):  # fmt: skip
        assert use in card.text["Out-of-scope uses"]
    protocol = card.text["Training and evaluation"]
    assert "six-fold, hash ccd8132964652675, 5 folds" in protocol
    assert "Speaker-independent: yes" in protocol
    assert "fold 6 dropped" in card.text["Notes from the run"]
    assert "Apache-2.0" in card.text["License"]
    assert "weights included: CC BY-NC-SA 4.0. Give credit, make no commercial use" in card.text["License"]
    assert "emofuse evaluate 'my corpus' --recipe ravdess-au\n" in card.text["How to reproduce it"]
    assert "1 h 2 min (3731.2 s)" in card.text["How to reproduce it"]
    assert ["torch", "2.5.1"] in card.tables["How to reproduce it"]


def test_figures_are_those_of_results_json(card: Card, run: Run) -> None:
    results = run.results
    rows = {row[0].split()[-1]: row[1:] for row in card.tables["Results"][1:]}
    assert list(rows) == list(run.systems)
    for name, system in results["systems"].items():
        assert rows[name][0] == percent_text(system["accuracy"], system["accuracy_ci95"])
        assert rows[name][1] == percent_text(system["uar"], system["uar_ci95"])
        assert rows[name][3] == f"{system['log_loss']:.3f}"
    errors = {row[0].split()[-1]: row[1] for row in card.tables["Calibration"][1:]}
    assert errors["fused"] == percent_text(results["systems"]["fused"]["ece"], [0.0213, 0.0765])
    answered = card.tables[OPTIONAL[1]][1:]
    assert answered[2][1:] == ["80", "83.2 (75.0 to 87.5)", "0.632"]
    fused = {(g["kind"], g["value"]): g for g in results["groups"]["fused"]}
    for emotion, *_, cell, size in card.tables["Results by emotion"][1:]:
        record = fused["emotion", emotion]
        assert cell == percent_text(record["accuracy"], not_none(record["accuracy_ci95"]))
        assert size == f"{record['n']} from {record['n_actors']} actors"
    assert [row[0] for row in card.tables["Results by emotion"][1:]] == [
        e for e in EMOTIONS if ("emotion", e) in fused
    ]
    groups = {(row[1], row[0]): row[4] for row in card.tables["Results by group"][1:]}
    assert {kind for kind, _ in groups} == {"sex", "intensity", "statement"}
    for key, cell in groups.items():
        assert cell == percent_text(fused[key]["accuracy"], not_none(fused[key]["accuracy_ci95"]))
    actors = {value: g["accuracy"] for (kind, value), g in fused.items() if kind == "actor"}
    low, high = min(actors, key=lambda a: actors[a]), max(actors, key=lambda a: actors[a])
    assert (
        f"Fusion, chosen on inner folds: from {100 * actors[low]:.1f} % (actor {low}) to "
        f"{100 * actors[high]:.1f} % (actor" in card.text["Results by group"]
    )


def test_enrollment_and_degradations(card: Card, run: Run) -> None:
    points = run.results["enrolment"]["systems"]["fused"]
    rows = card.tables["Enrolled speakers"]
    assert [row[0] for row in rows[1:]] == ["0 (not enrolled)", "1", "30", "all (transductive)"]
    assert [row[1] for row in rows[1:]] == [percent_text(p["accuracy"], p["ci95"]) for p in points]
    assert [row[2] for row in rows[1:]] == ["1", "5", "5", "1"]
    assert "it is transductive" in card.text["Enrolled speakers"]
    assert card.tables["Degraded recordings"][1:] == [
        ["clean", "77.8 (50.0 to 90.0)"],
        ["noise | 10 dB", "65.4 (50.0 to 90.0), -12.3"],
    ]


def figures(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of the fractions in results.json that the card shows."""
    if isinstance(node, dict):
        for key, child in node.items():
            if key not in ("settings", "uar" if "kind" in node else "", "uar_ci95" if "kind" in node else ""):
                yield from figures(child, (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from figures(child, (*path, index))
    elif (
        isinstance(node, float) and "folds" not in path and path[-2:-1] not in (("coverage",), ("accuracy",))
    ):
        yield path


def test_a_figure_that_changes_in_results_json_changes_in_the_card(run: Run) -> None:
    """Every single one: none comes from elsewhere, none is missing."""
    before = model_card(run)
    tried = 0
    for path in figures(run.results):
        if (
            path[0] == "groups"
            and path[3] == "accuracy"
            and run.results["groups"][path[1]][path[2]]["n_actors"] == 1
        ):
            continue  # for single actors only the range is shown

        def edit(results: dict[str, Any], path: tuple[Any, ...] = path) -> None:
            node: Any = results
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = node[path[-1]] / 2 + 0.0077

        assert model_card(changed(run, edit)) != before, path
        tried += 1
    assert tried > 150


def test_the_range_over_actors_follows_its_ends(run: Run) -> None:
    def edit(results: dict[str, Any]) -> None:
        for record in results["groups"]["fused"]:
            if record["kind"] == "actor" and record["value"] == "05":
                record["accuracy"] = 0.0123

    assert "from 1.2 % (actor 05)" in Card(model_card(changed(run, edit))).text["Results by group"]


def test_absent_and_empty_parts_have_no_heading(run: Run, card: Card) -> None:
    def absent(results: dict[str, Any]) -> None:
        for key in ("groups", "enrolment", "robustness"):
            del results[key]
        for system in results["systems"].values():
            system.pop("coverage", None)

    def empty(results: dict[str, Any]) -> None:
        absent(results)
        results.update(groups={"fused": []}, enrolment={"systems": {"fused": []}}, robustness=[])

    expected = [heading for heading in card.headings if heading not in OPTIONAL]
    assert Card(model_card(changed(run, absent))).headings == expected
    assert Card(model_card(changed(run, empty))).headings == expected

    def least(results: dict[str, Any]) -> None:
        results.clear()
        results.update(schema=1, pretrained_sha256=None, systems={"tea-leaves": {"accuracy": 0.1234}})

    found = Card(model_card(changed(run, least)))
    assert found.tables["Results"][1][1] == "12.3"
    assert all(text or heading in found.tables for heading, text in list(found.text.items())[1:])
    assert "Notes from the run" not in found.headings


def pretrained_items(run: Run) -> list[str]:
    """Each item of the list in the card."""
    return Card(model_card(run)).text["What pretrained parts were trained on"].splitlines()


def test_the_card_says_that_nothing_is_pretrained(run: Run) -> None:
    first, second = pretrained_items(run)
    assert "nothing is pretrained; every parameter was fitted on the training actors of each fold" in first
    # the program that made the table of action units had been trained
    assert "OpenFace" in second

    def dependent(results: dict[str, Any]) -> None:
        results["speaker_independent"] = False

    assert "the training clips of each fold" in pretrained_items(changed(run, dependent))[0]


def lrcn(results: dict[str, Any], sha256: object) -> None:
    results["pretrained_sha256"] = sha256
    face = results["recipe"]["settings"]["face"]
    face["features"] = {"kind": "stack"}
    face["network"] = {"kind": "lrcn", "emotion_cnn": {"source": "deepface"}}


def test_known_weights_are_named_with_their_training_data(run: Run) -> None:
    known = WEIGHTS["deepface-emotion"]
    text = Card(model_card(changed(run, lambda r: lrcn(r, known.sha256)))).text[
        "What pretrained parts were trained on"
    ]
    assert f"deepface-emotion, sha256 {known.sha256}, license MIT, trained on FER2013" in text
    assert "dlib" in text
    assert "nothing is pretrained" not in text
    assert "OpenFace" not in text


def test_unknown_weights_are_never_left_out(run: Run) -> None:
    text = Card(model_card(changed(run, lambda r: lrcn(r, "ab" * 32)))).text[
        "What pretrained parts were trained on"
    ]
    assert f"a file of your own, sha256 {'ab' * 32}; what it was trained on is not known" in text


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda results: results.pop("pretrained_sha256"), "results.json has no pretrained_sha256, so"),
        (lambda results: lrcn(results, None), "the recipe's CNN comes from 'deepface'"),
        (lambda results: lrcn(results, ""), "not a sha256"),
        (lambda results: lrcn(results, False), "not a sha256"),
    ],
)
def test_without_the_origin_of_weights_there_is_no_card(
    run: Run, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ExperimentError, match=re.escape(message)):
        model_card(changed(run, edit))


def test_a_cnn_from_scratch_is_not_pretrained(run: Run) -> None:
    def scratch(results: dict[str, Any]) -> None:
        lrcn(results, None)
        results["recipe"]["settings"]["face"]["network"]["emotion_cnn"]["source"] = "scratch"

    assert "nothing is pretrained" in pretrained_items(changed(run, scratch))[0]


def test_warnings_are_at_the_top(run: Run, card: Card) -> None:
    def toy(results: dict[str, Any]) -> None:
        results["corpus"]["synthetic"] = True
        results["speaker_independent"] = False

    found = changed(run, toy)
    for made in (model_card(found), data_card(found)):
        top = Card(made).text[next(iter(Card(made).text))]
        assert top.startswith("Synthetic corpus.")
        assert "say nothing about people" in top
    warned = Card(model_card(found))
    assert "Not speaker-independent" in warned.all
    assert "Speaker-independent: no" in warned.all
    # what is published about RAVDESS is not said about drawings
    assert "24 North American actors" not in warned.all
    assert "OpenFace" not in warned.all
    assert "Livingstone" not in Card(data_card(found)).all
    assert "ynthetic corpus" not in card.all
    assert "ynthetic corpus" not in Card(data_card(run)).all


def test_another_corpus_is_not_taken_for_ravdess(run: Run) -> None:
    def other(results: dict[str, Any]) -> None:
        results["corpus"].update(name="my_*clips*", licence="CC0-1.0")

    found = changed(run, other)
    card, data = Card(model_card(found)), Card(data_card(found))
    assert next(iter(card.text)) == "Model card: ravdess-au on my_*clips*"
    assert "North American" not in card.all + data.all
    assert "It does not recognize what somebody feels" in card.all
    assert "commercial" not in card.text["License"]
    assert "Source" not in data.headings


def test_text_from_a_run_cannot_make_markup(run: Run) -> None:
    def hostile(results: dict[str, Any]) -> None:
        results["notes"] = ["<script>x</script> **bold** [a](b) | c\n# heading &lt; R&D"]
        results["software"]["a|b"] = "`1`"
        results["protocol"] = "```\n# no"

    card = Card(model_card(Run(run.path, changed(run, hostile).results, run.scores)))
    assert card.text["Notes from the run"] == "<script>x</script> **bold** [a](b) | c # heading &lt; R&D\n"
    assert ["a|b", "`1`"] in card.tables["How to reproduce it"]
    assert card.headings[-1] == "How to reproduce it"
    # without details.json, the command is one that makes the run again
    assert "emofuse evaluate CORPUS --recipe ravdess-au --protocol '```" in card.text["How to reproduce it"]


@pytest.mark.parametrize(
    ("make", "heading"), [(model_card, "Model card: {} on {}"), (data_card, "Data card: {1}")]
)
def test_hostile_names_stay_text(run: Run, make: Callable[[Run], str], heading: str) -> None:
    hostile = "<script>x</script> **bold** [a](b) | `c`\n# heading &lt; R&D"

    def edit(results: dict[str, Any]) -> None:
        results["corpus"].update(name=hostile, licence=hostile)
        results["recipe"]["name"] = hostile
        results["recipe"]["settings"]["face"]["features"]["table"] = hostile

    one_line = " ".join(hostile.split())
    card = Card(make(changed(run, edit)))
    assert next(iter(card.text)) == heading.format(one_line, one_line)
    assert card.headings == [heading for heading in Card(make(run)).headings if heading != "Source"]
    assert card.all.count(one_line) > 1


def test_report_writes_the_cards_beside_the_page(full_run: Path, tmp_path: Path) -> None:
    for name in ("results.json", "predictions.csv"):
        shutil.copy(full_run / name, tmp_path)
    assert write_report(tmp_path) == tmp_path / "report.html"
    assert (tmp_path / "model-card.md").read_text(encoding="utf-8") == model_card(read_run(tmp_path))
    assert (tmp_path / "data-card.md").read_text(encoding="utf-8") == data_card(read_run(tmp_path))
    assert not list(tmp_path.glob(".*"))


def test_without_a_card_nothing_is_written(full_run: Path, tmp_path: Path) -> None:
    shutil.copy(full_run / "predictions.csv", tmp_path)
    results = json.loads((full_run / "results.json").read_text(encoding="utf-8"))
    del results["pretrained_sha256"]
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    for name in ("report.html", "model-card.md", "data-card.md"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    with pytest.raises(ExperimentError, match="what pretrained parts were trained on: evaluate again"):
        write_report(tmp_path)
    for name in ("report.html", "model-card.md", "data-card.md"):
        assert (tmp_path / name).read_text(encoding="utf-8") == "old"

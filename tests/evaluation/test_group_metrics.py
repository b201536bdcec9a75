"""Groups of takes, against scikit-learn and RAVDESS's names."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as oracle

from emofuse.core import metrics
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Clip, Take
from emofuse.corpus.ravdess import design, read_ravdess
from emofuse.evaluation import group_metrics as groups
from emofuse.evaluation.group_metrics import KINDS, GroupFigures, group_figures

Table = tuple[list[str], np.ndarray, np.ndarray, np.ndarray]


def _table(n_actors: int = 4, seed: int = 0) -> Table:
    """Every take of the first actors, with scores that are better for some."""
    rng = np.random.default_rng(seed)
    takes = [f"{code}-{actor:02d}" for code in design() for actor in range(1, n_actors + 1)]
    rng.shuffle(takes)
    truth = np.array([int(take[3:5]) - 1 for take in takes])
    actors = np.array([take[-2:] for take in takes])
    logits = rng.normal(size=(len(takes), len(EMOTIONS)))
    logits[np.arange(len(takes)), truth] += 1 + 0.4 * actors.astype(int)
    return takes, truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), actors


def _found(table: Table, seed: int = 0) -> dict[tuple[str, str], GroupFigures]:
    return {(group.kind, group.value): group for group in group_figures(*table, seed)}


def _record(name: str, speaker: str, **facts: str) -> Take:
    clip = Clip(Path(f"{name}.wav"), name, name, speaker, "sad", "audio", facts=facts)
    return Take(name, speaker, "sad", clip, None, facts)


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(groups) == doctest.TestResults(failed=0, attempted=2)


def test_every_kind_splits_all_takes_in_order() -> None:
    table = _table()
    found = group_figures(*table, 0)
    assert list(dict.fromkeys(group.kind for group in found)) == list(KINDS)
    for kind in KINDS:
        assert sum(group.n for group in found if group.kind == kind) == len(table[0])
    assert [g.value for g in found if g.kind == "actor"] == ["01", "02", "03", "04"]
    assert [g.value for g in found if g.kind == "sex"] == ["female", "male"]
    assert [g.value for g in found if g.kind == "intensity"] == ["normal", "strong"]
    assert [g.value for g in found if g.kind == "emotion"] == list(EMOTIONS)
    # 60 takes per actor; neutral has no strong ones, so 4 · 32 against 4 · 28
    assert [g.n for g in found if g.kind == "intensity"] == [128, 112]
    assert [g.n_actors for g in found if g.kind == "sex"] == [2, 2]


@pytest.mark.parametrize(
    ("kind", "value", "field", "codes"),
    [
        ("sex", "male", 5, {"01", "03"}),
        ("sex", "female", 5, {"02", "04"}),
        ("intensity", "strong", 2, {"02"}),
        ("statement", "Kids are talking by the door", 3, {"01"}),
        ("statement", "Dogs are sitting by the door", 3, {"02"}),
        ("emotion", "fearful", 1, {"06"}),
        ("actor", "03", 5, {"03"}),
    ],
)
def test_figures_are_scikit_learns_on_the_takes_of_the_group(
    kind: str, value: str, field: int, codes: set[str]
) -> None:
    takes, truth, scores, actors = table = _table()
    group = _found(table)[kind, value]
    inside = np.array([take.split("-")[field] in codes for take in takes])
    outputs = scores.argmax(axis=1)[inside]
    assert group.n == inside.sum()
    assert group.accuracy == pytest.approx(oracle.accuracy_score(truth[inside], outputs))
    recall = oracle.recall_score(truth[inside], outputs, average="macro", labels=np.unique(truth[inside]))
    assert group.uar == pytest.approx(recall)
    if kind == "actor":
        assert (group.accuracy_ci95, group.uar_ci95) == (None, None)
    else:
        for name, metric in (("accuracy", metrics.accuracy), ("uar", metrics.uar)):
            expected = metrics.bootstrap_interval(metric, truth[inside], outputs, actors[inside], seed=0)
            assert getattr(group, f"{name}_ci95") == expected
            assert expected[0] < expected[1]


def test_the_order_of_takes_does_not_matter_and_the_seed_does() -> None:
    takes, truth, scores, actors = table = _table()
    order = np.random.default_rng(5).permutation(len(takes))
    mixed = ([takes[i] for i in order], truth[order], scores[order], actors[order])
    assert group_figures(*mixed, 0) == group_figures(*table, 0)
    many = _table(12)
    assert _found(many, seed=0)["intensity", "strong"] != _found(many, seed=1)["intensity", "strong"]


def test_records_agree_with_the_names_of_ravdess(tmp_path: Path) -> None:
    names, truth, scores, actors = _table(2)
    for name in names:
        (tmp_path / f"03-{name}.wav").touch()
    by_name = {take.take: take for take in read_ravdess(tmp_path).takes()}
    takes = [by_name[name] for name in names]
    assert group_figures(takes, truth, scores, actors, 0) == group_figures(names, truth, scores, actors, 0)


def test_for_another_corpus_only_facts_of_its_records_count() -> None:
    truth, actors = np.array([3, 3, 4, 4]), np.array(["ann", "bob", "ann", "bob"])
    scores = np.eye(len(EMOTIONS))[[3, 3, 4, 0]]
    # named like a take of RAVDESS, but the record has no facts
    silent = [_record("01-04-02-01-01-12", who) for who in actors]
    found = group_figures(silent, truth, scores, actors, 0)
    assert [(g.kind, g.value) for g in found] == [
        ("actor", "ann"), ("actor", "bob"), ("emotion", "sad"), ("emotion", "angry"),
    ]  # fmt: skip
    assert [g.accuracy for g in found] == [1, 0.5, 1, 0.5]
    # one of four has the fact: the others are in no group of that kind
    telling = [_record("a", "ann", sex="female"), *silent[1:]]
    only = [g for g in group_figures(telling, truth, scores, actors, 0) if g.kind == "sex"]
    assert [(g.value, g.n, g.n_actors, g.accuracy_ci95) for g in only] == [("female", 1, 1, None)]
    assert [g.kind for g in group_figures(["x", "y", "z", "!"], truth, scores, actors, 0)] == [
        "actor", "actor", "emotion", "emotion",
    ]  # fmt: skip


def test_as_dict_is_plain_and_complete() -> None:
    for group in group_figures(*_table(2), 0):
        data = group.as_dict()
        assert json.loads(json.dumps(data)) == data
        assert set(data) == set(GroupFigures.__dataclass_fields__)
        assert data["value"] == group.value
        assert data["uar_ci95"] == (None if group.uar_ci95 is None else list(group.uar_ci95))


def test_bad_tables_are_rejected() -> None:
    takes, truth, scores, actors = _table(1)
    with pytest.raises(ValueError, match="must have the same length"):
        group_figures(takes[1:], truth, scores, actors, 0)
    with pytest.raises(ValueError, match="must have the same length"):
        group_figures(takes, truth, scores[1:], actors, 0)
    with pytest.raises(ValueError, match="n_classes 8"):
        group_figures(takes, np.full_like(truth, 8), scores, actors, 0)
    with pytest.raises(ValueError, match="below 0"):
        group_figures(takes, truth - 8, scores, actors, 0)
    with pytest.raises(ValueError, match="n at least 1"):
        group_figures([], [], np.zeros((0, 8)), [], 0)

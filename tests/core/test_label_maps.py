from __future__ import annotations

import hashlib
import itertools
import json
import math

import numpy as np
import pytest

from emofuse.core.label_maps import (
    LABEL_MAPS_VERSION,
    LabelMap,
    convert,
    convert_label,
    heuristic_valence_arousal,
    label_map,
    label_set,
    restrict,
)
from emofuse.core.labels import (
    EMOTIONS,
    FER2013_TO_EMOTION,
    FER_PLUS_TO_EMOTION,
    FER_PLUS_TO_EMOTION_VERSION,
    LABEL_SETS,
)

PAIRS = list(itertools.product(LABEL_SETS, repeat=2))
DIGESTS = {1: {"emo-db-7": "18c644dce8efb4a7", "nemo-6": "a66153b5cf5c473f"}}
"""By version, of all maps up to a set: to change a map, raise the version; to add a set, add its digest."""


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_maps_change_only_with_their_version() -> None:
    sets = tuple(LABEL_SETS)
    for last, expected in DIGESTS[LABEL_MAPS_VERSION].items():
        pairs = itertools.product(sets[: sets.index(last) + 1], repeat=2)
        maps = {f"{a}>{b}": [label_map(a, b).matrix.tolist(), dict(label_map(a, b).single)] for a, b in pairs}
        assert hashlib.sha256(json.dumps(maps, sort_keys=True).encode()).hexdigest()[:16] == expected, last
    assert last == sets[-1]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_map_is_complete(source: str, target: str) -> None:
    mapping = label_map(source, target)
    assert (mapping.source, mapping.target, mapping.name) == (source, target, f"{source} to {target}")
    assert mapping.version >= 1
    assert mapping.matrix.shape == (len(LABEL_SETS[source]), len(LABEL_SETS[target]))
    sums = mapping.matrix.sum(axis=1)
    assert np.all(np.isclose(sums, 1) | (sums == 0))
    assert [label for label, total in zip(mapping.shares, sums, strict=True) if total == 0] == list(
        mapping.dropped
    )
    for label, meaning in LABEL_SETS[source].items():
        to = convert_label(label, mapping)
        assert (to is None) == (label in mapping.dropped)
        if to is not None and meaning != "calm":
            assert LABEL_SETS[target][to] == meaning
    if source == target:
        np.testing.assert_array_equal(mapping.matrix, np.eye(len(LABEL_SETS[source])))


@pytest.mark.parametrize(
    ("target", "calm"),
    [
        ("ravdess-8", "calm"),
        ("fer-7", "neutral"),
        ("fer-plus-8", "neutral"),
        ("ekman-6", None),
        ("crema-d-6", "NEU"),
        ("savee-7", "n"),
        ("tess-7", "neutral"),
        ("emo-db-7", "N"),
        ("nemo-6", "neutral"),
    ],
)
def test_what_happens_to_calm(target: str, calm: str | None) -> None:
    mapping = label_map("ravdess-8", target)
    assert convert_label("calm", mapping) == calm
    assert dict(mapping.shares["calm"]) == ({calm: 1.0} if calm else {})


def test_what_is_dropped() -> None:
    assert label_map("ravdess-8", "ekman-6").dropped == ("neutral", "calm")
    assert label_map("ravdess-8", "crema-d-6").dropped == ("surprised",)
    assert label_map("ravdess-8", "emo-db-7").dropped == ("surprised",)
    assert label_map("emo-db-7", "ravdess-8").dropped == ("L",)
    assert label_map("ravdess-8", "nemo-6").dropped == ("disgust",)
    assert label_map("nemo-6", "ravdess-8").dropped == ()
    assert label_map("fer-plus-8", "ravdess-8").dropped == ("contempt",)
    assert label_map("ravdess-8", "fer-7").dropped == ()


@pytest.mark.parametrize("source", [name for name in LABEL_SETS if name not in {"ravdess-8", "ekman-6"}])
def test_neutral_without_calm_is_split_as_probability_and_stays_as_label(source: str) -> None:
    mapping = label_map(source, "ravdess-8")
    (neutral,) = (label for label, meaning in LABEL_SETS[source].items() if meaning == "neutral")
    assert dict(mapping.shares[neutral]) == {"neutral": 0.5, "calm": 0.5}
    assert convert_label(neutral, mapping) == "neutral"


def test_older_tables_are_the_same_maps() -> None:
    plus = label_map("fer-plus-8", "ravdess-8")
    assert {label: dict(row) for label, row in plus.shares.items()} == FER_PLUS_TO_EMOTION
    assert plus.version == FER_PLUS_TO_EMOTION_VERSION
    fer = label_map("fer-7", "ravdess-8")
    assert {label: convert_label(label, fer) for label in fer.shares} == FER2013_TO_EMOTION


def test_convert_by_hand() -> None:
    # neutral, calm, happy, sad, angry, fearful, disgust, surprised
    given = rows([0.1, 0.2, 0.3, 0.0, 0.4, 0.0, 0.0, 0.0])
    # anger, disgust, fear, happiness, sadness, surprise
    ekman = convert(given, label_map("ravdess-8", "ekman-6"))
    np.testing.assert_allclose(ekman, [[0.4 / 0.7, 0, 0, 0.3 / 0.7, 0, 0]])
    # angry, disgust, fear, happy, sad, surprise, neutral
    fer = convert(given, label_map("ravdess-8", "fer-7"))
    np.testing.assert_allclose(fer, [[0.4, 0, 0, 0.3, 0, 0, 0.3]])
    back = convert(fer, label_map("fer-7", "ravdess-8"))
    np.testing.assert_allclose(back, [[0.15, 0.15, 0.3, 0, 0.4, 0, 0, 0]])


def test_converted_rows_sum_to_one() -> None:
    rng = np.random.default_rng(3)
    for source, target in PAIRS:
        given = rng.dirichlet(np.ones(len(label_set(source))), size=20)
        out = convert(given, label_map(source, target))
        assert out.shape == (20, len(label_set(target)))
        np.testing.assert_allclose(out.sum(axis=1), 1)
        # Scores that do not sum to 1 give the same.
        np.testing.assert_allclose(convert(7 * given, label_map(source, target)), out)


def test_converting_no_rows_is_not_an_error() -> None:
    assert convert(np.empty((0, 8)), label_map("ravdess-8", "ekman-6")).shape == (0, 6)


def test_everything_dropped_is_an_error_that_names_the_rows() -> None:
    mapping = label_map("ravdess-8", "ekman-6")
    good, lost = [0.0, 0, 1, 0, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match=r"ekman-6: nothing is left of row 1, 3: .*\(neutral, calm\)"):
        convert(rows(good, lost, good, lost), mapping)
    with pytest.raises(ValueError, match=r"row 0, 1, 2, 3, 4 and 2 more"):
        convert(rows(*[lost] * 7), mapping)
    with pytest.raises(ValueError, match="row 0"):
        convert(rows([0.5, 0.5 - 1e-9, 1e-9, 0, 0, 0, 0, 0]), mapping)
    with pytest.raises(ValueError, match="row 0"):
        convert(np.zeros((1, 8)), mapping)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones(8), r"must be \(n, 8\), not \(8,\)"),
        (np.ones((2, 7)), r"must be \(n, 8\), not \(2, 7\)"),
        (rows([1, -0.1, 0, 0, 0, 0, 0, 0]), "finite and not negative"),
        (rows([1, math.nan, 0, 0, 0, 0, 0, 0]), "finite and not negative"),
    ],
)
def test_invalid_probabilities_are_refused(given: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(given, label_map("ravdess-8", "fer-7"))


def test_errors_about_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown label set 'ravdess': use one of ravdess-8, fer-7"):
        label_map("ravdess", "fer-7")
    with pytest.raises(ValueError, match="unknown label set 'fer'"):
        label_map("ravdess-8", "fer")
    with pytest.raises(ValueError, match=r"crema-d-6 has no label 'ang': use one of ANG, DIS"):
        convert_label("ang", label_map("crema-d-6", "ravdess-8"))


@pytest.mark.parametrize(
    ("shares", "single", "message"),
    [
        ({"anger": {"sad": 1.0}}, {}, "anger goes to sad, not in ekman-6"),
        ({"anger": {"anger": 0.9}}, {}, "the shares of anger sum to 0.9"),
        ({"anger": {"anger": 1.5}}, {}, "above 0 and at most 1"),
        ({"anger": {"anger": 0.5, "fear": 0.5}}, {}, "need a single one, see anger"),
        ({"anger": {"anger": 0.5, "fear": 0.5}}, {"anger": "sadness"}, "which gets no share"),
        ({"joy": {}}, {}, "in this order"),
    ],
)
def test_map_checks_itself(shares: dict[str, dict[str, float]], single: dict[str, str], message: str) -> None:
    whole = {label: {label: 1.0} for label in label_set("ekman-6")}
    with pytest.raises(ValueError, match=message):
        LabelMap("mine", 1, "ekman-6", "ekman-6", whole | shares, single)


def test_maps_cannot_be_changed_by_their_users() -> None:
    mapping = label_map("ravdess-8", "fer-7")
    with pytest.raises(TypeError):
        mapping.shares["calm"]["neutral"] = 0.5  # type: ignore[index]
    with pytest.raises(TypeError):
        mapping.single["calm"] = "neutral"  # type: ignore[index]


def test_valence_arousal_lies_on_the_circumplex() -> None:
    points = dict(zip(EMOTIONS, heuristic_valence_arousal(np.eye(8)), strict=True))
    np.testing.assert_allclose(points.pop("neutral"), [0, 0])
    for name, point in points.items():
        assert math.hypot(*point) == pytest.approx(1), name
    pleasant = {name for name, (valence, _) in points.items() if valence > 0}
    aroused = {name for name, (_, arousal) in points.items() if arousal > 0}
    assert pleasant == {"calm", "happy", "surprised"}
    assert aroused == {"happy", "angry", "fearful", "disgust", "surprised"}
    np.testing.assert_allclose(points["sad"], [-math.sqrt(3) / 2, -0.5])


def test_valence_arousal_is_an_expectation() -> None:
    one_hot = heuristic_valence_arousal(np.eye(8))
    mixed = heuristic_valence_arousal(rows([0.25, 0, 0.5, 0, 0.25, 0, 0, 0]))
    np.testing.assert_allclose(mixed[0], 0.5 * one_hot[2] + 0.25 * one_hot[4])


@pytest.mark.parametrize(
    "given", [np.eye(7), np.ones((1, 8)), rows([2, -1, 0, 0, 0, 0, 0, 0]), np.ones(8) / 8]
)
def test_valence_arousal_needs_probabilities(given: np.ndarray) -> None:
    with pytest.raises(ValueError, match="probabilities must be"):
        heuristic_valence_arousal(given)


def test_restricted_probabilities_are_those_of_the_map() -> None:
    given = np.random.default_rng(1).dirichlet(np.ones(8), 20)
    for name in ("nemo-6", "crema-d-6", "savee-7", "ekman-6", "emo-db-7"):
        meanings = [meaning for meaning in LABEL_SETS[name].values() if meaning in EMOTIONS]
        expected = convert(given, label_map("ravdess-8", name))
        places = [EMOTIONS.index(meaning) for meaning in meanings]
        kept = [i for i, meaning in enumerate(LABEL_SETS[name].values()) if meaning in EMOTIONS]
        found = restrict(given, meanings)
        np.testing.assert_allclose(found[:, places], expected[:, kept])
        assert found[:, [i for i in range(8) if i not in places]].max(initial=0) == 0
    np.testing.assert_allclose(restrict(given, EMOTIONS), given)


def test_restricting_to_what_has_no_probability_says_nothing() -> None:
    only_disgust = np.eye(8)[[6]]
    np.testing.assert_allclose(restrict(only_disgust, ("happy", "sad")), [[0, 0, 0.5, 0.5, 0, 0, 0, 0]])
    with pytest.raises(ValueError, match="emotions must be some of"):
        restrict(only_disgust, ("happy", "joy"))
    with pytest.raises(ValueError, match="got none"):
        restrict(only_disgust, ())
    with pytest.raises(ValueError, match=r"must be \(n, 8\)"):
        restrict([[0.5, 0.5]], ("happy",))
    with pytest.raises(ValueError, match="not negative"):
        restrict(-only_disgust, ("happy",))

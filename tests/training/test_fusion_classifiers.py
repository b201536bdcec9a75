"""Each classifier against its library, and its ONNX export against itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.fusion import Fusion, NeuralFusion
from emofuse.training.face_likelihood import likelihood_of_clips, log_likelihood
from emofuse.training.fusion_classifiers import LogLinearPool, SklearnClassifier, make_classifier
from emofuse.training.supervision import Supervision

SETTINGS = Fusion(nn=NeuralFusion(hidden=(32, 16), epochs=40, dropout=0.1))
CASES: list[Any] = [
    ("lr", {"C": 0.1}),
    ("lr", {"C": 1e4}),
    ("pca-lr", {"C": 1.0, "kept": 0.5}),
    ("svm", {"C": 1.0, "kernel": "linear"}),
    ("svm", {"C": 1.0, "kernel": "poly", "gamma": 1.0}),
    ("svm", {"C": 10.0, "kernel": "rbf", "gamma": 1.0}),
    ("nn", {"learning_rate": 5e-3, "weight_decay": 1e-2}),
]


def data(n: int = 96, d: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 8
    centres = np.random.default_rng(5).standard_normal((8, d)) * 1.5
    return (centres[y] + rng.standard_normal((n, d))).astype(np.float32), y


def through_onnx(model: bytes, X: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["probabilities"]
    out: np.ndarray = session.run(None, {"inputs": X})[0]
    return out


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_learns_and_predicts_the_same_through_onnx(name: Any, parameters: dict[str, Any]) -> None:
    X, y = data()
    new, truth = data(seed=1)
    model = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y)
    outputs = model.predict_proba(new)
    assert outputs.shape == (96, 8)
    np.testing.assert_allclose(outputs.sum(1), 1, atol=1e-6)
    assert (outputs.argmax(1) == truth).mean() > 0.7
    onnx = model.to_onnx()
    np.testing.assert_allclose(through_onnx(onnx, new), outputs, atol=1e-4)
    np.testing.assert_allclose(through_onnx(onnx, new[:1]), outputs[:1], atol=1e-4)
    again = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y)
    assert (again.predict_proba(new) == outputs).all()


def test_logistic_regression_is_scikit_learns_on_standardized_inputs() -> None:
    X, y = data()
    outputs = make_classifier("lr", {"C": 0.3}, SETTINGS, n_emotions=8, seed=0).fit(X, y).predict_proba(X)
    Z = StandardScaler().fit_transform(X.astype(np.float64))
    expected = LogisticRegression(C=0.3, max_iter=300).fit(Z, y).predict_proba(Z)
    np.testing.assert_allclose(outputs, expected, atol=1e-9)


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_emotions_unseen_in_training(name: Any, parameters: dict[str, Any]) -> None:
    X, y = data()
    seen = ~np.isin(y, [1, 7])
    model = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=0).fit(X[seen], y[seen])
    outputs = model.predict_proba(X)
    np.testing.assert_allclose(through_onnx(model.to_onnx(), X), outputs, atol=1e-4)
    assert (outputs[seen].argmax(1) == y[seen]).mean() > 0.8
    assert outputs[:, [1, 7]].max() < (0.2 if name == "nn" else 1e-12)


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_constant_columns(name: Any, parameters: dict[str, Any]) -> None:
    """Layers after a ReLU have values that are always 0."""
    X, y = data()
    X[:, 3] = 0
    X[:, 4] = 2
    model = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=0).fit(X, y)
    outputs = model.predict_proba(X)
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(through_onnx(model.to_onnx(), X), outputs, atol=1e-4)


def two_opinions(n: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of two modalities; the second is less accurate and overconfident."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 8
    scores = [rng.standard_normal((n, 8)) + gain * np.eye(8)[y] for gain in (3.0, 1.0)]
    logs = [s * loud - np.logaddexp.reduce(s * loud, axis=1, keepdims=True)
            for s, loud in zip(scores, (1.0, 3.0), strict=True)]  # fmt: skip
    return np.concatenate(logs, axis=1).astype(np.float32), y


def pool_loss(values: np.ndarray, X: np.ndarray, y: np.ndarray, strength: float) -> float:
    """Mean negative log-likelihood and the penalty, implemented independently."""
    weights, offsets = values[:2], values[2:]
    total = 0.0
    for row, truth in zip(X.astype(np.float64), y, strict=True):
        scores = weights[0] * row[:8] + weights[1] * row[8:] + offsets
        total -= scores[truth] - np.log(np.exp(scores).sum())
    return total / len(y) + strength * float(np.square(offsets).sum())


@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_pool_is_at_the_optimum(strength: float) -> None:
    """Against SciPy's derivative-free search on a loss of our own, and finite differences at the optimum."""
    from scipy.optimize import approx_fprime, minimize

    X, y = two_opinions()
    pool = LogLinearPool({"offset_penalty": strength}, n_emotions=8).fit(X, y)
    found = np.concatenate([pool.weights, pool.offsets])
    slope = approx_fprime(found, pool_loss, 1e-6, X, y, strength)
    assert np.abs(slope).max() < 2e-3
    other = minimize(pool_loss, np.full(10, 0.5), (X, y, strength), method="L-BFGS-B").x
    np.testing.assert_allclose(found, other, atol=0.02)
    assert pool_loss(found, X, y, strength) <= pool_loss(other, X, y, strength) + 1e-6
    assert pool.weights[0] > 2 * pool.weights[1] > 0


def test_pool_predicts_the_same_through_onnx_and_learns() -> None:
    X, y = two_opinions()
    new, truth = two_opinions(seed=1)
    pool = make_classifier("pool", {"offset_penalty": 0.01}, SETTINGS, n_emotions=8, seed=0).fit(X, y)
    outputs = pool.predict_proba(new)
    np.testing.assert_allclose(outputs.sum(1), 1)
    np.testing.assert_allclose(through_onnx(pool.to_onnx(), new), outputs, atol=1e-5)
    np.testing.assert_allclose(through_onnx(pool.to_onnx(), new[:1]), outputs[:1], atol=1e-5)

    def loss(p: np.ndarray) -> float:
        return float(-np.log(p[np.arange(len(truth)), truth]).mean())

    assert loss(outputs) < min(loss(np.exp(new[:, :8].astype(float))), loss(np.exp(new[:, 8:].astype(float))))


def test_pool_accepts_one_modality_and_three() -> None:
    X, y = two_opinions()
    alone = LogLinearPool({"offset_penalty": 1.0}, n_emotions=8).fit(X[:, 8:], y)
    assert alone.weights.shape == (1,)
    assert alone.weights[0] < 0.6  # overconfidence by a factor of 3 is corrected
    three = LogLinearPool({"offset_penalty": 1.0}, n_emotions=8).fit(np.concatenate([X, X[:, :8]], axis=1), y)
    assert three.weights.shape == (3,)
    assert (three.weights >= 0).all()


def test_pool_rejects_inputs_that_are_not_log_probabilities() -> None:
    X, y = data()
    for rows in (X, -np.abs(X[:, :15])):
        with pytest.raises(ExperimentError, match=r"fusion\.inputs = 'probabilities'"):
            LogLinearPool({"offset_penalty": 0.1}, n_emotions=8).fit(rows, y)


def test_few_clips_of_an_emotion() -> None:
    X, y = data(n=16)
    outputs = make_classifier("svm", {"C": 1.0, "kernel": "linear"}, SETTINGS, n_emotions=8, seed=0).fit(X, y)
    np.testing.assert_allclose(outputs.predict_proba(X).sum(1), 1)
    with pytest.raises(ExperimentError, match="an SVM two clips of each"):
        make_classifier("svm", {"C": 1.0, "kernel": "linear"}, SETTINGS, n_emotions=8, seed=0).fit(
            X[:8], y[:8]
        )
    for name, parameters in CASES[:3]:
        with pytest.raises(ExperimentError, match="two emotions"):
            make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=0).fit(X[::8], y[::8])


def test_pca_has_no_more_components_than_there_are_clips() -> None:
    X, y = data(n=24, d=40)
    model: Any = make_classifier("pca-lr", {"C": 1.0, "kept": 1.0}, SETTINGS, n_emotions=8, seed=0)
    model.fit(X, y)
    assert model.pipeline.named_steps["pca"].n_components == 23
    model = make_classifier("pca-lr", {"C": 1.0, "kept": 0.1}, SETTINGS, n_emotions=8, seed=0).fit(X, y)
    assert model.pipeline.named_steps["pca"].n_components == 2


@pytest.mark.parametrize("name", ["lr", "pca-lr", "svm"])
def test_the_same_outputs_for_all_takes_are_an_error(name: Any) -> None:
    _, y = data()
    parameters = {"C": 1.0, "kernel": "rbf", "kept": 0.5}
    classifier = make_classifier(name, parameters, Fusion(), n_emotions=8, seed=0)
    with pytest.raises(ExperimentError, match="are the same for all takes: there is nothing to fuse"):
        classifier.fit(np.full((len(y), 16), -2.0, np.float32), y)


@pytest.mark.parametrize("name", ["lr", "svm", "nn", "pool"])
def test_outputs_that_are_not_numbers_are_an_error(name: Any) -> None:
    _, y = data()
    X = np.log(np.full((len(y), 16), 1 / 8, np.float32))
    X[3, 2], X[7, 0], X[7, 1] = np.nan, np.inf, -np.inf
    parameters = {
        "C": 1.0,
        "kernel": "rbf",
        "offset_penalty": 1.0,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
    }
    classifier = make_classifier(name, parameters, Fusion(), n_emotions=8, seed=0)
    with pytest.raises(ExperimentError, match="outputs for 2 of 96 takes are not numbers"):
        classifier.fit(X, y)


def test_pool_by_likelihood_is_the_pool_of_the_likelihood() -> None:
    """The face's block is replaced, the voice's is not; the export agrees."""
    from scipy.optimize import approx_fprime

    X, y = two_opinions()
    pool = LogLinearPool({"offset_penalty": 0.1}, n_emotions=8, by_likelihood=True).fit(X, y)
    matrix = likelihood_of_clips(X[:, 8:], y)
    by_hand = np.concatenate([X[:, :8], log_likelihood(X[:, 8:], matrix)], axis=1)
    plain = LogLinearPool({"offset_penalty": 0.1}, n_emotions=8)
    plain.weights, plain.offsets = pool.weights, pool.offsets
    new, _ = two_opinions(seed=1)
    other = np.concatenate([new[:, :8], log_likelihood(new[:, 8:], matrix)], axis=1)
    np.testing.assert_allclose(
        pool.predict_proba(new), plain.predict_proba(other.astype(np.float32)), atol=1e-6
    )
    np.testing.assert_allclose(through_onnx(pool.to_onnx(), new), pool.predict_proba(new), atol=1e-5)
    fitted = np.concatenate([pool.weights, pool.offsets])
    slope = approx_fprime(fitted, pool_loss, 1e-6, by_hand.astype(np.float32), y, 0.1)
    assert np.abs(slope).max() < 2e-3


def test_the_recipe_says_whether_the_pool_fuses_by_likelihood() -> None:
    X, y = two_opinions()
    for wanted in (False, True):
        settings = Fusion(classifiers=("pool",), face_likelihood=wanted)
        pool = make_classifier("pool", {"offset_penalty": 0.1}, settings, n_emotions=8, seed=0).fit(X, y)
        assert isinstance(pool, LogLinearPool)
        assert (pool.face_likelihood is not None) == wanted
    with pytest.raises(ValueError, match="face_likelihood goes with"):
        Fusion(classifiers=("pool", "lr"), face_likelihood=True)
    with pytest.raises(ValueError, match="face_likelihood goes with"):
        Fusion(classifiers=("pool",), inputs="features", face_likelihood=True)


def of_two_corpora(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, Supervision]:
    """The clips, and as many of a corpus that calls emotions 1 and 6 by the names 0 and 4."""
    others = np.select([y == 1, y == 6], [0, 4], y)
    known = np.ones((2 * len(y), 8), dtype=bool)
    known[len(y) :, [1, 6]] = False
    supervision = Supervision.of(known, np.repeat([1.0, 3.0], len(y)))
    assert supervision is not None
    return np.concatenate([X, X]), np.concatenate([y, others]), supervision


@pytest.mark.parametrize(("name", "parameters"), [case for case in CASES if case[0] != "svm"])
def test_a_corpus_without_an_emotion_is_no_evidence_against_it(name: Any, parameters: dict[str, Any]) -> None:
    X, y, supervision = of_two_corpora(*data())
    new, truth = data(seed=1)
    rare = np.isin(truth, [1, 6])
    recalls = []
    for given in (supervision, None):
        model = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y, given)
        outputs = model.predict_proba(new)
        recalls.append(float((outputs.argmax(1) == truth)[rare].mean()))
        np.testing.assert_allclose(through_onnx(model.to_onnx(), new), outputs, atol=1e-4)
    assert recalls[0] > 0.6
    assert recalls[0] > recalls[1]


def test_two_emotions_left_are_as_scikit_learn_keeps_them() -> None:
    X, y = data()
    two = np.isin(y, [2, 5])
    weights = np.where(np.arange(two.sum()) % 2, 0.5, 1.5)
    supervision = Supervision(np.ones((two.sum(), 8), dtype=bool), weights)
    model = make_classifier("lr", {"C": 0.3}, SETTINGS, n_emotions=8, seed=0).fit(X[two], y[two], supervision)
    Z = StandardScaler().fit_transform(X[two].astype(np.float64))
    # two coefficients of opposite sign are penalized like one of √2 their size
    expected = LogisticRegression(C=0.6, max_iter=3000, tol=1e-9).fit(Z, y[two], sample_weight=weights)
    outputs = model.predict_proba(X[two])
    np.testing.assert_allclose(outputs[:, [2, 5]], expected.predict_proba(Z), atol=2e-3)
    np.testing.assert_allclose(through_onnx(model.to_onnx(), X[two]), outputs, atol=1e-4)


def test_the_pool_weighs_clips_and_leaves_emotions_out() -> None:
    """At its optimum no small change of a weight or an offset lowers the masked loss."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 8
    logs = np.stack([np.eye(8)[y] * s + rng.standard_normal((120, 8)) for s in (2.0, 1.0)], axis=1)
    logs -= np.logaddexp.reduce(logs, axis=2, keepdims=True)
    X = logs.reshape(120, 16).astype(np.float32)
    known = np.ones((120, 8), dtype=bool)
    known[np.arange(120) % 3 == 0] = False
    known[np.arange(120), y] = True
    known[:, 0] = True
    supervision = Supervision(known, np.where(np.arange(120) % 2, 0.5, 1.5))
    model = LogLinearPool({"offset_penalty": 0.02}, n_emotions=8).fit(X, y, supervision)

    def loss(weights: np.ndarray, offsets: np.ndarray) -> float:
        scores = np.einsum("nme,m->ne", X.astype(np.float64).reshape(120, 2, 8), weights) + offsets
        scores = np.where(known, scores, -np.inf)
        right = scores[np.arange(120), y] - np.logaddexp.reduce(scores, axis=1)
        return float(-(supervision.weights * right).mean() + 0.02 * np.square(offsets).sum())

    best = loss(model.weights, model.offsets)
    for i in range(10):
        for step in (-1e-2, 1e-2):
            changed = np.concatenate([model.weights, model.offsets])
            changed[i] += step
            assert loss(changed[:2], changed[2:]) > best - 1e-7


def test_an_svm_learns_from_corpora_with_every_emotion() -> None:
    X, y, supervision = of_two_corpora(*data())
    n = len(y) // 2
    models = [
        make_classifier("svm", {"C": 1.0, "kernel": "linear"}, SETTINGS, n_emotions=8, seed=0).fit(*given)
        for given in ((X, y, supervision), (X[:n], y[:n]))
    ]
    assert (models[0].predict_proba(X) == models[1].predict_proba(X)).all()
    nobody = Supervision(np.tile(np.arange(8) != 1, (n, 1)), np.ones(n))
    with pytest.raises(ExperimentError, match="too few takes"):
        make_classifier("svm", {"C": 1.0, "kernel": "linear"}, SETTINGS, n_emotions=8, seed=0).fit(
            X[:n], y[:n], nobody
        )


SVMS: list[Any] = [case for case in CASES if case[0] == "svm"]


def rated(shares: np.ndarray) -> Supervision:
    return Supervision(np.ones_like(shares, dtype=bool), np.ones(len(shares)), shares)


@pytest.mark.parametrize(("name", "parameters"), SVMS)
def test_an_svm_on_shares_of_one_rater_is_that_on_labels(name: Any, parameters: dict[str, Any]) -> None:
    X, y = data()
    new, _ = data(seed=1)
    hard = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y)
    soft = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y, rated(np.eye(8)[y]))
    assert (soft.predict_proba(new) == hard.predict_proba(new)).all()
    # clips that nobody rated have their label alone
    unrated = np.full((len(y), 8), np.nan)
    unrated[0] = np.eye(8)[y[0]]
    mixed = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y, rated(unrated))
    assert (mixed.predict_proba(new) == hard.predict_proba(new)).all()


@pytest.mark.parametrize(("name", "parameters"), SVMS)
def test_an_svm_learns_how_sure_raters_are(name: Any, parameters: dict[str, Any]) -> None:
    """Nine of ten raters of each clip of emotion 0 say so, and six of ten of each clip of emotion 1."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 2
    X = (rng.standard_normal((240, 4)) + np.where(y[:, None], 2.5, -2.5)).astype(np.float32)
    shares = np.where(y[:, None], [[0.4, 0.6]], [[0.9, 0.1]])
    model = make_classifier(name, parameters, SETTINGS, n_emotions=2, seed=0).fit(X, y, rated(shares))
    outputs = model.predict_proba(X)
    np.testing.assert_allclose(outputs[y == 0, 0].mean(), 0.9, atol=0.08)
    np.testing.assert_allclose(outputs[y == 1, 1].mean(), 0.6, atol=0.08)
    np.testing.assert_allclose(through_onnx(model.to_onnx(), X), outputs, atol=1e-4)
    hard = make_classifier(name, parameters, SETTINGS, n_emotions=2, seed=0).fit(X, y)
    assert hard.predict_proba(X)[y == 1, 1].mean() > 0.9


def test_copies_of_a_clip_are_never_on_both_sides_of_the_platt_scaling() -> None:
    """Else it would read scores for clips of which the SVM had seen a copy with another label."""
    X, y = data(d=4)
    shares = 0.75 * np.eye(8)[y] + 0.25 * np.eye(8)[(y + 1) % 8]
    model = make_classifier("svm", {"C": 1.0, "kernel": "rbf"}, SETTINGS, n_emotions=8, seed=0)
    model.fit(X, y, rated(shares))
    assert isinstance(model, SklearnClassifier)
    parts = [{int(copy) // 2 for copy in held_out} for _, held_out in model.pipeline[-1].cv]
    assert sorted(clip for part in parts for clip in part) == list(range(len(y)))
    for (train, _), part in zip(model.pipeline[-1].cv, parts, strict=True):
        assert not part & {int(copy) // 2 for copy in train}
        assert len(train) + 2 * len(part) == 2 * len(y)


def test_an_svm_leaves_out_shares_of_labels_that_no_clip_has() -> None:
    X, y = data(d=4)
    seen = ~np.isin(y, [1, 7])
    shares = 0.8 * np.eye(8)[y[seen]] + 0.2 * np.eye(8)[1]
    parameters = {"C": 1.0, "kernel": "linear"}
    model = make_classifier("svm", parameters, SETTINGS, n_emotions=8, seed=0)
    outputs = model.fit(X[seen], y[seen], rated(shares)).predict_proba(X)
    assert outputs[:, [1, 7]].max() == 0
    np.testing.assert_allclose(outputs.sum(1), 1)


def test_the_likelihood_of_faces_counts_raters() -> None:
    """Shares of one rater are labels; those of two halve a clip between two emotions."""
    logs = np.log(np.random.default_rng(0).dirichlet(np.ones(8), 40))
    y = np.arange(40) % 8
    np.testing.assert_allclose(likelihood_of_clips(logs, np.eye(8)[y]), likelihood_of_clips(logs, y))
    halves = (np.eye(8)[y] + np.eye(8)[(y + 1) % 8]) / 2
    doubled = likelihood_of_clips(np.concatenate([logs, logs]), np.concatenate([y, (y + 1) % 8]))
    found = likelihood_of_clips(logs, halves)
    prior = likelihood_of_clips(logs[:0], y[:0])
    # the posterior mean of half the evidence lies between that of all and the prior
    weight = 5 / (5 + 50)
    whole = 10 / (10 + 50)
    np.testing.assert_allclose((found - prior) / weight, (doubled - prior) / whole, atol=1e-12)

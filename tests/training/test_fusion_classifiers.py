"""Each classifier against what it stands on, and its ONNX against itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.fusion import Fusion, NeuralFusion
from emofuse.training.fusion_classifiers import LogLinearPool, make_classifier

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
def test_learns_and_says_the_same_through_onnx(name: Any, parameters: dict[str, Any]) -> None:
    X, y = data()
    new, truth = data(seed=1)
    model = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y)
    said = model.predict_proba(new)
    assert said.shape == (96, 8)
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-6)
    assert (said.argmax(1) == truth).mean() > 0.7
    onnx = model.to_onnx()
    np.testing.assert_allclose(through_onnx(onnx, new), said, atol=1e-4)
    np.testing.assert_allclose(through_onnx(onnx, new[:1]), said[:1], atol=1e-4)
    again = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=3).fit(X, y)
    assert (again.predict_proba(new) == said).all()


def test_logistic_regression_is_scikit_learns_on_standardised_inputs() -> None:
    X, y = data()
    said = make_classifier("lr", {"C": 0.3}, SETTINGS, n_emotions=8, seed=0).fit(X, y).predict_proba(X)
    Z = StandardScaler().fit_transform(X.astype(np.float64))
    wanted = LogisticRegression(C=0.3, max_iter=300).fit(Z, y).predict_proba(Z)
    np.testing.assert_allclose(said, wanted, atol=1e-9)


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_emotions_that_never_occurred(name: Any, parameters: dict[str, Any]) -> None:
    X, y = data()
    seen = ~np.isin(y, [1, 7])
    model = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=0).fit(X[seen], y[seen])
    said = model.predict_proba(X)
    np.testing.assert_allclose(through_onnx(model.to_onnx(), X), said, atol=1e-4)
    assert (said[seen].argmax(1) == y[seen]).mean() > 0.8
    assert said[:, [1, 7]].max() < (0.2 if name == "nn" else 1e-12)


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_columns_that_never_vary(name: Any, parameters: dict[str, Any]) -> None:
    """Layers after a ReLU have values that are always 0."""
    X, y = data()
    X[:, 3] = 0
    X[:, 4] = 2
    model = make_classifier(name, parameters, SETTINGS, n_emotions=8, seed=0).fit(X, y)
    said = model.predict_proba(X)
    assert np.isfinite(said).all()
    np.testing.assert_allclose(through_onnx(model.to_onnx(), X), said, atol=1e-4)


def two_opinions(n: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of two modalities, the second of which is worth less and says it louder."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 8
    scores = [rng.standard_normal((n, 8)) + gain * np.eye(8)[y] for gain in (3.0, 1.0)]
    logs = [s * loud - np.logaddexp.reduce(s * loud, axis=1, keepdims=True)
            for s, loud in zip(scores, (1.0, 3.0), strict=True)]  # fmt: skip
    return np.concatenate(logs, axis=1).astype(np.float32), y


def pool_loss(values: np.ndarray, X: np.ndarray, y: np.ndarray, strength: float) -> float:
    """Mean negative log-likelihood, and the penalty; written down anew."""
    weights, offsets = values[:2], values[2:]
    total = 0.0
    for row, truth in zip(X.astype(np.float64), y, strict=True):
        scores = weights[0] * row[:8] + weights[1] * row[8:] + offsets
        total -= scores[truth] - np.log(np.exp(scores).sum())
    return total / len(y) + strength * float(np.square(offsets).sum())


@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_pool_is_the_best_of_its_kind(strength: float) -> None:
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


def test_pool_says_the_same_through_onnx_and_learns() -> None:
    X, y = two_opinions()
    new, truth = two_opinions(seed=1)
    pool = make_classifier("pool", {"offset_penalty": 0.01}, SETTINGS, n_emotions=8, seed=0).fit(X, y)
    said = pool.predict_proba(new)
    np.testing.assert_allclose(said.sum(1), 1)
    np.testing.assert_allclose(through_onnx(pool.to_onnx(), new), said, atol=1e-5)
    np.testing.assert_allclose(through_onnx(pool.to_onnx(), new[:1]), said[:1], atol=1e-5)

    def loss(p: np.ndarray) -> float:
        return float(-np.log(p[np.arange(len(truth)), truth]).mean())

    assert loss(said) < min(loss(np.exp(new[:, :8].astype(float))), loss(np.exp(new[:, 8:].astype(float))))


def test_pool_takes_one_modality_and_three() -> None:
    X, y = two_opinions()
    alone = LogLinearPool({"offset_penalty": 1.0}, n_emotions=8).fit(X[:, 8:], y)
    assert alone.weights.shape == (1,)
    assert alone.weights[0] < 0.6  # what was said three times too loud is turned down
    three = LogLinearPool({"offset_penalty": 1.0}, n_emotions=8).fit(np.concatenate([X, X[:, :8]], axis=1), y)
    assert three.weights.shape == (3,)
    assert (three.weights >= 0).all()


def test_pool_refuses_what_is_no_log_probability() -> None:
    X, y = data()
    for rows in (X, -np.abs(X[:, :15])):
        with pytest.raises(ExperimentError, match=r"fusion\.inputs = 'probabilities'"):
            LogLinearPool({"offset_penalty": 0.1}, n_emotions=8).fit(rows, y)


def test_few_clips_of_an_emotion() -> None:
    X, y = data(n=16)
    said = make_classifier("svm", {"C": 1.0, "kernel": "linear"}, SETTINGS, n_emotions=8, seed=0).fit(X, y)
    np.testing.assert_allclose(said.predict_proba(X).sum(1), 1)
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

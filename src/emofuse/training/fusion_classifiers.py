"""The classifiers of late fusion, with one interface: ``fit(X, y)``, ``predict_proba(X)``, ``to_onnx()``.

``fit`` takes a supervision where clips come from several corpora or were judged by several raters: emotions
that a clip's corpus does not distinguish are left out of its loss, and its target is the shares of its
raters. An SVM, which cannot leave emotions out, is fitted on the clips of corpora that distinguish all of
them, each of which counts the same; a clip of several raters is one copy for each label that any of them
chose, weighted by their share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.fusion import MIN_STD, Classifier, Fusion, NeuralFusion
from emofuse.core.recipes.part import Training
from emofuse.system.shared_settings import ignored_warnings
from emofuse.training.face_likelihood import LEAST_LIKELIHOOD, likelihood_of_clips, log_likelihood
from emofuse.training.supervision import Supervision, fit_logistic, log_softmax, targets_of

_FACE: Final = 1
"""Where the face stands among the modalities that are fused: after the voice."""


class FusionClassifier(Protocol):
    """The interface of every classifier of late fusion."""

    def fit(
        self, X: NDArray[np.float32], y: NDArray[np.int64], supervision: Supervision | None = None
    ) -> FusionClassifier:
        """Fit on (n, n_inputs) inputs and (n,) emotions, each of which counts as ``supervision`` says."""

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, n_inputs) → (n, n_emotions) probabilities."""

    def to_onnx(self) -> bytes:
        """An ONNX model: ``inputs`` (n, n_inputs) float32 → ``probabilities`` (n, n_emotions) float32."""


def make_classifier(
    name: Classifier, parameters: Mapping[str, Any], settings: Fusion, *, n_emotions: int, seed: int
) -> FusionClassifier:
    """An unfitted classifier with the given hyperparameters."""
    if name == "pool":
        return LogLinearPool(parameters, n_emotions=n_emotions, by_likelihood=settings.face_likelihood)
    if name == "nn":
        return NeuralClassifier(settings=settings.nn, parameters=parameters, n_emotions=n_emotions, seed=seed)
    return SklearnClassifier(name=name, parameters=parameters, n_emotions=n_emotions, seed=seed)


def _check_finite(X: NDArray[np.float32]) -> None:
    """Check the networks' outputs, (n, n_inputs).

    Raises:
        ExperimentError: some are not numbers.
    """
    wrong = int((~np.isfinite(X)).any(axis=1).sum())
    if wrong:
        raise ExperimentError(
            f"the networks' outputs for {wrong} of {len(X)} takes are not numbers: lower their learning_rate"
        )


class LogLinearPool:
    """Weighted product of the modalities' posteriors: log p = Σ w_m · log p_m + b, normalized.

    It has one weight per modality, its inverse temperature, and one offset per emotion: the calibrated
    product of posteriors (logarithmic opinion pool, Genest & Zidek 1986). So few parameters need few actors.
    With ``by_likelihood``, the face's posterior is replaced by the likelihood of the face given each emotion
    (:mod:`emofuse.training.face_likelihood`).
    """

    def __init__(
        self, parameters: Mapping[str, Any], *, n_emotions: int, by_likelihood: bool = False
    ) -> None:
        self.parameters = parameters
        self.n_emotions = n_emotions
        self.by_likelihood = by_likelihood
        self.weights: NDArray[np.float64] = np.zeros(0)
        self.offsets: NDArray[np.float64] = np.zeros(n_emotions)
        self.face_likelihood: NDArray[np.float64] | None = None
        """(n_emotions, n_emotions) of what the face network outputs given each emotion; None: not used."""

    def fit(
        self, X: NDArray[np.float32], y: NDArray[np.int64], supervision: Supervision | None = None
    ) -> LogLinearPool:
        """Fit on (n, n_modalities · n_emotions) log-probabilities and (n,) emotions.

        Raises:
            ExperimentError: the inputs are not log-probabilities of several modalities side by side, or not
                numbers.
        """
        from scipy.optimize import minimize

        _check_finite(X)
        if X.shape[1] % self.n_emotions or (X > 1e-3).any():
            raise ExperimentError("pool fuses log-probabilities: it needs fusion.inputs = 'probabilities'")
        targets = targets_of(y, self.n_emotions, supervision)
        if self.by_likelihood:
            rated = supervision is not None and supervision.shares is not None
            self.face_likelihood = likelihood_of_clips(self._split(X)[:, _FACE], targets if rated else y)
        logs = self._evidence(X)
        n_weights = logs.shape[1]
        strength = float(self.parameters["offset_penalty"])

        def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights, offsets = values[:n_weights], values[n_weights:]
            scores = np.einsum("nme,m->ne", logs, weights) + offsets
            if supervision is None:
                log_posterior = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
                error = np.exp(log_posterior) - targets
            else:
                log_posterior = log_softmax(scores, supervision.known)
                error = np.where(supervision.known, np.exp(log_posterior), 0) - targets
                error, log_posterior = (supervision.weights[:, None] * x for x in (error, log_posterior))
            gradient = np.concatenate([np.einsum("nme,ne->m", logs, error), error.sum(0)]) / len(X)
            gradient[n_weights:] += 2 * strength * offsets
            value = -(log_posterior * targets).sum() / len(X) + strength * np.square(offsets).sum()
            return float(value), gradient

        start = np.concatenate([np.ones(n_weights), np.zeros(self.n_emotions)])
        bounds = [(0.0, None)] * n_weights + [(None, None)] * self.n_emotions
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        self.weights, self.offsets = found[:n_weights], found[n_weights:]
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, n_inputs) → (n, n_emotions) probabilities."""
        scores = np.einsum("nme,m->ne", self._evidence(X), self.weights) + self.offsets
        return np.asarray(np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)))

    def _split(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, n_modalities, n_emotions) log-probabilities."""
        return X.astype(np.float64).reshape(len(X), -1, self.n_emotions)

    def _evidence(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same, with the face's likelihood in place of its posterior if it is used."""
        logs = self._split(X)
        if self.face_likelihood is None:
            return logs
        logs[:, _FACE] = log_likelihood(logs[:, _FACE], self.face_likelihood)
        return logs

    def to_onnx(self) -> bytes:
        """One matrix product and a softmax; before them, the likelihood of the face if it is used."""
        from onnx import TensorProto, checker, helper, numpy_helper

        n_inputs = len(self.weights) * self.n_emotions
        matrix = np.concatenate([w * np.eye(self.n_emotions) for w in self.weights]).astype(np.float32)
        shape_in: list[str | int | None] = ["n", n_inputs]
        shape_out: list[str | int | None] = ["n", self.n_emotions]
        nodes, values = self._face_nodes() if self.face_likelihood is not None else ([], {})
        evidence = "evidence" if nodes else "inputs"
        values |= {"weights": matrix, "offsets": self.offsets.astype(np.float32)}
        graph = helper.make_graph(
            [
                *nodes,
                helper.make_node("Gemm", [evidence, "weights", "offsets"], ["scores"]),
                helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            ],
            "pool",
            [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, shape_in)],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape_out)],
            [numpy_helper.from_array(value, name) for name, value in values.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        checker.check_model(model)
        return bytes(model.SerializeToString())

    def _face_nodes(self) -> tuple[list[Any], dict[str, NDArray[Any]]]:
        """Nodes ``inputs`` → ``evidence``, as :meth:`_evidence`, and their constants."""
        from onnx import helper

        assert self.face_likelihood is not None
        parts = [f"logs-{m}" for m in range(len(self.weights))]
        face = parts[_FACE]
        nodes = [
            helper.make_node("Split", ["inputs"], parts, axis=1),
            helper.make_node("Exp", [face], ["shares"]),
            helper.make_node("MatMul", ["shares", "face-likelihood"], ["likelihood"]),
            helper.make_node("Max", ["likelihood", "least"], ["positive"]),
            helper.make_node("Log", ["positive"], ["log-likelihood"]),
            helper.make_node(
                "Concat", ["log-likelihood" if part == face else part for part in parts], ["evidence"], axis=1
            ),
        ]
        return nodes, {
            "face-likelihood": self.face_likelihood.T.astype(np.float32),
            "least": np.array(LEAST_LIKELIHOOD, dtype=np.float32),
        }


@dataclass(eq=False, kw_only=True)
class _SeededClassifier:
    """The settings of a classifier that draws random numbers, and the number of inputs it was fitted on."""

    parameters: Mapping[str, Any]
    n_emotions: int
    seed: int
    n_inputs: int = field(default=0, init=False)


@dataclass(eq=False, kw_only=True)
class SklearnClassifier(_SeededClassifier):
    """Logistic regression, PCA before logistic regression, or an SVM, on standardized inputs."""

    name: Classifier
    pipeline: Any = field(default=None, init=False)
    classes: NDArray[np.int64] = field(default_factory=lambda: np.arange(0), init=False)

    max_components: ClassVar[int] = 800
    """Of the PCA in the notebooks; never more than rows and columns allow."""

    def _build(self, n: int, d: int, rarest: int) -> Any:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.decomposition import PCA
        from sklearn.feature_selection import VarianceThreshold
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        # scaling a nearly constant value would amplify rounding errors, which differ between runtimes
        scaled = (VarianceThreshold(MIN_STD**2), StandardScaler())
        p = self.parameters
        if self.name == "svm":
            # gamma is in units of 1/n_inputs, like scikit-learn's default
            gamma = p.get("gamma", 1.0) / d
            svm = SVC(C=p["C"], kernel=p["kernel"], gamma=gamma, random_state=self.seed)
            # Platt scaling on held-out clips, with every emotion in each part
            calibrated = CalibratedClassifierCV(svm, ensemble=False, cv=min(3, rarest))
            return make_pipeline(*scaled, calibrated)
        regression = LogisticRegression(C=p["C"], max_iter=300)
        if self.name == "lr":
            return make_pipeline(*scaled, regression)
        most = min(self.max_components, d, n - 1)
        components = max(1, round(p["kept"] * most))
        return make_pipeline(*scaled, PCA(components, random_state=self.seed), regression)

    def fit(
        self, X: NDArray[np.float32], y: NDArray[np.int64], supervision: Supervision | None = None
    ) -> SklearnClassifier:
        """Fit on (n, n_inputs) inputs and (n,) emotions.

        Raises:
            ExperimentError: there is only one emotion, or an SVM has a single clip of one, or none of a
                corpus with every emotion; or the inputs are not numbers, or the same for all clips.
        """
        _check_finite(X)
        if (np.ptp(X, axis=0) <= MIN_STD).all():
            raise ExperimentError(
                "the networks' outputs are the same for all takes: there is nothing to fuse"
            )
        if supervision is not None and self.name == "svm":
            # an SVM cannot leave emotions out: it learns from corpora that have them all
            whole = np.asarray(supervision.known.all(axis=1))
            X, y, supervision = X[whole], y[whole], supervision.of_raters(whole)
        self.n_inputs = X.shape[1]
        self.classes, y, counts = np.unique(y, return_inverse=True, return_counts=True)
        if len(counts) < 2 or (self.name == "svm" and counts.min() < 2):
            raise ExperimentError(
                f"too few takes: fusing by {self.name} needs clips of two emotions, an SVM two clips of each"
            )
        self.pipeline = self._build(len(X), self.n_inputs, int(counts.min()))
        # nearly unregularized regressions do not converge, and the search discards them; and many labels of
        # few clips each look like numbers to scikit-learn, which warns (UserWarning, as the first is one)
        with ignored_warnings(UserWarning):
            if supervision is None:
                self.pipeline.fit(X.astype(np.float64), y)
            elif self.name == "svm":
                self._fit_copies(X.astype(np.float64), y, supervision)
            else:
                self._fit_supervised(X.astype(np.float64), y, supervision)
        return self

    def _fit_copies(self, X: NDArray[np.float64], y: NDArray[np.int64], supervision: Supervision) -> None:
        """Fit an SVM on weighted copies of the clips, one for each label that a rater chose.

        All copies of a clip are in one part of the Platt scaling: its scores, too, are for clips that the SVM
        had not seen. Shares of labels that no clip has are left out. ``y``: indices into the classes.
        """
        from sklearn.model_selection import StratifiedKFold

        inputs = self.pipeline[:-1].fit_transform(X)
        targets = supervision.of_emotions(self.classes).targets(y)
        clips, labels = np.nonzero(targets)
        calibrated = self.pipeline[-1]
        calibrated.cv = [
            tuple(np.flatnonzero(np.isin(clips, part)) for part in parts)
            for parts in StratifiedKFold(calibrated.cv).split(inputs, y)
        ]
        calibrated.fit(inputs[clips], labels, sample_weight=targets[clips, labels])

    def _fit_supervised(self, X: NDArray[np.float64], y: NDArray[np.int64], supervision: Supervision) -> None:
        """Fit the pipeline, whose regression scikit-learn cannot fit; ``y``: indices into the classes."""
        inputs = self.pipeline[:-1].fit_transform(X)
        of_classes = supervision.of_emotions(self.classes)
        regression = self.pipeline[-1]
        classes, coefficients, intercepts = fit_logistic(inputs, y, of_classes, regression.C)
        if len(classes) == 2:  # as scikit-learn keeps them
            coefficients, intercepts = coefficients[1:] - coefficients[:1], intercepts[1:] - intercepts[:1]
        regression.classes_, regression.coef_, regression.intercept_ = classes, coefficients, intercepts
        regression.n_features_in_, regression.n_iter_ = inputs.shape[1], np.ones(1, dtype=np.int32)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, n_inputs) → (n, n_emotions) probabilities; 0 for emotions that are not in the training data."""
        given = self.pipeline.predict_proba(X.astype(np.float64))
        out = np.zeros((len(X), self.n_emotions))
        out[:, self.classes] = given
        return out

    def to_onnx(self) -> bytes:
        """The pipeline as ONNX, through skl2onnx."""
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        # skl2onnx 1.20 reads attributes of SVC that scikit-learn 1.9 deprecates
        with ignored_warnings(FutureWarning):
            model = to_onnx(
                self.pipeline,
                initial_types=[("inputs", FloatTensorType([None, self.n_inputs]))],
                options={"zipmap": False},
                target_opset={"": 17, "ai.onnx.ml": 3},
            )
        _add_unseen_emotions(model, self.classes, self.n_emotions)
        return bytes(model.SerializeToString())


def _add_unseen_emotions(model: Any, classes: NDArray[np.int64], n_emotions: int) -> None:
    """Leave one output, ``probabilities`` (n, n_emotions), with 0 for emotions unseen in training."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["seen" if name == "probabilities" else name for name in names]
    selection = np.zeros((len(classes), n_emotions), np.float32)
    selection[np.arange(len(classes)), classes] = 1
    graph.initializer.append(numpy_helper.from_array(selection, "places"))
    graph.node.append(helper.make_node("MatMul", ["seen", "places"], ["probabilities"]))
    del graph.output[:]
    shape: list[str | int | None] = ["n", n_emotions]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape))


@dataclass(eq=False, kw_only=True)
class NeuralClassifier(_SeededClassifier):
    """The notebooks' fusion network, on inputs standardized with statistics of the training clips."""

    settings: NeuralFusion
    network: Any = field(default=None, init=False)

    def fit(
        self, X: NDArray[np.float32], y: NDArray[np.int64], supervision: Supervision | None = None
    ) -> NeuralClassifier:
        """Fit on (n, n_inputs) inputs and (n,) emotions."""
        from emofuse.training.loop import Examples, train_network
        from emofuse.training.networks.fusion_mlp import FusionNetwork

        _check_finite(X)
        self.n_inputs = X.shape[1]
        X = X.astype(np.float32)
        training = Training(
            epochs=self.settings.epochs,
            batch_size=self.settings.batch_size,
            learning_rate=self.parameters["learning_rate"],
            weight_decay=self.parameters["weight_decay"],
        )
        mean, spread = X.mean(0), X.std(0)
        self.network, _ = train_network(
            lambda: FusionNetwork(
                mean, spread, self.n_emotions, hidden=self.settings.hidden, dropout=self.settings.dropout
            ),
            Examples(X, y.astype(np.int64), supervision),
            training,
            n_emotions=self.n_emotions,
            seed=self.seed,
        )
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, n_inputs) → (n, n_emotions) probabilities."""
        from emofuse.training.loop import infer

        return np.exp(infer(self.network, X.astype(np.float32), batch_size=256)[1])

    def to_onnx(self) -> bytes:
        """The network as ONNX, with probabilities as its output."""
        from emofuse.training.networks.onnx_export import export_probabilities

        return export_probabilities(self.network, self.n_inputs)

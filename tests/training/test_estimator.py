"""The scikit-learn API: the same bundle and the same predictions as elsewhere."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from emofuse import EmotionClassifier, Recognizer
from emofuse.core.errors import BundleError, ExperimentError, FeatureError, RecipeError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.core.records import Waveform
from emofuse.corpus.ravdess import parse_name
from tests.support import small_corpora

Data = tuple[list[str], list[str], list[str]]

TINY = """
extends = "{base}"
name = "tiny"
[voice.training]
epochs = 1
[face.network]
members = 1
[face.training]
epochs = 1
[fusion]
classifiers = ["lr"]
trials = 1
"""


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory, au_toml: Path) -> Path:
    """The small recipe, reduced further."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY.format(base=au_toml))
    return path


@pytest.fixture(scope="module")
def data(few_folder: Path) -> Data:
    """Paths, emotions and actors."""
    paths = sorted(few_folder.rglob("*.wav"))
    names = [parse_name(path.stem) for path in paths]
    return [str(p) for p in paths], [name.emotion for name in names], [name.speaker for name in names]


@pytest.fixture(scope="module")
def settings(home: Path, few_folder: Path, toml: Path) -> dict[str, Any]:
    return {"recipe": toml, "action_units": few_folder / small_corpora.TABLE, "cache": home / "store"}


@pytest.fixture(scope="module")
def fitted(data: Data, settings: dict[str, Any]) -> EmotionClassifier:
    """Fitted without groups: speakers are read from the names."""
    X, y, _ = data
    return EmotionClassifier(**settings).fit(X, y)


def test_settings_are_kept_as_given(settings: dict[str, Any]) -> None:
    classifier = EmotionClassifier(**settings)
    assert classifier.get_params() == {**settings, "jobs": 1, "threads": 1}
    assert classifier.set_params(jobs=2, recipe="default").get_params()["jobs"] == 2
    recipe = load_recipe("demo")
    twin = clone(EmotionClassifier(recipe))
    assert twin.get_params()["recipe"] == recipe
    assert EmotionClassifier("no such recipe").get_params()["recipe"] == "no such recipe"
    with pytest.raises(NotFittedError):
        twin.predict(["a.wav"])
    with pytest.raises(NotFittedError):
        twin.save("bundle")
    with pytest.raises(RecipeError, match="no such recipe"):
        EmotionClassifier("no such recipe").fit(["a.wav", "b.wav"], ["happy", "sad"], [1, 2])


def test_it_predicts_what_its_recognizer_predicts(fitted: EmotionClassifier, data: Data) -> None:
    X, y, _ = data
    assert list(fitted.classes_) == sorted(EMOTIONS)
    outputs = fitted.predict_proba(X[:9])
    assert outputs.shape == (9, 8) and outputs.dtype == np.float64
    np.testing.assert_allclose(outputs.sum(axis=1), 1)
    for row, path in zip(outputs, X[:9], strict=True):
        alone = fitted.recognizer_.predict(path)
        assert alone.used == ("voice", "face") and alone.probabilities is not None
        expected = [alone.probabilities[EMOTIONS.index(name)] for name in fitted.classes_]
        np.testing.assert_allclose(row, expected, atol=1e-9)
        np.testing.assert_allclose(fitted.predict_proba([path])[0], row, atol=1e-5)
    np.testing.assert_array_equal(fitted.predict(X[:9]), fitted.classes_[outputs.argmax(axis=1)])
    assert fitted.score(X, y) == np.mean(fitted.predict(X) == np.array(y))
    # Metrics that take columns in sorted order take these. Smoothed: a network of one epoch says 0 and 1.
    smooth = 0.9 * outputs + 0.1 / 8
    of_truth = [row[list(fitted.classes_).index(label)] for row, label in zip(smooth, y, strict=False)]
    assert log_loss(y[:9], smooth, labels=fitted.classes_) == pytest.approx(-np.log(of_truth).mean())


def test_recordings_may_come_in_several_shapes(fitted: EmotionClassifier, data: Data) -> None:
    X = data[0][:3]
    expected = fitted.predict_proba(X)
    for same in ([Path(x) for x in X], np.array(X), np.array(X, dtype=object)[:, None], iter(X)):
        np.testing.assert_allclose(fitted.predict_proba(same), expected, atol=1e-9)
    assert fitted.predict_proba([Path(X[0]).read_bytes()]).shape == (1, 8)
    assert fitted.predict_proba([]).shape == (0, 8)
    assert fitted.predict([]).shape == (0,)


def test_recordings_that_cannot_be_read_are_named(
    fitted: EmotionClassifier, data: Data, tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    silence = Waveform(np.zeros((1, 16000), np.float32), 16000)
    with pytest.raises(
        FeatureError, match=r"2 of 3 recordings cannot be read: .*bad\.wav.*<arrays>: no voice"
    ):
        fitted.predict_proba([tmp_path / "bad.wav", data[0][0], silence])
    with pytest.raises(ExperimentError, match="X must be a sequence of recordings, got one"):
        fitted.predict(data[0][0])


def test_speakers_are_read_from_ravdess_names(fitted: EmotionClassifier, data: Data) -> None:
    provenance = fitted.recognizer_.bundle.provenance
    assert provenance["speakers"] == sorted(set(data[2]))
    assert provenance["takes"] == len(data[0])
    assert fitted.recognizer_.licence == "CC BY-NC-SA 4.0"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301
def test_copies_are_independent(fitted: EmotionClassifier, data: Data, copied: Any) -> None:
    expected = fitted.predict_proba(data[0][:3])
    twin = copied(fitted)
    folder = twin.recognizer_.bundle.folder
    assert folder != fitted.recognizer_.bundle.folder
    np.testing.assert_array_equal(twin.predict_proba(data[0][:3]), expected)
    del twin
    gc.collect()
    assert not folder.exists()
    np.testing.assert_array_equal(fitted.predict_proba(data[0][:3]), expected)


def test_a_saved_classifier_is_a_bundle(
    fitted: EmotionClassifier, data: Data, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = fitted.save(tmp_path / "new" / "bundle")
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]
    loaded = Recognizer.load(folder, action_units=settings["action_units"])
    outputs = loaded.predict(data[0][0]).probabilities
    np.testing.assert_array_equal(outputs, fitted.recognizer_.predict(data[0][0]).probabilities)
    assert loaded.licence == "CC BY-NC-SA 4.0"
    with pytest.raises(BundleError, match="exists: give another folder"):
        fitted.save(folder)


def test_cross_validation_of_a_pipeline_over_speakers(
    data: Data, settings: dict[str, Any], few_folder: Path
) -> None:
    """Three of the eight emotions; each half is predicted by a classifier trained on the other actors."""
    keep = [i for i, label in enumerate(data[1]) if label in ("happy", "sad", "angry")]
    X, y, groups = ([column[i] for i in keep] for column in data)
    short = [Path(x).relative_to(few_folder).as_posix() for x in X]
    placed = FunctionTransformer(lambda names: [str(few_folder / name) for name in names])
    result = cross_validate(
        make_pipeline(placed, EmotionClassifier(**settings)), short, y, groups=groups, cv=GroupKFold(2),
        params={"emotionclassifier__groups": groups}, return_estimator=True, error_score="raise",
    )  # fmt: skip
    assert ((result["test_score"] >= 0) & (result["test_score"] <= 1)).all()
    trained_on = []
    for pipeline in result["estimator"]:
        classifier = pipeline[-1]
        assert list(classifier.classes_) == ["angry", "happy", "sad"]
        outputs = pipeline.predict_proba(short[:4])
        assert outputs.shape == (4, 3)
        np.testing.assert_allclose(outputs.sum(axis=1), 1)
        trained_on += classifier.recognizer_.bundle.provenance["speakers"]
    assert sorted(trained_on) == sorted(set(groups))


@pytest.mark.parametrize(
    ("X", "y", "groups", "problem"),
    [
        ([], [], [], "X holds no recordings"),
        (["a.wav"], ["happy", "sad"], None, "1 recordings, and y 2 labels"),
        (["a.wav", "b.wav"], ["happy", "sad"], [1], "2 recordings, and groups 1 entries"),
        (["a.wav", "b.wav"], ["joy", "sad"], [1, 2], "y holds 'joy': labels are neutral, calm"),
        (["a.wav", "a.wav"], ["sad", "sad"], [1, 2], r"a\.wav is in X more than once"),
        ([b"RIFF", "a.wav"], ["sad", "sad"], [1, 2], "X must hold paths, got bytes"),
        (np.zeros((3, 2)), ["sad"] * 3, [1, 2, 3], r"X must be \(n,\) recordings, got \(3, 2\)"),
        (["x/t.wav", "y/t.wav"], ["sad", "sad"], [1, 1], "have the same name, by which the table is read"),
        (["x/t.wav", "x/t.mp4"], ["sad", "happy"], [1, 1], "are one take, but differ in y or groups"),
    ],
)
def test_arguments_that_do_not_match_are_rejected(
    settings: dict[str, Any], X: Any, y: Any, groups: Any, problem: str
) -> None:
    with pytest.raises(ExperimentError, match=problem):
        EmotionClassifier(**settings).fit(X, y, groups)


def test_unknown_speakers_are_warned_about(settings: dict[str, Any]) -> None:
    with (
        pytest.warns(UserWarning, match="the speakers of the recordings are unknown"),
        pytest.raises(ExperimentError, match="no take could be read"),
    ):
        EmotionClassifier(**settings).fit(["a.wav", "b.wav", "c.wav"], ["happy", "sad", "sad"])


def test_importing_the_package_does_not_import_scikit_learn() -> None:
    code = "import sys, emofuse, emofuse.recognition.recognizer\nprint('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

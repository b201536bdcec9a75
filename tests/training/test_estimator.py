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
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

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
    assert classifier.get_params() == {
        **settings, "speakers": None, "jobs": 1, "threads": 1, "verbose": False,
        "device": "cpu", "precision": "float32",
    }  # fmt: skip
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
        (["a.wav", "b.wav"], ["Sad", "sad"], [1, 2], "y: the labels 'Sad' and 'sad' differ only in capitals"),
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


@pytest.fixture
def unnamed(data: Data, tmp_path: Path) -> Data:
    """Clips of three emotions under names that tell no speaker: paths, emotions, actors."""
    paths: list[str] = []
    labels: list[str] = []
    actors: list[str] = []
    for path, label, actor in zip(*data, strict=True):
        if label in ("happy", "sad", "angry"):
            target = tmp_path / f"{len(paths):03}.wav"
            target.symlink_to(path)
            paths.append(str(target))
            labels.append(label)
            actors.append(actor)
    return paths, labels, actors


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The speaker of each recording in every fit, which takes no time: nothing is trained."""
    seen: list[dict[str, str]] = []

    def train(corpus: Any, *_: Any, **__: Any) -> None:
        seen.append({str(clip.path): clip.speaker for clip in corpus.clips})

    monkeypatch.setattr("emofuse.training.train_bundle.train", train)
    return seen


class Scored(EmotionClassifier):
    """Predicts without a bundle: here only ``fit`` is looked at."""

    def predict(self, X: Any) -> Any:
        return np.array(["sad"] * len(X))


@pytest.mark.parametrize("kind", ["paths", "Paths", "function"])
def test_speakers_in_the_constructor_reach_every_fold(
    unnamed: Data, trainings: list[dict[str, str]], kind: str
) -> None:
    """scikit-learn's own cross_val_score and GridSearchCV, whose groups= reaches the splitter alone."""
    X, y, actors = unnamed
    wanted = dict(zip(X, actors, strict=True))
    given: Any = {
        "paths": wanted, "Paths": {Path(path): actor for path, actor in wanted.items()},
        "function": wanted.__getitem__,
    }[kind]  # fmt: skip
    classifier = clone(Scored("default", speakers=given))
    scores = cross_val_score(classifier, X, y, groups=actors, cv=GroupKFold(2), error_score="raise")
    assert len(scores) == len(trainings) == 2
    search = GridSearchCV(classifier, {"recipe": ["default", "demo"]}, cv=GroupKFold(3), error_score="raise")
    search.fit(X, y, groups=actors)
    check_is_fitted(search.best_estimator_)
    assert len(trainings) == 2 + 6 + 1
    for fold in trainings:
        assert fold == {path: wanted[path] for path in fold}
    assert set(trainings[-1]) == set(X)


def test_groups_are_routed_where_scikit_learn_routes(unnamed: Data, trainings: list[dict[str, str]]) -> None:
    X, y, actors = unnamed
    wanted = dict(zip(X, actors, strict=True))
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = clone(Scored("default"))
        cross_val_score(classifier, X, y, params={"groups": actors}, cv=GroupKFold(2), error_score="raise")
        search = GridSearchCV(classifier, {"recipe": ["default"]}, cv=GroupKFold(2), error_score="raise")
        search.fit(X, y, groups=actors)
        assert len(trainings) == 2 + 2 + 1
        for fold in trainings:
            assert fold == {path: wanted[path] for path in fold}
        declined = Scored("default").set_fit_request(groups=False)
        with pytest.warns(UserWarning, match="the speakers of the recordings are unknown"):
            cross_val_score(declined, X, y, params={"groups": actors}, cv=GroupKFold(2), error_score="raise")


def test_groups_that_do_not_reach_fit_are_warned_about(
    unnamed: Data, trainings: list[dict[str, str]]
) -> None:
    X, y, actors = unnamed
    with pytest.warns(UserWarning, match=r"groups= of cross_val_score and GridSearchCV reaches the splitter"):
        cross_val_score(Scored("default"), X, y, groups=actors, cv=GroupKFold(2), error_score="raise")
    assert len(trainings) == 2


def test_groups_given_to_fit_win_and_every_recording_needs_a_speaker(
    unnamed: Data, trainings: list[dict[str, str]]
) -> None:
    X, y, actors = unnamed
    Scored("default", speakers=dict.fromkeys(X, "one")).fit(X, y, groups=actors)
    assert trainings[-1] == dict(zip(X, actors, strict=True))
    with pytest.raises(ExperimentError, match=rf"no speaker for {len(X) - 2} recordings, first .*002\.wav"):
        Scored("default", speakers=dict(zip(X[:2], actors[:2], strict=True))).fit(X, y)
    with pytest.raises(ExperimentError, match=rf"no speaker for {len(X)} recordings"):
        Scored("default", speakers=lambda _path: None).fit(X, y)


@pytest.mark.parametrize("verbose", [False, True])
def test_fit_is_silent_unless_asked(
    data: Data, settings: dict[str, Any], capfd: pytest.CaptureFixture[str], verbose: bool
) -> None:
    """Optuna too, whose own settings stay the caller's."""
    import optuna

    before = optuna.logging.get_verbosity()
    EmotionClassifier(**settings, verbose=verbose).fit(*data[:2])
    out, err = capfd.readouterr()
    assert out == ""
    if verbose:
        stages = [line.partition(":")[0] for line in err.splitlines()]
        assert stages[0] == "features"
        assert stages[-1] == "fusions"
        assert all(line.endswith(" done") for line in err.splitlines())
    else:
        assert err == ""
    assert optuna.logging.get_verbosity() == before


def test_importing_the_package_does_not_import_scikit_learn() -> None:
    code = "import sys, emofuse, emofuse.recognition.recognizer\nprint('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""A recognizer with the scikit-learn API: recordings in, labels out.

Importing this module imports scikit-learn; nothing that prediction needs imports this module.
"""

from __future__ import annotations

import copy
import os
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.devices import DeviceChoice
from emofuse.core.errors import BundleError, CorpusError, ExperimentError, FeatureError, MissingExtraError
from emofuse.core.label_names import check_labels, in_order
from emofuse.core.progress import ignore_progress
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Clip, Modality
from emofuse.corpus.clip_table import AUDIO_SUFFIXES
from emofuse.corpus.corpus import SYNTHETIC_MARK, Corpus
from emofuse.corpus.ravdess import LICENCE, SYNTHETIC_LICENCE, RavdessName, parse_name
from emofuse.features.extraction import Readable
from emofuse.recognition.recognizer import Recognizer
from emofuse.system.executors import processes
from emofuse.training.compute import Compute, Precision

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError:  # pragma: no cover - needs an environment without scikit-learn
    raise MissingExtraError("train", "EmotionClassifier") from None

_SHOWN: Final = 3
"""How many of the recordings that cannot be read are named; the rest are counted."""


class EmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn classifier that trains a recognizer on recordings.

    >>> speakers = dict(zip(paths, actors))                                              # doctest: +SKIP
    >>> classifier = EmotionClassifier("default", speakers=speakers, jobs=2)             # doctest: +SKIP
    >>> cross_val_score(classifier, paths, labels, groups=actors, cv=GroupKFold(5))      # doctest: +SKIP

    ``fit`` does what ``emofuse train`` does, ``predict`` what ``emofuse predict`` does. For the honest
    figures of a recipe, with intervals and a report, use ``emofuse evaluate``.

    Networks and fusion are fitted on different speakers, so ``fit`` must know them, and ``groups=`` of
    ``cross_val_score`` or ``GridSearchCV`` goes to the splitter alone. Either ``speakers`` here says whose
    each recording is; or, with scikit-learn's metadata routing switched on, ``params={"groups": actors}``
    reaches splitter and ``fit`` (it is requested by default; ``set_fit_request(groups=False)`` declines).

    After fitting: ``classes_`` (n_classes,), the emotions in the training data, sorted as scikit-learn sorts
    them; ``recognizer_``, the :class:`~emofuse.Recognizer`. Copies and pickles of a fitted classifier contain
    the whole recognizer. As with every pickle: load none that you did not write.
    """

    __metadata_request__fit: ClassVar = {"groups": True}  # with metadata routing, groups= reaches fit

    def __init__(
        self,
        recipe: str | Path | Recipe = "default",
        *,
        speakers: Mapping[Any, Any] | Callable[[str], Any] | None = None,
        action_units: str | Path | None = None,
        cache: str | Path | None = None,
        jobs: int = 1,
        threads: int = 1,
        verbose: bool = False,
        device: DeviceChoice = "cpu",
        precision: Precision = "float32",
    ) -> None:
        """Nothing is read or checked before ``fit``.

        Args:
            recipe: what is trained: a recipe, the name of one, or the path of a TOML file.
            speakers: whose each recording is, where ``fit`` gets no ``groups``: path → speaker, or a function
                of the path.
            action_units: a table of action units, for recipes that read the face from one.
            cache: a folder that keeps features, so that cross-validation extracts them once.
            jobs: processes for training and extraction.
            threads: threads of each network in prediction.
            verbose: whether ``fit`` reports its progress on standard error.
            device: where ``fit`` trains: ``cpu``, ``cuda`` (a GPU) or ``auto``.
            precision: of products in training: ``float32`` or ``bfloat16``.
        """
        self.recipe = recipe
        self.speakers = speakers
        self.action_units = action_units
        self.cache = cache
        self.jobs = jobs
        self.threads = threads
        self.verbose = verbose
        self.device = device
        self.precision = precision

    def fit(
        self,
        X: Sequence[str | Path] | NDArray[Any],
        y: Sequence[str] | NDArray[Any],
        groups: Sequence[Any] | NDArray[Any] | None = None,
    ) -> EmotionClassifier:
        """Train on recordings.

        Args:
            X: (n,) paths of media files.
            y: (n,) labels: emotions, or any 2 to 50 names (:mod:`emofuse.core.label_names`).
            groups: (n,) the speaker of each: networks and fusion are trained on different speakers. None: as
                ``speakers`` says; else read from the names, where all are those of RAVDESS; otherwise each
                recording counts as a speaker of its own, with a warning, because the fusion then sees the
                networks' speakers.

        Raises:
            ExperimentError: X, y and groups do not match, or are too few.
            DeviceError: ``device`` is ``cuda``, and there is no GPU that PyTorch can use.
            MissingExtraError: the parts for training are not installed.
        """
        from emofuse.features.store import FeatureStore
        from emofuse.training.resources import Resources
        from emofuse.training.train_bundle import train

        paths = _paths(X)
        labels = _labels(y, len(paths))
        corpus, recipe = self._corpus(paths, labels, _speakers(groups, self.speakers, paths))
        folder = _Folder()
        train(
            corpus,
            recipe,
            folder.path / "bundle",
            resources=Resources(
                processes(self.jobs),
                store=None if self.cache is None else FeatureStore(Path(self.cache)),
                on_progress=_print_progress if self.verbose else ignore_progress,
                compute=Compute.of(self.device, self.precision),
            ),
        )
        self._folder = folder
        self.__dict__.pop("_recognizer", None)
        self.classes_ = np.unique(np.array(labels))
        return self

    def predict_proba(self, X: Iterable[Readable] | NDArray[Any]) -> NDArray[np.float64]:
        """(n, n_classes) float64 probabilities, in the order of ``classes_``.

        Args:
            X: recordings: paths, or whatever :meth:`Recognizer.predict <emofuse.Recognizer.predict>` reads.

        Raises:
            FeatureError: some cannot be read, or have neither voice nor face; the text names them. Use
                ``recognizer_.predict_files`` for a result for each of them.
        """
        recognizer = self.recognizer_
        predictions = list(recognizer.predict_files(_sources(X)))
        failed = [f"{one.source}: {one.error}" for one in predictions if one.error is not None]
        if failed:
            rest = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
            raise FeatureError(
                f"{len(failed)} of {len(predictions)} recordings cannot be read: "
                f"{'; '.join(failed[:_SHOWN])}{rest}"
            )
        indices = [recognizer.emotions.index(name) for name in self.classes_]
        rows = [one.probabilities[indices] for one in predictions if one.probabilities is not None]
        probabilities = np.array(rows, dtype=np.float64).reshape(len(predictions), len(indices))
        normalized: NDArray[np.float64] = probabilities / probabilities.sum(axis=1, keepdims=True)
        return normalized

    def predict(self, X: Iterable[Readable] | NDArray[Any]) -> NDArray[np.str_]:
        """(n,) the most probable emotion of each recording.

        Raises:
            FeatureError: some cannot be read.
        """
        probabilities = self.predict_proba(X)
        predicted: NDArray[np.str_] = self.classes_[probabilities.argmax(axis=1)]
        return predicted

    @property
    def recognizer_(self) -> Recognizer:
        """The trained recognizer; ``recognizer_.bundle.folder`` is removed with the classifier."""
        check_is_fitted(self)
        if "_recognizer" not in self.__dict__:
            self._recognizer = Recognizer.load(
                self._folder.path / "bundle", threads=self.threads, action_units=self.action_units
            )
        recognizer: Recognizer = self._recognizer
        return recognizer

    def save(self, folder: str | Path) -> Path:
        """Write the trained bundle, for :meth:`Recognizer.load <emofuse.Recognizer.load>` and the commands.

        Raises:
            BundleError: the folder exists.
        """
        check_is_fitted(self)
        folder = Path(folder)
        if folder.exists():
            raise BundleError(f"{folder} exists: give another folder or remove it")
        folder.parent.mkdir(parents=True, exist_ok=True)
        # copied next to its destination, then renamed: an incomplete copy is never taken for a bundle
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            copied = shutil.copytree(self._folder.path / "bundle", Path(temporary) / "bundle")
            copied.rename(folder)
        return folder

    def __sklearn_is_fitted__(self) -> bool:
        return "_folder" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Without ONNX Runtime sessions, which are created again from the bundle."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_recognizer", None)
        return state

    def _corpus(self, paths: list[Path], labels: list[str], speakers: list[str]) -> tuple[Corpus, Recipe]:
        recipe = self.recipe if isinstance(self.recipe, Recipe) else load_recipe(self.recipe)
        root = Path(os.path.commonpath([path.parent for path in paths]))
        named = [_ravdess_name(path) for path in paths]
        tabled = recipe.face.features.kind == "au-table"
        if tabled and self.action_units is not None:
            table = Path(self.action_units).absolute()
            root, features = table.parent, recipe.face.features.model_copy(update={"table": table.name})
            face = recipe.face.model_copy(update={"features": features})
            recipe = recipe.model_copy(update={"face": face})
        clips = []
        for path, label, speaker, name in zip(paths, labels, speakers, named, strict=True):
            take = (name.take if name is not None else path.stem) if tabled else str(path)
            clips.append(Clip(path, str(path), take, speaker, label, _modality(path, name)))
        _check_takes(clips)
        ravdess = all(name is not None for name in named)
        synthetic = any((folder / SYNTHETIC_MARK).is_file() for folder in paths[0].parents)
        licence = (SYNTHETIC_LICENCE if synthetic else LICENCE) if ravdess else "not stated"
        corpus = Corpus(
            "recordings", root, tuple(clips), synthetic=synthetic, licence=licence, emotions=in_order(labels)
        )
        return corpus, recipe


class _Folder:
    """A temporary folder that lives as long as its owner; its files are part of copies and pickles."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="emofuse-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, True)
        for name, data in (files or {}).items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def __reduce__(self) -> tuple[type[_Folder], tuple[dict[str, bytes]]]:
        files = {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }
        return type(self), (files,)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Folder:
        made, (files,) = self.__reduce__()
        return made(copy.copy(files))


def _sources(X: Iterable[Readable] | NDArray[Any]) -> list[Any]:
    """From (n,), or from (n, 1) as scikit-learn's column transformers pass it."""
    if isinstance(X, str | bytes | Path):
        raise ExperimentError(f"X must be a sequence of recordings, got one: {X!r:.80}")
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 1:
        return list(np.asarray(X)[:, 0])
    if shape is not None and len(shape) != 1:
        raise ExperimentError(f"X must be (n,) recordings, got {tuple(shape)}")
    return list(X)


def _paths(X: Iterable[Any] | NDArray[Any]) -> list[Path]:
    given = _sources(X)
    if not given:
        raise ExperimentError("X holds no recordings")
    for one in given:
        if not isinstance(one, str | os.PathLike):
            raise ExperimentError(f"fit reads files: X must hold paths, got {type(one).__name__}")
    paths = [Path(one).absolute() for one in given]
    if len(set(paths)) < len(paths):
        twice = next(path for i, path in enumerate(paths) if path in paths[:i])
        raise ExperimentError(f"{twice} is in X more than once")
    return paths


def _labels(y: Sequence[str] | NDArray[Any], n: int) -> list[str]:
    labels = [str(label) for label in np.asarray(y, dtype=object).ravel()]
    if len(labels) != n:
        raise ExperimentError(f"X holds {n} recordings, and y {len(labels)} labels")
    try:
        known = dict(zip(dict.fromkeys(labels), check_labels(labels, fewest=1), strict=True))
    except ValueError as error:
        raise ExperimentError(f"y: {error}") from None
    return [known[label] for label in labels]


def _speakers(
    groups: Sequence[Any] | NDArray[Any] | None,
    known: Mapping[Any, Any] | Callable[[str], Any] | None,
    paths: list[Path],
) -> list[str]:
    if groups is not None:
        speakers = [str(group) for group in np.asarray(groups, dtype=object).ravel()]
        if len(speakers) != len(paths):
            raise ExperimentError(f"X holds {len(paths)} recordings, and groups {len(speakers)} entries")
        return speakers
    if known is not None:
        return _known_speakers(known, paths)
    names = [_ravdess_name(path) for path in paths]
    read = [name.speaker for name in names if name is not None]
    if len(read) == len(paths):
        return read
    warnings.warn(
        "the speakers of the recordings are unknown: the fusion is fitted on voices that its networks have "
        "seen. Give EmotionClassifier(speakers=...) or fit(groups=...); groups= of cross_val_score and "
        "GridSearchCV reaches the splitter alone",
        UserWarning,
        stacklevel=3,
    )
    return [str(path) for path in paths]


def _known_speakers(known: Mapping[Any, Any] | Callable[[str], Any], paths: list[Path]) -> list[str]:
    """The speaker of each recording, as the classifier's ``speakers`` says."""
    if callable(known):
        speakers = [known(str(path)) for path in paths]
    else:
        by_path = {Path(path).absolute(): speaker for path, speaker in known.items()}
        speakers = [by_path.get(path) for path in paths]
    unknown = [path for path, speaker in zip(paths, speakers, strict=True) if speaker is None]
    if unknown:
        raise ExperimentError(f"speakers has no speaker for {len(unknown)} recordings, first {unknown[0]}")
    return [str(speaker) for speaker in speakers]


def _print_progress(stage: str, done: int, total: int) -> None:
    """A line on standard error: rewritten on a terminal, elsewhere written when the stage is done."""
    finished = done == total
    if sys.stderr.isatty():
        print(
            f"\r{stage}: {done} of {total or '?'}", end="\n" if finished else "", file=sys.stderr, flush=True
        )
    elif finished:
        print(f"{stage}: {total} done", file=sys.stderr, flush=True)


def _ravdess_name(path: Path) -> RavdessName | None:
    try:
        return parse_name(path.stem, n_actors=99)
    except CorpusError:
        return None


def _modality(path: Path, name: RavdessName | None) -> Modality:
    if name is not None:
        return name.modality
    return "audio" if path.suffix.lower() in AUDIO_SUFFIXES else "audio-video"


def _check_takes(clips: Sequence[Clip]) -> None:
    """Files of one performance become one take: check that their labels agree and their modalities differ."""
    first: dict[str, Clip] = {}
    kinds: set[tuple[str, Modality]] = set()
    for clip in clips:
        other = first.setdefault(clip.take, clip)
        if (clip.take, clip.modality) in kinds:
            raise ExperimentError(
                f"{clip.path} and {other.path} have the same name, by which the table is read"
            )
        if (other.emotion, other.speaker) != (clip.emotion, clip.speaker):
            raise ExperimentError(f"{clip.path} and {other.path} are one take, but differ in y or groups")
        kinds.add((clip.take, clip.modality))

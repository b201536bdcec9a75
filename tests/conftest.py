"""Fixtures that several packages share: an HTTP server, and small corpora with what is trained on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import small_corpora
from tests.support.file_server import FileServer


@pytest.fixture
def http_server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once and only read."""
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="session")
def store(home: Path) -> Any:
    """A store of features that every test shares."""
    from emofuse.features.store import FeatureStore

    return FeatureStore(home / "store")


@pytest.fixture(scope="session")
def au_folder(home: Path) -> Path:
    """Recordings of six actors, three takes of each emotion, and a table of action units."""
    return small_corpora.write_au_corpus(home / "au")


@pytest.fixture(scope="session")
def au_toml(home: Path) -> Path:
    """A recipe for that: fusion on probabilities, every classifier."""
    path = home / "small-au.toml"
    path.write_text(small_corpora.AU_RECIPE)
    return path


@pytest.fixture(scope="session")
def au_run(home: Path, au_folder: Path, au_toml: Path, store: Any) -> Path:
    """Its run in two folds, in one go."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.evaluation.cross_validation import evaluate

    evaluate(load_corpus(au_folder), load_recipe(au_toml), "actors-2", home / "au-run", store=store)
    return home / "au-run"


@pytest.fixture(scope="session")
def au_bundle(home: Path, au_folder: Path, au_toml: Path, store: Any) -> Path:
    """Its bundle."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.train_bundle import train

    train(load_corpus(au_folder), load_recipe(au_toml), home / "au-bundle", store=store)
    return home / "au-bundle"


@pytest.fixture(scope="session")
def ensemble_toml(home: Path) -> Path:
    """A recipe of ensembles and enrolment, for recordings and a table of action units."""
    from tests.support import small_ensembles

    path = home / "small-ensemble.toml"
    path.write_text(small_ensembles.TOML)
    return path


@pytest.fixture(scope="session")
def few_folder(home: Path) -> Path:
    """Recordings of six actors, one take of each emotion, and a table of action units."""
    return small_corpora.write_au_corpus(home / "few", takes=1)


@pytest.fixture(scope="session")
def ensemble_bundle(home: Path, few_folder: Path, ensemble_toml: Path, store: Any) -> Path:
    """A recogniser of these that enrols people."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.train_bundle import train

    train(load_corpus(few_folder), load_recipe(ensemble_toml), home / "ensemble-bundle", store=store)
    return home / "ensemble-bundle"


@pytest.fixture(scope="session")
def films(home: Path) -> dict[str, Path]:
    """Clips of a drawn person: two that speak, and one whose sound is silence."""
    return {
        "happy": small_corpora.write_film(home / "films" / "happy.mp4", emotion=2),
        "sad": small_corpora.write_film(home / "films" / "sad.mp4", emotion=3, actor=2),
        "silent": small_corpora.write_film(home / "films" / "silent.mp4", emotion=2, silent=True),
    }


@pytest.fixture(scope="session")
def film_folder(home: Path, films: dict[str, Path]) -> Path:
    """Recordings and films of four actors, one take of each emotion."""
    return small_corpora.write_film_corpus(home / "film", [films["happy"], films["sad"]])


@pytest.fixture(scope="session")
def film_toml(home: Path) -> Path:
    """A recipe for that: the LRCN, fusion on joined features."""
    path = home / "small-film.toml"
    path.write_text(small_corpora.FILM_RECIPE)
    return path


@pytest.fixture(scope="session")
def film_bundle(home: Path, film_folder: Path, film_toml: Path, store: Any) -> Path:
    """Its bundle."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.train_bundle import train

    train(load_corpus(film_folder), load_recipe(film_toml), home / "film-bundle", store=store)
    return home / "film-bundle"


@pytest.fixture(scope="session")
def duet(home: Path) -> Path:
    """Two drawn people who change sides at 6 s; see :mod:`tests.support.drawn_people`."""
    from tests.support import drawn_people

    return drawn_people.write_duet(home / "duet.mp4")


@pytest.fixture(scope="session")
def ravdess() -> Path:
    """The folder of real recordings."""
    folder = os.environ.get("EMOFUSE_RAVDESS")
    if not folder:
        pytest.skip("EMOFUSE_RAVDESS names no folder of real recordings")
    return Path(folder)


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder of published weight files: EMOFUSE_WEIGHTS, else ``weights`` beside the real recordings."""
    own, recordings = os.environ.get("EMOFUSE_WEIGHTS"), os.environ.get("EMOFUSE_RAVDESS")
    if not own and not recordings:
        pytest.skip("neither EMOFUSE_WEIGHTS nor EMOFUSE_RAVDESS leads to published weight files")
    folder = Path(own) if own else Path(str(recordings)).parent / "weights"
    if not (folder / "face_landmarker.task").is_file():
        pytest.skip(f"no published weight files in {folder}")
    return folder

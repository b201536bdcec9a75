"""Fixtures that several packages share: an HTTP server, and small corpora with what is trained on them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emofuse.core.pretrained import WEIGHTS
from emofuse.system.model_files import locate_weights
from tests.support import chromium, small_corpora
from tests.support import postgres as postgres_programs
from tests.support.file_server import FileServer
from tests.support.typed import not_none

if TYPE_CHECKING:
    from tests.support.label_studies import Study

# tests that import ONNX Runtime themselves send nothing either
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts what runs in the background with Ctrl-C ignored, and programs inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--allowed-skips", metavar="FILE", type=Path,
        help="fail if a test is skipped for a reason that no line of FILE allows (regular expressions)",
    )  # fmt: skip


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped for a reason that is not on the list."""
    path, reporter = session.config.getoption("--allowed-skips"), _reporter(session.config)
    if path is None or reporter is None:
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    allowed = [re.compile(line) for line in lines if line and not line.startswith("#")]
    for report in reporter.stats.get("skipped", ()):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(one.fullmatch(reason) for one in allowed):
            reporter.write_line(f"skipped, and not allowed by {path}: {report.nodeid}: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reporter(config: pytest.Config) -> Any:
    """The terminal reporter of the process that reports; None in a worker process."""
    return None if hasattr(config, "workerinput") else config.pluginmanager.get_plugin("terminalreporter")


@pytest.fixture
def http_server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once per run of the tests, and only read."""
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="session")
def store(home: Path) -> Any:
    """The feature store that all tests share."""
    from emofuse.features.store import FeatureStore

    return FeatureStore(home / "store")


@pytest.fixture(scope="session")
def au_folder(home: Path) -> Path:
    """Audio of six actors, three takes of each emotion, and a table of action units."""
    return small_corpora.write_au_corpus(home / "au")


@pytest.fixture(scope="session")
def au_toml(home: Path) -> Path:
    """A recipe for ``au_folder``: fusion of probabilities, with every classifier."""
    path = home / "small-au.toml"
    path.write_text(small_corpora.AU_RECIPE)
    return path


@pytest.fixture(scope="session")
def au_run(home: Path, au_folder: Path, au_toml: Path, store: Any) -> Path:
    """A finished run of ``au_toml`` on ``au_folder``, in two folds."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.evaluation.cross_validation import evaluate
    from emofuse.training.resources import Resources

    evaluate(
        load_corpus(au_folder), load_recipe(au_toml), "actors-2", home / "au-run", Resources(store=store)
    )
    return home / "au-run"


@pytest.fixture(scope="session")
def au_bundle(home: Path, au_folder: Path, au_toml: Path, store: Any) -> Path:
    """A bundle of ``au_toml`` on ``au_folder``."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.resources import Resources
    from emofuse.training.train_bundle import train

    train(load_corpus(au_folder), load_recipe(au_toml), home / "au-bundle", Resources(store=store))
    return home / "au-bundle"


@pytest.fixture(scope="session")
def ensemble_toml(home: Path) -> Path:
    """A recipe with ensembles and enrollment, for audio and a table of action units."""
    from tests.support import small_ensembles

    path = home / "small-ensemble.toml"
    path.write_text(small_ensembles.RECIPE)
    return path


@pytest.fixture(scope="session")
def few_folder(home: Path) -> Path:
    """Audio of six actors, one take of each emotion, and a table of action units."""
    return small_corpora.write_au_corpus(home / "few", takes=1)


@pytest.fixture(scope="session")
def ensemble_bundle(home: Path, few_folder: Path, ensemble_toml: Path, store: Any) -> Path:
    """A bundle of ``ensemble_toml`` on ``few_folder``; it can enroll speakers."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.resources import Resources
    from emofuse.training.train_bundle import train

    train(
        load_corpus(few_folder), load_recipe(ensemble_toml), home / "ensemble-bundle", Resources(store=store)
    )
    return home / "ensemble-bundle"


@pytest.fixture(scope="session")
def video_clips(home: Path) -> dict[str, Path]:
    """Clips of drawn people: two speak, and one has silent audio."""
    return {
        "happy": small_corpora.write_clip(home / "clips" / "happy.mp4", emotion=2),
        "sad": small_corpora.write_clip(home / "clips" / "sad.mp4", emotion=3, actor=2),
        "silent": small_corpora.write_clip(home / "clips" / "silent.mp4", emotion=2, silent=True),
    }


@pytest.fixture(scope="session")
def video_folder(home: Path, video_clips: dict[str, Path]) -> Path:
    """Audio and video of four actors, one take of each emotion."""
    return small_corpora.write_video_corpus(home / "video", [video_clips["happy"], video_clips["sad"]])


@pytest.fixture(scope="session")
def video_toml(home: Path) -> Path:
    """A recipe for ``video_folder``: the LRCN, fusion of concatenated features."""
    path = home / "small-video.toml"
    path.write_text(small_corpora.VIDEO_RECIPE)
    return path


@pytest.fixture(scope="session")
def video_bundle(home: Path, video_folder: Path, video_toml: Path, store: Any) -> Path:
    """A bundle of ``video_toml`` on ``video_folder``."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.resources import Resources
    from emofuse.training.train_bundle import train

    train(load_corpus(video_folder), load_recipe(video_toml), home / "video-bundle", Resources(store=store))
    return home / "video-bundle"


@pytest.fixture(scope="session")
def label_study(home: Path) -> Callable[[int], Study]:
    """The study of 2, 12 or 50 labels, whose recognizer is trained when it is first asked for."""
    from tests.support import label_studies

    found: dict[int, Study] = {}

    def study(n_labels: int) -> Study:
        if n_labels not in found:
            labels = label_studies.LABELS[n_labels]
            found[n_labels] = label_studies.trained_study(home / f"labels-{n_labels}", labels)
        return found[n_labels]

    return study


@pytest.fixture(scope="session")
def conversation(home: Path) -> Path:
    """Two drawn people who change sides at 6 s; see :mod:`tests.support.drawn_people`."""
    from tests.support import drawn_people

    return drawn_people.write_conversation(home / "conversation.mp4")


@pytest.fixture(scope="session")
def ravdess() -> Path:
    """The folder with real recordings."""
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


@pytest.fixture
def identity_weights(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with dlib's two files: EMOFUSE_IDENTITY, else where emofuse finds them; used by the test."""
    named = os.environ.get("EMOFUSE_IDENTITY")
    network = locate_weights(WEIGHTS["dlib-face-recognition"])
    if named is None and network is None:
        pytest.skip("no face recognition files: name their folder in EMOFUSE_IDENTITY, or install the extra")
    folder = Path(named) if named else not_none(network).parent
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_programs.Postgres]:
    """A PostgreSQL server that all tests share, each with a database of its own."""
    programs = postgres_programs.find()
    if programs is None:
        pytest.skip("there is no PostgreSQL on this machine")
    server = postgres_programs.Postgres(programs)
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    server: postgres_programs.Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def no_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test finds no face recognition files, wherever they are."""
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "no weights"))
    for name in ("dlib-face-recognition", "dlib-face-points"):
        monkeypatch.setitem(WEIGHTS, name, replace(WEIGHTS[name], package="not_installed_anywhere"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    """A page of a real browser, for all tests of a module."""
    if chromium.find() is None:
        pytest.skip("Chromium is not installed")
    with chromium.browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened

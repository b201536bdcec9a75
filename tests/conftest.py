"""A real HTTP server on this machine that misbehaves on request, and small corpora with what they train."""

from __future__ import annotations

import importlib.util
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@dataclass
class Resource:
    """What a path serves, and what goes wrong with it, request by request."""

    data: bytes
    drops: list[int | None] = field(default_factory=list)
    """Of each request in turn: break the connection after so many bytes; None: do not."""
    statuses: list[int] = field(default_factory=list)
    """Answered before anything is served."""
    ranges: bool = True
    """Whether Range is understood."""
    lengths: bool = True
    """Whether Content-Length is sent."""
    shift: int = 0
    """How far the ranges that are sent lie from the ranges that were asked for."""
    declared: int | None = None
    """A Content-Length that is a lie."""
    location: str | None = None
    """Redirect there."""
    retry_after: str | None = None


class FileServer:
    """Serves resources by path and remembers what was asked."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests.append((self.path, dict(self.headers)))
                server.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def serve(self, path: str, data: bytes = b"", **trouble: object) -> str:
        """Serve ``data`` at ``path``; return the address."""
        self.resources[path] = Resource(data, **trouble)  # type: ignore[arg-type]
        return self.url + path

    def asked(self, path: str) -> list[str | None]:
        """The Range header of each request for ``path``."""
        return [headers.get("Range") for place, headers in self.requests if place == path]

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        resource = self.resources.get(handler.path)
        if resource is None:
            return self._plain(handler, 404)
        if resource.statuses:
            return self._plain(handler, resource.statuses.pop(0), retry_after=resource.retry_after)
        if resource.location is not None:
            return self._plain(handler, 302, location=resource.location)
        start, size = 0, len(resource.data)
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if asked and resource.ranges:
            start = int(asked[1])
            if start >= size:
                return self._plain(handler, 416, content_range=f"bytes */{size}")
            start += resource.shift
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            handler.send_response(200)
        if resource.lengths:
            handler.send_header("Content-Length", str(resource.declared or size - start))
        handler.send_header("Connection", "close")
        handler.end_headers()
        drop = resource.drops.pop(0) if resource.drops else None
        end = size if drop is None else start + drop
        handler.wfile.write(resource.data[start:end])
        return None

    @staticmethod
    def _plain(handler: BaseHTTPRequestHandler, status: int, **headers: str | None) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            if value is not None:
                handler.send_header(name.replace("_", "-").title(), value)
        handler.send_header("Content-Length", "0")
        handler.send_header("Connection", "close")
        handler.end_headers()


@pytest.fixture
def http_server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def load() -> Callable[[Path], ModuleType]:
    """Loads a module that is no test, by its path."""
    return _load


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """The module ``tests/support/small_corpus.py``."""
    return _load(Path(__file__).parent / "support" / "small_corpus.py")


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
def au_folder(small: ModuleType, home: Path) -> Path:
    """Recordings of six actors, three takes of each emotion, and a table of action units."""
    folder: Path = small.write_au_corpus(home / "au")
    return folder


@pytest.fixture(scope="session")
def au_toml(small: ModuleType, home: Path) -> Path:
    """A recipe for that: fusion on probabilities, every classifier."""
    path = home / "small-au.toml"
    path.write_text(small.AU_RECIPE)
    return path


@pytest.fixture(scope="session")
def au_run(home: Path, au_folder: Path, au_toml: Path, store: Any) -> Path:
    """Its run in two folds, in one go."""
    from emofuse.core.recipes import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.evaluation.cross_validation import evaluate

    evaluate(load_corpus(au_folder), load_recipe(au_toml), "actors-2", home / "au-run", store=store)
    return home / "au-run"


@pytest.fixture(scope="session")
def au_bundle(home: Path, au_folder: Path, au_toml: Path, store: Any) -> Path:
    """Its bundle."""
    from emofuse.core.recipes import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.train_bundle import train

    train(load_corpus(au_folder), load_recipe(au_toml), home / "au-bundle", store=store)
    return home / "au-bundle"


@pytest.fixture(scope="session")
def ensembles() -> ModuleType:
    """The module ``tests/support/small_ensembles.py``."""
    return _load(Path(__file__).parent / "support" / "small_ensembles.py")


@pytest.fixture(scope="session")
def ensemble_toml(ensembles: ModuleType, home: Path) -> Path:
    """A recipe of ensembles and enrolment, for recordings and a table of action units."""
    path = home / "small-ensemble.toml"
    path.write_text(ensembles.TOML)
    return path


@pytest.fixture(scope="session")
def few_folder(small: ModuleType, home: Path) -> Path:
    """Recordings of six actors, one take of each emotion, and a table of action units."""
    folder: Path = small.write_au_corpus(home / "few", takes=1)
    return folder


@pytest.fixture(scope="session")
def ensemble_bundle(home: Path, few_folder: Path, ensemble_toml: Path, store: Any) -> Path:
    """A recogniser of these that enrols people."""
    from emofuse.core.recipes import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.train_bundle import train

    train(load_corpus(few_folder), load_recipe(ensemble_toml), home / "ensemble-bundle", store=store)
    return home / "ensemble-bundle"


@pytest.fixture(scope="session")
def films(small: ModuleType, home: Path) -> dict[str, Path]:
    """Clips of a drawn person: two that speak, and one whose sound is silence."""
    return {
        "happy": small.write_film(home / "films" / "happy.mp4", emotion=2),
        "sad": small.write_film(home / "films" / "sad.mp4", emotion=3, actor=2),
        "silent": small.write_film(home / "films" / "silent.mp4", emotion=2, silent=True),
    }


@pytest.fixture(scope="session")
def film_folder(small: ModuleType, home: Path, films: dict[str, Path]) -> Path:
    """Recordings and films of four actors, one take of each emotion."""
    folder: Path = small.write_film_corpus(home / "film", [films["happy"], films["sad"]])
    return folder


@pytest.fixture(scope="session")
def film_toml(small: ModuleType, home: Path) -> Path:
    """A recipe for that: the LRCN, fusion on joined features."""
    path = home / "small-film.toml"
    path.write_text(small.FILM_RECIPE)
    return path


@pytest.fixture(scope="session")
def film_bundle(home: Path, film_folder: Path, film_toml: Path, store: Any) -> Path:
    """Its bundle."""
    from emofuse.core.recipes import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.train_bundle import train

    train(load_corpus(film_folder), load_recipe(film_toml), home / "film-bundle", store=store)
    return home / "film-bundle"


@pytest.fixture(scope="session")
def files() -> ModuleType:
    """The module ``tests/support/media_files.py``."""
    return _load(Path(__file__).parent / "support" / "media_files.py")


@pytest.fixture(scope="session")
def recordings() -> ModuleType:
    """The module ``tests/support/small_recordings.py``."""
    return _load(Path(__file__).parent / "support" / "small_recordings.py")


@pytest.fixture(scope="session")
def duet(home: Path, files: ModuleType, recordings: ModuleType) -> Path:
    """Two drawn people who change sides at 6 s; see ``tests/support/small_recordings.py``."""
    path: Path = recordings.write_duet(home / "duet.mp4", files)
    return path


@pytest.fixture(scope="session")
def small_faces() -> ModuleType:
    """The module ``tests/support/small_faces.py``."""
    return _load(Path(__file__).parent / "support" / "small_faces.py")


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

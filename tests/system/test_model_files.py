from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse.core.errors import DownloadError, WeightsError
from emofuse.core.pretrained import WEIGHTS, WeightFile
from emofuse.system.download import Retries
from emofuse.system.model_files import (
    MAX_BYTES,
    fetch_weights,
    find_weights,
    locate_weights,
    take_weights,
    weights_folder,
)
from tests.support.file_server import FileServer

NAME = "deepface-emotion"
FAST = Retries(timeout_s=5.0, pause_s=0.001)
DATA = b"stands for a weight file" * 100


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> WeightFile:
    """A known weight file that a test can make."""
    digest = hashlib.sha256(DATA).hexdigest()
    entry = WeightFile("small", "small.h5", "", digest, "MIT", "for tests", "nothing")
    monkeypatch.setitem(WEIGHTS, "small", entry)
    return entry


def test_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert weights_folder() == tmp_path
    monkeypatch.delenv("EMOFUSE_WEIGHTS")
    assert weights_folder() == tmp_path / "cache/emofuse/weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert weights_folder() == tmp_path / "home/.cache/emofuse/weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_folder() == tmp_path / "home/.cache/emofuse/weights"


@pytest.mark.parametrize("given", [False, True])
def test_missing_weights_name_both_ways_to_get_them(folder: Path, given: bool) -> None:
    path = folder / "mine.h5" if given else None
    with pytest.raises(WeightsError) as caught:
        find_weights(NAME, path)
    assert f"emofuse weights fetch {NAME}" in str(caught.value)
    assert "face.network.emotion_cnn.path" in str(caught.value)
    assert str(path or folder / WEIGHTS[NAME].file_name) in str(caught.value)


@pytest.mark.parametrize("name", ["face-landmarker", "yunet"])
@pytest.mark.usefixtures("folder")
def test_weights_without_a_recipe_key(name: str) -> None:
    with pytest.raises(WeightsError, match=f"fetch {name}`, or use your copy: .*fetch {name} --from"):
        find_weights(name)


def test_weights_from_a_copy(folder: Path, small: WeightFile, tmp_path: Path) -> None:
    copy = tmp_path / "copy.bin"
    copy.write_bytes(DATA)
    assert take_weights(small.name, copy) == folder / small.file_name == find_weights(small.name)
    copy.write_bytes(DATA + b"!")
    with pytest.raises(WeightsError, match=r"copy\.bin: wrong sha256"):
        take_weights(small.name, copy)
    with pytest.raises(WeightsError, match="cannot be read"):
        take_weights(small.name, tmp_path / "absent")
    assert find_weights(small.name).read_bytes() == DATA


def test_a_folder_that_cannot_be_written(folder: Path, small: WeightFile, tmp_path: Path) -> None:
    copy = tmp_path / "copy.bin"
    copy.write_bytes(DATA)
    folder.write_bytes(b"a file in the folder's place")
    with pytest.raises(WeightsError, match=r"small\.h5: cannot be written"):
        take_weights(small.name, copy)


@pytest.mark.ravdess
@pytest.mark.usefixtures("folder")
def test_the_published_files(real_weights: Path) -> None:
    for name in ("face-landmarker", "yunet"):
        known = WEIGHTS[name]
        assert take_weights(name, real_weights / known.file_name).stat().st_size == known.size


@pytest.mark.parametrize("given", [False, True])
def test_altered_weights_are_refused(folder: Path, given: bool) -> None:
    path = folder / ("mine.h5" if given else WEIGHTS[NAME].file_name)
    folder.mkdir()
    path.write_bytes(DATA)
    with pytest.raises(WeightsError, match=f"wrong sha256: expected {WEIGHTS[NAME].sha256}, got "):
        find_weights(NAME, path if given else None)


def test_fetch_then_find(folder: Path, small: WeightFile, http_server: FileServer) -> None:
    seen: list[tuple[str, int, int]] = []
    url = http_server.serve("/small.h5", DATA, drops=[100])
    path = fetch_weights(small.name, url=url, on_progress=lambda *a: seen.append(a), retries=FAST)
    assert path == folder / "small.h5"
    assert path.read_bytes() == DATA
    assert seen[-1] == ("small.h5", len(DATA), len(DATA))
    assert find_weights(small.name) == path
    assert find_weights(small.name, path) == path
    fetch_weights(small.name, url=url, retries=FAST)
    assert len(http_server.requests) == 2  # the drop and the rest; the second fetch sent no request


def test_fetching_another_file_leaves_nothing(folder: Path, http_server: FileServer) -> None:
    with pytest.raises(DownloadError, match=f"expected {WEIGHTS[NAME].sha256}, got "):
        fetch_weights(NAME, url=http_server.serve("/w.h5", DATA), retries=FAST)
    assert list(folder.iterdir()) == []
    with pytest.raises(WeightsError):
        find_weights(NAME)


def test_fetch_refuses_a_huge_file(folder: Path, small: WeightFile, http_server: FileServer) -> None:
    url = http_server.serve("/w.h5", DATA, declared=MAX_BYTES + 1)
    with pytest.raises(DownloadError, match="more than"):
        fetch_weights(small.name, url=url, retries=FAST)
    assert not (folder / small.file_name).exists()


def test_a_package_that_brings_a_file_is_found_and_not_imported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    known = WeightFile(
        "brought", "b.dat", "", digest, "MIT", "tests", "nothing", package="brings_b", extra="tests"
    )
    monkeypatch.setitem(WEIGHTS, "brought", known)
    with pytest.raises(WeightsError, match=r"fetch brought`, or install .*: pip install 'emofuse\[tests\]'"):
        find_weights("brought")
    models = tmp_path / "site" / "brings_b" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("import pkg_resources_that_is_gone", encoding="utf-8")
    (models / "b.dat").write_bytes(DATA)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find_weights("brought") == locate_weights(known) == models / "b.dat"
    assert "brings_b" not in sys.modules
    (models / "b.dat").write_bytes(DATA + b"!")
    with pytest.raises(WeightsError, match=f"b.dat: wrong sha256: expected {digest}"):
        find_weights("brought")
    folder.mkdir()
    (folder / "b.dat").write_bytes(DATA)  # a fetched file goes before the package's
    assert find_weights("brought") == folder / "b.dat"


def test_import_needs_neither_torch_nor_h5py() -> None:
    code = "import emofuse.system.model_files, sys; assert not {'torch', 'sklearn', 'h5py'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)

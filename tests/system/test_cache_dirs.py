from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from emofuse.features.store import default_store_folder
from emofuse.system.cache_dirs import cache_folder
from emofuse.system.model_files import weights_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("EMOFUSE_CACHE", "EMOFUSE_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform whose cache folder is not ``~/.cache``."""

    def cache_path(name: str, *, appauthor: bool) -> Path:
        assert not appauthor
        return home / "Library" / "Caches" / name

    monkeypatch.setattr(platformdirs, "user_cache_path", cache_path)
    return home / "Library" / "Caches" / "emofuse"


def test_a_variable_names_the_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_CACHE", "~/mine")
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(home / "weights"))
    assert default_store_folder() == cache_folder("features", variable="EMOFUSE_CACHE") == home / "mine"
    assert weights_folder() == home / "weights"
    monkeypatch.setenv("EMOFUSE_CACHE", "")
    assert default_store_folder() == home / ".cache" / "emofuse" / "features"


def test_features_and_weights_follow_one_rule(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_store_folder() == home / ".cache" / "emofuse" / "features"
    assert weights_folder() == home / ".cache" / "emofuse" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert default_store_folder() == home / "xdg" / "emofuse" / "features"
    assert weights_folder() == home / "xdg" / "emofuse" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification says to ignore it
    assert default_store_folder() == home / ".cache" / "emofuse" / "features"
    assert weights_folder() == home / ".cache" / "emofuse" / "weights"


def test_folders_of_earlier_versions_are_found(
    home: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_store_folder() == elsewhere / "features"
    for name, folder in (("features", default_store_folder), ("weights", weights_folder)):
        before = home / ".cache" / "emofuse" / name
        before.mkdir(parents=True)
        assert folder() == before
        (elsewhere / name).mkdir(parents=True)
        assert folder() == elsewhere / name, "the platform's folder comes first once it exists"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    (elsewhere / "features").rmdir()
    assert default_store_folder() == elsewhere / "features", "with XDG_CACHE_HOME, ~/.cache was not used"
    (home / "xdg" / "emofuse" / "features").mkdir(parents=True)
    assert default_store_folder() == home / "xdg" / "emofuse" / "features"


def test_features_kept_below_a_relative_folder_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    (home / "relative" / "emofuse" / "features").mkdir(parents=True)
    assert default_store_folder() == Path("relative", "emofuse", "features")

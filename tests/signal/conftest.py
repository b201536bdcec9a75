"""Hands the makers of media files to the tests of this folder."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def files() -> ModuleType:
    """The module ``tests/media_files.py``."""
    path = Path(__file__).parents[1] / "media_files.py"
    spec = importlib.util.spec_from_file_location("media_files", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def ravdess() -> Path:
    """The folder of real recordings."""
    folder = os.environ.get("EMOFUSE_RAVDESS")
    if not folder:
        pytest.skip("EMOFUSE_RAVDESS names no folder of real recordings")
    return Path(folder)

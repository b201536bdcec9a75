"""A browser with a camera and a microphone, which give a recording of somebody who speaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import chromium, small_corpora
from tests.support.fake_devices import device_flags


@pytest.fixture(scope="session")
def speaker_film(home: Path) -> Path:
    """A real person, where EMOFUSE_RAVDESS names recordings; else a drawn one."""
    folder = os.environ.get("EMOFUSE_RAVDESS")
    if folder:
        return sorted((Path(folder) / "video").glob("Actor_*/01-01-08-*.mp4"))[0]
    return small_corpora.write_clip(home / "speaker.mp4", emotion=2)


@pytest.fixture(scope="module")
def equipped(tmp_path_factory: pytest.TempPathFactory, speaker_film: Path) -> Iterator[chromium.Page]:
    """A page of a browser with a camera and a microphone, for all tests of a module."""
    if chromium.find() is None:
        pytest.skip("Chromium is not installed")
    folder = tmp_path_factory.mktemp("equipped")
    with chromium.browser(folder / "home", *device_flags(folder, speaker_film)) as opened:
        opened.send("Browser.grantPermissions", permissions=["videoCapture", "audioCapture"])
        yield opened

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse.core.errors import ExportError
from emofuse.elan.package import install_recognizers
from tests.support import elan


def test_elan_finds_both_recognizers(tmp_path: Path) -> None:
    extensions = tmp_path / "ELAN 6.8" / "extensions"
    extensions.mkdir(parents=True)
    written = install_recognizers(extensions, sys.executable)
    audio, video = elan.find(extensions)
    assert written == (video.folder, audio.folder)
    assert (audio.kinds["source"], video.kinds["source"]) == ("audio", "video")
    for one in (audio, video):
        assert one.name == one.folder.name and "emofuse" in one.title
        assert (one.folder / one.help_file).read_text(encoding="utf-8").startswith("<!doctype html>")
        assert list(one.kinds.values()).count("multitier") == 1
        assert one.parameters["abstain_below"] == "0.4" and one.parameters["bundle"] == ""
        # the command is split at spaces, and starts a file that lies in the folder
        assert (one.folder / one.command.split()[-1]).is_file()


def test_installing_again_changes_nothing(tmp_path: Path) -> None:
    install_recognizers(tmp_path, "/old/python")
    install_recognizers(tmp_path, sys.executable)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    install_recognizers(tmp_path, sys.executable)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert len(before) == 8 and not any(b"/old/" in data for data in before.values())


@pytest.mark.skipif(sys.platform == "win32", reason="runs the script of other systems")
def test_the_path_of_python_may_have_anything_in_it(tmp_path: Path) -> None:
    python = tmp_path / "it's $HOME & co" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@" "$PYTHONUTF8"\n', encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    install_recognizers(tmp_path, os.fspath(python))
    found = elan.find(tmp_path)[0]
    done = subprocess.run(found.command.split(), cwd=found.folder, capture_output=True, text=True, check=True)
    assert done.stdout == "-m emofuse elan-recognizer 1\n"


def test_the_script_for_windows(tmp_path: Path) -> None:
    install_recognizers(tmp_path, r"C:\Users\50% Grüße\python.exe")
    lines = (tmp_path / "emofuse-audio" / "emofuse.bat").read_bytes().decode().split("\r\n")
    assert r'"C:\Users\50%% Grüße\python.exe" -m emofuse elan-recognizer' in lines
    metadata = (tmp_path / "emofuse-audio" / "emofuse-audio.cmdi").read_text(encoding="utf-8")
    assert re.search(r'runWin="cmd.exe /c emofuse.bat"', metadata)


def test_what_cannot_be_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is not a folder: name the folder 'extensions'"):
        install_recognizers(tmp_path / "none", sys.executable)
    with pytest.raises(ExportError, match="cannot stand in a script"):
        install_recognizers(tmp_path, 'a"b')
    assert list(tmp_path.iterdir()) == []

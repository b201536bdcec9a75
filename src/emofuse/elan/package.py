"""The folders that make ELAN offer emofuse: metadata (CMDI), a script that starts it, a page of help.

ELAN splits the command of a recognizer at spaces and runs it in the recognizer's folder, so that the command
is a script there, which knows where Python is.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from emofuse.core.errors import ExportError
from emofuse.core.version import __version__
from emofuse.elan import parameters
from emofuse.system.atomic_write import write_atomically

_SCRIPT: Final = "emofuse.sh"
_BATCH: Final = "emofuse.bat"
_HELP: Final = "emofuse.html"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the two recognizers: ELAN offers one for each kind of media."""

    folder: str
    title: str
    media: str
    mimetypes: str


_KINDS: Final = (
    _Kind("emofuse-video", "Expressed emotion in voice and face (emofuse)", "video", "video/mp4 video/*"),
    _Kind("emofuse-audio", "Expressed emotion in the voice (emofuse)", "audio", "audio/x-wav audio/*"),
)


def install_recognizers(extensions: Path, python: str) -> tuple[Path, ...]:
    """Write the folders of both recognizers, over those of an earlier version.

    Args:
        extensions: ELAN's folder of extensions, which must exist.
        python: the interpreter with emofuse, by its absolute path.

    Returns:
        The two folders.

    Raises:
        ExportError: there is no such folder, or the path of Python cannot stand in a script.
        OSError: a file cannot be written.
    """
    if not extensions.is_dir():
        raise ExportError(f"{extensions} is not a folder: name the folder 'extensions' of ELAN")
    if any(character in python for character in '\r\n"'):
        raise ExportError(f"the path of Python cannot stand in a script: {python!r}")
    folders = []
    for kind in _KINDS:
        folder = extensions / kind.folder
        folder.mkdir(exist_ok=True)
        for name, text in _files(kind, python).items():
            write_atomically(folder / name, text.encode())
        folders.append(folder)
    return tuple(folders)


def _files(kind: _Kind, python: str) -> Mapping[str, str]:
    # without UTF-8, Python takes the encoding of the locale, which is C where ELAN is started from a menu
    script = (
        "#!/bin/sh\n"
        "# Started by ELAN; written by emofuse elan-recognizer --install.\n"
        f"PYTHONUTF8=1 exec {shlex.quote(python)} -m emofuse elan-recognizer\n"
    )
    windows_python = python.replace("%", "%%")
    batch = (
        "@echo off\r\n"
        "rem Started by ELAN; written by emofuse elan-recognizer --install.\r\n"
        "chcp 65001 > nul\r\n"
        "set PYTHONUTF8=1\r\n"
        f'"{windows_python}" -m emofuse elan-recognizer\r\n'
    )
    return {f"{kind.folder}.cmdi": _metadata(kind), _SCRIPT: script, _BATCH: batch, _HELP: _help(kind)}


def _metadata(kind: _Kind) -> str:
    """The recognizer's metadata, in the words of the AVATecH interface."""
    fields = [
        f'<input level="basic" type="{kind.media}" optional="false" mimetypes="{kind.mimetypes}" '
        f'info="The recording">{parameters.SOURCE}</input>',
        f'<numparam level="basic" type="float" min="0.0" max="1.0" '
        f'default="{parameters.DEFAULT_ABSTAIN_BELOW}" '
        f'info="Segments with less confidence are labeled abstained">{parameters.ABSTAIN_BELOW}</numparam>',
        f'<textparam level="basic" convoc="{parameters.YES} {parameters.NO}" default="{parameters.YES}" '
        f'info="Also write a tier of confidences for each person">{parameters.CONFIDENCE}</textparam>',
        f'<numparam level="advanced" type="float" min="{parameters.LEAST_WINDOW_S}" '
        f'max="{parameters.MOST_WINDOW_S}" default="{parameters.DEFAULT_WINDOW_S}" '
        f'info="Length of the windows that are read, in seconds">{parameters.WINDOW_S}</numparam>',
        '<textparam level="advanced" default="" '
        'info="Folder of a recognizer that you trained; empty: the one that comes with emofuse">'
        f"{parameters.BUNDLE}</textparam>",
        '<output level="basic" type="multitier" optional="false" mimetypes="text/xml" '
        f'info="The file for the tiers">{parameters.TIERS}</output>',
    ]
    run = f'runLinux="/bin/sh {_SCRIPT}" runMac="/bin/sh {_SCRIPT}" runWin="cmd.exe /c {_BATCH}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<CMD CMDVersion="1.1" xmlns="http://www.clarin.eu/cmd/">',
        "<Header></Header>",
        "<Resources><ResourceProxyList></ResourceProxyList><JournalFileProxyList></JournalFileProxyList>"
        "<ResourceRelationList></ResourceRelationList></Resources>",
        "<Components>",
        "<RECOGNIZER>",
        f'<recognizer recognizerType="local" {run} info={quoteattr(kind.title)}>{kind.folder}</recognizer>',
        f"<documentation>{_HELP}</documentation>",
        *fields,
        "</RECOGNIZER>",
        "</Components>",
        "</CMD>",
    ]
    return "\n".join([*lines, ""])


def _help(kind: _Kind) -> str:
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(kind.title)}</title></head><body>\n"
        f"<h1>{escape(kind.title)}</h1>\n"
        f"<p>emofuse {escape(__version__)} reads which emotion is expressed when, and by whom. Choose the "
        "recording and a file for the tiers, and press Start; then create tiers from that file. Each person "
        "has a tier <code>emotion@person_1</code> and, if you like, <code>confidence@person_1</code>; "
        "<code>abstained</code> means that no emotion was probable enough. A gap is time in which there was "
        "nothing to read. Nothing leaves this computer.</p>\n"
        "<p>What is recognized is expression as in the training recordings, not what somebody feels. The "
        "report names the recognizer and its license.</p>\n"
        "</body></html>\n"
    )

"""The recordings of a batch: files as they are named, and the media files below folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emofuse.core.errors import BatchError
from emofuse.media import unread_formats
from emofuse.system.media_files import media_files

SUFFIXES: Final = frozenset((
    ".264", ".265", ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf",
    ".au", ".avi", ".caf", ".dv", ".eac3", ".ec3", ".flac", ".flv", ".h264", ".h265", ".hevc", ".ivf",
    ".m1v", ".m2t", ".m2ts", ".m2v", ".m4a", ".m4b", ".m4v", ".mj2", ".mjpeg", ".mjpg", ".mka", ".mkv",
    ".mov", ".mp2", ".mp3", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".oga", ".ogg",
    ".ogv", ".opus", ".qt", ".ra", ".rm", ".rmvb", ".snd", ".ts", ".tta", ".vob", ".w64", ".wav", ".wave",
    ".weba", ".webm", ".wma", ".wmv", ".wv", ".y4m",
))  # fmt: skip
"""Suffixes, in lower case, of the containers that :mod:`emofuse.media.decoding` opens."""


OnFile = Callable[[int, int, int], None]
"""Called with how many files are done, how many of these failed, and how many there are (0: unknown)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a batch, each once; ``refused``: names that cannot be recordings, and why."""

    files: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """What folders hold in formats that are not read: a line for each suffix, with the way out."""


def find_recordings(arguments: str | Path | Iterable[str | Path]) -> Listing:
    """List files as they are named, and the recordings below folders, without hidden ones, sorted by path.

    A folder that cannot be listed, that has the suffix of a recording, or that is an argument and holds no
    recording, is listed as refused, so that it has a row in the table. Files of known formats that are not
    read are left out, and counted.
    """
    if isinstance(arguments, str | Path):
        arguments = [arguments]
    names: dict[str, None] = {}
    refused: dict[str, str] = {}
    unread: list[Path] = []
    for given in arguments:
        if not str(given):
            raise BatchError("an empty name is not a recording: check the variable that it comes from")
        argument = Path(given)
        if not os.path.isdir(argument):  # noqa: PTH112 - returns False, and raises nothing, without permission
            names[str(argument)] = None
            continue
        unlistable: list[Path] = []
        found = []
        for path in media_files(argument, SUFFIXES | unread_formats.SUFFIXES, unlistable):
            if path.suffix.lower() in SUFFIXES:
                found.append(str(path))
            else:
                unread.append(path)
        problems = {str(folder): "this folder cannot be listed" for folder in unlistable}
        for folder in _folders_with_media_suffix(argument):
            if not any(name.startswith(f"{folder}{os.sep}") for name in found):
                problems.setdefault(folder, "is a folder, not a media file")
        if not found and not problems:
            problems[str(argument)] = "there is no recording in this folder"
        # folder by folder, in the order of Path, without creating a million of them
        for name in sorted([*found, *problems], key=lambda name: name.replace(os.sep, "\0")):
            names[name] = None
        refused |= problems
    return Listing(tuple(names), refused, _left_out(unread))


def _left_out(unread: Sequence[Path]) -> tuple[str, ...]:
    """A line for each suffix; what its files are is read from the first."""
    by_suffix: dict[str, list[Path]] = {}
    for path in sorted(set(unread)):
        by_suffix.setdefault(path.suffix.lower(), []).append(path)
    lines = []
    for suffix, paths in sorted(by_suffix.items()):
        problem = None
        with contextlib.suppress(OSError), paths[0].open("rb") as file:
            problem = unread_formats.unread_format(file.read(unread_formats.HEAD_BYTES))
        counted = f"1 {suffix} file" if len(paths) == 1 else f"{len(paths)} {suffix} files, the first of them"
        lines.append(f"left out {counted} {paths[0]}: {problem or 'not a format that is read'}")
    return tuple(lines)


def _folders_with_media_suffix(root: Path) -> Iterator[str]:
    for folder, subfolders, _ in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in subfolders:
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES:
                yield str(path)

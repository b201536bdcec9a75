"""Fetch RAVDESS from its Zenodo record 1188976, and unpack it safely.

Names, sizes and checksums of the archives come from the record at the time of the download. Each recording
goes to ``DIR/Actor_NN/``, whatever archive it comes from: RAVDESS file names are unique across all of them.
"""

from __future__ import annotations

import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from emofuse.core.errors import CorpusError
from emofuse.core.progress import OnProgress
from emofuse.corpus.ravdess import ACTOR_WITHOUT_SONG, ADDRESS, CITATION, LICENCE, N_ACTORS, ZENODO_RECORD
from emofuse.system.atomic_write import write_atomically
from emofuse.system.download import (
    DEFAULT_RETRIES,
    Checksum,
    Retries,
    check_free_space,
    download,
    fetch_bytes,
    size_text,
)
from emofuse.system.json_files import parse_json, read_json

RECORD_URL: Final = f"https://zenodo.org/api/records/{ZENODO_RECORD}"
PARTS: Final = ("audio-speech", "audio-song", "video-speech", "video-song")

LICENCE_NOTE: Final = f"""\
RAVDESS: The Ryerson Audio-Visual Database of Emotional Speech and Song
{ADDRESS}

The recordings in this folder are licensed under {LICENCE}: name the source, no commercial use, share
what you make of them under the same license. https://creativecommons.org/licenses/by-nc-sa/4.0/

Cite: {CITATION}
"""

MAX_RECORD_BYTES: Final = 4 << 20
AUDIO_UNPACKED_RATIO: Final = 3.5
"""Deflate makes RAVDESS's 16-bit speech 3.0 times smaller (20 recordings of two actors), plus a margin."""
VIDEO_UNPACKED_RATIO: Final = 1.05
"""H.264 does not shrink in a zip."""
BOMB_RATIO: Final = 200
"""No recording compresses this well; deflate can reach 1,032."""
MAX_UNPACKED_BYTES: Final = 16 << 30
"""More than any archive of RAVDESS unpacks to (the whole corpus is 24.8 GB)."""
CHUNK_BYTES: Final = 1 << 20
STATE_FOLDER: Final = ".fetch"
"""Partial archives, and a receipt for each completed one: a second run downloads nothing twice."""

_ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
"""Raised by zipfile for damage, encryption (RuntimeError) and unknown methods (its NotImplementedError)."""
_RAVDESS_NAME: Final = re.compile(r"\d{2}(?:-\d{2}){5}-(?P<actor>\d{2})\.(?:wav|mp4)", re.IGNORECASE)
_ACTOR_FOLDER: Final = re.compile(r"Actor_(?P<actor>\d{2})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FetchedArchive:
    """What was fetched from one archive.

    ``files``: the wanted recordings, all of which are there now, sorted; ``written``: how many of them this
    run wrote.
    """

    archive: str
    files: tuple[Path, ...]
    written: int


@dataclass(frozen=True, slots=True)
class _Archive:
    """One archive that is wanted: its facts from the record, and the actors whose recordings it gives.

    ``unpacked_size``: an estimate, for the free-space check before anything is downloaded.
    """

    name: str
    url: str
    size: int
    checksum: Checksum
    actors: frozenset[int]
    unpacked_size: int


def parse_actor_range(text: str) -> tuple[int, ...]:
    """Parse a list of actors such as ``"1-24"`` or ``"1,3,5-7"``; the result is sorted, without duplicates.

    Raises:
        CorpusError: the text has another form, or names an actor that RAVDESS does not have.
    """
    actors: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,3})\s*(?:-\s*([0-9]{1,3})\s*)?", item)
        if match is None:
            raise CorpusError(
                f"actors {text!r}: {item.strip()!r} is neither a number nor a range such as 5-7"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise CorpusError(f"actors {text!r}: the range {item.strip()} runs backwards")
        actors.update(range(first, last + 1))
    return _checked_actors(actors)


def fetch_ravdess(
    root: Path,
    *,
    actors: Sequence[int],
    parts: Sequence[str],
    api_url: str = RECORD_URL,
    on_progress: OnProgress | None = None,
    keep_archives: bool = False,
    retries: Retries = DEFAULT_RETRIES,
) -> list[FetchedArchive]:
    """Download the archives with these parts of these actors, and unpack them below ``root``.

    Repeat an interrupted run to resume it: archives that are complete, and recordings that have the right
    size and CRC-32, are kept.

    Args:
        root: the corpus folder, which is created. Recordings go to ``root/Actor_NN``.
        actors: 1 to 24.
        parts: some of :data:`PARTS`.
        api_url: the record as JSON.
        on_progress: called with ``"NAME"`` or ``"unpacking NAME"``, the bytes done and the total.
        keep_archives: keep the archives in ``root/.fetch``.
        retries: timeout and attempts of each download.

    Raises:
        CorpusError: an actor or part does not exist; the record lacks an archive; an archive is damaged,
        unsafe
            to unpack or has no recording of these actors; the folder cannot be written.
        DownloadError: a download failed, a checksum is wrong, or there is too little space.
    """
    wanted = _wanted_archives(_checked_actors(actors), parts)
    record = fetch_bytes(api_url, limit=MAX_RECORD_BYTES, retries=retries)
    archives = _read_record(api_url, record, wanted)
    state = root / STATE_FOLDER
    done = {archive.name: files for archive in archives if (files := _finished(root, state, archive))}
    todo = [archive for archive in archives if archive.name not in done]
    _check_space(root, state, todo, keep_archives=keep_archives)
    fetched = []
    try:
        state.mkdir(parents=True, exist_ok=True)
        write_atomically(root / "LICENSE-RAVDESS.txt", LICENCE_NOTE.encode())
        for archive in archives:
            if archive.name in done:
                fetched.append(FetchedArchive(archive.name, done[archive.name], 0))
                continue
            path = download(
                archive.url,
                state / archive.name,
                checksum=archive.checksum,
                size=archive.size,
                on_progress=on_progress,
                retries=retries,
            )
            fetched.append(unpack(path, root, actors=archive.actors, on_progress=on_progress))
            _write_receipt(root, state, archive, fetched[-1].files)
            if not keep_archives:
                path.unlink()
    except OSError as error:
        raise CorpusError(f"{error.filename or root}: {error.strerror or error}") from error
    return fetched


def unpack(
    path: Path, root: Path, *, actors: frozenset[int], on_progress: OnProgress | None = None
) -> FetchedArchive:
    """Unpack these actors' recordings from one archive to ``root/Actor_NN``, each written atomically.

    Nothing is written unless all member names are safe and the declared sizes are plausible.

    Raises:
        CorpusError: the archive is damaged, unsafe or has no recording of these actors.
        DownloadError: there is too little space.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _wanted_members(path, archive, actors)
            targets = {root / path: member for path, member in sorted(members.items())}
            missing = {t: m for t, m in targets.items() if not _is_complete(t, m.file_size, m.CRC)}
            check_free_space(root, sum(m.file_size for m in missing.values()), f"unpacking {path.name}")
            total = sum(member.file_size for member in targets.values())
            size = total - sum(member.file_size for member in missing.values())
            for target, member in missing.items():
                _check_inside(path, root, target)
                _extract(archive, member, target)
                size += member.file_size
                if on_progress is not None:
                    on_progress(f"unpacking {path.name}", size, total)
    except _ZIP_ERRORS as error:
        raise CorpusError(f"{path}: damaged or not a zip archive that can be read: {error}") from error
    return FetchedArchive(path.name, tuple(targets), len(missing))


def _checked_actors(actors: Sequence[int] | set[int]) -> tuple[int, ...]:
    unknown = sorted(set(actors) - set(range(1, N_ACTORS + 1)))
    if unknown or not actors:
        listed = ", ".join(map(str, unknown)) or "none"
        raise CorpusError(f"actors: RAVDESS has actors 1 to {N_ACTORS}, got {listed}")
    return tuple(sorted(set(actors)))


def _wanted_archives(actors: Sequence[int], parts: Sequence[str]) -> dict[str, frozenset[int]]:
    """Names of the archives in the record, and the actors whose recordings to take from each."""
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise CorpusError(f"parts: {', '.join(unknown) or 'none'} given: use some of {', '.join(PARTS)}")
    wanted: dict[str, frozenset[int]] = {}
    for part in (part for part in PARTS if part in parts):
        medium, channel = part.title().split("-")
        present = [actor for actor in actors if channel == "Speech" or actor != ACTOR_WITHOUT_SONG]
        if medium == "Video":
            wanted |= {f"Video_{channel}_Actor_{actor:02d}.zip": frozenset({actor}) for actor in present}
        elif present:
            wanted[f"Audio_{channel}_Actors_01-24.zip"] = frozenset(present)
    if not wanted:
        raise CorpusError(f"actor {ACTOR_WITHOUT_SONG} has no song in RAVDESS: fetch speech, or more actors")
    return wanted


def _read_record(url: str, text: bytes, wanted: Mapping[str, frozenset[int]]) -> list[_Archive]:
    try:
        files = {file["key"]: file for file in parse_json(text)["files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{url}: not a Zenodo record with files ({error!r})") from None
    absent = [name for name in wanted if name not in files]
    if absent:
        raise CorpusError(f"{url}: the record has no file {', '.join(absent)}")
    return [_archive(url, files[name], name, actors) for name, actors in wanted.items()]


def _archive(url: str, file: Mapping[str, Any], name: str, actors: frozenset[int]) -> _Archive:
    try:
        size, checksum, link = file["size"], file["checksum"], file["links"]["self"]
    except (KeyError, TypeError) as error:
        raise CorpusError(f"{url}: {name}: the record does not give {error}") from None
    match = re.fullmatch(r"(\w+):([0-9a-fA-F]+)", str(checksum))
    if match is None or type(size) is not int or size <= 0 or not isinstance(link, str):
        raise CorpusError(
            f"{url}: {name}: size {size!r}, checksum {checksum!r} or link {link!r} is not usable"
        )
    if name.startswith("Video"):
        unpacked = size * VIDEO_UNPACKED_RATIO
    else:
        unpacked = size * AUDIO_UNPACKED_RATIO * len(actors) / N_ACTORS
    return _Archive(name, link, size, (match[1].lower(), match[2].lower()), actors, int(unpacked))


def _check_space(root: Path, state: Path, archives: Sequence[_Archive], *, keep_archives: bool) -> None:
    """Check the space for everything that is unpacked, and for the archives: all if kept, else the
    largest."""
    if not archives:
        return
    sizes = [archive.size for archive in archives]
    have = sum(
        path.stat().st_size
        for archive in archives
        for path in (state / archive.name, state / f"{archive.name}.part")
        if path.is_file()
    )
    needed = (sum(sizes) if keep_archives else max(sizes)) + sum(a.unpacked_size for a in archives) - have
    names = f"{len(archives)} archives" if len(archives) > 1 else archives[0].name
    check_free_space(root, needed, f"fetching {names} of RAVDESS ({size_text(sum(sizes))})")


def _wanted_members(
    path: Path, archive: zipfile.ZipFile, actors: frozenset[int]
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The target of each wanted member, relative to the root: ``Actor_NN/name``."""
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        _check_safe(path, member)
        actor = None if member.is_dir() else _actor(member)
        if actor not in actors:
            continue
        target = PurePosixPath(f"Actor_{actor:02d}", PurePosixPath(member.filename).name)
        other = members.setdefault(target, member)
        if (other.file_size, other.CRC) != (member.file_size, member.CRC):
            raise CorpusError(f"{path}: has two different recordings of the name {target.name}")
    if not members:
        raise CorpusError(f"{path}: has no recording of actors {', '.join(map(str, sorted(actors)))}")
    total = sum(member.file_size for member in members.values())
    # compared with the real size: overlapping members declare more than there is
    if total > min(BOMB_RATIO * path.stat().st_size, MAX_UNPACKED_BYTES):
        raise CorpusError(
            f"{path}: {size_text(path.stat().st_size)} would unpack to {size_text(total)}: "
            "refused, no recordings compress that well"
        )
    return members


def _check_safe(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse a member that would be written outside the folder, or is neither a file nor a folder."""
    name = member.orig_filename.replace("\\", "/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    problem = None
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        problem = "an absolute path"
    elif ".." in name.split("/"):
        problem = "a path that leads out of the folder"
    elif "\0" in name:
        problem = "a name with a zero byte"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "a link" if kind == stat.S_IFLNK else "a special file"
    if problem is not None:
        raise CorpusError(f"{path}: refused, {member.orig_filename!r} is {problem}: nothing was unpacked")


def _actor(member: zipfile.ZipInfo) -> int | None:
    """The actor of a recording, from its RAVDESS name or else its Actor_NN folder; None: not a recording."""
    path = PurePosixPath(member.filename)
    if path.name.startswith(".") or path.suffix.lower() not in (".wav", ".mp4"):
        return None
    if match := _RAVDESS_NAME.fullmatch(path.name):
        return int(match["actor"])
    folders = [match for folder in path.parts[:-1] if (match := _ACTOR_FOLDER.fullmatch(folder))]
    return int(folders[-1]["actor"]) if folders else None


def _check_inside(path: Path, root: Path, target: Path) -> None:
    """Refuse to write through a linked folder that leads out of the root."""
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise CorpusError(f"{path}: refused, {target.parent} leads out of {root}")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    left = member.file_size
    with write_atomically(target) as file, archive.open(member) as source:
        while chunk := source.read(CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{member.filename} is longer than it declares")
            file.write(chunk)
        if left:
            raise zipfile.BadZipFile(f"{member.filename} is shorter than it declares")


def _is_complete(path: Path, size: int, crc: int) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return False
    return _crc32(path) == crc


def _crc32(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc


def _write_receipt(root: Path, state: Path, archive: _Archive, files: Sequence[Path]) -> None:
    """Record what was unpacked from an archive, so that it is not downloaded again once it is deleted."""
    receipt = {
        "archive": archive.name,
        "checksum": list(archive.checksum),
        "actors": sorted(archive.actors),
        "files": {
            file.relative_to(root).as_posix(): {"size": file.stat().st_size, "crc32": _crc32(file)}
            for file in files
        },
    }
    write_atomically(state / f"{archive.name}.json", (json.dumps(receipt, indent=1) + "\n").encode())


def _finished(root: Path, state: Path, archive: _Archive) -> tuple[Path, ...]:
    """The wanted recordings of an archive that an earlier run unpacked, if all are there and unaltered."""
    try:
        receipt = read_json(state / f"{archive.name}.json")
        if tuple(receipt["checksum"]) != archive.checksum or not archive.actors <= set(receipt["actors"]):
            return ()
        folders = {f"Actor_{actor:02d}" for actor in archive.actors}
        files = {n: f for n, f in receipt["files"].items() if PurePosixPath(n).parent.name in folders}
        if all(_is_complete(root / name, fact["size"], fact["crc32"]) for name, fact in files.items()):
            return tuple(sorted(root / name for name in files))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()  # no receipt, or an unreadable one: the archive is fetched again
    return ()

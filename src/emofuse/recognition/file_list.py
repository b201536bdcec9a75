"""The list of all files of a batch, from which its shards are dealt.

It is a text file of JSON lines, one per file, in the order of the table: name and size. Its digest is what
every shard records, so that no two shards of different lists are ever merged; ``sha256sum`` prints the same.
Whoever starts the shards while files still arrive, or on machines that see a folder at different moments,
writes the list once and gives it to every shard; otherwise each shard makes it by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from emofuse.core.errors import ShardError
from emofuse.recognition.batch_inputs import Listing
from emofuse.recognition.shards import Shard, deal
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import parse_json, read_bounded

SCHEMA: Final = 1
_LARGEST_BYTES: Final = 1024 * 2**20
"""Of a list: some million files."""


@dataclass(frozen=True)
class FileList:
    """All files of a batch, in the order of its table."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    """In bytes; 0 where there is no such file."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Names that cannot be recordings, and why."""

    @classmethod
    def of(cls, listing: Listing, root: Path | None = None) -> FileList:
        """Look up the size of every file.

        Args:
            listing: the files.
            root: names are relative to this folder, with ``/``; None: names are as in the listing.
        """
        names = listing.files
        if root is not None:
            names = tuple(Path(name).relative_to(root).as_posix() for name in names)
        given = dict(zip(listing.files, names, strict=True))
        refused = {given[name]: reason for name, reason in listing.refused.items() if name in given}
        sizes = (0 if name in listing.refused else size_bytes(name) for name in listing.files)
        return cls(names, tuple(sizes), refused)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FileList:
        """Read a list.

        Raises:
            ShardError: there is no such file, or it is not a complete list.
        """
        path = Path(path)
        try:
            head, *lines = read_bounded(path, _LARGEST_BYTES).splitlines()
            first = parse_json(head)
            if first["file_list"] != SCHEMA or first["files"] != len(lines):
                raise ValueError
            names, sizes, refused = [], [], {}
            for line in lines:  # one by one: a million of them take a gigabyte
                row = parse_json(line)
                names.append(str(row["file"]))
                sizes.append(int(row["size_bytes"]))
                if "refused" in row:
                    refused[names[-1]] = str(row["refused"])
        except OSError as error:
            raise ShardError(f"{path}: {error.strerror or error}: write the list first, by --list") from None
        except (ValueError, KeyError, TypeError, OverflowError):
            raise ShardError(f"{path} is not a complete list of files: write it again, by --list") from None
        if len(set(names)) != len(names) or min(sizes, default=0) < 0:
            raise ShardError(f"{path} lists a file twice, or of no size: write it again, by --list")
        return cls(tuple(names), tuple(sizes), refused)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the list, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with write_atomically(Path(path)) as file:
            file.writelines(self._lines())

    @cached_property
    def digest(self) -> str:
        """The sha256 of the list as it is written."""
        digest = hashlib.sha256()
        for line in self._lines():
            digest.update(line)
        return digest.hexdigest()

    @property
    def n_bytes(self) -> int:
        """Of all files together."""
        return sum(self.sizes)

    def _lines(self) -> Iterator[bytes]:
        yield json.dumps({"file_list": SCHEMA, "files": len(self.names)}).encode() + b"\n"
        for name, size in zip(self.names, self.sizes, strict=True):
            why = {"refused": self.refused[name]} if name in self.refused else {}
            yield json.dumps({"file": name, "size_bytes": size, **why}).encode() + b"\n"

    def check_within(self, folders: Iterable[str | Path]) -> None:
        """Check that every file is one of some files, or below one of some folders.

        Raises:
            ShardError: one is not: the list was made of something else.
        """
        given = [str(Path(one)) for one in folders]
        if "." in given:
            return  # names below it do not tell
        below = tuple(f"{one.rstrip(os.sep)}{os.sep}" for one in given)
        for name in self.names:
            if name not in given and not name.startswith(below):
                raise ShardError(
                    f"the list names {name}, which is not in {', '.join(given)}: is it of other files?"
                )

    def check_relative(self) -> None:
        """Check that every name is one inside a folder, for results that are named after it.

        Raises:
            ShardError: one is absolute, or leads out of the folder.
        """
        for name in self.names:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ShardError(
                    f"the list names {name}, which is in no folder: write it with emofuse timeline"
                )

    def positions(self, shard: Shard) -> tuple[int, ...]:
        """Which files of the list are in a shard, ascending."""
        return tuple(deal(self.names, self.sizes, shard.of)[shard.number - 1])

    def listing(self, positions: tuple[int, ...] | None = None, root: Path | None = None) -> Listing:
        """Files to read: all, or those at some positions; below ``root``, if names are relative to it."""
        names = self.names if positions is None else tuple(self.names[i] for i in positions)

        def path(name: str) -> str:
            return name if root is None else str(root / name)

        refused = {path(name): self.refused[name] for name in names if name in self.refused}
        return Listing(tuple(map(path, names)), refused)


def size_bytes(name: str) -> int:
    """The size of a file; 0 if there is no such file."""
    try:
        return os.stat(name).st_size  # noqa: PTH116 - a million names are not made Paths for this
    except (OSError, ValueError):
        return 0

"""What a finished shard leaves beside its result, and whether shards are the parts of one batch.

``part-3.csv`` of ``--shard 3/40`` gets ``part-3.csv.shard.json``, which says which shard it is, which files
of which list are in it, and everything that its results depend on. :func:`complete` compares these records
before anything is merged: a table of other files, another recognizer or another version would be a wrong one.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from emofuse.core.errors import ShardError
from emofuse.recognition.shards import Shard, numbers_text
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import read_json

SUFFIX: Final = ".shard.json"
SCHEMA: Final = 1
_LARGEST_BYTES: Final = 1024 * 2**20
_MOST_NAMED: Final = 10
"""A message names so many shards, and counts the rest."""

Kind = Literal["table", "timelines"]


@dataclass(frozen=True)
class ShardRecord:
    """One finished shard."""

    kind: Kind
    shard: Shard
    list_digest: str
    """Of the :class:`~emofuse.recognition.file_list.FileList` that it was dealt from."""
    n_listed: int
    """Files of that list."""
    positions: tuple[int, ...]
    """Of its files in the list, in the order of its rows."""
    about: Mapping[str, Any]
    """What its results depend on: recognizer, profile, options, versions."""
    emotions: tuple[str, ...]
    failed: int
    failures: tuple[tuple[int, str], ...]
    """The position and a line about each of the first failed files."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """What only this kind has: the sha256 of a table, the answers about recordings."""

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        data = {
            "shard_record": SCHEMA, "kind": self.kind, "number": self.shard.number, "of": self.shard.of,
            "list": {"sha256": self.list_digest, "files": self.n_listed}, "failed": self.failed,
            "about": dict(self.about), "emotions": list(self.emotions), "positions": list(self.positions),
            "failures": [list(one) for one in self.failures], "content": dict(self.content),
        }  # fmt: skip
        write_atomically(path, json.dumps(data).encode() + b"\n")

    @classmethod
    def load(cls, path: Path) -> ShardRecord:
        """Read a record.

        Raises:
            ShardError: it cannot be read, or is not a record of this version.
        """
        try:
            data = read_json(path, limit_bytes=_LARGEST_BYTES)
            if data["shard_record"] != SCHEMA or data["kind"] not in ("table", "timelines"):
                raise ValueError
            return cls(
                data["kind"], Shard(data["number"], data["of"]), str(data["list"]["sha256"]),
                int(data["list"]["files"]), tuple(map(int, data["positions"])), dict(data["about"]),
                tuple(map(str, data["emotions"])), int(data["failed"]),
                tuple((int(position), str(line)) for position, line in data["failures"]),
                dict(data["content"]),
            )  # fmt: skip
        except OSError as error:
            raise ShardError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, OverflowError, ShardError):
            raise ShardError(
                f"{path} is not the record of a shard that this version of emofuse can read: run it again"
            ) from None


def complete(records: Mapping[Path, ShardRecord]) -> list[tuple[Path, ShardRecord]]:
    """Shards in their order, if they are all the parts of one batch.

    Args:
        records: by the name of each result, as errors tell it.

    Raises:
        ShardError: one is missing or given twice, or they differ in what they were dealt from or read by.
    """
    if not records:
        raise ShardError("there is no shard to merge: name the tables that --shard wrote")
    _same(records, "kind", {path: one.kind for path, one in records.items()})
    _same(records, "number of shards", {path: f"of {one.shard.of}" for path, one in records.items()})
    _same(
        records, "list of files",
        {path: f"{one.n_listed} files, sha256 {one.list_digest[:12]}" for path, one in records.items()},
        mend="write the list once, by --list, and give it to every shard",
    )  # fmt: skip
    keys = dict.fromkeys(key for one in records.values() for key in one.about)
    for key in keys:
        told = {path: json.dumps(one.about.get(key), sort_keys=True) for path, one in records.items()}
        _same(records, key, told, say=False, mend="run that shard again like the others")
    _same(records, "set of emotions", {path: ", ".join(one.emotions) for path, one in records.items()})
    ordered = _each_once(records)
    dealt = sorted(position for _, one in ordered for position in one.positions)
    if dealt != list(range(ordered[0][1].n_listed)):
        raise ShardError("the files of these shards are not those of their list: run all shards again")
    return ordered


def _each_once(records: Mapping[Path, ShardRecord]) -> list[tuple[Path, ShardRecord]]:
    ordered = sorted(records.items(), key=lambda item: item[1].shard.number)
    by_number = defaultdict(list)
    for path, one in ordered:
        by_number[one.shard.number].append(path)
    of = ordered[0][1].shard.of
    for number, paths in by_number.items():
        if len(paths) > 1:
            raise ShardError(f"shard {number}/{of} is given twice: {', '.join(map(str, paths))}")
    missing = [number for number in range(1, of + 1) if number not in by_number]
    if missing:
        shards = "shards is" if len(missing) == 1 else "shards are"
        raise ShardError(
            f"{len(missing)} of {of} {shards} missing: {numbers_text(missing)}: "
            f"run {'it' if len(missing) == 1 else 'them'} with --shard {missing[0]}/{of}"
            f"{'' if len(missing) == 1 else ' and so on'}"
        )
    return ordered


def _same(
    records: Iterable[Path], what: str, told: Mapping[Path, Hashable], *, say: bool = True, mend: str = ""
) -> None:
    """Check that all shards tell the same; those that differ from most are named."""
    counts = Counter(told.values())
    if len(counts) == 1:
        return
    usual, n_usual = counts.most_common(1)[0]
    others = [path for path in records if told[path] != usual]
    usual_path = next(path for path in records if told[path] == usual)
    named = ", ".join(map(str, others[:_MOST_NAMED])) + (
        f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    )
    has = "has" if len(others) == 1 else "have"
    like = str(usual_path) if n_usual == 1 else f"{usual_path} and {n_usual - 1} more"
    seen = f" ({told[others[0]]} instead of {usual})" if say else ""
    raise ShardError(
        f"{named} {has} another {what} than {like}{seen}: {mend or 'these are not shards of one batch'}"
    )

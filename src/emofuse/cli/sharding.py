"""What ``--shard`` and ``--list`` do, whichever command has them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from emofuse.cli.printing import print_remark
from emofuse.cli.quiet import is_quiet
from emofuse.core.text import shown
from emofuse.recognition.batch_inputs import Listing, find_recordings
from emofuse.recognition.file_list import FileList


def write_list(listing: Listing, path: Path, root: Path | None = None) -> None:
    """Write the list of all files, and say what is in it; of names relative to ``root``, if that is given."""
    listed = FileList.of(listing, root)
    listed.save(path)
    for line in listing.left_out:
        print_remark(line)
    if not is_quiet():
        files = "1 file" if len(listed.names) == 1 else f"{len(listed.names)} files"
        size = f"{size_text(listed.n_bytes)}, sha256 {listed.digest[:12]}…"
        typer.echo(f"{shown(str(path))}: {files}, {size}", err=True)


def size_text(n_bytes: int) -> str:
    """A size to three digits.

    >>> size_text(96_200), size_text(17_100_000), size_text(3_210_000_000_000)
    ('96.2 kB', '17.1 MB', '3.21 TB')
    """
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def files_of(given: Iterable[Path], list_file: Path | None) -> FileList | Listing:
    """What a batch reads: the files of a list, or those that are found now.

    Raises:
        ShardError: the list is incomplete, or names other files than those given.
    """
    given = list(given)
    if list_file is None:
        listing = find_recordings(given)
        for line in listing.left_out:
            print_remark(line)
        return listing
    listed = FileList.load(list_file)
    listed.check_within(given)
    return listed
